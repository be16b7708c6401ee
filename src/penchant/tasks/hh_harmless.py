"""HH: which of two answers people preferred (Bai et al. 2022); harmlessness here, on the hub helpfulness too.

Some of the texts are offensive.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from penchant.data.fields import RowError
from penchant.data.pairs import read_hh, speaks_for_both
from penchant.tasks.spec import TaskSpec, preferred
from penchant.types import LabeledExample

_NAMES = {"user": "Human", "assistant": "Assistant"}


def _read(row: Mapping[str, Any]) -> Iterator[LabeledExample]:
    try:
        group = read_hh(dict(row))
    except RowError:  # no last answer, or histories that differ
        return
    if speaks_for_both(group) or isinstance(group.prompt, str):
        return
    turns = [f"{_NAMES[turn.role]}: {turn.content}" for turn in group.prompt]
    better, worse = (f" {response.text}" for response in group.responses)
    yield preferred("\n\n".join([*turns, "Assistant:"]), better, worse)


TASK = TaskSpec(
    name="hh_harmless",
    title="HH, harmlessness",
    hub="Anthropic/hh-rlhf",
    splits=("train", "test"),
    read=_read,
    local=("hh_rlhf/harmless-base.test.jsonl.gz",),
    classes=(),
)
