"""Losses: pure functions on tensors, and the configurations that choose one.

The configurations are here at once; the modules that compute, which import torch, are loaded when they
are asked for.
"""

from __future__ import annotations

import importlib
from types import ModuleType

from penchant.losses.settings import (
    IPO,
    ORPO,
    AlphaDivergence,
    APODown,
    APOZero,
    BCOPair,
    DiscoPOP,
    ExoPair,
    ForwardKL,
    Hinge,
    IPOMean,
    JensenShannon,
    NCAPair,
    PreferenceLoss,
    Robust,
    Sigmoid,
    SigmoidNorm,
    SimPO,
    SPPOHard,
)

MODULES = ("batchwise", "pairwise", "preference", "unpaired")

__all__ = [
    "IPO",
    "ORPO",
    "APODown",
    "APOZero",
    "AlphaDivergence",
    "BCOPair",
    "DiscoPOP",
    "ExoPair",
    "ForwardKL",
    "Hinge",
    "IPOMean",
    "JensenShannon",
    "NCAPair",
    "PreferenceLoss",
    "Robust",
    "SPPOHard",
    "Sigmoid",
    "SigmoidNorm",
    "SimPO",
    "batchwise",
    "pairwise",
    "preference",
    "unpaired",
]


def __getattr__(name: str) -> ModuleType:
    if name in MODULES:
        return importlib.import_module(f"penchant.losses.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *MODULES])
