"""Attention over packed trees: every implementation equals one dense masked call a tree, forward and backward."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from penchant.engine import kernels
from penchant.engine.flex import flex, numbering
from penchant.engine.tree import Span

FOREST = (Span(0, 5, (9, 12, 13)), Span(13, 14, (20,)), Span(20, 40, (60, 63)))


def tensors(tokens: int, heads: int = 6, key_heads: int = 2, size: int = 8, dtype: torch.dtype = torch.float64):
    """Query, key and value as a model's layer has them: tokens first in memory."""
    generator = torch.Generator().manual_seed(0)
    shapes = [(1, tokens, count, size) for count in (heads, key_heads, key_heads)]
    return [torch.randn(shape, generator=generator).to(dtype).transpose(1, 2).requires_grad_() for shape in shapes]


@st.composite
def forests(draw: st.DrawFn) -> tuple[Span, ...]:
    trees, at = [], 0
    for _ in range(draw(st.integers(1, 3))):
        start, at = at, at + draw(st.integers(1, 12))
        prompt = at
        ends = []
        for _ in range(draw(st.integers(1, 4))):
            at += draw(st.integers(1, 9))
            ends.append(at)
        trees.append(Span(start, prompt, tuple(ends)))
    return tuple(trees)


@given(forests(), st.sampled_from([(4, 4), (6, 2), (3, 1)]))
@settings(max_examples=30)
def test_split_attention_equals_the_dense_one(trees: tuple[Span, ...], heads: tuple[int, int]) -> None:
    inputs = tensors(trees[-1].ends[-1], *heads)
    got = kernels._SplitAttention.apply(*inputs, trees, 0.3)
    want = kernels.by_tree(*inputs, trees, 0.3)
    torch.testing.assert_close(got, want)
    upstream = torch.randn(want.shape, generator=torch.Generator().manual_seed(1), dtype=want.dtype)
    for mine, theirs in zip(
        torch.autograd.grad(got, inputs, upstream), torch.autograd.grad(want, inputs, upstream), strict=True
    ):
        torch.testing.assert_close(mine, theirs)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_in_the_precisions_of_training(dtype: torch.dtype) -> None:
    inputs = tensors(63, dtype=dtype)
    got = kernels._SplitAttention.apply(*inputs, FOREST, 0.3)
    want = kernels.by_tree(*tensors(63), FOREST, 0.3)
    tolerance = 1e-5 if dtype == torch.float32 else 0.05
    assert got.dtype == dtype
    torch.testing.assert_close(got.double(), want, atol=tolerance, rtol=tolerance)
    got.sum().backward()


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
def test_flex_attention_equals_the_dense_one() -> None:
    """The rule that a GPU compiles, here uncompiled and forward only: FlexAttention has no more on a CPU."""
    inputs = [tensor.detach() for tensor in tensors(63, heads=4, dtype=torch.float32)]
    got = flex(*inputs, FOREST, 0.3)
    torch.testing.assert_close(got, kernels.by_tree(*inputs, FOREST, 0.3), atol=1e-5, rtol=1e-5)


def test_numbering_by_hand() -> None:
    tree_ids, branch_ids = numbering((Span(0, 2, (3, 5)), Span(5, 6, (7,))), 9)
    assert tree_ids.tolist() == [0, 0, 0, 0, 0, 1, 1, 2, 2]
    assert branch_ids.tolist() == [0, 0, 1, 2, 2, 0, 1, 0, 0]


def test_visible_by_hand() -> None:
    assert kernels.visible(Span(7, 9, (10, 12)), torch.device("cpu")).int().tolist() == [
        [1, 0, 0, 0, 0],
        [1, 1, 0, 0, 0],
        [1, 1, 1, 0, 0],
        [1, 1, 0, 1, 0],
        [1, 1, 0, 1, 1],
    ]


@pytest.mark.parametrize("option", ["sliding_window", "softcap", "s_aux", "position_bias"])
def test_what_trees_do_not_have_is_refused(option: str) -> None:
    with pytest.raises(NotImplementedError, match=option):
        kernels.attention(torch.nn.Identity(), *tensors(63), None, trees=FOREST, **{option: 4})


def test_without_trees_it_is_sdpa() -> None:
    inputs = tensors(10, heads=2)
    got, _ = kernels.attention(torch.nn.Identity(), *inputs, None, scaling=0.3)
    want = torch.nn.functional.scaled_dot_product_attention(*inputs, is_causal=True, scale=0.3)
    torch.testing.assert_close(got, want.transpose(1, 2))
