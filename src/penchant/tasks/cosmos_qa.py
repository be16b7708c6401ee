"""CosmosQA: commonsense reading comprehension (Huang et al. 2019)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from penchant.tasks.spec import RIGHT_WRONG, TaskSpec, numbered
from penchant.types import LabeledExample


def _read(row: Mapping[str, Any]) -> Iterator[LabeledExample]:
    question = f"{row['context']}\nQuestion: {row['question']}"
    answers = [row[f"answer{number}"] for number in range(4)]
    yield from numbered(answers, int(row["label"]), question, row["context"])


TASK = TaskSpec(
    name="cosmos_qa",
    title="CosmosQA",
    hub="allenai/cosmos_qa",
    splits=("train", "validation"),
    read=_read,
    classes=RIGHT_WRONG,
)
