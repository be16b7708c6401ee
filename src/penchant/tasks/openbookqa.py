"""OpenBookQA: elementary science questions (Mihaylov et al. 2018)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from penchant.tasks.spec import RIGHT_WRONG, TaskSpec, lettered
from penchant.types import LabeledExample


def _read(row: Mapping[str, Any]) -> Iterator[LabeledExample]:
    yield from lettered(row, f"Question: {row['question_stem']}")


TASK = TaskSpec(
    name="openbookqa",
    title="OpenBookQA",
    hub="allenai/openbookqa:main",
    splits=("train", "test"),
    read=_read,
    classes=RIGHT_WRONG,
)
