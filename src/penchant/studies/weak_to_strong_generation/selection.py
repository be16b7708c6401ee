"""Which answers a student learns from, by method: pure functions of rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from penchant.errors import InputError
from penchant.studies.weak_to_strong_generation.names import HALVES, Method
from penchant.types import Comparison, Prompt, PromptGroup, Response

RANDOM_HALF, ORDER_OF_EQUALS = 51, 52
"""Purposes of random numbers."""
Agrees = Callable[[Response, Response], bool]
"""Returns whether two answers to one prompt come to the same."""


@dataclass(frozen=True)
class LabelledRow:
    """A prompt with what the two models and the truth say to it.

    Attributes:
        answer: the true one. label: the supervisor's.
        consistency: share of the supervisor's draws that agree with its label.
        agrees: whether the untrained student's own answer agrees with the label.
        likelihood: of the label by the untrained student, in nats per token.
    """

    prompt: Prompt
    answer: str
    label: Response
    consistency: float
    agrees: bool
    likelihood: float


def learned_groups(method: Method, rows: Sequence[LabelledRow], seed: int) -> list[PromptGroup]:
    """Return the prompts with answers that a method learns from, in the order of the rows.

    Raises:
        InputError: none is left.
    """
    # the same prompts as all others: only the answers differ
    if method == "ceiling":
        return [PromptGroup(row.prompt, [row.answer]) for row in rows]
    kept_rows = [rows[index] for index in sorted(_chosen(method, rows, seed))]
    if not kept_rows:
        raise InputError(f"{method}: of {len(rows)} answers none is left to learn from")
    return [PromptGroup(row.prompt, [row.label]) for row in kept_rows]


def _chosen(method: Method, rows: Sequence[LabelledRow], seed: int) -> Sequence[int]:
    """Return which rows a method keeps."""
    if method == "agreement":
        return [index for index, row in enumerate(rows) if row.agrees]
    if method not in HALVES:
        return range(len(rows))
    # the same number for each method that keeps a half: only which rows differs
    half = max(1, len(rows) // 2)
    if method == "random_half":
        return np.random.default_rng([seed, RANDOM_HALF]).permutation(len(rows))[:half].tolist()
    scores = [row.consistency if method == "self_consistent" else row.likelihood for row in rows]
    # equal ones in a drawn order: by their place, the file's order would decide
    tie_order = np.random.default_rng([seed, ORDER_OF_EQUALS]).permutation(len(rows))
    return sorted(range(len(rows)), key=lambda index: (-scores[index], tie_order[index]))[:half]


def consensus_pairs(groups: Sequence[PromptGroup], agrees: Agrees) -> list[PromptGroup]:
    """Return the prompts whose draws have a consensus, each with a comparison: an agreeing answer against another.

    The consensus is the answer that most draws come to, if that is more than half of them. It is held against the most
    frequent of the others; prompts without any other are left out, and those whose consensus is an empty answer (Yang
    et al. 2024, arXiv:2407.13647).
    """
    # a pair per prompt: prompts with many draws would count more otherwise
    pairs = []
    for group in groups:
        # answers that come to the same are one, however they are worded
        kinds: list[tuple[Response, Counter[int]]] = []
        for index, response in enumerate(group.responses):
            members = next((members for first, members in kinds if agrees(response, first)), None)
            if members is None:
                members = Counter()
                kinds.append((response, members))
            members[index] += response.count
        ranked = sorted((members for _, members in kinds), key=lambda members: -members.total())
        if len(ranked) < 2 or 2 * ranked[0].total() <= sum(members.total() for members in ranked):
            continue
        # of answers that come to the same the most frequent wording
        (winner, _), (loser, _) = ranked[0].most_common(1)[0], ranked[1].most_common(1)[0]
        responses = (group.responses[winner], group.responses[loser])
        # to say nothing is no answer, whoever agrees on it: nobody should learn to prefer that
        if not responses[0].text.strip():
            continue
        pairs.append(PromptGroup(group.prompt, responses, [Comparison(0, 1)]))
    return pairs
