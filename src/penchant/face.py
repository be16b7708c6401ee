"""Keep `penchant.train` the function that trains, although a folder of the package has that name too.

Importing a module of the folder makes Python write the folder over the function. A property of the package's class
stands before that. It is a module of its own, so that the package's `__init__` only lists names: otherwise every change
of that would make all stages of studies stale.
"""

from __future__ import annotations

import sys
from types import ModuleType


class Face(ModuleType):
    """The package as users import it."""

    @property
    def train(self) -> object:
        """The function that runs a method."""
        return vars(self)["__getattr__"]("train")

    @train.setter
    def train(self, value: object) -> None:
        """Keep the function: Python hands over the folder as soon as a module of it is imported."""


sys.modules["penchant"].__class__ = Face
