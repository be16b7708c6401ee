"""Losses: pure functions on tensors, and the configurations that choose one.

The configurations are here at once; `penchant.losses.preference`, which imports torch, is loaded when it is
asked for.
"""

from __future__ import annotations

import importlib
from types import ModuleType

from penchant.losses.settings import IPO, ORPO, Hinge, IPOMean, PreferenceLoss, Robust, Sigmoid, SimPO

__all__ = ["IPO", "ORPO", "Hinge", "IPOMean", "PreferenceLoss", "Robust", "Sigmoid", "SimPO", "preference"]


def __getattr__(name: str) -> ModuleType:
    if name == "preference":
        return importlib.import_module("penchant.losses.preference")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), "preference"])
