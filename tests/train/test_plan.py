"""Which comparisons make up which step, and which prompts are held out."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penchant.train.plan import Mixing, Unit, comparison_unit, plan_epoch, split_by_prompt
from penchant.types import Comparison, Message, PromptGroup


def units_of(sizes: list[int]) -> list[list[Unit]]:
    return [[Unit(response=number) for number in range(size)] for size in sizes]


def groups_of(prompts: list[str]) -> list[PromptGroup]:
    return [PromptGroup(prompt, ["a", "b"], [Comparison(0, 1)]) for prompt in prompts]


sizes_lists = st.lists(st.integers(0, 9), min_size=1, max_size=20)


@given(sizes_lists, st.integers(1, 12), st.integers(0, 2**31), st.integers(0, 5))
def test_an_epoch_has_every_unit_once_in_steps_of_the_batch_size(
    sizes: list[int], batch_size: int, seed: int, epoch: int
) -> None:
    units = units_of(sizes)
    steps = plan_epoch(units, batch_size=batch_size, seed=seed, epoch=epoch)
    seen = Counter((group, unit.response) for step in steps for group, some in step for unit in some)
    assert seen == Counter((group, unit.response) for group, some in enumerate(units) for unit in some)
    counts = [sum(len(some) for _, some in step) for step in steps]
    assert len(steps) == math.ceil(sum(sizes) / batch_size)
    assert all(count == batch_size for count in counts[:-1])
    assert all(0 < count <= batch_size for count in counts[-1:])
    for step in steps:
        groups = [group for group, _ in step]
        assert len(set(groups)) == len(groups)  # a prompt is forwarded once a step
        assert all(some for _, some in step)


@given(sizes_lists, st.integers(1, 12), st.integers(0, 2**31))
def test_a_group_stays_together_and_in_order_over_the_steps_that_share_it(
    sizes: list[int], batch_size: int, seed: int
) -> None:
    """A group of k units touches at most ceil(k / batch) + 1 steps, one after the other."""
    steps = plan_epoch(units_of(sizes), batch_size=batch_size, seed=seed, epoch=0)
    for group, size in enumerate(sizes):
        where = [number for number, step in enumerate(steps) for other, _ in step if other == group]
        assert where == list(range(where[0], where[0] + len(where))) if where else size == 0
        assert len(where) <= math.ceil(size / batch_size) + 1
        taken = [unit.response for step in steps for other, some in step if other == group for unit in some]
        assert taken == list(range(size))


def test_a_group_of_six_is_split_over_steps_of_four() -> None:
    """6 units in steps of 4: 4 + 2, and no step is left short for the sake of a group."""
    steps = plan_epoch(units_of([6]), batch_size=4, seed=0, epoch=0)
    assert [[(group, [unit.response for unit in some]) for group, some in step] for step in steps] == [
        [(0, [0, 1, 2, 3])],
        [(0, [4, 5])],
    ]


@given(sizes_lists, st.integers(1, 12), st.integers(0, 2**31))
def test_steps_of_one_source_have_each_unit_once_and_no_other_source(
    sizes: list[int], batch_size: int, seed: int
) -> None:
    units, owners = units_of(sizes), np.array([group % 3 for group in range(len(sizes))], np.int32)
    counts = np.bincount(owners, minlength=3)
    # weighted by its own size, each group is drawn once, as without weights
    mixing = Mixing(owners, tuple(map(float, counts)), one_source=True)
    steps = plan_epoch(units, batch_size=batch_size, seed=seed, epoch=0, mixing=mixing)
    assert all(len({owners[group] for group, _ in step}) == 1 for step in steps)
    seen = Counter((group, unit.response) for step in steps for group, some in step for unit in some)
    assert seen == Counter((group, unit.response) for group, some in enumerate(units) for unit in some)
    totals = [sum(size for size, owner in zip(sizes, owners, strict=True) if owner == source) for source in range(3)]
    assert len(steps) == sum(math.ceil(total / batch_size) for total in totals)


def test_steps_of_one_source_come_in_a_random_order_and_mixed_ones_have_both() -> None:
    """The control without `one_source` has steps of both; with one source alone both plans are the same steps."""
    owners = np.array([0] * 40 + [1] * 40, np.int32)
    pure, mixed = (
        plan_epoch(units_of([1] * 80), batch_size=8, seed=0, epoch=0, mixing=Mixing(owners, (1.0, 1.0), one_source))
        for one_source in (True, False)
    )
    sources = [owners[step[0][0]] for step in pure]
    assert sorted(sources) == [0] * 5 + [1] * 5 != sources
    assert any(len({owners[group] for group, _ in step}) == 2 for step in mixed)
    alone = [
        plan_epoch(units_of([1] * 8), batch_size=8, seed=0, epoch=0, mixing=Mixing(owners[:8], (1.0,), one_source))
        for one_source in (True, False)
    ]
    assert alone[0] == alone[1]


def test_the_order_is_fixed_by_seed_and_epoch() -> None:
    units = units_of([1] * 30)

    def order(seed: int, epoch: int) -> list[int]:
        return [step[0][0] for step in plan_epoch(units, batch_size=1, seed=seed, epoch=epoch)]

    assert order(3, 1) == order(3, 1)
    assert len({tuple(order(seed, epoch)) for seed in range(4) for epoch in range(4)}) == 16
    assert sorted(order(3, 1)) == list(range(30)) != order(3, 1)


def test_a_tie_is_one_unit_of_two_half_pairs() -> None:
    assert comparison_unit(Comparison(0, 2, weight=3.0)) == Unit(pairs=((0, 2, 3.0),), weight=3.0)
    tie = comparison_unit(Comparison(2, 0, tie=True, weight=3.0))
    assert tie == Unit(pairs=((2, 0, 1.5), (0, 2, 1.5)), weight=3.0)
    assert tie.responses == (0, 2)


# -- held out -----------------------------------------------------------------------------------------------------

prompt_lists = st.lists(st.text(max_size=3), min_size=1, max_size=30)


@given(prompt_lists, st.one_of(st.floats(0, 0.99), st.integers(1, 40).map(float)), st.integers())
def test_every_group_is_on_one_side_and_no_prompt_on_both(prompts: list[str], held_out: float, seed: int) -> None:
    train, held = split_by_prompt(groups_of(prompts), held_out, seed)
    assert sorted(train + held) == list(range(len(prompts)))
    assert not {prompts[i] for i in train} & {prompts[i] for i in held}
    assert train  # something is always left to learn from


@given(prompt_lists, st.floats(0.01, 0.9), st.integers(), st.randoms())
def test_the_split_does_not_depend_on_the_order_of_the_rows(
    prompts: list[str], held_out: float, seed: int, random: object
) -> None:
    _, held = split_by_prompt(groups_of(prompts), held_out, seed)
    mixed = list(prompts)
    random.shuffle(mixed)  # type: ignore[attr-defined]
    _, held_mixed = split_by_prompt(groups_of(mixed), held_out, seed)
    assert {prompts[i] for i in held} == {mixed[i] for i in held_mixed}


@given(
    st.sets(st.text(min_size=1, max_size=4), min_size=5, max_size=25),  # an empty prompt goes by its response
    st.text(min_size=5, max_size=6),
    st.integers(1, 4),
)
def test_a_new_row_moves_at_most_one_prompt(prompts: set[str], new: str, held_out: int) -> None:
    """With a number of prompts the newcomer may push one out; nobody else changes sides."""
    old = sorted(prompts)
    _, held = split_by_prompt(groups_of(old), held_out, 0)
    grown = [*old, new]
    _, held_grown = split_by_prompt(groups_of(grown), held_out, 0)
    before, after = {old[i] for i in held}, {grown[i] for i in held_grown}
    assert after == before or (new in after and len(before - after) == 1)


@pytest.mark.parametrize(
    ("prompts", "held_out", "expected"),
    [
        (20, 0.0, 0),
        (20, 0.1, 2),  # 0.1 x 20
        (20, 0.26, 5),  # 5.2
        (20, 0.01, 1),  # 0.2, but what is asked for is not nothing
        (20, 1, 1),  # a number from 1 up
        (20, 7, 7),
        (20, 100, 19),  # one is left to train on
        (1, 0.5, 0),  # and so with a single prompt none can be held out
        (1, 3, 0),
    ],
)
def test_shares_and_numbers_of_held_out_prompts(prompts: int, held_out: float, expected: int) -> None:
    train, held = split_by_prompt(groups_of([str(n) for n in range(prompts)]), held_out, 0)
    assert (len(train), len(held)) == (prompts - expected, expected)


def test_the_share_is_of_prompts_not_of_groups() -> None:
    """`merge=False` leaves several groups a prompt: they go together. 10 prompts, 3 groups each, a fifth."""
    train, held = split_by_prompt(groups_of([str(n % 10) for n in range(30)]), 0.2, 0)
    assert (len(train), len(held)) == (24, 6)


def test_another_seed_holds_out_other_prompts() -> None:
    groups = groups_of([str(n) for n in range(40)])
    assert len({tuple(split_by_prompt(groups, 0.2, seed)[1]) for seed in range(5)}) == 5


def test_conversations_are_told_apart_by_all_of_their_turns() -> None:
    chats = [(Message("user", "hi"), Message("assistant", "yes"), Message("user", str(n // 2))) for n in range(12)]
    groups = [PromptGroup(chat, ["a", "b"], [Comparison(0, 1)]) for chat in chats]
    train, held = split_by_prompt(groups, 2, 0)
    assert len(held) == 4  # two conversations, two groups each
    assert not {chats[i] for i in train} & {chats[i] for i in held}


def test_rows_without_a_prompt_are_split_by_their_text() -> None:
    groups = [PromptGroup("", [f"text {number}"]) for number in range(20)]
    train, held = split_by_prompt(groups, 0.2, seed=0)
    assert (len(train), len(held)) == (16, 4)
