"""What each kind of stage of the study of instructions depends on: one frozen class for each kind. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from penchant.studies.core.stage_settings import PolicySettings, StageSettings
from penchant.tasks.wordings import Wording
from penchant.typed_json import INLINED, OMITTED

TRAIN_ROWS, TEST_ROWS = "train.json", "test.json"
"""Files of the rows of a task: a list of [text, label, group, options] each."""
TUNED_ROLE, MEASURED_ROLE = "tuned ", "measured "
"""What stands before a task's name where its rows are what a stage needs: tuned on, or kept apart from that."""
Overflow = Literal["cut", "error"]


@dataclass(frozen=True, kw_only=True)
class TaskRowsSettings(StageSettings):
    """The rows of a task.

    Attributes:
        kind: how they are read. task: its name where that says which code reads it.
        data: digests of its files, or its hub id.
        columns, test_share: of a file of the user's.
    """

    kind: Literal["task", "file", "sentences"]
    task: str
    train: int | None
    test: int | None
    data: tuple[str, ...]
    columns: Annotated[Mapping[str, str | None] | None, OMITTED] = None
    test_share: Annotated[float | None, OMITTED] = None


@dataclass(frozen=True, kw_only=True)
class PromptSettings(StageSettings):
    """How rows become prompts.

    Attributes:
        wordings: by task, those that there are. seed: fixes which of them a row has, and its examples.
        longest: tokens of a text that are read.
    """

    wordings: Mapping[str, tuple[Wording, ...]]
    seed: int
    longest: int
    overflow: Overflow


@dataclass(frozen=True, kw_only=True)
class MixtureSettings(StageSettings):
    """The demonstrations of a mixture of tasks: the model for its tokenizer, which measures texts."""

    policy: Annotated[PolicySettings, INLINED]
    prompts: PromptSettings


@dataclass(frozen=True, kw_only=True)
class AnswersSettings(StageSettings):
    """Logps of the answers of a cluster's test rows, after so many examples each."""

    policy: Annotated[PolicySettings, INLINED]
    prompts: PromptSettings
    shots: tuple[int, ...]
