"""The stages of a study of annotators, in order. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache

from penchant.studies.annotators.names import annotator_names
from penchant.studies.annotators.settings import AnnotatedData, AnnotatorsConfig
from penchant.studies.annotators.stage_settings import AnnotatedSource, LeftOutSettings
from penchant.studies.core.address import data_content
from penchant.studies.core.prompts import locate_prompts
from penchant.studies.core.stage import (
    Stage,
    absolute,
    learning_settings,
    plain,
    policy_settings,
    reward_model_settings,
)
from penchant.studies.core.stage_settings import OfflineRunSettings, StageSettings, SweptLoss
from penchant.typed_json import from_json

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
    # the file's digest is an argument so that the cache of names does not outlive a change of the file
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
    from penchant.data.load import load_preferences

    path = locate_prompts(data.path)
    groups = load_preferences(
        path, ties="half", bad_rows=data.bad_rows, layout=data.layout, split=data.split, limit=data.limit
    )
    return tuple(annotator_names(groups, path))


def _cell(config: AnnotatorsConfig, number: int, annotator: str, seed: int) -> LeftOut:
    path = locate_prompts(config.data.path)
    inputs = {"model": absolute(config.model.name), "data": path}
    policy, learning = policy_settings(config), learning_settings(config)
    data = from_json(AnnotatedSource, {**plain(config.data), "path": data_content(path)})

    def stage(kind: str, label: str, settings: StageSettings, needs: Mapping[str, Stage]) -> Stage:
        # by number, for an annotator's name may be anything
        return Stage(kind, f"{label}-without-{number}-seed-{seed}", settings, inputs, needs, seed=seed)

    # both parts name the annotator: the others' comparisons lack this one's, and prompts are split the same way
    left_out = LeftOutSettings(policy=policy, data=data, annotator=annotator, part="others", seed=seed)
    train = stage("left_out", "others", left_out, {})
    held_out = stage("left_out", "held", replace(left_out, part="held"), {})
    learner_settings: dict[str, StageSettings] = {}
    if config.beta is not None:
        learner_settings["dpo"] = OfflineRunSettings(
            policy=policy,
            learning=learning,
            learning_rate=config.learning_rate,
            batch_size=config.batch_size,
            epochs=config.epochs,
            loss=SweptLoss("sigmoid", beta=config.beta),
            seed=seed,
        )
    if config.reward_model is not None:
        learner_settings["reward_model"] = reward_model_settings(config.reward_model, policy, learning, seed)
    learners = {}
    for kind, settings in learner_settings.items():
        name = kind.replace("_", "-")
        run = stage(kind, name, settings, {"comparisons": train})
        # judged by one annotator's comparisons, on prompts from which the run has learned nothing
        learners[kind] = (run, stage("judged", f"{name}-judged", policy, {"run": run, "held": held_out}))
    return LeftOut(annotator, train, held_out, learners)
