"""QuAIL: reading comprehension of several kinds (Rogers et al. 2020)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from penchant.tasks.spec import RIGHT_WRONG, TaskSpec, numbered
from penchant.types import LabeledExample


def _read(row: Mapping[str, Any]) -> Iterator[LabeledExample]:
    question = f"{row['context']}\nQuestion: {row['question']}"
    yield from numbered(row["answers"], int(row["correct_answer_id"]), question, row["context"])


TASK = TaskSpec(
    name="quail",
    title="QuAIL",
    hub="textmachinelab/quail",
    splits=("train", "validation"),
    read=_read,
    classes=RIGHT_WRONG,
)
