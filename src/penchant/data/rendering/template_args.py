"""Check what a template is told beside the conversation, and fix the date that it writes."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import date, datetime
from functools import lru_cache
from typing import TYPE_CHECKING

from penchant.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from jinja2 import nodes

TODAY = "today"
"""The argument that is no variable of the template: it stands for the date that `strftime_now` gives."""
SUPPLIED = frozenset({"messages", "tools", "documents", "add_generation_prompt"})
"""Variables that `transformers` fills."""
FUNCTIONS = frozenset({"raise_exception", "strftime_now", "namespace", "dict", "range", "lipsum", "cycler", "joiner"})
DATE_CALL = re.compile(r"""strftime_now\(\s*(?:format\s*=\s*)?("[^"\n]*"|'[^'\n]*')\s*\)""")
GENERATION = re.compile(r"\{%[-+]?\s*(?:end)?generation\s*[-+]?%\}")  # a tag of `transformers`, unknown to plain jinja


@lru_cache(maxsize=64)
def template_variables(text: str) -> frozenset[str]:
    """Return the names that a template reads and somebody else has to give; none where it is no valid template."""
    from jinja2 import Environment, TemplateError, meta

    environment = Environment(extensions=["jinja2.ext.loopcontrols"])
    try:
        tree = environment.parse(GENERATION.sub("", text))
        names = meta.find_undeclared_variables(tree)
    except TemplateError:  # each row that it refuses will tell
        return frozenset()
    return frozenset(names) - SUPPLIED - FUNCTIONS - _own_names(tree)


def _own_names(tree: nodes.Template) -> set[str]:
    """Return the names that a template sets before it reads them.

    Jinja counts a name that is set within an `if` as one that somebody else has to give.
    """
    from jinja2 import nodes

    first_use: dict[str, str] = {}

    def visit(node: nodes.Node) -> None:
        if isinstance(node, nodes.Name):
            first_use.setdefault(node.name, node.ctx)
        children = list(node.iter_child_nodes())
        # the value of `set x = x or 1` is read before x is set, and what a loop runs over before its variable
        if isinstance(node, nodes.Assign | nodes.For):
            children = children[1:2] + children[:1] + children[2:]
        for child in children:
            visit(child)

    visit(tree)
    return {name for name, use in first_use.items() if use == "store"}


def check_args(args: Mapping[str, object], text: str, name: str) -> None:
    """Refuse arguments that a template does not read.

    Args:
        text: of the template. name: what messages call it.

    Raises:
        InputError: names the argument, and those that the template reads.
    """
    # special tokens are read by nearly every template, and have nothing to do with arguments
    readable = sorted(name for name in template_variables(text) if not name.endswith("_token"))
    if "strftime_now" in text:
        readable.append(TODAY)
    for arg in args:
        if arg in SUPPLIED:
            raise InputError(f"template_args.{arg} cannot be given: it is made of the data")
        if arg == TODAY and "strftime_now" not in text:
            date_name = next((other for other in readable if "date" in other), None)
            advice = f"; it reads {date_name!r}, give that" if date_name else ""
            raise InputError(f"template_args.{TODAY} changes nothing: {name} writes no date of today{advice}")
        if arg == TODAY:
            fix_date(text, args[arg], name)  # a date that is none is refused here, before any row
        if arg != TODAY and arg not in template_variables(text):
            reading = f"it reads {', '.join(readable)}" if readable else "it reads none"
            raise InputError(
                f"{name} does not read the argument {arg!r} (template_args): {reading}{did_you_mean(arg, readable)}"
            )


def fix_date(text: str, today: object, name: str) -> str:
    """Return a template's text with a given date where it asks for today's.

    `transformers` hands no functions to a template, so the calls are replaced by what they would return.

    Raises:
        InputError: no date, or a format that is no plain text.
    """
    day = read_date(today)
    fixed = DATE_CALL.sub(lambda call: json.dumps(day.strftime(call.group(1)[1:-1])), text)
    if "strftime_now(" in fixed:
        raise InputError(f"template_args.{TODAY} cannot be used: {name} computes the format of its date")
    return fixed


def read_date(value: object) -> datetime:
    """Return a date as the moment at which it begins.

    Raises:
        InputError: it is none.
    """
    try:
        day = value if isinstance(value, date) else date.fromisoformat(str(value))
    except ValueError:
        raise InputError(f"template_args.{TODAY} must be a date such as 2026-01-31, got {value!r}") from None
    return day if isinstance(day, datetime) else datetime(day.year, day.month, day.day)
