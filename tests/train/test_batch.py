"""A step in micro-batches: every comparison once, within the budget, whatever the groups look like."""

from __future__ import annotations

from collections import Counter
from typing import Any

import torch
from hypothesis import given
from hypothesis import strategies as st

from penchant.data.rendering.rendered import Branch, Rendered
from penchant.engine.tree import ROWS, TREES
from penchant.train.batch import Dataset, MicroBatch, micro_batches
from penchant.train.plan import Part, Unit, plan_epoch


@st.composite
def data_sets(draw: st.DrawFn) -> tuple[list[Rendered], list[list[Unit]]]:
    """Groups of 1 to 6 responses with any pairs and imitated responses. Every response has its own first token,
    by which it is told apart."""
    rendered, units = [], []
    number = 100
    for group in range(draw(st.integers(1, 5))):
        count = draw(st.integers(1, 6))
        branches = []
        for _ in range(count):
            number += 1
            length = draw(st.integers(1, 20))
            start = draw(st.integers(0, length - 1))
            branches.append(Branch((number, *[7] * (length - 1)), ((start, length),)))
        rendered.append(Rendered(tuple([group + 1] * draw(st.integers(1, 10))), tuple(branches), source=f"g{group}"))
        indices = st.integers(0, count - 1)
        some = [Unit(response=draw(indices), weight=draw(st.sampled_from([1.0, 2.5])))]
        if count > 1:
            for _ in range(draw(st.integers(0, 5))):
                winner, loser = draw(st.lists(indices, min_size=2, max_size=2, unique=True))
                some.append(Unit(pairs=((winner, loser, 0.5), (loser, winner, 0.5))))
        units.append(some)
    return rendered, units


def what_is_read(batch: MicroBatch) -> dict[int, list[tuple[int, int]]]:
    """Slot -> (token that predicts, token scored) of each scored token, read from the forward passes."""
    found: dict[int, list[tuple[int, int]]] = {}
    for part in batch.batches:
        tokens = part.input_ids.flatten()[part.predictors].tolist()
        for owner, before, target in zip(part.owners.tolist(), tokens, part.targets.tolist(), strict=True):
            found.setdefault(owner, []).append((before, target))
    return found


@given(data_sets(), st.integers(8, 120), st.booleans(), st.integers(1, 8))
def test_every_comparison_is_in_one_micro_batch_and_every_response_in_one_pass(
    data: tuple[list[Rendered], list[list[Unit]]], budget: int, plain: bool, batch_size: int
) -> None:
    rendered, units = data
    reference = [torch.arange(len(row.branches)) + 100.0 * number for number, row in enumerate(rendered)]
    for step in plan_epoch(units, batch_size=batch_size, seed=0, epoch=0):
        batches = micro_batches(step, Dataset(rendered, reference), budget=budget, packing=ROWS if plain else TREES)
        wanted: Counter[Any] = Counter()
        for group, some in step:
            for unit in some:
                wanted.update((100.0 * group + won, 100.0 * group + lost, weight) for won, lost, weight in unit.pairs)
                if unit.response is not None:
                    wanted[(100.0 * group + unit.response, unit.weight)] += 1
        found: Counter[Any] = Counter()
        for batch in batches:
            names = batch.reference.tolist()  # the reference's number tells which response a slot is
            for (winner, loser), weight in zip(batch.pairs.tolist(), batch.pair_weights.tolist(), strict=True):
                found[(names[winner], names[loser], weight)] += 1
            for target, weight in zip(batch.targets.tolist(), batch.target_weights.tolist(), strict=True):
                found[(names[target], weight)] += 1
            # what is scored: each slot's tokens once over all passes, as many as its response has
            scored = Counter(owner for part in batch.batches for owner in part.owners.tolist())
            assert scored == {slot: int(count) for slot, count in enumerate(batch.tokens.tolist())}
            for name, tokens, source in zip(names, batch.tokens.tolist(), batch.sources, strict=True):
                group, index = divmod(int(name), 100)
                assert tokens == rendered[group].branches[index].scored
                assert source == f"g{group} (response {index})"
            for slot, pairs in what_is_read(batch).items():
                group, index = divmod(int(names[slot]), 100)
                branch = rendered[group].branches[index]
                path = [rendered[group].prompt_ids[-1], *branch.ids]
                ((first, last),) = branch.spans
                assert pairs == list(zip(path[first:last], branch.ids[first:last], strict=True))
        assert found == wanted


