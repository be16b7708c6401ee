"""Settle columns beside those that a layout's reader takes: rename, add to the prompt, name in a warning, or refuse.

A column that nobody reads may be half of the prompt. What belongs to it by its name (`system`, `input`, `context`,
`history`, `tools`) is added to it, what the model would be shown and is not read is refused, and
every other column is named. `columns` (the setting `data.columns`) says it where names do not.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING

from penchant.data.layouts.calls import TOOLS_ROLE, as_tools
from penchant.data.layouts.turns import history_turns
from penchant.data.options import Columns, RatingRules
from penchant.data.sources.values import RowError, RowValues, as_text, cut, holds, words_of
from penchant.errors import did_you_mean
from penchant.types import Message, PromptGroup, prompt_turns

if TYPE_CHECKING:
    from penchant.data.media_files import MediaReader

SYSTEM_COLUMNS = ("system", "system_prompt", "system_message")
INPUT_COLUMNS = ("input", "context")
# Names under which a prompt, or a part of it, is published. Beside a prompt that was read they are never passed over.
PROMPT_COLUMN = re.compile(
    "prompt|instruction|question|query|inputs?|context|history|conversations?|messages|dialog|dialogue|passages?|"
    "documents?|article|post|choices|options|endings"
)
CONTEXT_COLUMNS = (*SYSTEM_COLUMNS, *INPUT_COLUMNS, "history")
TOOL_COLUMNS = ("tools", "functions")
TEMPLATE_COLUMN = "chat_template_kwargs"  # of TRL: arguments of the template, row by row
MEDIA_WORD = re.compile(r"(?:image|img|picture|photo|video|audio|pixel)s?")
# What identifies or describes a row. A value with a space in it is text, under any name.
METADATA = re.compile(
    r"|unnamed: \d+|(?:.*[_.\- ])?(?:id|ids|idx|index|key|uid|uuid|guid|hash|md5|sha1|sha256|url|urls|uri|source|"
    r"dataset|subset|split|lang|language|model|models|generator|annotator|worker|judge|date|time|timestamp|version|"
    r"license|category|topic|subject|domain|type|level|difficulty)(?:[_.\- ](?:a|b|1|2|chosen|rejected|name))?",
    re.IGNORECASE,
)
# Words about the answers, which differ from pair to pair of one prompt.
COMMENTARY = re.compile(
    r".*(?:reason|rationale|explanation|critique|feedback|comment|note|statement|elaboration|justification|judg|"
    r"quote|principle|analysis|response|completion|generation|chosen|rejected|answer|output).*",
    re.IGNORECASE,
)
MOST_PATHS, MOST_LEVELS = 500, 8  # that a misspelt path is compared with: a row may hold thousands
LONGEST_POINTER = 40  # characters of a text that may be a column's name
NO_RULES = RatingRules()


class ReadRow(dict[str, object]):
    """A row that remembers which of its columns a reader looked at.

    Attributes:
        looked_at: these columns.
        rules: how ratings are to be read.
        media: opens pictures and sounds; None where text alone can be used.
        rating: a sentence about how the reader read them; empty where it read none.
        rater: who rated the row; empty where it does not say, or the layout has no such field.
        nested: names of texts inside of columns that the reader takes other parts of.
    """

    def __init__(self, values: RowValues, rules: RatingRules = NO_RULES, media: MediaReader | None = None) -> None:
        super().__init__(values)
        self.looked_at: set[str] = set()
        self.rules = rules
        self.media = media
        self.rating = ""
        self.rater = ""
        self.nested: set[str] = set()

    def __getitem__(self, name: str) -> object:
        self.looked_at.add(name)
        return super().__getitem__(name)

    def get(self, name: str, default: object = None) -> object:
        """Return the column's value, or the default where the row lacks it."""
        self.looked_at.add(name)
        return super().get(name, default)

    def unread(self) -> RowValues:
        """Return the columns that hold something and that nobody looked at."""
        return {name: value for name, value in self.items() if name not in self.looked_at and holds(value)}


def note_nested(row: RowValues, name: str) -> None:
    """Note that a text inside of a column is not read, so that reports name it."""
    if isinstance(row, ReadRow):
        row.nested.add(name)


