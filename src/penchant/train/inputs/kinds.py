"""Read a file as what it is: preferences, or demonstrations where it has none."""

from __future__ import annotations

from typing import Literal

from penchant.data.layouts.parse import UnknownLayoutError
from penchant.data.settings import DataConfig
from penchant.errors import InputError
from penchant.train.inputs import sources
from penchant.train.recipe import Source

Kind = Literal["auto", "preferences", "demonstrations"]


def read_rows(data: DataConfig, kind: Kind = "auto") -> Source:
    """Read the rows of a file by the readers of training.

    Raises:
        InputError: they cannot be read as what `kind` says.
    """
    if kind == "demonstrations":
        return sources.demonstrations(data)
    try:
        return sources.preferences(data)
    except InputError as error:
        if kind == "preferences":
            raise
        try:
            return sources.demonstrations(data)
        except UnknownLayoutError:  # neither: what is wrong with it as preferences says more
            raise error from None
        except InputError:
            # demonstrations with a bad row: that they are no comparisons is no news
            if isinstance(error, UnknownLayoutError):
                raise
            raise error from None
