"""ETHICS, justice: whether a reason is a fair one (Hendrycks et al. 2021)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from penchant.tasks.siblings import sibling_groups
from penchant.tasks.spec import YES_NO, TaskSpec
from penchant.types import LabeledExample


def _read(row: Mapping[str, Any]) -> Iterator[LabeledExample]:
    yield LabeledExample(row["scenario"], int(row["label"]))


TASK = TaskSpec(
    name="ethics_justice",
    title="ETHICS justice",
    hub="hendrycks/ethics:justice",
    splits=("train", "validation"),  # the hub's `test` is the adversarially filtered one, see docs/decisions/0015
    read=_read,
    local=("ethics/justice/train.csv.gz", "ethics/justice/test.csv.gz"),
    classes=YES_NO,
    relate=sibling_groups,  # variants of one scenario stand together, and no field says so
)
