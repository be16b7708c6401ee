"""Which comparisons make up which optimizer step. Pure arithmetic: a step is a function of (seed, epoch, number)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from penchant.types import Comparison, PromptGroup, prompt_text


@dataclass(frozen=True, slots=True)
class Unit:
    """One thing that an optimizer step counts.

    It is a comparison, a ranking, a response to imitate (with those that it won against), or a response labelled good
    or bad.

    Attributes:
        pairs: (winner, loser, weight) by index into the group's responses; two of half the weight for a tie.
        response: the response to imitate or labelled, or None.
        weight: of the unit.
        desirable: the label, where there is one.
        ranking: responses from best to worst, where the unit is a ranking; `pairs` are then the pairs it implies.
    """

    pairs: tuple[tuple[int, int, float], ...] = ()
    response: int | None = None
    weight: float = 1.0
    desirable: bool = True
    ranking: tuple[int, ...] = ()

    @property
    def responses(self) -> tuple[int, ...]:
        """Indices of the responses that must be forwarded."""
        compared = {index for winner, loser, _ in self.pairs for index in (winner, loser)}
        return tuple(sorted(compared | ({self.response} if self.response is not None else set())))


Part = tuple[int, tuple[Unit, ...]]  # a group's number and the units of it that a step takes


def comparison_unit(comparison: Comparison) -> Unit:
    """Return the unit of a comparison."""
    return Unit(pairs=comparison.directed(), weight=comparison.weight)


def ranking_unit(ranking: Sequence[int]) -> Unit:
    """Return the unit of a ranking of response indices, best first: all pairs that it implies share its weight of 1."""
    # weights of the pairs serve metrics alone: the loss is one number per ranking
    pairs = list(combinations(ranking, 2))
    return Unit(pairs=tuple((winner, loser, 1 / len(pairs)) for winner, loser in pairs), ranking=tuple(ranking))


def plan_epoch(units: Sequence[Sequence[Unit]], *, batch_size: int, seed: int, epoch: int) -> list[list[Part]]:
    """Return the steps of one epoch: every unit once, `batch_size` units per step (the last may have fewer).

    Groups come in a random order fixed by (seed, epoch) and stay together, so that a prompt is forwarded once; where
    a step ends inside a group it takes part of it, and the next step the rest.
    """
    # a function of seed and epoch: a resumed run needs no state of a generator
    order = np.random.default_rng([seed, epoch]).permutation(len(units))
    steps: list[list[Part]] = []
    room = 0
    for group in order.tolist():
        rest = tuple(units[group])
        while rest:
            if room == 0:
                steps.append([])
                room = batch_size
            # a step counts comparisons, not prompts: otherwise prompts with many pairs would make larger steps
            chosen, rest = rest[:room], rest[room:]
            steps[-1].append((group, chosen))
            room -= len(chosen)
    return steps


def split_key(group: PromptGroup) -> str:
    """Return the text by which groups are split: the prompt, or the response where there is no prompt (SFT on text)."""
    return prompt_text(group.prompt) or (group.responses[0].text if group.responses else "")


def split_by_prompt(groups: Sequence[PromptGroup], held_out: float, seed: int) -> tuple[list[int], list[int]]:
    """Return the indices of the groups to train on and to hold out; a prompt is never on both sides.

    Args:
        held_out: a share of the prompts below 1, or a number of prompts.

    A prompt's place is fixed by a digest of (seed, prompt), so it does not move when other rows come or go. At
    least one prompt is held out when `held_out` is above 0, and at least one trains.
    """
    # by digest, not by position: a prompt keeps its side when rows are added; a lone surrogate has no UTF-8
    digests = [hashlib.sha256(f"{seed}|{split_key(group)}".encode(errors="replace")).digest() for group in groups]
    prompts = sorted(set(digests))
    # below 1 it is a share of the prompts, not of the rows: how many rows a prompt has must not decide it
    held_out_count = held_out if held_out >= 1 else held_out * len(prompts)
    count = min(max(round(held_out_count), int(held_out > 0)), len(prompts) - 1)
    # the smallest digests: a new row moves at most one prompt to the other side
    chosen = set(prompts[:count])
    train = [index for index, digest in enumerate(digests) if digest not in chosen]
    return train, [index for index, digest in enumerate(digests) if digest in chosen]
