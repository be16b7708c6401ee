"""SocialIQA: social situations (Sap et al. 2019)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from penchant.tasks.spec import RIGHT_WRONG, TaskSpec, numbered
from penchant.types import LabeledExample


def _read(row: Mapping[str, Any]) -> Iterator[LabeledExample]:
    question = f"{row['context']}\nQuestion: {row['question']}"
    answers = [row[f"answer{letter}"] for letter in "ABC"]
    yield from numbered(answers, int(row["label"]) - 1, question, row["context"])


TASK = TaskSpec(
    name="social_i_qa",
    title="SocialIQA",
    hub="allenai/social_i_qa",
    splits=("train", "validation"),
    read=_read,
    classes=RIGHT_WRONG,
)
