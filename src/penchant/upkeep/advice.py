"""Say what will be slow on this machine, and why. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from penchant.models.builtin import ENCODERS
from penchant.models.catalogue import built_in_models

FULL_BYTES, LORA_BYTES = 16.0, 5.0
"""Bytes per weight of a run, without activations: weights, gradients, RMSprop's state and the start beside them, in
float32; under LoRA the weights and some adapters."""
RESERVED = 2e9  # Python, torch, and activations of a pass on a small model


def slow_parts(values: Mapping[str, float]) -> Iterator[str]:
    """Yield what will be slow or impossible here, and why.

    Args:
        values: what the probes found: `cores`, `load`, `memory`, `gpus`, `gpu memory`.
    """
    cores, load = values.get("cores"), values.get("load", 0.0)
    has_gpu = bool(values.get("gpus"))
    if "gpus" in values and not has_gpu:
        yield (
            "Training and sampling run on the CPU: models of a few million weights take seconds to minutes, "
            "smollm2-135m with LoRA minutes to hours, models of billions of weights are out of reach. penchant init "
            "FILE estimates a run."
        )
    if cores is not None and cores < 4 and not has_gpu:
        yield f"With {cores:g} cores a study's presets above `small` take long: `medium` never ran as a whole on two."
    if cores is not None and load > cores:
        yield f"The load is {load:.1f} on {cores:g} cores: everything takes about {load / cores + 1:.1f} times as long."
    # where both are known the GPU decides: weights and their gradients lie there
    memory = values.get("gpu memory") or values.get("memory")
    if memory:
        yield from _memory_advice(memory, "the GPU" if has_gpu else "this machine")


def _memory_advice(memory: float, device: str) -> Iterator[str]:
    room = max(0.0, memory - RESERVED)
    yield (
        f"{memory / 2**30:.1f} GiB of {device} hold all weights of a model of about {_billions(room / FULL_BYTES)} "
        f"while it trains, or with LoRA one of {_billions(room / LORA_BYTES)} (in float32; bfloat16 takes half)."
    )
    names = [
        model.name for model in built_in_models() if model.name not in ENCODERS and model.parameters * LORA_BYTES > room
    ]
    if names:
        yield f"Too large for it: {', '.join(names)}."


def _billions(weights: float) -> str:
    return f"{weights / 1e9:.2g} billion weights" if weights >= 1e9 else f"{weights / 1e6:.0f} million weights"
