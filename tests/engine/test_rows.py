"""Rows that leave and join: whatever the places, buffers and ends, each sample is the one drawn alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import (
    Lfm2Config,
    Lfm2ForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedModel,
)

from penchant.engine import decoding, rows
from penchant.engine.generate import draw
from penchant.engine.pick import sample_uniforms
from penchant.engine.sampling import Sampling, TokenSample

VOCABULARY = 12
SIZES: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "initializer_range": 0.5,  # so that what a row sees changes what is drawn
}


@lru_cache
def _model(kind: str) -> PreTrainedModel:
    torch.manual_seed(0)
    model: PreTrainedModel
    if kind == "full":
        model = LlamaForCausalLM(LlamaConfig(**SIZES))
    elif kind == "window":
        model = MistralForCausalLM(MistralConfig(**SIZES, sliding_window=5))
    else:  # one layer keeps a state instead of keys and values
        model = Lfm2ForCausalLM(Lfm2Config(**SIZES, layer_types=["conv", "full_attention"]))
    return model.double().eval()  # rounding must not turn a draw


PROMPTS = st.lists(st.lists(st.integers(0, VOCABULARY - 1), min_size=1, max_size=9).map(tuple), max_size=6)


@contextmanager
def _set(module: Any, **values: Any) -> Iterator[None]:
    before = {name: getattr(module, name) for name in values}
    for name, value in values.items():
        setattr(module, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(module, name, value)


def _alone(
    model: PreTrainedModel, prompt: tuple[int, ...], index: int, sampling: Sampling, ends: set[int]
) -> TokenSample:
    """One sample without any cache: what the definition says."""
    uniforms = sample_uniforms(sampling.seed, prompt, index, sampling.max_new_tokens)
    drawn: list[int] = []
    for uniform in uniforms:
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([[*prompt, *drawn]]), use_cache=False).logits[:, -1]
        cumulative = logits[0].softmax(-1).cumsum(-1)
        drawn.append(int((cumulative <= uniform).sum().clamp_max(VOCABULARY - 1)))
        if drawn[-1] in ends:
            return tuple(drawn), True
    return tuple(drawn), False


@pytest.mark.parametrize("kind", ["full", "window", "hybrid"])
@given(
    prompts=PROMPTS,
    n=st.integers(1, 4),
    places=st.integers(1, 7),
    tokens=st.integers(8, 80),
    room=st.integers(1, 5),
    refill=st.sampled_from([0.01, 0.5, 1.0]),
    budget=st.integers(1, 30),
    ends=st.sets(st.integers(0, VOCABULARY - 1), max_size=4),
    seed=st.integers(0, 3),
)
@settings(max_examples=10, deadline=None, derandomize=True)
def test_every_sample_is_the_one_drawn_alone(
    kind: str,
    prompts: Any,
    n: int,
    places: int,
    tokens: int,
    room: int,
    refill: float,
    budget: int,
    ends: set[int],
    seed: int,
) -> None:
    model = _model(kind)
    assert (rows.fresh_cache(model) is None) == (kind == "hybrid")
    sampling = Sampling(n=n, max_new_tokens=8, seed=seed)
    done: list[int] = []
    limits = {"MAX_ROWS": places, "CACHE_TOKENS": tokens, "REFILL": refill, "MAX_PREFILL": budget}
    with _set(decoding, **limits), _set(rows, ROOM=room):
        got = draw(model, prompts, sampling, end_ids=frozenset(ends), progress=done.append)
    for prompt, row in zip(prompts, got, strict=True):
        assert row == [_alone(model, prompt, index, sampling, ends) for index in range(n)]
    assert sum(done) == len(prompts) * n


def _shapes(model: PreTrainedModel, *arguments: Any, **named: Any) -> list[tuple[int, int]]:
    """The shape of input_ids in each forward pass of a draw."""
    shapes: list[tuple[int, int]] = []
    hook = model.register_forward_pre_hook(
        lambda module, args, kwargs: shapes.append(tuple(kwargs["input_ids"].shape)), with_kwargs=True
    )
    draw(model, *arguments, **named)
    hook.remove()
    return shapes


def test_waiting_samples_take_the_places_of_those_that_ended() -> None:
    prompts = [(i, j) for i in range(6) for j in range(6)]
    sampling = Sampling(n=2, max_new_tokens=20)
    with _set(decoding, MAX_ROWS=12):
        shapes = _shapes(_model("full"), prompts, sampling, end_ids=frozenset({1, 2}))
        with _set(decoding, REFILL=1.0):  # only when all have ended
            batches = _shapes(_model("full"), prompts, sampling, end_ids=frozenset({1, 2}))
    steps, batch_steps = ([size for size, width in seen if width == 1] for seen in (shapes, batches))
    assert max(steps) <= 12
    assert sum(steps) == sum(batch_steps)  # the same tokens
    assert len(steps) < 0.7 * len(batch_steps)  # in fewer passes


def test_prompts_run_once_whatever_the_samples_and_copies() -> None:
    prompts = [(1, 2, 3), (4, 5), (1, 2, 3), (6, 7)]
    with _set(decoding, MAX_ROWS=4):
        shapes = _shapes(_model("full"), prompts, Sampling(n=3, max_new_tokens=3), end_ids=frozenset())
    assert sum(size for size, width in shapes if width > 1) == 3
    assert sum(size for size, width in shapes if width == 1) == 3 * 3 * 2


def test_a_full_buffer_drops_the_padding_that_all_rows_share() -> None:
    model = _model("full")
    widths: list[int] = []
    hook = model.register_forward_pre_hook(
        lambda module, args, kwargs: widths.append(kwargs["attention_mask"].shape[1]), with_kwargs=True
    )
    prompts = [(1,) * 30, *((i, j) for i in range(10) for j in range(4))]
    with _set(decoding, MAX_ROWS=4), _set(rows, ROOM=4):
        draw(model, prompts, Sampling(max_new_tokens=8), end_ids=frozenset())
    hook.remove()
    assert max(widths) <= 30 + 8 + 4
    assert widths[-1] <= 2 + 2 * 8 + 4  # the long prompt's columns went with it


def test_as_many_places_as_the_cache_may_hold_tokens() -> None:
    prompts = [(1,) * 20, (2,) * 20, *((i, j, k) for i in range(4) for j in range(4) for k in range(4))]
    with _set(decoding, CACHE_TOKENS=44):
        shapes = _shapes(_model("full"), prompts, Sampling(max_new_tokens=2), end_ids=frozenset())
    steps = [size for size, width in shapes if width == 1]
    assert steps[0] == 2  # 44 // (20 + 2)
    assert max(steps) == 8  # 44 // (3 + 2), once the long ones have left
    with _set(decoding, CACHE_TOKENS=10):  # one row at least
        assert draw(_model("full"), prompts[:1], Sampling(max_new_tokens=2), end_ids=frozenset())