@given(data_sets(), st.integers(8, 120), st.booleans())
def test_the_budget_is_kept_except_by_a_single_response(
    data: tuple[list[Rendered], list[list[Unit]]], budget: int, plain: bool
) -> None:
    rendered, units = data
    step: list[Part] = [(number, tuple(some)) for number, some in enumerate(units)]
    for batch in micro_batches(step, Dataset(rendered), budget=budget, packing=ROWS if plain else TREES):
        for part in batch.batches:
            if not plain:
                assert part.spans is not None
                assert part.input_ids.shape == (1, part.forwarded)  # no padding
            if part.input_ids.numel() > budget:
                assert part.input_ids.shape[0] == 1
                assert len(set(part.owners.tolist())) == 1  # one prompt with one response: it cannot be cut


def test_groups_of_like_length_share_a_padded_micro_batch() -> None:
    """Rows of 2 x 30 and 3 x 10 tokens, budget 60: 30 + 30, and 10 + 10 + 10, without padding."""
    rendered = [Rendered((1,), (Branch((2,) * (length - 1), ((0, length - 1),)),)) for length in (10, 30, 10, 30, 10)]
    step: list[Part] = [(number, (Unit(response=0),)) for number in range(5)]
    batches = micro_batches(step, Dataset(rendered), budget=60, packing=ROWS)
    assert [tuple(batch.batches[0].input_ids.shape) for batch in batches] == [(2, 30), (3, 10)]
    assert [batch.forwarded for batch in batches] == [60, 30]


def test_packed_micro_batches_are_of_about_the_same_size() -> None:
    """90 tokens, budget 60: 50 and 40, rather than 60 and 30."""
    rendered = [Rendered((1,), (Branch((2,) * (length - 1), ((0, length - 1),)),)) for length in (10, 30, 10, 30, 10)]
    step: list[Part] = [(number, (Unit(response=0),)) for number in range(5)]
    batches = micro_batches(step, Dataset(rendered), budget=60, packing=TREES)
    assert [tuple(batch.batches[0].input_ids.shape) for batch in batches] == [(1, 50), (1, 40)]


def test_only_the_responses_that_a_step_needs_are_forwarded() -> None:
    """Six responses, one comparison of two of them: a prompt of 3 tokens and two branches of 4."""
    rendered = [Rendered((1, 1, 1), tuple(Branch((n + 2,) * 4, ((0, 4),)) for n in range(6)))]
    (batch,) = micro_batches([(0, (Unit(pairs=((5, 2, 1.0),)),))], Dataset(rendered), budget=100, packing=TREES)
    assert batch.batches[0].input_ids.tolist() == [[1, 1, 1, 4, 4, 4, 4, 7, 7, 7, 7]]
    assert batch.pairs.tolist() == [[1, 0]]  # the winner lies second


def test_a_group_larger_than_the_budget_keeps_its_comparisons_across_passes() -> None:
    rendered = [Rendered((1,) * 4, tuple(Branch((n + 2,) * 10, ((0, 10),)) for n in range(4)))]
    units = tuple(Unit(pairs=((a, b, 1.0),)) for a in range(4) for b in range(a + 1, 4))
    (batch,) = micro_batches([(0, units)], Dataset(rendered), budget=24, packing=TREES)
    assert [tuple(part.input_ids.shape) for part in batch.batches] == [(1, 24), (1, 24)]  # 4 + 2 x 10, twice
    assert len(batch.pairs) == 6
