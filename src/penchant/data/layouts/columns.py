"""Columns beside those that a layout's reader takes: mapped, added to the prompt, named, or refused.

A column that nobody reads may be half of the prompt. What belongs to it by its name (`system`, `input`, `context`,
`history`) is added to it, what the model would be shown and cannot be read yet (tools, pictures) is refused, and every
other column is named. `columns` (the setting `data.columns`) says it where names do not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from penchant.data.layouts.turns import history_turns
from penchant.data.options import Columns
from penchant.data.sources.values import RowError, as_text, cut, holds, words_of
from penchant.types import Message, Prompt, PromptGroup

SYSTEM_COLUMNS = ("system", "system_prompt", "system_message")
INPUT_COLUMNS = ("input", "context")
# Names under which a prompt, or a part of it, is published. Beside a prompt that was read they are never passed over.
PROMPT_COLUMNS = (
    "prompt",
    "instruction",
    "question",
    "query",
    "input",
    "inputs",
    "context",
    "history",
    "conversations",
    "conversation",
    "messages",
    "dialog",
    "dialogue",
    "passage",
    "passages",
    "document",
    "documents",
    "article",
    "post",
    "choices",
    "options",
    "endings",
)
CONTEXT_COLUMNS = (*SYSTEM_COLUMNS, *INPUT_COLUMNS, "history")
SHOWN_COLUMNS = (*SYSTEM_COLUMNS, *PROMPT_COLUMNS)
TOOL_COLUMNS = ("tools", "functions")
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
    r"principle|analysis|response|completion|generation|chosen|rejected|answer|output).*",
    re.IGNORECASE,
)


LONGEST_POINTER = 40  # characters of a text that may be a column's name


class ReadRow(dict[str, Any]):
    """A row that remembers which of its columns a reader looked at."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        super().__init__(values)
        self.looked_at: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        self.looked_at.add(name)
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        """Return the column's value, or the default where the row lacks it."""
        self.looked_at.add(name)
        return super().get(name, default)

    def unread(self) -> dict[str, Any]:
        """Return the columns that hold something and that nobody looked at."""
        return {str(name): value for name, value in self.items() if name not in self.looked_at and holds(value)}


def rename_columns(values: Mapping[str, Any], columns: Columns) -> dict[str, Any]:
    """Return the row with its columns under the names that layouts know.

    Args:
        columns: by field, the column that holds it. None leaves the column of that name out.

    Raises:
        RowError: the row lacks a column that is named.
    """
    renamed = {column for column in columns.values() if column is not None}
    for field, column in columns.items():
        if column is not None and column not in values:
            names = ", ".join(cut(name) for name in list(values)[:20])
            raise RowError("missing", f"data.columns: {field} is to be {cut(column)!r}, but the row has {names}")
    remaining = {name: value for name, value in values.items() if name not in renamed and name not in columns}
    return {**{field: values[column] for field, column in columns.items() if column is not None}, **remaining}


def is_text(value: Any) -> bool:
    """Return whether a cell holds text, however deep inside."""
    return any(text.strip() for text in texts_in(value))


