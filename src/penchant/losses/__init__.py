"""Losses: pure functions on tensors, and the settings that choose one.

The settings are here at once; the modules that compute, which import torch, are loaded when they are asked for.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import TYPE_CHECKING

from penchant.losses.settings import *  # noqa: F403 - the settings' `__all__` is the one list of losses

MODULES = ("batchwise", "pairwise", "preference", "unpaired")


if TYPE_CHECKING:
    from penchant.losses import batchwise as batchwise
    from penchant.losses import pairwise as pairwise
    from penchant.losses import preference as preference
    from penchant.losses import unpaired as unpaired
else:  # of a function of any name a checker would say that it gives a module, also of a loss

    def __getattr__(name: str) -> ModuleType:
        if name in MODULES:
            return importlib.import_module(f"penchant.losses.{name}")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *MODULES])
