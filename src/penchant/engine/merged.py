"""Adapters folded into their weights for as long as only forward passes run, and the weights' own bits afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeGuard

from torch import nn

from penchant.engine.attention import unwrap
from penchant.engine.foreign_types import LoraLayer


@contextmanager
def merged_adapters(model: nn.Module) -> Iterator[None]:
    """Merge a LoRA model's adapters until the `with` block ends: each layer is one product instead of three.

    The base's weights are put aside and put back, not computed back: a sum and a difference later they would differ in
    their last bits from those that the reference is known by. Costs a copy of the adapted weights meanwhile. Does
    nothing without adapters, or where they are switched off.
    """
    embeddings = unwrap(model).get_input_embeddings()
    inner = getattr(embeddings, "token_adapter", None)  # where peft trains some of its rows
    tied = (inner.base_layer if inner is not None else embeddings).weight
    # a head's adapter must not change what goes in; rows of tokens are the same on both ends
    # adapters that are off, or merged already, change nothing that runs
    layers = [
        layer
        for layer in model.modules()
        if _adapted(layer) and (hasattr(layer, "token_indices") or layer.get_base_layer().weight is not tied)
    ]
    original_weights = [(layer, layer.get_base_layer().weight, layer.get_base_layer().weight.data) for layer in layers]
    # merged into a copy: the weights' own storage is untouched, so that its bits need no undoing
    try:
        for layer, weight, data in original_weights:
            weight.data = data.clone()
            layer.merge()
        yield
    finally:
        for layer, weight, data in original_weights:
            if layer.merged:
                layer.unmerge()
            weight.data = data


def _adapted(layer: nn.Module) -> TypeGuard[LoraLayer]:
    """Return whether a module is a layer of peft's with adapters that are on and not yet merged."""
    has_adapters = hasattr(layer, "lora_A") or hasattr(layer, "token_indices")
    return has_adapters and hasattr(layer, "merge") and not layer.disable_adapters and not layer.merged
