"""Functions and other objects of a Python session, under names that settings can hold."""

from __future__ import annotations

import functools
import logging
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator

from penchant.errors import InputError
from penchant.session.definitions import Unreadable
from penchant.session.source_text import Gap, SourceText, is_installed, source_text
from penchant.session.store import PREFIX, content_digest, find_stored, is_session_name, names_in, write_once

log = logging.getLogger("penchant.session")

NAME = "penchant_name"
"""The attribute of what Penchant loaded by a name, such as a reward: the name."""
GROWING = ("(a list)", "(a dict)", "(a set)")
"""Kinds of attributes that are not compared, since a run may change them."""
_DIGEST = re.compile(r"_(?:[0-9a-f]{16}|unread\d*)$")


@dataclass(frozen=True)
class HandedOver:
    """An object that a session handed over.

    Attributes:
        missing: what its stored source does not hold, by name; None where it has no source at all.
        gaps: the objects that are missing, of each object that was handed over under this name.
    """

    value: object
    missing: tuple[str, ...] | None
    gaps: tuple[tuple[Gap, ...], ...] = ()


_objects: dict[str, HandedOver] = {}


def code_name(value: object) -> object:
    """Return the name under which settings hold a function, a class or an object of the session.

    A text is such a name already, and plain data is returned for the check of settings. A function of a module is
    named by the module, so that it counts with all that the module imports. Any other's source is stored under a digest
    of its text.

    Raises:
        InputError: the source cannot be stored.
    """
    # plain data is no code, and is refused as what it is where the settings are checked
    if isinstance(value, str | int | float | list | tuple | dict | None):
        return value
    if isinstance(name := getattr(value, NAME, None), str):
        return name
    # the result of a run, which stands for what it trained; its class is in a room above
    if isinstance(path := getattr(value, "path", None), Path) and hasattr(value, "metrics"):
        return str(path)
    # what a decorator hides: a task, a checked reward, a function under `functools.wraps`
    definition: object = value
    while hasattr(definition, "__wrapped__"):
        definition = definition.__wrapped__
    if (name := _module_name(value, definition)) is not None:
        return name
    stem = _identifier(definition)
    try:
        text = source_text(stem, value)
    except Unreadable:
        return _register(_unread_name(stem, value), HandedOver(value, None))
    name, content = _numbered_name(stem, text)
    # another ending where it cannot stand alone: nobody is to run half of a function
    write_once(f"{name}{'.txt' if text.missing else '.py'}", content)
    missing = tuple(f"`{key}` ({words})" for key, words in text.missing.items())
    before = _objects[name].gaps if name in _objects else ()
    return _register(name, HandedOver(value, missing, (*before, tuple(text.gaps))))


CodeName = Annotated[str, BeforeValidator(code_name)]
"""The name of code in settings; a function of a Python session may stand in its place."""


def _module_name(value: object, definition: object) -> str | None:
    """Return `module:attribute`, or `path/to/file.py:attribute`, for what a module has; None for anything else."""
    module = sys.modules.get(getattr(definition, "__module__", None) or "")
    attribute = getattr(definition, "__qualname__", "")
    # `__main__` is a script or a notebook: to load it again would run all of it
    if module is None or module.__name__ == "__main__" or vars(module).get(attribute) is not value:
        return None
    file = getattr(module, "__file__", None)
    if file is None or is_installed(module.__name__):
        return f"{module.__name__}:{attribute}"
    path = Path(file).resolve()
    is_below = path.is_relative_to(Path.cwd())
    return f"{path.relative_to(Path.cwd()) if is_below else path}:{attribute}"


def _identifier(value: object) -> str:
    while isinstance(value, functools.partial):
        value = value.func
    # an object is not called what its class is: a text has both
    name = getattr(value, "__name__", "") or f"{type(value).__name__}_"
    name = "lambda_" if name == "<lambda>" else name
    return name if name.isidentifier() else "code"


def _unread_name(stem: str, value: object) -> str:
    """Return a name for what has no source: the first is `NAME_unread`, another object's has a number."""
    # by identity: without source nothing else tells two objects apart
    names = [f"{stem}_unread", *(f"{stem}_unread{number}" for number in range(2, 1000))]
    return next(name for name in names if name not in _objects or _objects[name].value is value)


