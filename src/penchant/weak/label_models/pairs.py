"""Votes on pairs of responses: what each annotator or judge of a preference file says of each comparison."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from penchant.errors import InputError
from penchant.tasks.spec import normalized
from penchant.types import PromptGroup, prompt_text
from penchant.weak.comparisons import OPTIONS, load_groups, order_of_pair
from penchant.weak.label_models.read import VoteTable
from penchant.weak.label_models.settings import WeakSources
from penchant.weak.label_models.votes import VoteMatrix, Votes
from penchant.weak.rows import LabelledRows

Verdicts = dict[str, set[int]]
"""By annotator, who won: 0 or 1, and both for a tie."""


def read_pair_votes(config: WeakSources) -> tuple[VoteTable, LabelledRows]:
    """Read the verdicts of a preference file as votes, a row per pair of responses and a source per annotator.

    The two responses stand in an order that their texts decide. A tie, and a pair that one annotator judged both ways,
    is an abstention: it says nothing of which is better.

    Raises:
        InputError: rows that cannot be used; verdicts without an annotator; fewer than two annotators; no verdict but
            ties.
    """
    assert config.votes is not None
    pairs: list[PromptGroup] = []
    verdicts: list[Verdicts] = []
    items: list[tuple[int, int]] = []
    nameless = responses = 0
    for group in load_groups(config.votes):
        nameless += sum(comparison.annotator is None for comparison in group.comparisons)
        for pair, of_pair, (first, second) in _pairs(group):
            pairs.append(pair)
            verdicts.append(of_pair)
            items.append((responses + first, responses + second))
        # numbered through the file: responses of two prompts are never compared
        responses += len(group.responses)
    if nameless:
        raise InputError(
            f"{config.votes}: {nameless} comparisons do not say who judged: expected a field `annotator`, by which "
            "sources are told apart"
        )
    annotators = tuple(sorted({name for of_pair in verdicts for name in of_pair}))
    if len(annotators) < 2:
        raise InputError(f"{config.votes} has {len(annotators)} annotators: there is nothing to join")
    columns = {name: column for column, name in enumerate(annotators)}
    winners = [
        (row, columns[name], next(iter(winners)))
        for row, of_pair in enumerate(verdicts)
        for name, winners in of_pair.items()
        if len(winners) == 1
    ]
    undecided = sum(map(len, verdicts)) - len(winners)
    if not winners:
        raise InputError(f"{config.votes}: all {undecided} verdicts are ties: nothing says which response is better")
    prompts = [prompt_text(pair.prompt) for pair in pairs]
    rows = LabelledRows(
        config.votes, tuple(pairs), OPTIONS, None, tuple(normalized(prompt) or prompt for prompt in prompts)
    )
    # each annotator judges a few of the pairs: a full table would be mostly silence
    matrix = VoteMatrix.of_votes((len(pairs), len(annotators)), *np.array(winners).T)
    votes = Votes(matrix, annotators, OPTIONS)
    tied = {"tied": undecided} if undecided else {}
    return VoteTable(votes, {}, tied, items=np.array(items, dtype=np.intp)), rows


def _pairs(group: PromptGroup) -> Iterator[tuple[PromptGroup, Verdicts, tuple[int, int]]]:
    """Yield each compared pair as a group of its own, who says which is better, and its numbers among the responses."""
    compared = sorted({(min(c.winner, c.loser), max(c.winner, c.loser)) for c in group.comparisons})
    for left, right in compared:
        order = order_of_pair(group, left, right)
        if order is None:  # one text, finished and cut
            continue
        verdicts: Verdicts = {}
        for comparison in group.comparisons:
            if {comparison.winner, comparison.loser} == {left, right} and comparison.annotator is not None:
                winners = {0, 1} if comparison.tie else {order.index(comparison.winner)}
                verdicts.setdefault(comparison.annotator, set()).update(winners)
        responses = [replace(group.responses[index], count=1) for index in order]
        yield PromptGroup(group.prompt, responses, source=group.source), verdicts, order