def note_others(row: RowValues, path: str, record: RowValues, read: Collection[str]) -> None:
    """Note the texts of an object inside of a column, but for the fields that are read.

    Args:
        path: where the object stands, such as `answers[]`.
    """
    for name, value in record.items():
        if name not in read and is_text(value) and not is_metadata(name, value):
            note_nested(row, f"{path}.{name}")


def pass_over(row: RowValues, *names: str) -> None:
    """Look at columns that a layout knows and leaves out: reports name them, and nothing else is said of them."""
    for name in names:
        if holds(row.get(name)):
            note_nested(row, name)


def rename_columns(values: RowValues, columns: Columns) -> RowValues:
    """Return the row with its columns under the names that layouts know.

    Args:
        columns: by field, the column that holds it, or a path into an object (`info.post`) or a list (`turns.0.text`).
            None leaves the column of that name out.

    Raises:
        RowError: the row lacks a column that is named.
    """
    cells = {field: _cell(values, column, field) for field, column in columns.items() if column is not None}
    renamed = {column for column in columns.values() if column is not None}
    # A column that stood under a field's name itself is out of the way too, or two would claim the name.
    remaining = {name: value for name, value in values.items() if name not in renamed and name not in columns}
    return {**cells, **remaining}


def _cell(values: RowValues, column: str, field: str) -> object:
    """Return what a column holds, or what a path with dots leads to."""
    if column in values:  # a column may have a dot in its own name
        return values[column]
    value: object = values
    for part in column.split("."):
        if isinstance(value, dict) and part in value:
            value = value[part]
        elif isinstance(value, list) and part.isdecimal() and int(part) < len(value):
            value = value[int(part)]
        else:
            advice = did_you_mean(column, [*values, *_paths(values)][:MOST_PATHS], form=repr, cutoff=0.5)
            names = ", ".join(cut(name) for name in list(values)[:20])
            raise RowError("column", f"data.columns: {field} is to be {cut(column)!r}, but the row has {names}{advice}")
    return value


def _paths(values: RowValues, before: str = "") -> Iterator[str]:
    """Yield what leads into the objects of a row, and into those inside of them."""
    for name, item in values.items():
        if isinstance(item, dict):
            yield from (f"{before}{name}.{key}" for key in item)
            if before.count(".") < MOST_LEVELS:
                yield from _paths(item, f"{before}{name}.")


def unused_field(columns: Columns, unread: Collection[str], known_fields: Collection[str]) -> str:
    """Return which map to a field does nothing, and the nearest field or the verifier's setting; empty if none does.

    Args:
        unread: columns that no reader took in any row. known_fields: fields that some layout has.
    """
    unused = [field for field, column in columns.items() if column is not None and field in unread]
    if not unused:
        return ""
    field, column = cut(unused[0]), cut(str(columns[unused[0]]))
    verifier = f"; a reward names its column itself (reward=number:column={column})" if field == "answer" else ""
    advice = verifier or did_you_mean(field, known_fields, form=repr)
    return f"data.columns={{{field}: {column}}} does nothing: no reader of these rows takes {field!r}{advice}"


def is_text(value: object) -> bool:
    """Return whether a cell holds text, also within lists and objects."""
    return any(text.strip() for text in texts_in(value))


