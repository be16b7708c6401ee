"""The stages of a weak-to-strong study by what they are for: of a task, of a strong model. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeGuard

from penchant.models.builtin import ENCODERS
from penchant.models.settings import Dtype, ModelConfig
from penchant.studies.core.stage import Stage
from penchant.weak.settings import ClassifierSpec, LanguageModel, Mlp, Probe

Reader = tuple[str, Dtype, bool]
"""A model that is probed, its dtype, and whether it learned the texts first."""


@dataclass(frozen=True)
class Students:
    """The stages of one strong model on one task.

    Attributes:
        batched: of probes, by supervisor, and that of the ceiling. single: of other students, by (name, seed).
    """

    batched: Mapping[str, Stage] = field(default_factory=dict)
    single: Mapping[tuple[str, int], Stage] = field(default_factory=dict)

    def stages(self) -> list[Stage]:
        """Return every stage once."""
        return [*self.batched.values(), *self.single.values()]


@dataclass(frozen=True)
class TaskGrid:
    """The stages of one task.

    Attributes:
        rows: what all others need. tuned: models that learned the texts first, by their settings.
        activations: by who reads, see `read_by`. wordings: likewise, of test rows in other words.
        labels: of supervisors and of the chain's students, by (name, seed).
        students: of each of the configuration's `students`, in order.
        prompted: language models as they are, asked in words, by their settings and the seed.
    """

    name: str
    rows: Stage
    tuned: Mapping[ModelConfig, Stage]
    activations: Mapping[Reader, Stage]
    wordings: Sequence[Stage]
    labels: Mapping[tuple[str, int], Stage]
    students: tuple[Students, ...]
    prompted: Mapping[tuple[ModelConfig, int], Stage] = field(default_factory=dict)

    def stages(self) -> list[Stage]:
        """Return every stage once, each after what it needs."""
        students = [task for group in self.students for task in group.stages()]
        return [
            self.rows,
            *self.tuned.values(),
            *self.activations.values(),
            *self.wordings,
            *self.labels.values(),
            *self.prompted.values(),
            *students,
        ]


def read_by(spec: Probe | Mlp, tuned: bool) -> Reader:
    """Return the key of the activations that a probe or small network reads: all of one model share them."""
    return spec.model, spec.dtype, tuned


def network_of(spec: Probe | LanguageModel) -> ModelConfig:
    """Return the model that a student starts from, as it learns the texts.

    It is the same for every student that reads it: a model that is read in half precision does not learn in it, for
    small steps are lost there."""
    if isinstance(spec, Probe):
        return ModelConfig(name=spec.model)
    # without adapters, for language modelling trains all weights; the device is an input and no part of an address
    return spec.network.model_copy(update={"lora": None, "device": "auto"})


def is_prompted(spec: ClassifierSpec) -> TypeGuard[Probe | LanguageModel]:
    """Return whether there is a language model behind a student, which can be asked in words."""
    return isinstance(spec, Probe | LanguageModel) and spec.model not in ENCODERS


class TaskGrids(tuple[TaskGrid, ...]):
    """The stages of all tasks."""

    @property
    def required(self) -> tuple[Stage, ...]:
        """Stages without any of which there is nothing to say."""
        return tuple(grid.rows for grid in self)

    def stages(self) -> list[Stage]:
        """Return every stage once, each after what it needs."""
        return [task for grid in self for task in grid.stages()]
