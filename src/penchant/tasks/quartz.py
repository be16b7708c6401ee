"""QuaRTz: qualitative relations (Tafjord et al. 2019)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from penchant.tasks.spec import RIGHT_WRONG, TaskSpec, lettered
from penchant.types import LabeledExample


def _read(row: Mapping[str, Any]) -> Iterator[LabeledExample]:
    yield from lettered(row, f"{row['para']}\nQuestion: {row['question']}", row["para"])


TASK = TaskSpec(
    name="quartz",
    title="QuaRTz",
    hub="allenai/quartz",
    splits=("train", "test"),
    read=_read,
    classes=RIGHT_WRONG,
)
