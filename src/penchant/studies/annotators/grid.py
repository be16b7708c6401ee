"""The stages of a study of annotators, in order. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from penchant.studies.annotators.settings import AnnotatedData, AnnotatorsConfig
from penchant.studies.core.address import data_content
from penchant.studies.core.prompts import locate_prompts
from penchant.studies.core.stage import Stage, absolute, learning_settings, model_settings, offline_settings, plain

LEARNERS = ("dpo", "reward_model")


@dataclass(frozen=True)
class LeftOut:
    """An annotator left out for one seed.

    Attributes:
        train: what the other annotators compared. held_out: what this one compared, to judge by.
        learners: each learner's run and its judgement.
    """

    annotator: str
    train: Stage
    held_out: Stage
    learners: dict[str, tuple[Stage, Stage]]


@dataclass(frozen=True)
class AnnotatorsGrid:
    """All stages of a study of annotators."""

    cells: tuple[LeftOut, ...]

    @property
    def required(self) -> tuple[Stage, ...]:
        """Stages without any of which there is nothing to say."""
        return (self.cells[0].held_out,)

    def stages(self) -> list[Stage]:
        """Return every stage once, each after what it needs."""
        data = [stage for cell in self.cells for stage in (cell.train, cell.held_out)]
        pairs = [pair for cell in self.cells for pair in cell.learners.values()]
        return [*data, *(run for run, _ in pairs), *(judgement for _, judgement in pairs)]


def annotators_grid(config: AnnotatorsConfig) -> AnnotatorsGrid:
    """Return the stages that a configuration asks for.

    Raises:
        InputError: the data cannot be read, or name fewer than two annotators.
    """
    names = config.annotators or _names(config.data, data_content(locate_prompts(config.data.path)))
    return AnnotatorsGrid(
        tuple(
            _cell(config, number, annotator, seed)
            for seed in config.seeds
            for number, annotator in enumerate(names, start=1)
        )
    )


@cache  # the grid is asked for again when its stages have ended, and reading the data warns of what is odd in it
def _names(data: AnnotatedData, content: str) -> tuple[str, ...]:
    """Return the names of all annotators in the data; `content` is the digest of the file."""
    from penchant.data import load_preferences
    from penchant.errors import InputError

    path = locate_prompts(data.path)
    groups = load_preferences(
        path, ties="half", bad_rows=data.bad_rows, layout=data.layout, split=data.split, limit=data.limit
    )
    names = sorted(
        {name for group in groups for comparison in group.comparisons if (name := comparison.annotator) is not None}
    )
    if len(names) < 2:
        raise InputError(f"{path} has comparisons of {len(names)} named annotators, expected at least two")
    return tuple(names)


def _cell(config: AnnotatorsConfig, number: int, annotator: str, seed: int) -> LeftOut:
    path = locate_prompts(config.data.path)
    inputs = {"model": absolute(config.model.name), "data": path}
    model, name = model_settings(config), f"without-{number}-seed-{seed}"
    reading = {"template": config.template, "seed": seed, "annotator": annotator}
    data = {**model, **reading, "data": {**plain(config.data), "path": data_content(path)}}

    def stage(kind: str, label: str, settings: dict[str, Any], needs: dict[str, Stage]) -> Stage:
        return Stage(kind, f"{label}-{name}", settings, inputs, needs, seed=seed)

    train = stage("left_out", "others", {**data, "of": "others"}, {})
    held_out = stage("left_out", "held", {**data, "of": "held"}, {})
    learner_settings: dict[str, dict[str, Any]] = {}
    if config.beta is not None:
        loss = {"name": "sigmoid", "beta": config.beta}
        learner_settings["dpo"] = {**offline_settings(config), "loss": loss, "learning_rate": config.learning_rate}
    if config.reward_model is not None:
        learner_settings["reward_model"] = plain(config.reward_model)
    shared = {**model, **learning_settings(config), "template": config.template, "seed": seed}
    learners = {}
    for kind, settings in learner_settings.items():
        run = stage(kind, kind.replace("_", "-"), {**shared, **settings}, {"comparisons": train})
        judge_settings = {**model, "template": config.template}
        learners[kind] = (
            run,
            stage("judged", f"{kind.replace('_', '-')}-judged", judge_settings, {"run": run, "held": held_out}),
        )
    return LeftOut(annotator, train, held_out, learners)
