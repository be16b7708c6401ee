"""PIQA: which of two ways reaches a goal (Bisk et al. 2020)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from penchant.tasks.spec import RIGHT_WRONG, TaskSpec, numbered
from penchant.types import LabeledExample


def _read(row: Mapping[str, Any]) -> Iterator[LabeledExample]:
    yield from numbered([row["sol1"], row["sol2"]], int(row["label"]), f"Goal: {row['goal']}")


TASK = TaskSpec(
    name="piqa",
    title="PIQA",
    hub="ybisk/piqa",
    splits=("train", "validation"),
    read=_read,
    classes=RIGHT_WRONG,
)
