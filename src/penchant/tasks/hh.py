"""HH: which of two answers people preferred (Bai et al. 2022); harmlessness here, on the hub helpfulness too.

Some of the texts are offensive.
"""

from __future__ import annotations

from collections.abc import Iterator

from penchant.data.layouts.pairs import read_hh, speaks_for_both
from penchant.data.sources.values import RowError
from penchant.tasks.spec import TaskRow, preferred, task, with_plain_prompt
from penchant.types import LabeledExample


@task(
    title="HH, harmlessness",
    hub="Anthropic/hh-rlhf",
    local=("hh_rlhf/harmless-base.test.jsonl.gz",),
    classes=(),
)
def hh_harmless(row: TaskRow) -> Iterator[LabeledExample]:
    """Read a comparison: the conversation, and both of its last answers as options."""
    try:
        group = read_hh(dict(row))
    except RowError:  # no last answer, or histories that differ
        return
    # an answer in which both speak is no answer of the assistant alone
    if speaks_for_both(group) or isinstance(group.prompt, str):
        return
    conversation = with_plain_prompt(group)
    better, worse = (response.text for response in conversation.responses)
    yield preferred(str(conversation.prompt), better, worse)
