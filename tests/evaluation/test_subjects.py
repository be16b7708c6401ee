"""What is evaluated, and how its prompts are rendered."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from penchant.evaluation.settings import EvaluateConfig
from penchant.evaluation.subjects import find_subjects


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A finished run that was trained with two arguments of its template."""
    data = {"path": "x.jsonl", "template": "auto", "template_args": {"thinking": False, "today": "2024-02-03"}}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"method": "dpo", "model": {"name": "start"}, "data": data}))
    (tmp_path / "checkpoint").mkdir()
    monkeypatch.setattr("penchant.evaluation.subjects.check_finished", lambda *_: None)
    return tmp_path


def find_args(run: Path, **settings: object) -> tuple[str, dict[str, object]]:
    config = EvaluateConfig.model_validate({"model": str(run), "tasks": ["sciq"], **settings})
    after, before = find_subjects(config)
    assert before is not None
    # both are asked the same
    assert (before.template, before.template_args) == (after.template, after.template_args)
    return after.template, dict(after.template_args)


@pytest.mark.parametrize("template", [None, "chat"])
def test_arguments_that_are_given_change_those_that_the_run_trained_with(run: Path, template: str | None) -> None:
    given = {"thinking": True}
    found = find_args(run, template=template, template_args=given)
    assert found == (template or "auto", {"thinking": True, "today": "2024-02-03"})


@pytest.mark.parametrize("template", ["plain", "chatml"])
def test_another_template_has_none_of_the_arguments_of_the_run(run: Path, template: str) -> None:
    assert find_args(run, template=template) == (template, {})


def test_a_model_without_a_run_takes_arguments() -> None:
    config = EvaluateConfig(model="m", before="n", tasks=("sciq",), template_args={"thinking": False})
    subjects = find_subjects(config)
    assert [subject and subject.template_args for subject in subjects] == [{"thinking": False}] * 2