def _numbered_name(stem: str, text: SourceText) -> tuple[str, bytes]:
    """Return a name that ends in the digest of a text, and the text as bytes.

    Where only an object that the text lacks tells two functions apart, such as the model that each holds, the text of
    the second has a number.
    """
    for number in range(1, 1000):
        mark = f"# object {number} of this source: it holds others of the session\n" if number > 1 else ""
        content = (text.text + mark).encode(errors="surrogatepass")
        name = f"{stem}_{content_digest(content)}"
        registered = _objects.get(name)
        if registered is None or any(all(map(_is_same_gap, gaps, text.gaps)) for gaps in registered.gaps):
            return name, content
    raise InputError(f"`{stem}` was handed over 1,000 times with other objects: give these by names of their own")


def _is_same_gap(gap: Gap, other: Gap) -> bool:
    # the very object, whatever was put into it since, or one that began with the same content
    return gap[0] is other[0] or (gap[1] is not None and gap[1] == other[1])


def _register(name: str, handed_over: HandedOver) -> str:
    _objects[name] = handed_over
    return PREFIX + name


def shown_name(name: str) -> str:
    """Return a name as messages show it: of a session's function what the session calls it."""
    return _attribute(name).rstrip("_") if is_session_name(name) else name


def _attribute(name: str) -> str:
    """Return what a stored file calls a function or class; `lambda` is no name in Python, and has a line below it."""
    return _DIGEST.sub("", name.removeprefix(PREFIX))


def find_object(name: str) -> HandedOver | None:
    """Return the object behind a name where this process has it."""
    return _objects.get(name.removeprefix(PREFIX))


def find_source(name: str) -> tuple[Path, str] | None:
    """Return the stored file that gives the object behind a name, and the attribute; None where none stands alone.

    Raises:
        InputError: the file is damaged.
    """
    file = find_stored(f"{name.removeprefix(PREFIX)}.py")
    return None if file is None else (file, _attribute(name))


def absent_reason(name: str) -> str:
    """Return why nothing can be loaded by a name, and what to do."""
    text = find_stored(f"{name.removeprefix(PREFIX)}.txt")
    source = f" Its source is in {text}, but needs what only that session has." if text is not None else ""
    return (
        f"it was handed over by a Python session, and this is another one.{source} Give the same call in Python "
        "again, or put the function into a file and name that: path/to/file.py:NAME"
    )


def code_warnings(settings: object) -> list[str]:
    """Return sentences about the code in settings that a record cannot hold whole."""
    # only for objects of this process: what another one loads from a file stands alone
    warnings = []
    for name in names_in(settings):
        handed_over = find_object(name)
        if handed_over is None:
            continue
        if handed_over.missing is None:
            warnings.append(
                f"the source of `{shown_name(name)}` cannot be read: the record does not hold it, and resuming takes "
                "it as unchanged"
            )
        elif handed_over.missing:
            warnings.append(
                f"`{shown_name(name)}` uses {', '.join(handed_over.missing)}, which the record does not hold: "
                f"resuming takes that as unchanged{_advice(handed_over.missing)}"
            )
    return warnings


def log_code_warnings(settings: object) -> list[str]:
    """Log the warnings about code in settings, and return them.

    A script prints them when its run begins; `result.json` has them only at the end.
    """
    # at once, since a run may take hours, and its code may change meanwhile
    warnings = code_warnings(settings)
    for warning in warnings:
        log.warning("%s", warning)
    return warnings


def _advice(missing: Sequence[str]) -> str:
    """Return what to do about attributes that could be compared."""
    growing = [words for words in missing if words.startswith("`self.") and words.endswith(GROWING)]
    if not growing:
        return ""
    return ". What an object collects may grow while a run goes on; give what stays the same as a tuple"


def refuse_session_objects(settings: object, use: str) -> None:
    """Refuse code that only this process has, where other processes are to run it.

    Args:
        use: what needs it, for the message.

    Raises:
        InputError: names the first, and what it lacks.
    """
    for name in names_in(settings):
        handed_over = find_object(name)
        if handed_over is None or handed_over.missing == ():
            continue
        lack = "its source cannot be read"
        if handed_over.missing:
            lack = f"it uses {', '.join(handed_over.missing)}"
        raise InputError(
            f"{use} runs code in processes of its own, where `{shown_name(name)}` cannot be made again: {lack}. Put it "
            "into a file, and name that: path/to/file.py:NAME"
        )
