"""What the package as a module has beside its names: its version, and functions that folders share a name with.

Importing a module of the folder `train` makes Python write the folder over the function. An attribute of the package's
class stands before that. It is a module of its own, so that the package's `__init__` only lists names: otherwise every
change of that would make all stages of studies stale.
"""

from __future__ import annotations

import sys
from types import ModuleType


class FunctionAttribute:
    """The attribute of a function whose name a folder of the package has too."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, package: object, kind: type | None = None) -> object:
        """Return the function."""
        return vars(package)["__getattr__"](self.name)

    def __set__(self, package: object, value: object) -> None:
        """Keep the function: Python hands over the folder as soon as a module of it is imported."""


class Face(ModuleType):
    """The package as users import it."""

    train = FunctionAttribute("train")
    export = FunctionAttribute("export")

    @property
    def __version__(self) -> str:
        """The version that is installed."""
        from importlib.metadata import version

        return version("penchant")

    def __dir__(self) -> list[str]:
        """Return what users import, and nothing that only Python needs."""
        return sorted([*vars(self)["__all__"], "__version__"])


sys.modules["penchant"].__class__ = Face
