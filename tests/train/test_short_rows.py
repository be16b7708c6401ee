"""SFT packs short rows: one forward pass without padding holds many of them, and the loss is that of each row alone."""

from __future__ import annotations

import random

import pytest
import torch

from penchant.data.rendering.rendered import Branch, Rendered
from penchant.engine.tree import ROWS, TREES
from penchant.models.load import load_policy
from penchant.train.batch import Dataset, micro_batches
from penchant.train.objectives import imitation
from penchant.train.plan import Unit


def short_rows(count: int) -> list[Rendered]:
    draw = random.Random(0)

    def ids(low: int, high: int) -> tuple[int, ...]:
        return tuple(draw.choices(range(200), k=draw.randint(low, high)))

    rows = []
    for _ in range(count):
        response = ids(2, 12)
        rows.append(Rendered(ids(2, 20), (Branch(response, ((0, len(response)),)),)))
    return rows


def test_short_demonstrations_share_a_pass_without_padding_and_lose_nothing(tiny_model: str) -> None:
    policy = load_policy(tiny_model, template="plain", device="cpu")
    rows = short_rows(24)
    tokens = sum(sum(row.lengths) for row in rows)
    parts = [(number, (Unit(response=0),)) for number in range(len(rows))]
    data, objective = Dataset(rows), imitation(learns_from="responses")
    assert not policy.scorer.packing_for(rows).plain

    def losses(budget: int, packing=TREES) -> tuple[float, int, int, torch.Tensor]:  # type: ignore[no-untyped-def]
        policy.model.zero_grad()
        total, passes, forwarded = 0.0, 0, 0
        for batch in micro_batches(parts, data, budget=budget, packing=packing):
            (tree,) = batch.batches
            outcome = objective.compute(policy.scorer(tree), batch)
            outcome.losses.sum().backward()
            total += float(outcome.losses.detach().sum())
            passes, forwarded = passes + 1, forwarded + tree.input_ids.numel()
        gradient = torch.cat([weight.grad.flatten() for weight in policy.model.parameters() if weight.grad is not None])
        return total, passes, forwarded, gradient

    packed_loss, passes, forwarded, gradient = losses(budget=4_096)
    assert (passes, forwarded) == (1, tokens)  # all rows end to end: each token once, and not one of padding
    alone_loss, alone_passes, _, alone_gradient = losses(budget=1)
    assert alone_passes == len(rows)
    assert packed_loss == pytest.approx(alone_loss, abs=1e-4)
    torch.testing.assert_close(gradient, alone_gradient, atol=1e-4, rtol=1e-4)
    # rows of a model that takes no trees are padded to the longest of their pass
    _, _, padded, _ = losses(budget=4_096, packing=ROWS)
    assert padded == len(rows) * max(max(row.lengths) for row in rows) > 1.5 * tokens
