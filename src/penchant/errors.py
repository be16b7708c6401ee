"""Errors of Penchant: the two that a user meets, and two kinds that a caller may want to tell apart.

Both say what was expected, what came, where, and what to do; the command line prints them without a traceback
and exits with 2.
"""

from __future__ import annotations

import os
import sysconfig
from collections.abc import Callable, Iterable, Mapping
from difflib import SequenceMatcher, get_close_matches

from penchant.row_names import with_row_names

MOST_NAMES = 5  # that a message asks about: in a folder of numbered files all are as near as the first


class PenchantError(Exception):
    """Base of every error that Penchant raises on purpose. `str(error)` is a complete message for the user."""

    def __str__(self) -> str:
        """Return the message; rows of a Python session are named by their place in what was given."""
        return with_row_names(super().__str__())

    def _render_traceback_(self) -> list[str]:
        """Return what a notebook shows: the user's own lines and the message, which dozens of ours would hide."""
        import traceback

        # the cause first: where the user's own function failed, its line says more than ours
        errors = [error for error in (self.__cause__, self) if error is not None]
        frames = [frame for error in errors for frame in traceback.extract_tb(error.__traceback__)]
        lines = [
            f"{frame.filename}, line {frame.lineno}: {frame.line}" for frame in frames if _is_users(frame.filename)
        ]
        return [*lines, f"{type(self).__name__}: {self}", "(all lines: import traceback; traceback.print_exc())"]


def _is_users(file: str) -> bool:
    """Return whether a file is neither Penchant's nor Python's nor of an installed package."""
    if file.startswith("<frozen"):
        return False
    # by whole names of folders: a home may have a `lib/python` of its own
    if any(part in ("site-packages", "dist-packages") for part in file.replace("\\", "/").split("/")):
        return False
    library = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib")]
    return not any(_is_below(file, folder) for folder in (os.path.dirname(__file__), *filter(None, library)))


def _is_below(file: str, folder: str) -> bool:
    # Python notes some files by a link's name and others by what it leads to
    return any(file.startswith(os.path.join(name, "")) for name in (folder, os.path.realpath(folder)))


class InputError(PenchantError, ValueError):
    """Raised for bad input or configuration: a file, a row, a field, a model name, a setting."""


class SettingsError(InputError):
    """Raised for a configuration that is wrong.

    Attributes:
        corrections: by dotted path what is meant instead, a path or `path=value`, where that mends all that is wrong.
    """

    def __init__(self, message: str, corrections: Mapping[str, str]) -> None:
        super().__init__(message)
        self.corrections = corrections


class RunMismatchError(InputError):
    """Raised when a run cannot be resumed because its settings, data or model changed."""


class MissingExtra(InputError):
    """Raised when a package is not installed that a request needs; the message names the extra. No row's fault."""


class RunError(PenchantError, RuntimeError):
    """Raised when a run has to stop: a non-finite loss, a full disk, a reference that does not fit its table."""


def near_names(word: str, names: Iterable[str], *, count: int = 1, cutoff: float = 0.6) -> list[str]:
    """Return the known names that are most like a word, the nearest first; never the word itself.

    Args:
        count: how many at most, and those that are as near as the last of them, up to `MOST_NAMES`.
        cutoff: how alike they have to be: 0 for anything, 1 for the word itself.
    """
    candidates = list(dict.fromkeys(name for name in names if name != word))
    matches = get_close_matches(word, candidates, n=max(len(candidates), 1), cutoff=cutoff)
    # `dpp` is as near to `dpo` as to `ppo`: to name one of both would be a guess
    ratios = [SequenceMatcher(None, name, word).ratio() for name in matches]
    nearest = [name for name, ratio in zip(matches, ratios, strict=True) if ratio >= ratios[:count][-1]]
    return nearest[: max(count, MOST_NAMES)]


def did_you_mean(
    word: str, names: Iterable[str], *, form: Callable[[str], str] = str, count: int = 1, cutoff: float = 0.6
) -> str:
    """Return "; did you mean NAME?" with the nearest known names, or nothing where none is near.

    Args:
        form: how a name is written, such as `repr`.
        count, cutoff: as of `near_names`.
    """
    similar = near_names(word, names, count=count, cutoff=cutoff)
    return f"; did you mean {' or '.join(form(name) for name in similar)}?" if similar else ""
