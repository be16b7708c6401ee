"""The faster product equals torch's own, forward and backward, and stays out of the way elsewhere."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from penchant.engine import linear
from penchant.engine.linear import fast_linear

CPU = torch.device("cpu")


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("frozen", [True, False])
def test_values_and_gradients(monkeypatch: pytest.MonkeyPatch, bias: bool, frozen: bool) -> None:
    monkeypatch.setattr(linear, "SMALLEST", 1)
    torch.manual_seed(0)
    layer = torch.nn.Linear(48, 32, bias=bias)
    layer.weight.requires_grad_(not frozen)
    x = torch.randn(2, 7, 48, requires_grad=True)
    upstream = torch.randn(2, 7, 32)
    inputs = [x, *(p for p in layer.parameters() if p.requires_grad)]
    with fast_linear(CPU):
        got = layer(x)
    assert "Linear" in type(got.grad_fn).__name__  # ours, not AddmmBackward
    want = layer(x)
    torch.testing.assert_close(got, want, atol=1e-5, rtol=1e-5)
    for mine, theirs in zip(
        torch.autograd.grad(got, inputs, upstream), torch.autograd.grad(want, inputs, upstream), strict=True
    ):
        torch.testing.assert_close(mine, theirs, atol=1e-5, rtol=1e-5)


def test_small_layers_and_other_precisions_are_torchs_own() -> None:
    with fast_linear(CPU):
        small = functional.linear(torch.ones(2, 3), torch.ones(4, 3, requires_grad=True))
        wide = torch.ones(512, 512, dtype=torch.float64, requires_grad=True)
        double = functional.linear(torch.ones(2, 512, dtype=torch.float64), wide)
    assert type(small.grad_fn).__name__ != "_LinearBackward"
    assert type(double.grad_fn).__name__ != "_LinearBackward"


def test_autocast_is_left_alone() -> None:
    weight = torch.ones(512, 512, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16), fast_linear(CPU):
        assert functional.linear(torch.ones(2, 512), weight).dtype == torch.bfloat16
