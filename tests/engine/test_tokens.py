"""Token by token readings: laid out right, equal to the summed scores, differentiable."""

from __future__ import annotations

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from penchant.data.rendering.rendered import Branch, Rendered
from penchant.engine.score import Scorer, batches, score
from penchant.engine.tokens import Layout, ValueHead, read, token_readings
from penchant.engine.tree import TREES, Packing

ROWS = [
    Rendered((1, 2, 3), (Branch((4, 5, 6), ((0, 3),)), Branch((7,), ((0, 1),)))),
    Rendered((9,), (Branch((4, 5, 6, 7, 8), ((0, 2), (3, 5))), Branch((1, 1), ((0, 2),)))),
]


@pytest.fixture
def scorer() -> Scorer:
    torch.manual_seed(0)
    settings = LlamaConfig(
        vocab_size=11,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=32,
        initializer_range=0.4,
    )
    return Scorer(LlamaForCausalLM(settings).eval())


@pytest.mark.parametrize("budget", [4, 9, 1024])
@pytest.mark.parametrize("plain", [False, True])
def test_the_tokens_of_a_response_add_up_to_its_score_whatever_the_passes_are(
    scorer: Scorer, budget: int, plain: bool
) -> None:
    scorer.packing = Packing(plain)
    layout = Layout.of_rows(ROWS)
    assert layout.lengths.tolist() == [3, 1, 4, 2]
    logps, values = token_readings(scorer, None, ROWS, layout, budget=budget)
    assert not values.any()
    sums = torch.stack([part.sum() for part in logps.split(layout.lengths.tolist())])
    assert torch.allclose(sums, torch.cat(score(scorer, ROWS)), atol=1e-4)
    whole, _ = token_readings(scorer, None, ROWS, layout, budget=10_000)
    assert torch.allclose(logps, whole, atol=1e-4)


def test_values_are_read_where_the_token_is_predicted(scorer: Scorer) -> None:
    head = ValueHead(16)
    torch.nn.init.normal_(head.linear.weight)
    layout = Layout.of_rows(ROWS)
    _, values = token_readings(scorer, head, ROWS, layout, budget=1024)
    for number, (row, index) in enumerate((row, index) for row in ROWS for index in range(2)):
        branch = row.branches[index]
        ids = torch.tensor([[*row.prompt_ids, *branch.ids]])
        with torch.no_grad():
            states = scorer.model.model(input_ids=ids).last_hidden_state[0]
            expected = [
                head(states[len(row.prompt_ids) + place - 1])
                for first, last in branch.spans
                for place in range(first, last)
            ]
        start, end = layout.starts[number : number + 2].tolist()
        assert torch.allclose(values[start:end], torch.stack(expected), atol=1e-4)


def test_a_fresh_value_head_says_nothing() -> None:
    assert ValueHead(8)(torch.randn(5, 8)).tolist() == [0.0] * 5


def test_slots_of_a_minibatch_find_their_tokens(scorer: Scorer) -> None:
    """The second group alone: its slots 0 and 1 are responses 2 and 3."""
    layout = Layout.of_rows(ROWS)
    (batch,) = batches([(ROWS[1], range(2))], budget=1024, packing=TREES)
    places = layout.positions(batch, torch.tensor([2, 3]))
    assert places.tolist() == [4, 5, 6, 7, 8, 9]
    table, inside = layout.padded(torch.arange(10.0))
    assert table[2].tolist() == [4, 5, 6, 7]
    assert inside.sum(1).tolist() == [3, 1, 4, 2]


def test_entropies_equal_the_full_softmax_and_so_do_their_gradients(scorer: Scorer) -> None:
    (batch,) = batches([(ROWS[0], range(2))], budget=1024, packing=TREES)
    reading = read(scorer, ValueHead(16), batch, entropies=True)
    assert reading.entropies is not None
    weight = scorer.model.lm_head.weight
    (got,) = torch.autograd.grad(reading.entropies.sum(), weight)
    ids = torch.tensor([[1, 2, 3, 4, 5, 6], [1, 2, 3, 7, 0, 0]])
    logps = torch.log_softmax(scorer.model(input_ids=ids).logits, -1)
    entropies = -(logps.exp() * logps).sum(-1)
    expected = torch.cat([entropies[0, 2:5], entropies[1, 2:3]])
    assert torch.allclose(reading.entropies, expected, atol=1e-5)
    (wanted,) = torch.autograd.grad(expected.sum(), weight)
    assert torch.allclose(got, wanted, atol=1e-4)
