"""Say that a run hardly moved its model. Imports no torch."""

from __future__ import annotations

import math
from collections.abc import Mapping

CLOSE_NATS = 0.01
"""KL from the reference per response below which a policy writes what it wrote before."""
CLOSE_LOSS = 0.005
"""How near the loss has to be to ln 2, which a preference loss has where nothing was learned."""
SAME_LOSS = 0.001
"""Share of the first loss by which the last one may differ and still count as the same."""
BETA_METHODS = ("dpo", "kto")
_OF_DPO = "raise dpo.optimizer.learning_rate first, then train longer (dpo.epochs, or rounds), or lower dpo.loss.beta"
STAGE_ADVICE = {
    "online_rlhf": "raise ppo.optimizer.learning_rate first, then train longer (ppo.steps, or rounds)",
    "iterative": _OF_DPO,
    "self_rewarding": _OF_DPO,
    "spin": "raise learning_rate first, then train longer (epochs, or rounds), or lower beta",
}
ROLLOUT_METHODS = ("ppo", "ppo_gt", "rloo", "grpo")


def moved_advice(method: str) -> str:
    """Return what to set so that a method moves its model, the first thing first."""
    # in rounds the stage that trains the policy has the settings, under its name
    if method in STAGE_ADVICE:
        return STAGE_ADVICE[method]
    # settings that a method lacks would be refused
    if method in ROLLOUT_METHODS:
        return "raise optimizer.learning_rate first, then train longer (steps), or hold it less to the reference (kl)"
    beta = ", or lower the beta" if method in BETA_METHODS else ""
    return f"raise optimizer.learning_rate first, then train longer (epochs, or more rows){beta}"


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
    # of other losses nobody knows the value that stands for nothing learned; and a measured KL says more
    elif kl_nats is None and _is_same(first_loss, last_loss):
        parts.append(f"its held-out loss stayed at {last_loss:.4f}, as before the first step")
    return " and ".join(parts)


def _is_same(first_loss: float | None, last_loss: float | None) -> bool:
    return (
        first_loss is not None and last_loss is not None and abs(last_loss - first_loss) <= SAME_LOSS * abs(first_loss)
    )


def standstill_of(result: Mapping[str, object]) -> str:
    """Return the same of a `result.json`; empty for a run without steps."""
    final = result.get("final")
    # early stopping may have put the start back: the model that it trained did move, for the worse
    if not result.get("steps") or (isinstance(final, Mapping) and not final.get("step")):
        return ""
    kl = _value(result, "final", "samples", "policy", "kl_nats")
    return standstill(kl, _value(result, "first", "held_out", "loss"), _value(result, "final", "held_out", "loss"))


def _value(table: object, *keys: str) -> float | None:
    """Return the value of a nested estimate; None where it was not measured."""
    for key in (*keys, "value"):
        table = table.get(key) if isinstance(table, Mapping) else None
    return float(table) if isinstance(table, (int, float)) and not isinstance(table, bool) else None