def texts_in(value: object) -> Iterator[str]:
    """Yield all texts of a cell; of turns what they say, not the names of their roles."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from texts_in(item)
    elif isinstance(value, dict):
        for name, item in value.items():
            if name not in ("role", "from"):
                yield from texts_in(item)


def is_metadata(name: str, value: object) -> bool:
    """Return whether a column identifies or describes its row instead of saying anything to a model."""
    if name == "models" and isinstance(value, list):  # who wrote the responses; `penchant rank` reads it
        return True
    # `topic` may hold the question itself; an identifier has no space in it
    return METADATA.fullmatch(name) is not None and not any(" " in text.strip() for text in texts_in(value))


def text_columns(unread: RowValues, group: PromptGroup | None = None) -> list[str]:
    """Return the unread columns with text of their own: no metadata, and nothing that the group says as well."""
    names = [name for name, value in unread.items() if is_text(value) and not is_metadata(name, value)]
    if not names or group is None:
        return names
    group_texts = _texts_of(group)
    return [name for name in names if not _is_copy(unread[name], group_texts)]


def add_context(group: PromptGroup, row: ReadRow) -> PromptGroup:
    """Add to the prompt what other columns hold of it: tools, system, history, and input or context.

    An instruction with an input is something a user says, so such a prompt becomes turns, as in `instruction_turns`.

    Raises:
        RowError: a value of another kind, or two system turns that differ.
    """
    # Taken through `row[...]`, so that they count as read: the reader of a layout passed them over, not we.
    unread = {
        name: row[name] for name in (*CONTEXT_COLUMNS, *TOOL_COLUMNS) if name in row and name not in row.looked_at
    }
    unread = {name: value for name, value in unread.items() if holds(value)}
    if not unread:
        return group
    prompt_texts = _texts_of(group.replace(responses=(), comparisons=(), scores=None))
    system = [name for name in SYSTEM_COLUMNS if name in unread]
    inputs = [name for name in INPUT_COLUMNS if name in unread and not _is_copy(unread[name], prompt_texts)]
    history = "history" in unread and not _is_copy(unread["history"], prompt_texts)
    tools = [name for name in TOOL_COLUMNS if name in unread]
    if not (system or inputs or history or tools):
        return group
    turns = prompt_turns(group.prompt)
    # The order of these steps is that of the conversation from its end: the input belongs to the last question, the
    # history stands before it, and a system turn before all.
    for name in inputs:
        turns = _with_input(turns, as_text(row[name], name), name)
    if history:
        lead = _lead(turns)
        turns = (*turns[:lead], *history_turns(row["history"]), *turns[lead:])
    for name in system:
        turns = _with_system(turns, as_text(row[name], name), name)
    for name in tools:
        turns = _with_tools(turns, row[name], name)
    return group.replace(prompt=turns)


def _lead(turns: tuple[Message, ...]) -> int:
    """Count the turns at the beginning that no one speaks: the list of functions, and the system's."""
    return next((index for index, turn in enumerate(turns) if turn.role not in (TOOLS_ROLE, "system")), len(turns))


def _with_input(turns: tuple[Message, ...], text: str, name: str) -> tuple[Message, ...]:
    if turns[-1].role != "user":
        raise RowError(
            "history", f"field {name!r} belongs to a question, but the prompt's last turn is the {turns[-1].role}'s"
        )
    if isinstance(turns[-1].content, tuple):
        return (*turns[:-1], Message("user", (*turns[-1].content, f"\n\n{text}")))
    return (*turns[:-1], Message("user", f"{turns[-1].content}\n\n{text}"))


def _with_system(turns: tuple[Message, ...], text: str, name: str) -> tuple[Message, ...]:
    tools, spoken = (turns[:1], turns[1:]) if turns[0].role == TOOLS_ROLE else ((), turns)
    if not spoken or spoken[0].role != "system":
        return (*tools, Message("system", text), *spoken)
    if spoken[0].text.strip() != text.strip():
        raise RowError("value", f"field {name!r} differs from the prompt's own system turn; keep one of them")
    return turns


def _with_tools(turns: tuple[Message, ...], value: object, name: str) -> tuple[Message, ...]:
    tools = as_tools(value, name)
    if tools is None or turns[0] == tools:
        return turns
    if turns[0].role == TOOLS_ROLE:
        raise RowError("value", f"field {name!r} differs from the functions that the prompt lists itself; keep one")
    return (tools, *turns)


def add_system(group: PromptGroup, text: str) -> PromptGroup:
    """Return the group with a system turn, if its prompt has none; a prompt of text becomes a user's turn.

    The empty prompt of a plain text stays as it is: nobody asks there.
    """
    turns = prompt_turns(group.prompt)
    if group.prompt == "" or any(turn.role in ("system", "developer") for turn in turns):
        return group
    return group.replace(prompt=_with_system(turns, text, "system"))


