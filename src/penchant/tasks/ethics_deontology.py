"""ETHICS, deontology: whether an excuse is reasonable (Hendrycks et al. 2021)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from penchant.tasks.spec import YES_NO, TaskSpec
from penchant.types import LabeledExample


def _read(row: Mapping[str, Any]) -> Iterator[LabeledExample]:
    yield LabeledExample(f"{row['scenario']} {row['excuse']}", int(row["label"]), row["scenario"])


TASK = TaskSpec(
    name="ethics_deontology",
    title="ETHICS deontology",
    hub="hendrycks/ethics:deontology",
    splits=("train", "validation"),  # the hub's `test` is the adversarially filtered one, see docs/decisions/0015
    read=_read,
    local=("ethics/deontology/train.csv.gz", "ethics/deontology/test.csv.gz"),
    classes=YES_NO,
)
