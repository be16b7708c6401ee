"""WiC: whether a word has the same sense in two sentences (Pilehvar and Camacho-Collados 2019)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from penchant.tasks.spec import YES_NO, TaskSpec
from penchant.types import LabeledExample


def _read(row: Mapping[str, Any]) -> Iterator[LabeledExample]:
    text = f"{row['sentence1']}\n{row['sentence2']}\nDoes '{row['word']}' mean the same in both?"
    yield LabeledExample(text, int(row["label"]), row["word"])


TASK = TaskSpec(
    name="wic",
    title="WiC",
    hub="aps/super_glue:wic",
    splits=("train", "validation"),
    read=_read,
    classes=YES_NO,
)
