"""DREAM: questions on a dialogue (Sun et al. 2019)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from penchant.tasks.spec import RIGHT_WRONG, TaskSpec, numbered
from penchant.types import LabeledExample


def _read(row: Mapping[str, Any]) -> Iterator[LabeledExample]:
    dialogue = "\n".join(row["dialogue"])
    right = row["choice"].index(row["answer"])
    yield from numbered(row["choice"], right, f"{dialogue}\nQuestion: {row['question']}", dialogue)


TASK = TaskSpec(
    name="dream",
    title="DREAM",
    hub="dataset-org/dream",
    splits=("train", "test"),
    read=_read,
    classes=RIGHT_WRONG,
)
