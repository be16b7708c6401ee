"""Amazon polarity: the sentiment of product reviews (Zhang et al. 2015)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from penchant.tasks.spec import SENTIMENT, TaskSpec
from penchant.types import LabeledExample


def _read(row: Mapping[str, Any]) -> Iterator[LabeledExample]:
    yield LabeledExample(f"{row['title']}\n{row['content']}", int(row["label"]))


TASK = TaskSpec(
    name="amazon_polarity",
    title="Amazon polarity",
    hub="fancyzhx/amazon_polarity",
    splits=("train", "test"),
    read=_read,
    classes=SENTIMENT,
)
