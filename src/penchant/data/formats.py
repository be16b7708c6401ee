"""The known layouts: a name, the fields that a row of it must have, and the reader that makes it a
`PromptGroup`.

A layout is recognised by a row's fields, never by the file's ending. To add one, write its reader and put an
entry into a table; the first entry that fits wins, so the more particular stands above the more general.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from penchant.data import demonstrations, labels, own, pairs, several
from penchant.data.fields import RowError
from penchant.errors import InputError
from penchant.types import PromptGroup

Row = dict[str, Any]


def _always(row: Row) -> bool:
    return True


@dataclass(frozen=True)
class Layout:
    """One way to write rows.

    Attributes:
        name: what reports call it, and what the argument `layout` takes.
        required: fields that must be present and not null; each a tuple of spellings of which one is enough.
        read: row to group; raises `RowError` for a row that cannot be used.
        fits: decides between layouts with the same fields by the kinds of their values.
        counts_add: whether each row states samples of its own, so that merging rows adds their counts. In
            files of pairs it does not: one sample stands in several rows there.
    """

    name: str
    required: tuple[tuple[str, ...], ...]
    read: Callable[[Row], PromptGroup]
    fits: Callable[[Row], bool] = _always
    counts_add: bool = False

    @property
    def fields(self) -> str:
        """The required fields, for messages."""
        return ", ".join(" or ".join(spellings) for spellings in self.required)

    def missing(self, row: Row) -> list[str]:
        """Required fields that a row lacks (absent or null)."""
        return [
            " or ".join(spellings) for spellings in self.required if all(row.get(name) is None for name in spellings)
        ]

    def matches(self, row: Row) -> bool:
        """Whether a row looks like this layout. Its values may still be wrong."""
        return not self.missing(row) and self.fits(row)

    def parse(self, row: Row, source: str) -> PromptGroup:
        """The group of a row.

        Raises:
            RowError: a missing field, or whatever the reader refuses.
        """
        missing = self.missing(row)
        if missing:
            names = ", ".join(map(repr, missing))
            verb = "is null" if all(name in row for name in missing) else "is missing"
            raise RowError("missing", f"field {names} {verb}; the layout {self.name} needs {self.fields}")
        return self.read(row).replace(source=source)


def _is_list(row: Row, *names: str) -> bool:
    return any(isinstance(row.get(name), list) for name in names)


def _has_turns(row: Row) -> bool:
    return _is_list(row, "prompt", "chosen", "rejected")


PROMPT_LIKE = (
    "prompt",
    "instruction",
    "question",
    "query",
    "input",
    "context",
    "history",
    "conversations",
    "post",
)


def _has_no_prompt(row: Row) -> bool:
    """Without this, a prompt under another name would be thrown away in silence."""
    return all(row.get(name) is None for name in PROMPT_LIKE)


def _is_sharegpt(row: Row) -> bool:
    return row.get("conversations") is not None or isinstance(row["chosen"], dict)


def _has_ranked_list(row: Row) -> bool:
    return _is_list(row, *several.RANKED_FIELDS)


PAIR = (("chosen",), ("rejected",))
ASKED = (("instruction", "prompt"),)

UNPAIRED = Layout(
    "unpaired",
    (("prompt",), ("completion", "response"), ("label",)),
    labels.read_unpaired,
    counts_add=True,
)

PREFERENCES: tuple[Layout, ...] = (
    Layout(
        "finegrained-rlhf",
        (("question",), ("passages",), ("prediction 1",), ("prediction 2",), ("preference",)),
        several.read_finegrained,
    ),
    Layout(
        "pandalm",
        (("instruction",), ("response1",), ("response2",), ("annotator1",)),
        several.read_pandalm,
    ),
    Layout(
        "alpaca-eval",
        (("instruction",), ("output_1",), ("output_2",), ("preference",)),
        several.read_alpaca_eval,
    ),
    Layout(
        "instructgpt-summaries",
        (("context",), ("ref_text",), ("sample",), ("model_type",)),
        pairs.read_instructgpt_summaries,
    ),
    Layout("openai-summaries", (("info",), ("summaries",), ("choice",)), several.read_openai_summaries),
    Layout("ultrafeedback", (*ASKED, ("completions",)), several.read_ultrafeedback),
    Layout("penchant", (("prompt",), ("responses",)), own.read_penchant, counts_add=True),
    Layout("ranked", (*ASKED, several.RANKED_FIELDS), several.read_ranked, _has_ranked_list),
    Layout(
        "llamafactory-sharegpt",
        (("conversations", "messages"), *PAIR),
        pairs.read_llamafactory_sharegpt,
        _is_sharegpt,
    ),
    Layout("trl", (("prompt",), *PAIR), pairs.read_trl, lambda row: not _has_turns(row)),
    Layout("trl-conversational", (("prompt",), *PAIR), pairs.read_trl_conversational, _has_turns),
    Layout(
        "llamafactory",
        (("instruction",), *PAIR),
        pairs.read_llamafactory,
        lambda row: not _is_list(row, "chosen", "rejected"),
    ),
    Layout(
        "hh",
        PAIR,
        pairs.read_hh,
        lambda row: pairs.is_transcript(row["chosen"]) or pairs.is_transcript(row["rejected"]),
    ),
    Layout(
        "trl-implicit-conversational",
        PAIR,
        pairs.read_trl_implicit_conversational,
        lambda row: _is_list(row, "chosen", "rejected"),
    ),
    Layout("trl-implicit", PAIR, pairs.read_trl_implicit, _has_no_prompt),
    UNPAIRED,
)

DEMONSTRATIONS: tuple[Layout, ...] = (
    Layout("penchant", (("prompt",), ("responses",)), own.read_penchant, counts_add=True),
    Layout(
        "completion",
        (("prompt",), ("completion", "response")),
        demonstrations.read_completion,
        counts_add=True,
    ),
    Layout("messages", (("messages", "conversations"),), demonstrations.read_messages, counts_add=True),
    Layout(
        "alpaca",
        (("instruction",), ("output",)),
        demonstrations.read_alpaca,
        lambda row: not _has_ranked_list(row),
        counts_add=True,
    ),
    Layout("article", (("article",), ("highlights",)), demonstrations.read_article, counts_add=True),
    Layout("text", (("text",),), demonstrations.read_text),
)

# What teaches the wrong thing as demonstrations: losing and bad responses. A label that is a number may be anything.
NO_DEMONSTRATIONS: tuple[Layout, ...] = (
    *(layout for layout in PREFERENCES if layout.name not in ("penchant", "unpaired")),
    replace(UNPAIRED, fits=lambda row: isinstance(row["label"], bool)),
)

PROMPTS: tuple[Layout, ...] = (
    *(layout for layout in PREFERENCES if layout is not UNPAIRED),  # a completion's label, right or wrong, is no matter
    *(layout for layout in DEMONSTRATIONS if layout.name not in ("penchant", "text")),
    Layout("prompts", (("prompt",),), demonstrations.read_bare_prompt),
)


def detect(row: Row, layouts: Sequence[Layout]) -> Layout | None:
    """The first layout that a row looks like."""
    return next((layout for layout in layouts if layout.matches(row)), None)


def layout_named(name: str, layouts: Sequence[Layout]) -> Layout:
    """The layout that the reader asked for.

    Raises:
        InputError: there is none of that name.
    """
    names = [layout.name for layout in layouts]
    if name not in names:
        near = difflib.get_close_matches(name, names, n=1)
        raise InputError(
            f"unknown layout {name!r}{f'; did you mean {near[0]!r}?' if near else ''} Known: {', '.join(names)}"
        )
    return layouts[names.index(name)]


def describe_unknown(row: Row, layouts: Sequence[Layout]) -> str:
    """What an unknown row has, the nearest layout, what it lacks for it, and which field may be meant."""
    found = [str(name) or "(unnamed)" for name, value in row.items() if value is not None]
    nearest = max(layouts, key=lambda layout: _nearness(layout, found))
    missing = nearest.missing(row)
    lacks = f"lacks {', '.join(missing)}" if missing else "has fields of another kind"
    known = {spelling for spellings in nearest.required for spelling in spellings}
    spare = [name for name in found if name not in known]
    guesses = [(name.split(" or ")[0], _guess(name, spare)) for name in missing]
    renames = [f"rename {guess!r} to {name!r}" for name, guess in guesses if guess]
    table = "\n".join(f"  {layout.name}: {layout.fields}" for layout in layouts)
    return (
        f"unknown layout. The rows have {', '.join(found) or '(none)'}. The nearest known layout is "
        f"{nearest.name} ({nearest.fields}), for which the row {lacks}; "
        f"{'; '.join(renames) or 'convert the file to a known layout'}.\nKnown layouts:\n{table}"
    )


def _nearness(layout: Layout, found: list[str]) -> tuple[float, bool]:
    """The share of required fields that are there, similar names counting half; ours where nothing is."""
    absent = [spellings for spellings in layout.required if not any(name in found for name in spellings)]
    if not absent:  # all there, but of another kind, such as pairs whose prompt has an unknown name
        return 0.7, False
    similar = sum(bool(_guess(" or ".join(spellings), found)) for spellings in absent)
    return 1 - (len(absent) - 0.5 * similar) / len(layout.required), layout.name == "penchant"


def _guess(missing: str, spare: Sequence[str]) -> str | None:
    """A field that may be meant by a missing one: a similar name, or another word for the prompt."""
    for name in missing.split(" or "):
        near = difflib.get_close_matches(name, spare, n=1, cutoff=0.7)
        if near:
            return near[0]
        if name == "prompt":
            return next((field for field in spare if field in PROMPT_LIKE), None)
    return None
