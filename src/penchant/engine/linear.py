"""Faster float32 products on a CPU: linear layers through oneDNN instead of the BLAS that torch was built with.

A mode that swaps `functional.linear` while a forward pass runs, so that no model is patched; the backward of each
layer follows. Only the products whose weights are read as they lie gain; that with the activations stays BLAS.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

SMALLEST = 2**17  # elements of a weight; below that preparing the kernel for each new batch size costs what it gains

_multiply = getattr(torch.ops.mkldnn, "_linear_pointwise", None)


def fast_linear(device: torch.device) -> AbstractContextManager[Any]:
    """The mode where it helps: on a CPU with oneDNN, float32, outside autocast."""
    usable = device.type == "cpu" and _multiply is not None and torch.backends.mkldnn.is_available()
    return _FastLinear() if usable and not torch.is_autocast_enabled("cpu") else nullcontext()


class _FastLinear(TorchFunctionMode):
    def __torch_function__(
        self, func: Callable[..., Any], types: Iterable[type], args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if func is functional.linear and not kwargs and _gains(*args[:2]):
            return _Linear.apply(*args, *[None] * (3 - len(args)))
        return func(*args, **(kwargs or {}))


def _gains(x: Tensor, weight: Tensor) -> bool:
    return x.dtype == weight.dtype == torch.float32 and weight.numel() >= SMALLEST and weight.dim() == 2


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _product(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        (grad,) = upstream
        x, weight = ctx.saved_tensors
        needs_x, needs_weight, needs_bias = ctx.needs_input_grad
        rows = grad.reshape(-1, grad.shape[-1])
        return (
            _product(grad, weight.T, None) if needs_x else None,
            rows.T @ x.reshape(-1, x.shape[-1]) if needs_weight else None,
            rows.sum(0) if needs_bias else None,
        )


def _product(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    assert _multiply is not None
    out: Tensor = _multiply(x, weight, bias, "none", [], "")
    return out