def texts_in(value: Any) -> Iterator[str]:
    """Return all texts of a cell; of turns what they say, not the names of their roles."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from texts_in(item)
    elif isinstance(value, dict):
        for name, item in value.items():
            if name not in ("role", "from"):
                yield from texts_in(item)


def is_metadata(name: str, value: Any) -> bool:
    """Return whether a column identifies or describes its row instead of saying anything to a model."""
    if name == "models" and isinstance(value, list):  # who wrote the responses; `penchant rank` reads it
        return True
    return METADATA.fullmatch(name) is not None and not any(" " in text.strip() for text in texts_in(value))


def text_columns(unread: Mapping[str, Any], group: PromptGroup | None = None) -> list[str]:
    """Return the unread columns with text of their own: no metadata, and nothing that the group says as well."""
    names = [name for name, value in unread.items() if is_text(value) and not is_metadata(name, value)]
    if not names or group is None:
        return names
    group_texts = _texts_of(group)
    return [name for name in names if not _is_copy(unread[name], group_texts)]


def add_context(group: PromptGroup, row: ReadRow) -> PromptGroup:
    """Return the group with what belongs to its prompt beside it: system, history, and input or context.

    An instruction with an input is something a user says, so such a prompt becomes turns, as in `instruction_turns`.

    Raises:
        RowError: a value of another kind, or two system turns that differ.
    """
    unread = {name: row[name] for name in CONTEXT_COLUMNS if name in row and name not in row.looked_at}
    unread = {name: value for name, value in unread.items() if holds(value)}
    if not unread:
        return group
    prompt_texts = _texts_of(group.replace(responses=(), comparisons=(), scores=None))
    system = [name for name in SYSTEM_COLUMNS if name in unread]
    inputs = [name for name in INPUT_COLUMNS if name in unread and not _is_copy(unread[name], prompt_texts)]
    history = "history" in unread and not _is_copy(unread["history"], prompt_texts)
    if not (system or inputs or history):
        return group
    turns = (Message("user", group.prompt),) if isinstance(group.prompt, str) else group.prompt
    for name in inputs:
        turns = _with_input(turns, as_text(row[name], name), name)
    lead = turns[:1] if turns[0].role == "system" else ()
    if history:
        turns = (*lead, *history_turns(row["history"]), *turns[len(lead) :])
    for name in system:
        turns = _with_system(turns, as_text(row[name], name), name)
    return group.replace(prompt=turns)


def _with_input(turns: tuple[Message, ...], text: str, name: str) -> tuple[Message, ...]:
    if turns[-1].role != "user":
        raise RowError(
            "history", f"field {name!r} belongs to a question, but the prompt's last turn is the {turns[-1].role}'s"
        )
    return (*turns[:-1], Message("user", f"{turns[-1].content}\n\n{text}"))


def _with_system(turns: tuple[Message, ...], text: str, name: str) -> tuple[Message, ...]:
    if turns[0].role != "system":
        return (Message("system", text), *turns)
    if turns[0].content.strip() != text.strip():
        raise RowError("value", f"field {name!r} differs from the prompt's own system turn; keep one of them")
    return turns


def refuse_lost(group: PromptGroup, unread: Mapping[str, Any], layout: str, *, prescribed: bool) -> None:
    """Refuse a row whose unread columns belong to what the model is shown.

    Args:
        prescribed: whether somebody named the layout: then what it does not read may be another prompt.

    Raises:
        RowError: names the column and what to do.
    """
    for name, value in unread.items():
        kind, column = name.strip().lower(), cut(name)
        leave_out = f"data.columns={{{column}: null}} leaves it out"
        if kind in TOOL_COLUMNS:
            raise RowError(
                "unread", f"field {column!r}: tools are shown to the model and cannot be read yet; {leave_out}"
            )
        if any(map(MEDIA_WORD.fullmatch, words_of(name))) and not isinstance(value, int | float):
            raise RowError("unread", f"field {column!r}: pictures, videos and sounds cannot be read yet; {leave_out}")
        if not prescribed and kind in SHOWN_COLUMNS and is_text(value) and not _is_copy(value, _texts_of(group)):
            raise RowError(
                "unread",
                f"field {column!r} is not read by the layout {layout}, though by its name it is part of the prompt. "
                f"Say what it is (data.columns={{prompt: {column}}}, or input or system); {leave_out}",
            )


def refuse_texts(group: PromptGroup, unread: Mapping[str, Any], layout: str) -> None:
    """Refuse a row with any unread text of its own.

    Raises:
        RowError: names the column and what to do.
    """
    names = text_columns(unread, group)
    if names:
        column = cut(names[0])
        raise RowError(
            "unread",
            f"field {column!r} holds text that the layout {layout} does not read: say what it is "
            f"(data.columns={{input: {column}}}, or system), or leave it out (data.columns={{{column}: null}})",
        )


def refuse_pointers(group: PromptGroup, unread: Mapping[str, Any]) -> None:
    """Refuse responses that only name the columns with the texts, such as "A" and "B" beside `response_a`.

    Raises:
        RowError: names the columns that are meant.
    """
    texts = {name.strip().lower(): name for name, value in unread.items() if is_text(value)}
    if not (texts and group.comparisons):
        return
    chosen_columns = [_column_named(response.text.strip().lower(), texts) for response in group.responses]
    if None in chosen_columns or len(set(chosen_columns)) < len(chosen_columns):
        return
    columns = [cut(name) for name in chosen_columns if name is not None]
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
    ends = [column for low, column in columns.items() if re.search(rf"[_\-. ]{re.escape(text)}\Z", low)]
    return columns.get(text) or next(iter(ends), None)


def _texts_of(group: PromptGroup) -> set[str]:
    prompt: Prompt = group.prompt
    texts = {prompt.strip()} if isinstance(prompt, str) else {turn.content.strip() for turn in prompt}
    return texts | {response.text.strip() for response in group.responses}


def _is_copy(value: Any, texts: set[str]) -> bool:
    return all(not text.strip() or text.strip() in texts for text in texts_in(value))
