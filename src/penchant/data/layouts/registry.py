"""List the known layouts: a name, the fields that a row must have, and the reader that makes a `PromptGroup` of it.

A layout is recognised by a row's fields, never by the file's ending. To add one, write its reader and put an
entry into a table; the first entry that fits wins, so the more particular stands above the more general.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

from penchant.data.layouts import demonstrations, own, pairs
from penchant.data.layouts import multiple as several
from penchant.data.layouts.columns import ReadRow, add_context, refuse_lost, refuse_pointers, refuse_texts, text_columns
from penchant.data.layouts.demonstrations import read_alpaca, read_completion, read_messages
from penchant.data.layouts.pair_ratings import rating_fields
from penchant.data.layouts.turns import ROLES
from penchant.data.layouts.unpaired import LABEL_FIELDS as LABEL
from penchant.data.layouts.unpaired import labelled
from penchant.data.sources.values import RowError, RowValues, cut
from penchant.errors import InputError, did_you_mean
from penchant.types import PromptGroup


@dataclass(frozen=True)
class Layout:
    """A layout of rows: the fields that recognise it, and their reader.

    Attributes:
        name: what reports call it, and what the argument `layout` takes.
        required: fields that must be present and not null; each a tuple of spellings of which one is enough.
        read: row to group; raises `RowError` for a row that cannot be used.
        fits: decides between layouts with the same fields by the kinds of their values.
        counts_add: whether each row states samples of its own, so that merging rows adds their counts. In
            files of pairs it does not: one sample stands in several rows there.
        context: whether columns such as `system` or `input`, where the reader takes none of them, are added to the
            prompt.
        assumed: whether nobody said what the comparisons say, so that they are only made if the layout was prescribed.
        doubt: raises `RowError` for a row that is only read if the layout was prescribed by name.
        complete: whether other columns with text are refused: common names such as `question` and `answer` alone do
            not say that nothing else belongs to them.
        codes: a column, and what is uncertain of all its values in a file, unless the layout was prescribed.
    """

    name: str
    required: tuple[tuple[str, ...], ...]
    read: Callable[[RowValues], PromptGroup]
    fits: Callable[[RowValues], bool] | None = None
    counts_add: bool = False
    context: bool = True
    assumed: bool = False
    complete: bool = False
    doubt: Callable[[RowValues], None] | None = None
    codes: tuple[str, Callable[[Collection[object]], str]] | None = None

    @property
    def fields(self) -> str:
        """Return the required fields, for messages."""
        return ", ".join(" or ".join(spellings) for spellings in self.required)

    def missing(self, row: RowValues) -> list[tuple[str, ...]]:
        """Return the required fields that a row lacks (absent or null), each with its spellings."""
        return [spellings for spellings in self.required if all(row.get(name) is None for name in spellings)]

    def matches(self, row: RowValues) -> bool:
        """Return whether a row looks like this layout. Its values may still be wrong."""
        return not self.missing(row) and (self.fits is None or self.fits(row))

    def parse(self, row: RowValues, source: str, *, prescribed: bool = False) -> PromptGroup:
        """Return the group of a row.

        Args:
            row: a `ReadRow` remembers which columns were read.
            prescribed: whether somebody named this layout, instead of its being recognised.

        Raises:
            RowError: a missing field, or whatever the reader refuses.
        """
        if absent := self.missing(row):
            words = ", ".join(" or ".join(map(repr, names)) for names in absent)
            verb = "is null" if all(any(name in row for name in names) for names in absent) else "is missing"
            raise RowError("missing", f"field {words} {verb}; the layout {self.name} needs {self.fields}")
        if self.doubt is not None and not prescribed:
            self.doubt(row)
        seen = row if isinstance(row, ReadRow) else ReadRow(row)
        group = self.read(seen)
        # From here on the order counts: what is added to the prompt is no longer unread, and what is refused first
        # has the most particular message.
        if self.context:
            group = add_context(group, seen)
        refuse_lost(group, seen.unread(), self.name, prescribed=prescribed)
        refuse_pointers(group, seen.unread())
        if self.complete and not prescribed:
            refuse_texts(group, seen.unread(), self.name)
        comparisons = () if self.assumed and not prescribed else group.comparisons
        return group.replace(source=source, comparisons=comparisons)


def _is_list(row: RowValues, *names: str) -> bool:
    return any(isinstance(row.get(name), list) for name in names)


def _has_lists(row: RowValues) -> bool:
    return _is_list(row, "chosen", "rejected")


def _has_transcript(row: RowValues) -> bool:
    # one is enough: of a row whose other side is damaged, the reader of transcripts says what is wrong
    return any(pairs.is_transcript(row[name]) for name in ("chosen", "rejected"))


def _has_turns(row: RowValues) -> bool:
    # a single turn may stand there without a list around it
    objects = isinstance(row.get("chosen"), dict) or isinstance(row.get("rejected"), dict)
    return objects or _is_list(row, "prompt", "chosen", "rejected")


PROMPT_LIKE = ("prompt", "instruction", "question", "query", "input", "context", "history", "conversations", "post")


def _is_sharegpt(row: RowValues) -> bool:
    """Return whether a conversation waits for its answer; `messages` that end with it repeat what `chosen` says."""
    if row.get("conversations") is not None:
        return True
    if row.get("prompt") is not None or not row["messages"]:
        return False
    turns = row["messages"]
    last = turns[-1] if isinstance(turns, list) else {}
    role = str(last.get("role") or last.get("from")).lower() if isinstance(last, dict) else ""
    return ROLES.get(role) != "assistant"


def _has_no_columns(row: RowValues, *names: str) -> bool:
    return all(row.get(name) is None for name in names)


def _is_bare(row: RowValues) -> bool:
    # a prompt under another name would be thrown away in silence
    return _has_no_columns(row, *PROMPT_LIKE) and not _is_list(row, "messages")


def _doubt_implicit(row: RowValues) -> None:
    """Refuse a shared beginning as the prompt where something else can be it, or where it does not end as one."""
    # Ratings are read with the pair, and may be texts such as "4/5".
    read = ("chosen", "rejected", *(rating_fields(row) or ()))
    if texts := text_columns({name: value for name, value in row.items() if name not in read}):
        name = cut(texts[0])
        raise RowError(
            "unread",
            f"field {name!r} holds text that is not read, and there is no field 'prompt': say what it is "
            f"(data.columns={{prompt: {name}}}), or leave it out (data.columns={{{name}: null}})",
        )
    pairs.refuse_cut_sentence(row)


def _has_ranked_list(row: RowValues) -> bool:
    return _is_list(row, *several.RANKED_FIELDS)


def _doubt_ranked(row: RowValues) -> None:
    """Refuse a list that may not be in order: a model's samples, or answers that are all right, look the same.

    What says so: `ranks`, the name `ranked`, or LLaMA-Factory's `instruction` with two outputs.
    """
    field = next(name for name in several.RANKED_FIELDS if row.get(name) is not None)
    answers = row[field]
    if not isinstance(answers, list):
        return  # the reader says what it expected
    texts = all(isinstance(value, str) for value in answers)  # of others the reader says it too
    of_two = field == "output" and row.get("prompt") is None and len(answers) <= 2
    if texts and row.get("ranks") is None and field != "ranked" and not of_two:
        raise RowError(
            "unread",
            f"field {field!r} is a list, and nothing says that it is ordered from best to worst: set layout=ranked if "
            "it is, or add `ranks` (1 for the best)",
        )


PAIR = (("chosen",), ("rejected",))
INSTRUCTION = (("instruction", "prompt"),)
OWN_LAYOUT = Layout("penchant", (("prompt",), ("responses",)), own.read_penchant, counts_add=True)

UNPAIRED = (
    # `label`, as in TRL
    Layout("unpaired", (("prompt",), ("completion", "response"), LABEL), labelled(read_completion), counts_add=True),
    Layout("unpaired-messages", (("messages", "conversations"), LABEL), labelled(read_messages), counts_add=True),
    # `kto_tag`, as in LLaMA-Factory
    Layout("unpaired-alpaca", (("instruction",), ("output",), LABEL), labelled(read_alpaca), counts_add=True),
)
"""Responses one at a time, each labelled good or bad."""

# The first that fits is taken, so a layout with more required fields, or with names that only it has, stands above one
# whose fields are among those.
PREFERENCES: tuple[Layout, ...] = (
    Layout(
        "finegrained-rlhf",
        (("question",), ("passages",), ("prediction 1",), ("prediction 2",), ("preference",)),
        several.read_finegrained,
    ),
    Layout("pandalm", (("instruction",), ("response1",), ("response2",), ("annotator1",)), several.read_pandalm),
    Layout(
        "alpaca-eval",
        (("instruction",), ("output_1",), ("output_2",), ("preference",)),
        several.read_alpaca_eval,
        codes=("preference", several.ambiguous_preferences),
    ),
    Layout(
        "instructgpt-summaries",
        (("context",), ("ref_text",), ("sample",), ("model_type",)),
        pairs.read_instructgpt_summaries,
        context=False,  # here `context` is the post itself
        assumed=True,
    ),
    Layout("openai-summaries", (("info",), ("summaries",), ("choice",)), several.read_openai_summaries),
    Layout("swift", (("messages",), ("rejected_response",)), pairs.read_swift),
    Layout("ultrafeedback", (*INSTRUCTION, ("completions",)), several.read_ultrafeedback),
    OWN_LAYOUT,
    Layout("ranked", (*INSTRUCTION, several.RANKED_FIELDS), several.read_ranked, _has_ranked_list, doubt=_doubt_ranked),
    Layout(
        "llamafactory-sharegpt", (("conversations", "messages"), *PAIR), pairs.read_llamafactory_sharegpt, _is_sharegpt
    ),
    Layout("trl", (("prompt",), *PAIR), pairs.read_trl, lambda row: not _has_turns(row)),
    Layout("trl-conversational", (("prompt",), *PAIR), pairs.read_trl_conversational, _has_turns),
    Layout("llamafactory", (("instruction",), *PAIR), pairs.read_llamafactory, lambda row: not _has_lists(row)),
    Layout("hh", PAIR, pairs.read_hh, _has_transcript),
    Layout("trl-implicit-conversational", PAIR, pairs.read_trl_implicit_conversational, _has_lists),
    # A system prompt or an input would stand before text that already holds its prompt.
    Layout("trl-implicit", PAIR, pairs.read_trl_implicit, _is_bare, context=False, doubt=_doubt_implicit),
    *UNPAIRED,
)

DEMONSTRATIONS: tuple[Layout, ...] = (
    OWN_LAYOUT,
    Layout("completion", (("prompt",), ("completion", "response")), read_completion, counts_add=True),
    Layout("messages", (("messages", "conversations"),), read_messages, counts_add=True),
    Layout(
        "alpaca", (("instruction",), ("output",)), read_alpaca, lambda row: not _has_ranked_list(row), counts_add=True
    ),
    Layout(
        "question-answer",
        (demonstrations.QUESTION_FIELDS, demonstrations.ANSWER_FIELDS),
        demonstrations.read_question,
        lambda row: _has_no_columns(row, "prompt", "instruction"),
        counts_add=True,
        complete=True,
    ),
    Layout(
        "instruction-response",
        (("instruction",), ("response",)),
        demonstrations.read_instruction,
        lambda row: _has_no_columns(row, "prompt", "output"),
        counts_add=True,
        complete=True,
    ),
    Layout("article", (("article",), ("highlights",)), demonstrations.read_article, counts_add=True),
    Layout("text", (("text",),), demonstrations.read_text, context=False),
)

# What teaches the wrong thing as demonstrations: losing and bad responses.
NO_DEMONSTRATIONS: tuple[Layout, ...] = tuple(layout for layout in PREFERENCES if layout is not OWN_LAYOUT)


PROMPTS: tuple[Layout, ...] = (
    # a completion's label, right or wrong, is no matter, nor is the order of answers
    *(
        replace(layout, doubt=None) if layout.doubt is _doubt_ranked else layout
        for layout in PREFERENCES
        if layout not in UNPAIRED
    ),
    *(layout for layout in DEMONSTRATIONS if layout is not OWN_LAYOUT and layout.name != "text"),
    Layout("prompts", (("prompt",),), demonstrations.read_bare_prompt),
)


def detect(row: RowValues, layouts: Sequence[Layout]) -> Layout | None:
    """Return the first layout that a row looks like."""
    return next((layout for layout in layouts if layout.matches(row)), None)


def layout_named(name: str, layouts: Sequence[Layout]) -> Layout:
    """Return the layout that the reader asked for.

    Raises:
        InputError: there is none of that name.
    """
    names = [layout.name for layout in layouts]
    if name not in names:
        suggestion = did_you_mean(name, names, form=repr) or "."
        raise InputError(f"unknown layout {name!r}{suggestion} Known: {', '.join(names)}")
    return layouts[names.index(name)]
