"""MC-TACO: temporal common sense (Zhou et al. 2019)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from penchant.tasks.spec import RIGHT_WRONG, TaskSpec
from penchant.types import LabeledExample


def _read(row: Mapping[str, Any]) -> Iterator[LabeledExample]:
    text = f"{row['sentence']}\nQuestion: {row['question']}\nAnswer: {row['answer']}"
    yield LabeledExample(text, int(row["label"]), row["sentence"])


TASK = TaskSpec(
    name="mc_taco",
    title="MC-TACO",
    hub="CogComp/mc_taco",
    splits=("validation", "test"),
    read=_read,
    classes=RIGHT_WRONG,
)
