"""Give adapters a default learning rate of their own. Imports no torch.

Schulman et al. 2025 ("LoRA Without Regret") found the best rate of LoRA about ten times that of all weights. At the
default of all weights, which is the DPO paper's 1e-6, adapters hardly move in a run of usual length.
"""

from __future__ import annotations

from collections.abc import Mapping

from penchant.config import Config

LORA_FACTOR = 10.0
RATE = "learning_rate"


def names_rate(values: Mapping[str, object]) -> bool:
    """Return whether the settings of a run name a learning rate, which then is no matter of the adapters."""
    optimizer = values.get("optimizer")
    if isinstance(optimizer, Config):
        return RATE in optimizer.model_fields_set
    return isinstance(optimizer, Mapping) and RATE in optimizer


def with_default_rate(values: Mapping[str, object], default: Config) -> Mapping[str, object]:
    """Return the settings of a run as they were given, with the rate of adapters where none was given.

    A configuration that a run recorded has its rate written out, and keeps it.

    Args:
        default: the optimizer that a run has where none is named.
    """
    if names_rate(values):
        return values
    rate: float = getattr(default, RATE)
    if _trains_adapters(values.get("model")):
        # 10 times 1e-6 is 9.999999999999999e-06, which nobody wants to read in a file
        rate = float(f"{LORA_FACTOR * rate:.6g}")
    optimizer = values.get("optimizer", {})
    if isinstance(optimizer, str):
        optimizer = {"name": optimizer}
    if isinstance(optimizer, Mapping):
        # `rmsprop` and `adamw` have the same default, so the name need not be known yet
        return {**values, "optimizer": {**optimizer, RATE: rate}}
    # of settings that are replaced: the rate that followed from the former model
    if isinstance(optimizer, Config) and getattr(optimizer, RATE) != rate:
        return {**values, "optimizer": optimizer.replace(**{RATE: rate})}
    return values


def forget_rate(optimizer: Config) -> None:
    """Mark the rate of an optimizer as one that nobody gave, so that other settings may have another one."""
    optimizer.model_fields_set.discard(RATE)


def _trains_adapters(model: object) -> bool:
    if isinstance(model, Mapping):
        return model.get("lora") is not None
    return getattr(model, "lora", None) is not None
