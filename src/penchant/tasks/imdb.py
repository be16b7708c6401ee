"""IMDb: the sentiment of film reviews (Maas et al. 2011)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from penchant.tasks.spec import SENTIMENT, TaskSpec
from penchant.types import LabeledExample


def _read(row: Mapping[str, Any]) -> Iterator[LabeledExample]:
    text = row["text"] if "text" in row else row["review"]
    yield LabeledExample(text.replace("<br />", " "), int(row["label"] if "label" in row else row["sentiment"]))


TASK = TaskSpec(
    name="imdb",
    title="IMDb",
    hub="stanfordnlp/imdb",
    splits=("train", "test"),
    read=_read,
    local=("imdb5000/movie_review.jsonl.gz",),
    classes=SENTIMENT,
)
