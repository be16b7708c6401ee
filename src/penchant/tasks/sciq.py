"""SciQ: whether the answer to a science question is right (Welbl et al. 2017)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from penchant.tasks.spec import RIGHT_WRONG, TaskSpec, one_of_each
from penchant.types import LabeledExample


def _read(row: Mapping[str, Any]) -> Iterator[LabeledExample]:
    yield from one_of_each(
        f"Question: {row['question']}", row["correct_answer"], [row[f"distractor{number}"] for number in (1, 2, 3)]
    )


TASK = TaskSpec(
    name="sciq",
    title="SciQ",
    hub="allenai/sciq",
    splits=("train", "test"),
    read=_read,
    local=("sciq/train.jsonl.gz", "sciq/test.jsonl.gz"),
    classes=RIGHT_WRONG,
)
