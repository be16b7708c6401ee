"""What the definition of a study names exists: functions, classes and presets that are named as text."""

from __future__ import annotations

import pytest

from penchant.studies.core.definition import StudyDefinition, definitions
from penchant.studies.core.kinds import maker_of, resolve, stage_makers
from penchant.studies.core.stage import Stage

TARGETS = ("grid", "grow", "summarize", "page", "summary", "prepare", "lines")


@pytest.mark.parametrize("definition", [pytest.param(each, id=each.configs[0].method) for each in definitions()])
def test_what_a_definition_names_exists(definition: StudyDefinition) -> None:
    named = [target for attribute in TARGETS if (target := getattr(definition, attribute))]
    for target in named:
        assert resolve(target) is not None, target
    for presets in definition.presets.values():
        assert [path for path in presets.values() if not path.is_file()] == []
        listed = {path for each in definition.presets.values() for path in each.values()}
        folder = next(iter(listed)).parent
        assert set(folder.glob("*.yaml")) == listed  # a file that is not listed would be no preset, in silence


@pytest.mark.parametrize("kind", sorted(stage_makers()))
def test_each_kind_of_stage_has_a_function(kind: str) -> None:
    assert callable(resolve(stage_makers()[kind]))


@pytest.mark.parametrize(
    ("kind", "near"), [("comparison", "comparisons"), ("dop", "dpo"), ("studnet", "student"), ("teacher", None)]
)
def test_a_kind_of_stage_that_nobody_registered_is_refused(kind: str, near: str | None) -> None:
    meant = rf"; did you mean '{near}'\?$" if near else r"\)$"
    with pytest.raises(ValueError, match=rf"there is no stage '{kind}': expected a method, .*comparisons, .*{meant}"):
        Stage(kind, "label", {}, {}, {})
    with pytest.raises(ValueError, match="there is no stage"):
        maker_of(kind)
