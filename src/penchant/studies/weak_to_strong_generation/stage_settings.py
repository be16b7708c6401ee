"""What each kind of stage of the study depends on: one frozen class for each kind. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from penchant.models.settings import ModelConfig
from penchant.studies.core.stage_settings import StageSettings
from penchant.studies.weak_to_strong_generation.names import Method
from penchant.typed_json import OMITTED

ROWS, TESTS, VALIDATION = "rows.jsonl", "tests.jsonl", "validation.jsonl"
"""Files of a stage of rows: answers to learn from, and prompts with true answers."""
SCORES = "{}-{}.npy"
"""Files with a score per prompt: of whom, and on which prompts (`test`, `validation`)."""
WEAK, STRONG = "weak", "strong"
"""Folders of the two models of an embedded task, and the names of the models of a file."""


@dataclass(frozen=True)
class ModelShape:
    """A small model, as `SmallModel` has it."""

    width: int
    layers: int
    steps: int


@dataclass(frozen=True, kw_only=True)
class ModelsSettings(StageSettings):
    """The two models of an embedded task, as `Pretraining` has it."""

    ground: str
    student: ModelShape
    supervisor: ModelShape
    stop_at: float
    student_stop_at: float
    crowd_right: float
    right_tag_share: float
    batch_size: int
    learning_rate: float
    seed: int


@dataclass(frozen=True)
class StudentLearning:
    """How a student learns, as `Learning` has it."""

    steps: int
    batch_size: int
    beta: float


@dataclass(frozen=True, kw_only=True)
class RowsSettings(StageSettings):
    """Prompts with a supervisor's answers, and prompts to test on.

    Attributes:
        task: the name of an embedded one, or the digest of a file.
        reward: the content of the scorer; None where the rows decide.
        weak, strong: models of a file by content. learning, learning_rate: of its supervisor.
    """

    task: str
    prompts: int
    validation: int
    test: int
    max_new_tokens: int
    labels: Literal["greedy", "drawn"]
    draws: int
    seed: int
    reward: Annotated[str | None, OMITTED] = None
    template: Annotated[str | None, OMITTED] = None
    weak: Annotated[ModelConfig | None, OMITTED] = None
    strong: Annotated[ModelConfig | None, OMITTED] = None
    learning: Annotated[StudentLearning | None, OMITTED] = None
    learning_rate: Annotated[float | None, OMITTED] = None


@dataclass(frozen=True, kw_only=True)
class GenerationStudentSettings(StageSettings):
    """A student of one method."""

    method: Method
    learning: StudentLearning
    learning_rate: float
    max_new_tokens: int
    draws: int
    seed: int
    reward: Annotated[str | None, OMITTED] = None
    template: Annotated[str | None, OMITTED] = None
    strong: Annotated[ModelConfig | None, OMITTED] = None
