"""Which function does a stage's work, by the stage's kind; and names of functions to functions.

No study is imported here by name: those that `penchant.studies.STUDIES` lists say which kinds of stages they have.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Any

from penchant.errors import did_you_mean
from penchant.studies import STUDIES

SHARED_STAGES = {
    "prompts": "penchant.studies.core.prompt_stage:prompts_stage",
    "comparisons": "penchant.studies.core.sample_stages:comparisons_stage",
    "mislabelled": "penchant.studies.core.sample_stages:mislabelled_stage",
    "reference": "penchant.studies.core.sample_stages:reference_stage",
    "judged": "penchant.studies.core.sample_stages:judged_stage",
}
"""Stages that several studies have; the module and function of each, as in a study's own `stages`."""


RUN = "penchant.studies.core.run_stage:run_stage"
"""What does the work of every other kind: a run of the method that the kind names."""


@cache
def stage_makers() -> dict[str, str]:
    """Return the `module:function` that does the work of each kind of stage but runs.

    It fills a folder and returns the content of `stage.json`.

    Raises:
        ValueError: two studies claim one kind.
    """
    makers = dict(SHARED_STAGES)
    for name in STUDIES:
        for kind, target in import_module(f"penchant.studies.{name}.study").STUDY.stages.items():
            # a worker is told the kind alone, so it must mean one thing
            if makers.setdefault(kind, target) != target:
                raise ValueError(f"two studies claim the stage {kind!r}: {makers[kind]} and {target}")
    return makers


def maker_of(kind: str) -> str:
    """Return the `module:function` that does the work of a kind of stage; for the name of a method that is `RUN`.

    Raises:
        ValueError: neither a study nor this package has such a kind, and no method is called so.
    """
    # named, not imported: else a change of any method would make the stages of all others stale
    makers, methods = stage_makers(), resolve("penchant.methods:METHODS")
    if kind in makers:
        return makers[kind]
    if kind not in methods:
        kinds = sorted((*makers, *methods))
        raise ValueError(
            f"there is no stage {kind!r}: expected a method, or a kind that a `StudyDefinition` lists in its `stages` "
            f"({', '.join(kinds)}){did_you_mean(kind, kinds, form=repr)}"
        )
    return RUN


def resolve(target: str) -> Any:
    """Import a module and return the attribute that `module:attribute` names."""
    module, _, name = target.partition(":")
    return getattr(import_module(module), name)
