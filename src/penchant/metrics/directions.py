"""Which way of a metric is better, by its key: apart from titles and units, on which no training depends."""

from __future__ import annotations

HIGHER_IS_BETTER: dict[str, bool] = {
    "loss": False,
    "accuracy": True,
    "label_accuracy": True,
    "margin": True,
    "true_reward": True,
    "explained_variance": True,
    "reward": True,
    "rate": True,
    "wins": True,
    "losses": False,
    "unparseable": False,
    "length_controlled": True,
    "raw": True,
    "kappa": True,
    "alpha": True,
    "pgr": True,
    "calibration_error": False,
    "brier": False,
}
"""Metrics that have a better and a worse; of the others neither is."""
