"""Twitter sentiment: tweets that are clearly negative or positive (Rosenthal et al. 2017)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from penchant.tasks.spec import SENTIMENT, TaskSpec
from penchant.types import LabeledExample


def _read(row: Mapping[str, Any]) -> Iterator[LabeledExample]:
    if int(row["label"]) != 1:  # neutral
        yield LabeledExample(row["text"], int(row["label"]) // 2)


TASK = TaskSpec(
    name="twitter_sentiment",
    title="Twitter sentiment",
    hub="cardiffnlp/tweet_eval:sentiment",
    splits=("train", "test"),
    read=_read,
    classes=SENTIMENT,
)
