"""Emotion: which of six emotions an English tweet has (Saravia et al. 2018)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from penchant.tasks.spec import TaskSpec
from penchant.types import LabeledExample

CLASSES = ("sadness", "joy", "love", "anger", "fear", "surprise")


def _read(row: Mapping[str, Any]) -> Iterator[LabeledExample]:
    if "label" in row:
        yield LabeledExample(row["text"], int(row["label"]))
        return
    text, _, label = row["prompt"].rpartition(";")
    if label in CLASSES:  # the first line is a header
        yield LabeledExample(text, CLASSES.index(label))


TASK = TaskSpec(
    name="emotion",
    title="Emotion",
    hub="dair-ai/emotion:split",
    splits=("train", "test"),
    read=_read,
    local=("emotion/train.txt.gz", "emotion/test.txt.gz"),
    classes=CLASSES,
)
