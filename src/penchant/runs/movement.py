"""Say that a run hardly moved its model. Imports no torch."""

from __future__ import annotations

import math
from collections.abc import Mapping

CLOSE_NATS = 0.01
"""KL from the reference per response below which a policy writes what it wrote before."""
CLOSE_LOSS = 0.005
"""How near the loss has to be to ln 2, which a preference loss has where nothing was learned."""
MOVED_ADVICE = "raise optimizer.learning_rate first, then train longer (epochs, or more rows), or lower the beta"


def standstill(kl_nats: float | None, first_loss: float | None, last_loss: float | None) -> str:
    """Return by which numbers a model hardly moved; empty where it did, or where nothing tells.

    Args:
        kl_nats: of the policy's samples at the end.
        first_loss, last_loss: held out, at the start and at the end.
    """
    parts = []
    if kl_nats is not None and abs(kl_nats) < CLOSE_NATS:
        # an estimate from samples may be a little below zero
        parts.append(f"its KL from the reference is {abs(kl_nats):.4f} nats per response")
    # both ends: a loss that comes down to .69 from above did learn something
    if all(loss is not None and abs(loss - math.log(2)) < CLOSE_LOSS for loss in (first_loss, last_loss)):
        parts.append(f"its held-out loss stayed at {last_loss:.4f} (ln 2 is what a model has that learned nothing)")
    return " and ".join(parts)


def standstill_of(result: Mapping[str, object]) -> str:
    """Return the same of a `result.json`; empty for a run without steps."""
    if not result.get("steps"):
        return ""
    kl = _value(result, "final", "samples", "policy", "kl_nats")
    return standstill(kl, _value(result, "first", "held_out", "loss"), _value(result, "final", "held_out", "loss"))


def _value(table: object, *keys: str) -> float | None:
    """Return the value of a nested estimate; None where it was not measured."""
    for key in (*keys, "value"):
        table = table.get(key) if isinstance(table, Mapping) else None
    return float(table) if isinstance(table, (int, float)) and not isinstance(table, bool) else None
