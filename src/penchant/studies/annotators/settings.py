"""What the study of annotators may be told. Imports no torch."""

from __future__ import annotations

from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from penchant.config import Config
from penchant.data.in_memory import DataPath
from penchant.data.options import BadRows
from penchant.studies.core.settings import Count, LearningRate, RewardModelStage, StudyConfig


class AnnotatedData(Config):
    """Comparisons of several named annotators."""

    shorthand: ClassVar[str] = "path"

    path: Annotated[DataPath, Field(min_length=1)]
    """A file with annotators in any layout that `penchant data check` knows, `data:NAME` for one in the folder `data`
    (or what PENCHANT_DATA names), or a hub id."""
    layout: str | None = None
    """The layout's name; found out by itself unless given."""
    split: str = "train"
    """Which split of a hub data set."""
    bad_rows: BadRows = "error"
    """What to do with rows that cannot be used: name them all and stop, or skip them with a count."""
    limit: Count | None = None
    """Use only the first so many prompts."""
    held_out: Annotated[float, Field(gt=0)] = 0.3
    """Prompts to judge on, never trained on: a share below 1, a number from 1 up."""
    max_length: Annotated[int, Field(ge=2, le=10_000_000)] | None = None
    """Tokens of prompt and response together; longer ones are left out (counted). The model's context if not given."""


class AnnotatorsConfig(StudyConfig):
    """Whether a model that learns from the other annotators agrees with the one left out, on prompts it never saw."""

    method: ClassVar[str] = "annotators"

    data: AnnotatedData
    """Comparisons of several annotators: a path, or its settings."""
    annotators: Annotated[tuple[str, ...], Field(min_length=2)] | None = None
    """The ones to leave out in turn; all if not given."""
    beta: Annotated[float, Field(gt=0)] | None = 0.1
    """Of DPO, whose implicit reward is judged; null leaves it out."""
    learning_rate: LearningRate = 1e-5
    """Of DPO."""
    reward_model: RewardModelStage | None = RewardModelStage(held_out=0)
    """The reward model; null leaves it out."""

    @model_validator(mode="after")
    def _something_to_judge(self) -> Self:
        if self.beta is None and self.reward_model is None:
            raise ValueError("there is nothing to compare: beta and reward_model are both null")
        return self