def refuse_lost(group: PromptGroup, row: ReadRow, layout: str, *, prescribed: bool) -> None:
    """Refuse a row whose unread columns belong to what the model is shown.

    Args:
        row: the row, after its reader has looked at it.
        prescribed: whether somebody named the layout: then what it does not read may be another prompt.

    Raises:
        RowError: names the column and what to do.
    """
    for name, value in row.unread().items():
        kind, column = name.strip().lower(), cut(name)
        leave_out = f"data.columns={{{column}: null}} leaves it out"
        if kind in TOOL_COLUMNS:
            raise RowError(
                "unread",
                f"field {column!r}: tools are shown to a model, but a row of the layout {layout} has no turns before "
                f"which they could stand; {leave_out}",
            )
        if kind == TEMPLATE_COLUMN:
            raise RowError(
                "unread",
                f"field {column!r}: what a template is told is the same for all rows (data.template_args={{...}}); "
                f"{leave_out}",
            )
        # `image_count: 2` or `has_audio: false` only describe; a path, an address or bytes are the picture itself
        if any(map(MEDIA_WORD.fullmatch, words_of(name))) and not isinstance(value, int | float):
            raise RowError(
                "unread",
                f"field {column!r} seems to hold pictures, videos or sounds, and such are read from the columns "
                f"`images`, `videos` and `audios` (data.columns={{images: {column}}}); {leave_out}",
            )
        is_shown = kind in SYSTEM_COLUMNS or PROMPT_COLUMN.fullmatch(kind)
        if not prescribed and is_shown and is_text(value) and not _is_copy(value, _texts_of(group)):
            prompt = next(
                (other for other in row if other in row.looked_at and PROMPT_COLUMN.fullmatch(other.strip().lower())),
                "",
            )
            prompt_note = f" (it reads {cut(prompt)!r} as the prompt; both could be)" if prompt else ""
            raise RowError(
                "unread",
                f"field {column!r} is not read by the layout {layout}, though by its name it is part of the prompt"
                f"{prompt_note}. Say what it is (data.columns={{prompt: {column}}}, or input or system); {leave_out}",
            )


def refuse_texts(group: PromptGroup, unread: RowValues, layout: str) -> None:
    """Refuse a row with any unread text of its own.

    Raises:
        RowError: names the column and what to do.
    """
    if names := text_columns(unread, group):
        column = cut(names[0])
        raise RowError(
            "unread",
            f"field {column!r} holds text that the layout {layout} does not read: say what it is "
            f"(data.columns={{input: {column}}}, or system), or leave it out (data.columns={{{column}: null}})",
        )


def refuse_pointers(group: PromptGroup, unread: RowValues) -> None:
    """Refuse responses that only name the columns with the texts, such as "A" and "B" beside `response_a`.

    Raises:
        RowError: names the columns that are meant.
    """
    texts = {name.strip().lower(): name for name, value in unread.items() if is_text(value)}
    if not (texts and group.comparisons):
        return
    named_columns = [_column_named(response.text.strip().lower(), texts) for response in group.responses]
    columns = [cut(name) for name in named_columns if name is not None]
    # Both names of one column, or a name for one response only, are a coincidence.
    if len(columns) < len(named_columns) or len(set(named_columns)) < len(named_columns):
        return
    raise RowError(
        "unread",
        f"the responses {cut(group.responses[0].text)!r} and {cut(group.responses[1].text)!r} seem to name the columns "
        f"{columns[0]!r} and {columns[1]!r}, which hold the texts: write the texts themselves, or leave these columns "
        f"out (data.columns={{{columns[0]}: null, {columns[1]}: null}})",
    )


def _column_named(text: str, columns: Mapping[str, str]) -> str | None:
    """Return the column that a text names, by its whole name or by the end of it."""
    if not text or len(text) > LONGEST_POINTER:
        return None
    # "A" for `response_a`, "model 1" for `output_model 1`
    ends = [column for low, column in columns.items() if re.search(rf"[_\-. ]{re.escape(text)}\Z", low)]
    return columns.get(text) or next(iter(ends), None)


def _texts_of(group: PromptGroup) -> set[str]:
    return {turn.text.strip() for turn in prompt_turns(group.prompt)} | {
        response.text.strip() for response in group.responses
    }


def _is_copy(value: object, texts: set[str]) -> bool:
    return all(not text.strip() or text.strip() in texts for text in texts_in(value))
