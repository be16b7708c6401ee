"""HellaSwag: which ending follows (Zellers et al. 2019)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from penchant.tasks.spec import RIGHT_WRONG, TaskSpec, numbered
from penchant.types import LabeledExample


def _read(row: Mapping[str, Any]) -> Iterator[LabeledExample]:
    yield from numbered(row["endings"], int(row["label"]), f"What happens next? {row['ctx']}")


TASK = TaskSpec(
    name="hellaswag",
    title="HellaSwag",
    hub="Rowan/hellaswag",
    splits=("train", "validation"),
    read=_read,
    classes=RIGHT_WRONG,
)
