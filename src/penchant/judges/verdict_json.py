"""Find JSON objects in an answer: in fences, after a preamble, in Python's quotes, or cut at the token limit."""

from __future__ import annotations

import ast
import json
import re
import warnings
from collections.abc import Iterator

# Opening braces of one answer that are tried. A judge writes one object; more braces are code.
MAX_STARTS = 50
# What stands in the rest of a text where something was taken out, so that the words around it make no sentence.
GAP = "\n·\n"
_CUT_OBJECT = re.compile(r"\{\s*[\"'][\w -]+[\"']\s*:")
# The fields of an object in their order, with repeated names kept: an object may contradict itself, and a dict would
# hide all but the last.
Fields = list[tuple[str, object]]


def find_objects(text: str) -> tuple[list[Fields], str]:
    """Return the objects of a text, and the text without them.

    An object that is cut counts with the fields that were complete before the cut; the rest of it is in neither.
    """
    objects: list[Fields] = []
    rest: list[str] = []
    start = 0
    for _ in range(MAX_STARTS):
        opening = text.find("{", start)
        if opening < 0:
            break
        parsed = _object_at(text, opening)
        if parsed is None and _CUT_OBJECT.match(text, opening) and _scan(text, opening)[0] is None:
            return objects, "".join([*rest, text[start:opening], GAP])  # what a cut object says is no prose
        if parsed is None:
            # a brace of prose or of code stays in the text, and what is behind it is looked at
            rest.append(text[start : opening + 1])
            start = opening + 1
            continue
        fields, end = parsed
        rest += [text[start:opening], GAP]
        objects.append(fields)
        start = end
    return objects, "".join([*rest, text[start:]])


def _object_at(text: str, start: int) -> tuple[Fields, int] | None:
    """Return the object that opens at `start` and where it ends; None where there is none."""
    end, cuts = _scan(text, start)
    for source in [text[start:end]] if end is not None else cuts:
        fields = _parsed(source)
        if fields is not None and any(name.strip() for name, _ in fields):
            return fields, len(text) if end is None else end
    return None


def _scan(text: str, start: int) -> tuple[int | None, list[str]]:
    """Return where the object ends, and, where the text ends before it, what it may have been up to its last value.

    The closed candidates are the whole text (cut after a value), then the text up to the last comma between fields.
    """
    closers: list[str] = []
    # by hand: `json` cannot say where an object ends that has Python's quotes or lacks a bracket
    quote, escaped, before, comma = "", False, "", None
    for position in range(start, len(text)):
        letter = text[position]
        if quote:
            if escaped:
                escaped = False
            elif letter == "\\":
                escaped = True
            elif letter == quote:
                quote = ""
        elif letter == '"' or (letter == "'" and before in "{[:,"):  # else an apostrophe
            quote = letter
        elif letter in "{[":
            closers.append("}" if letter == "{" else "]")
        elif letter in "}]":
            if closers[-1] != letter:  # brackets that cross are no object, however it goes on
                return None, []
            closers.pop()
            if not closers:
                return position + 1, []
        elif letter == "," and len(closers) == 1:
            comma = position
        if not letter.isspace():
            before = letter
    completed = [text[start:].rstrip().rstrip("`*~_").rstrip() + "".join(reversed(closers))] if not quote else []
    return None, [*completed, *([text[start:comma] + "}"] if comma is not None else [])]


def _parsed(source: str) -> Fields | None:
    try:
        value = json.loads(source, object_pairs_hook=list, strict=False)
    except (ValueError, RecursionError):
        return _python_object(source)
    return value if isinstance(value, list) else None


def _python_object(source: str) -> Fields | None:
    """Return the fields of an object with single quotes or a comma too many, as many models write it."""
    try:
        with warnings.catch_warnings(action="ignore"):  # of escapes that Python does not know
            value = ast.literal_eval(source)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        return None
    return [(str(name), entry) for name, entry in value.items()] if isinstance(value, dict) else None


def walk(fields: Fields) -> Iterator[tuple[str, object]]:
    """Yield every field of an object and of the objects in it, outermost first.

    An object's value is yielded as a list of pairs by `json` and as a dict by Python's quotes.
    """
    queue: list[list[object] | dict[object, object]] = [[*fields]]
    for value in queue:  # it grows while it is walked
        for pair in value.items() if isinstance(value, dict) else value:
            if not isinstance(pair, tuple):  # an entry of a list, which has no name
                continue
            name, entry = pair
            yield str(name), entry
            if isinstance(entry, list | dict):
                queue.append(entry)
