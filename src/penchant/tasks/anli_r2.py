"""ANLI, round 2: whether a hypothesis follows from a text (Nie et al. 2020)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from penchant.tasks.spec import YES_NO, TaskSpec
from penchant.types import LabeledExample


def _read(row: Mapping[str, Any]) -> Iterator[LabeledExample]:
    text = f"{row['premise']}\nDoes it follow that {row['hypothesis']}"
    yield LabeledExample(text, int(int(row["label"]) == 0), row["premise"])  # 0 is entailment


TASK = TaskSpec(
    name="anli_r2",
    title="ANLI-R2",
    hub="facebook/anli",
    splits=("train_r2", "test_r2"),
    read=_read,
    classes=YES_NO,
)
