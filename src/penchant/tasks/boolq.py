"""BoolQ: yes-no questions on a passage (Clark et al. 2019)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from penchant.tasks.spec import YES_NO, TaskSpec
from penchant.types import LabeledExample


def _read(row: Mapping[str, Any]) -> Iterator[LabeledExample]:
    yield LabeledExample(f"{row['passage']}\nQuestion: {row['question']}?", int(row["answer"]), row["passage"])


TASK = TaskSpec(
    name="boolq",
    title="BoolQ",
    hub="google/boolq",
    splits=("train", "validation"),
    read=_read,
    classes=YES_NO,
)
