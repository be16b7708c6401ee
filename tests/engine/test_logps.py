"""Chunked log-probabilities: values, gradients, heads with trimmings, and the memory that is not taken."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from penchant.engine import logps as module
from penchant.engine.logps import Head, log_softmax_blocks, token_logps


def plain(hidden: torch.Tensor, head: Head, targets: torch.Tensor) -> torch.Tensor:
    logits = hidden @ head.weight.T
    if head.bias is not None:
        logits = logits + head.bias
    logits = logits * head.scale
    if head.softcap is not None:
        logits = head.softcap * torch.tanh(logits / head.softcap)
    return torch.log_softmax(logits, -1).gather(1, targets[:, None]).squeeze(1)


@pytest.fixture(autouse=True, params=["kept", "projected again"])
def small_blocks(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    monkeypatch.setattr(module, "block_rows", lambda vocabulary: 3)  # 7 rows: two whole blocks and a part
    monkeypatch.setattr(module, "BLOCK_BYTES", 4 * 7 * 4)  # 11 columns, four at a time: the same
    if request.param == "projected again":
        monkeypatch.setattr(module, "KEEP_BYTES", 0)


def case(dtype: torch.dtype, bias: bool) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    hidden = torch.randn(7, 5, generator=generator, dtype=torch.float64).to(dtype).requires_grad_()
    weight = torch.randn(11, 5, generator=generator, dtype=torch.float64).to(dtype).requires_grad_()
    offset = torch.randn(11, generator=generator, dtype=torch.float64).to(dtype).requires_grad_() if bias else None
    return hidden, weight, offset, torch.randint(0, 11, (7,), generator=generator)


@pytest.mark.parametrize(("bias", "softcap", "scale"), [(False, None, 1.0), (True, None, 0.5), (True, 3.0, 2.0)])
def test_values_and_gradients(bias: bool, softcap: float | None, scale: float) -> None:
    hidden, weight, offset, targets = case(torch.float64, bias)
    upstream = torch.linspace(-1, 2, 7, dtype=torch.float64)
    inputs = [t for t in (hidden, weight, offset) if t is not None]
    got = token_logps(hidden, Head(weight, offset, softcap, scale), targets)
    want = plain(hidden, Head(weight, offset, softcap, scale), targets)
    torch.testing.assert_close(got, want)
    for mine, theirs in zip(
        torch.autograd.grad(got @ upstream, inputs), torch.autograd.grad(want @ upstream, inputs), strict=True
    ):
        torch.testing.assert_close(mine, theirs)


def test_gradcheck() -> None:
    hidden, weight, offset, targets = case(torch.float64, True)
    assert torch.autograd.gradcheck(
        lambda h, w, b: token_logps(h, Head(w, b, 4.0, 0.7), targets), (hidden, weight, offset)
    )


def test_bfloat16_reduces_in_float32() -> None:
    hidden, weight, _, targets = case(torch.bfloat16, False)
    got = token_logps(hidden, Head(weight), targets)
    assert got.dtype == torch.float32
    want = plain(hidden.float(), Head(weight.float()), targets)
    torch.testing.assert_close(got, want, atol=0.05, rtol=0.02)
    got.sum().backward()
    assert hidden.grad is not None
    assert hidden.grad.dtype == torch.bfloat16


def test_a_frozen_head_gets_no_gradient() -> None:
    hidden, weight, _, targets = case(torch.float32, False)
    frozen = weight.detach()
    token_logps(hidden, Head(frozen), targets).sum().backward()
    assert frozen.grad is None
    assert hidden.grad is not None


def test_blocks_are_log_softmax() -> None:
    hidden, weight, _, _ = case(torch.float32, False)
    blocks = list(log_softmax_blocks(hidden, Head(weight)))
    assert [len(p) for _, p in blocks] == [3, 3, 1]
    torch.testing.assert_close(torch.cat([p for _, p in blocks]), torch.log_softmax(hidden @ weight.T, -1))


def test_logits_are_kept_for_the_backward_pass_only_where_they_are_few(monkeypatch: pytest.MonkeyPatch) -> None:
    hidden, weight, _, targets = case(torch.float32, False)

    def kept(limit: int) -> int:
        """Numbers of the blocks that are kept."""
        monkeypatch.setattr(module, "KEEP_BYTES", limit)
        logps: Any = token_logps(hidden, Head(weight), targets)
        return sum(block.numel() for _, block in logps.grad_fn.logit_parts or ())

    assert kept(4 * 7 * 11) == 7 * 11
    assert kept(4 * 7 * 11 - 1) == 0


def test_a_backward_pass_may_run_twice() -> None:
    hidden, weight, _, targets = case(torch.float64, False)
    total = token_logps(hidden, Head(weight), targets).sum()
    first = torch.autograd.grad(total, (hidden, weight), retain_graph=True)
    for once, again in zip(first, torch.autograd.grad(total, (hidden, weight)), strict=True):
        torch.testing.assert_close(once, again)  # the second projects again: equal up to rounding
