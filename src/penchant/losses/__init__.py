"""Losses: pure functions on tensors, and the settings that choose one.

The settings are here at once; the modules that compute, which import torch, are loaded when they are asked for.
"""

from __future__ import annotations

import importlib
from types import ModuleType

from penchant.losses.settings import *  # noqa: F403 - the settings' `__all__` is the one list of losses

MODULES = ("batchwise", "pairwise", "preference", "unpaired")


def __getattr__(name: str) -> ModuleType:
    if name in MODULES:
        return importlib.import_module(f"penchant.losses.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *MODULES])
