"""Which comparisons make up which optimizer step. Pure arithmetic: a step is a function of (seed, epoch, number)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from penchant.types import Comparison, Prompt, PromptGroup, prompt_text, prompt_turns


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


@dataclass(frozen=True)
class Mixing:
    """The sources of training groups, and how often each is drawn.

    Attributes:
        owners: (groups,) the number of each group's source.
        weights: of the sources, by number.
        one_source: whether a step has groups of one source alone.
    """

    owners: NDArray[np.int32]
    weights: tuple[float, ...]
    one_source: bool = False

    @property
    def draws(self) -> tuple[int, ...]:
        """Return how many groups of each source an epoch draws; an epoch draws as many groups as there are."""
        shares = np.array(self.weights) / sum(self.weights) * len(self.owners)
        counts = np.floor(shares).astype(int)
        # what rounding leaves goes to the largest remainders, the first of equals
        for source in np.argsort(counts - shares, kind="stable")[: len(self.owners) - counts.sum()]:
            counts[source] += 1
        return tuple(counts.tolist())

    @property
    def passes(self) -> tuple[float, ...]:
        """Return how often an epoch goes over each source."""
        sizes = np.bincount(self.owners, minlength=len(self.weights))
        return tuple(draws / size if size else 0.0 for draws, size in zip(self.draws, sizes.tolist(), strict=True))

    def drawn_groups(self, seed: int, epoch: int) -> list[int]:
        """Return the groups of an epoch, not yet in their order; one that is drawn several times stands there as often.

        Each source is gone through in passes, each in an order of its own, and an epoch goes on where the last one
        ended. So two groups of a source never differ by more than one draw.
        """
        group_numbers: list[int] = []
        for source, count in enumerate(self.draws):
            members = np.flatnonzero(self.owners == source)
            start, stop = epoch * count, (epoch + 1) * count
            for number in range(start // max(1, len(members)), -(-stop // max(1, len(members)))):
                # 2 keeps these draws apart from those of the epoch's order, which has the seed and the epoch's number
                order = members[np.random.default_rng([seed, 2, source, number]).permutation(len(members))]
                offset = number * len(members)
                group_numbers += order[max(0, start - offset) : stop - offset].tolist()
        return group_numbers


def plan_epoch(
    units: Sequence[Sequence[Unit]], *, batch_size: int, seed: int, epoch: int, mixing: Mixing | None = None
) -> list[list[Part]]:
    """Return the steps of one epoch: every unit once, `batch_size` units per step (the last may have fewer).

    Groups come in a random order fixed by (seed, epoch) and stay together, so that a prompt is forwarded once; where
    a step ends inside a group it takes part of it, and the next step the rest.

    Args:
        mixing: which groups an epoch draws, where sources have weights; else every group once.
    """
    numbers: Sequence[int] = range(len(units)) if mixing is None else mixing.drawn_groups(seed, epoch)
    # a function of seed and epoch: a resumed run needs no state of a generator
    order = np.random.default_rng([seed, epoch]).permutation(len(numbers))
    ordered = [numbers[position] for position in order.tolist()]
    if mixing is None or not mixing.one_source:
        return _fill_steps(units, ordered, batch_size)
    parts = [[group for group in ordered if mixing.owners[group] == source] for source in range(len(mixing.weights))]
    steps = [step for part in parts for step in _fill_steps(units, part, batch_size)]
    # 3 keeps this order apart from that of the groups; without it an epoch would end with one source alone
    shuffled = np.random.default_rng([seed, 3, epoch]).permutation(len(steps))
    return [steps[number] for number in shuffled.tolist()]


def _fill_steps(units: Sequence[Sequence[Unit]], ordered: Sequence[int], batch_size: int) -> list[list[Part]]:
    """Return steps of `batch_size` units each, of groups in this order."""
    steps: list[list[Part]] = []
    room = 0
    for group in ordered:
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
    """Return the text by which groups are split.

    That is the prompt, or the response where there is no prompt (SFT on text). Of responses that are pictures or
    sounds it is the prompt with all of them: prompts such as the name of a class stand in most rows, so that their
    sides would be whole classes (decision 0049). Merged rows of one prompt are one group, and on one side in any case.
    """
    if is_media_group(group):
        return "\n".join([prompt_text(group.prompt), *(response.text for response in group.responses)])
    return prompt_text(group.prompt) or (group.responses[0].text if group.responses else "")


def is_media_group(group: PromptGroup) -> bool:
    """Return whether all responses of a group are pictures or sounds and no text."""
    return bool(group.responses) and all(
        response.parts and not any(isinstance(part, str) for part in response.parts) for response in group.responses
    )


def cluster_key(group: PromptGroup) -> Prompt:
    """Return what intervals resample as one: the prompt, or of pictures and sounds what they are split by."""
    return split_key(group) if is_media_group(group) else group.prompt


def content_key(group: PromptGroup) -> str:
    """Return the text by which groups of several sources are split: what is asked, without system turns and tools.

    One question stands in two sources as a text and as a conversation, or under another system turn.
    """
    if is_media_group(group):
        return split_key(group)
    # thoughts and calls of earlier turns are left out too: what matters is whether the question is the same
    turns = [turn for turn in prompt_turns(group.prompt) if turn.role not in ("system", "developer", "tools")]
    if len(turns) == 1:
        return turns[0].text.strip() or split_key(group)
    return "\n\n".join(f"{turn.role}: {turn.text.strip()}" for turn in turns) or split_key(group)


def split_by_prompt(groups: Sequence[PromptGroup], held_out: float, seed: int) -> tuple[list[int], list[int]]:
    """Return the indices of the groups to train on and to hold out; a prompt is never on both sides.

    Args:
        held_out: a share of the prompts below 1, or a number of prompts.
    """
    return split_by_key([split_key(group) for group in groups], held_out, seed)


def split_by_key(keys: Sequence[str], held_out: float, seed: int) -> tuple[list[int], list[int]]:
    """Return the indices of the items to train on and to hold out; items with one key are on one side."""
    return split_by_digest([digest_key(key, seed) for key in keys], held_out)


def digest_key(key: str, seed: int) -> bytes:
    """Return the digest that decides a key's side: by it, and not by position, a prompt keeps its side."""
    # a lone surrogate has no UTF-8
    return hashlib.sha256(f"{seed}|{key}".encode(errors="replace")).digest()


def split_by_digest(digests: Sequence[bytes], held_out: float) -> tuple[list[int], list[int]]:
    """Return the indices of the items to train on and to hold out; items with one digest are on one side.

    A digest's side does not move when other rows come or go. At least one is held out when `held_out` is above 0, and
    at least one trains.

    Args:
        digests: of `digest_key`, one per item.
        held_out: a share of the digests below 1, or a number of them.
    """
    prompts = sorted(set(digests))
    # below 1 it is a share of the prompts, not of the rows: how many rows a prompt has must not decide it
    held_out_count = held_out if held_out >= 1 else held_out * len(prompts)
    count = min(max(round(held_out_count), int(held_out > 0)), len(prompts) - 1)
    # the smallest digests: a new row moves at most one prompt to the other side
    chosen = set(prompts[:count])
    train = [index for index, digest in enumerate(digests) if digest not in chosen]
    return train, [index for index, digest in enumerate(digests) if digest in chosen]
