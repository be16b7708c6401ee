"""PAWS: whether two sentences with the same words mean the same (Zhang et al. 2019)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from penchant.tasks.spec import YES_NO, TaskSpec
from penchant.types import LabeledExample


def _read(row: Mapping[str, Any]) -> Iterator[LabeledExample]:
    text = f"First: {row['sentence1']}\nSecond: {row['sentence2']}\nDo they mean the same?"
    yield LabeledExample(text, int(row["label"]), " ".join(sorted(row["sentence1"].lower().split())))


TASK = TaskSpec(
    name="paws",
    title="PAWS",
    hub="google-research-datasets/paws:labeled_final",
    splits=("train", "test"),
    read=_read,
    classes=YES_NO,
)
