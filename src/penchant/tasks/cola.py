"""CoLA: whether a sentence is grammatical (Warstadt et al. 2019)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from penchant.tasks.spec import YES_NO, TaskSpec
from penchant.types import LabeledExample


def _read(row: Mapping[str, Any]) -> Iterator[LabeledExample]:
    yield LabeledExample(f"{row['sentence']}\nIs this sentence grammatical?", int(row["label"]))


TASK = TaskSpec(
    name="cola",
    title="CoLA",
    hub="nyu-mll/glue:cola",
    splits=("train", "validation"),
    read=_read,
    classes=YES_NO,
)
