"""SST-2: the sentiment of sentences from film reviews (Socher et al. 2013)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from penchant.tasks.spec import SENTIMENT, TaskSpec
from penchant.types import LabeledExample


def _read(row: Mapping[str, Any]) -> Iterator[LabeledExample]:
    if "sentence" in row:
        yield LabeledExample(row["sentence"].strip(), int(row["label"]))
    else:  # the file: `label text`
        label, _, text = row["prompt"].partition(" ")
        yield LabeledExample(text, int(label))


TASK = TaskSpec(
    name="sst2",
    title="SST-2",
    hub="stanfordnlp/sst2",
    splits=("train", "validation"),
    read=_read,
    local=("sst2/train.txt.gz", "sst2/test.txt.gz"),
    classes=SENTIMENT,
)
