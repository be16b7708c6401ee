"""Losses: pure functions on tensors, and the configurations that choose one.

The configurations are here at once; the modules that compute, which import torch, are loaded when they
are asked for.
"""

from __future__ import annotations

import importlib
from types import ModuleType

from penchant.losses.settings import (
    AOT,
    IPO,
    LDDPO,
    ORPO,
    WPO,
    AlphaDivergence,
    AOTUnpaired,
    APODown,
    APOZero,
    BCOPair,
    ChosenNLL,
    DiscoPOP,
    ExoPair,
    ForwardKL,
    Hinge,
    IPOMean,
    JensenShannon,
    NCAPair,
    PlackettLuce,
    PreferenceLoss,
    Robust,
    Sigmoid,
    SigmoidNorm,
    SimPO,
    SPPOHard,
    WeightedSum,
)

MODULES = ("batchwise", "pairwise", "preference", "unpaired")

__all__ = [
    "AOT",
    "IPO",
    "LDDPO",
    "ORPO",
    "WPO",
    "AOTUnpaired",
    "APODown",
    "APOZero",
    "AlphaDivergence",
    "BCOPair",
    "ChosenNLL",
    "DiscoPOP",
    "ExoPair",
    "ForwardKL",
    "Hinge",
    "IPOMean",
    "JensenShannon",
    "NCAPair",
    "PlackettLuce",
    "PreferenceLoss",
    "Robust",
    "SPPOHard",
    "Sigmoid",
    "SigmoidNorm",
    "SimPO",
    "WeightedSum",
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
