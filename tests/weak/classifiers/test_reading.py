"""What of a text is read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import ModernBertConfig, ModernBertModel

from length_models import dynamic, longrope
from penchant.data.rendering.renderer import Renderer
from penchant.models.encoder import Encoder
from penchant.models.policy import Policy
from penchant.weak.classifiers.readers import EncoderReader
from penchant.weak.classifiers.reading import last_states, shorten

IDS = st.lists(st.integers(0, 9), max_size=60).map(tuple)


@given(IDS, st.integers(1, 40))
def test_a_long_text_keeps_its_beginning_and_its_end(ids: tuple[int, ...], longest: int) -> None:
    kept = shorten(ids, longest)
    assert len(kept) == min(len(ids), longest)
    start = longest // 2
    assert kept[:start] == ids[:start]
    assert kept[::-1][: longest - start] == ids[::-1][: longest - start]


@given(st.integers(10, 60), st.integers(4, 40))
def test_what_is_added_at_either_end_is_read(size: int, longest: int) -> None:
    text = (1,) * size
    assert shorten((2, 2, *text), longest)[:2] == (2, 2)
    assert shorten((*text, 2, 2), longest)[-2:] == (2, 2)


def assert_rows_are_as_alone(states: Callable[[list[tuple[int, ...]]], Sequence[torch.Tensor]]) -> None:
    """Rows on both sides of 16 tokens, together and each alone, in one order and the other."""
    rows = [tuple((7 * i + n) % 47 + 2 for i in range(length)) for n, length in enumerate((5, 30, 14, 22, 3))]
    with torch.no_grad():
        expected = [torch.stack(list(states([row]))) for row in rows]
        for order in ([0, 1, 2, 3, 4], [4, 2, 1, 0, 3]):
            together = torch.stack(list(states([rows[place] for place in order])))
            for column, place in enumerate(order):
                torch.testing.assert_close(together[:, column], expected[place][:, 0], atol=1e-4, rtol=0)


@pytest.mark.parametrize("maker", [longrope, dynamic])
def test_states_of_a_row_do_not_depend_on_the_rows_beside_it(maker: Callable[[], Any]) -> None:
    policy = Policy(maker(), cast(Renderer, SimpleNamespace(media=None)), maker.__name__)
    assert_rows_are_as_alone(lambda rows: last_states(policy, rows))


def test_states_of_an_encoder_do_not_depend_on_the_rows_beside_it() -> None:
    torch.manual_seed(0)
    kinds = ("full_attention", "sliding_attention")
    config = ModernBertConfig(
        vocab_size=50,
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=16,
        initializer_range=0.4,
        pad_token_id=0,
        rope_parameters={kind: {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 4.0} for kind in kinds},
    )
    network = ModernBertModel(config).eval()
    with torch.no_grad():
        for weight in network.parameters():
            if weight.ndim > 1:
                weight.normal_(0, 0.4)
    reader = EncoderReader(Encoder(network, None, torch.device("cpu"), 64))
    assert_rows_are_as_alone(lambda rows: reader.states(rows, 2))
