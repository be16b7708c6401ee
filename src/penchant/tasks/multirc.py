"""MultiRC: answers to questions on a paragraph, any number of them right (Khashabi et al. 2018)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from penchant.tasks.spec import RIGHT_WRONG, TaskSpec
from penchant.types import LabeledExample


def _read(row: Mapping[str, Any]) -> Iterator[LabeledExample]:
    text = f"{row['paragraph']}\nQuestion: {row['question']}\nAnswer: {row['answer']}"
    yield LabeledExample(text, int(row["label"]), row["paragraph"])


TASK = TaskSpec(
    name="multirc",
    title="MultiRC",
    hub="aps/super_glue:multirc",
    splits=("train", "validation"),
    read=_read,
    classes=RIGHT_WRONG,
)
