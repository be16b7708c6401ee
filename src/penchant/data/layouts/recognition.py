"""Tell layouts with the same fields apart by the kinds of their values, and refuse rows that are in doubt."""

from __future__ import annotations

from collections.abc import Sequence

from penchant.data.layouts import pairs
from penchant.data.layouts.columns import COMMENTARY, SYSTEM_COLUMNS, text_columns
from penchant.data.layouts.multiple import RANKED_FIELDS
from penchant.data.layouts.pair_ratings import rating_fields
from penchant.data.layouts.turns import ROLES
from penchant.data.sources.values import RowError, RowValues, cut


def is_list(row: RowValues, *names: str) -> bool:
    """Return whether one of some columns holds a list."""
    return any(isinstance(row.get(name), list) for name in names)


def has_lists(row: RowValues) -> bool:
    """Return whether `chosen` or `rejected` is a list."""
    return is_list(row, "chosen", "rejected")


def has_transcript(row: RowValues) -> bool:
    """Return whether a side is a conversation in one text."""
    # one is enough: of a row whose other side is damaged, the reader of transcripts says what is wrong
    return any(pairs.is_transcript(row[name]) for name in ("chosen", "rejected"))


def has_turns(row: RowValues) -> bool:
    """Return whether prompt or sides are turns."""
    # a single turn may stand there without a list around it
    objects = isinstance(row.get("chosen"), dict) or isinstance(row.get("rejected"), dict)
    return objects or is_list(row, "prompt", "chosen", "rejected")


PROMPT_LIKE = ("prompt", "instruction", "question", "query", "input", "context", "history", "conversations", "post")


def is_sharegpt(row: RowValues) -> bool:
    """Return whether a conversation waits for its answer; `messages` that end with it repeat what `chosen` says."""
    if row.get("conversations") is not None:
        return True
    if row.get("prompt") is not None or not row["messages"]:
        return False
    return _last_role(row["messages"]) != "assistant"


def waits_for_answer(row: RowValues) -> bool:
    """Return whether a conversation does not end with an answer."""
    turns = row.get("messages") if row.get("messages") is not None else row.get("conversations")
    return isinstance(turns, list) and bool(turns) and _last_role(turns) != "assistant"


def _last_role(turns: object) -> str | None:
    last = turns[-1] if isinstance(turns, list) else {}
    role = str(last.get("role") or last.get("from")).lower() if isinstance(last, dict) else ""
    return ROLES.get(role)


def has_no_columns(row: RowValues, *names: str) -> bool:
    """Return whether some columns are all absent or empty."""
    return all(row.get(name) is None for name in names)


def is_bare(row: RowValues) -> bool:
    """Return whether no column may be a prompt."""
    # a prompt under another name would be thrown away in silence
    return has_no_columns(row, *PROMPT_LIKE) and not is_list(row, "messages")


def doubt_implicit(row: RowValues) -> None:
    """Refuse a shared beginning as the prompt where something else can be it, or where it does not end as one."""
    # Ratings are read with the pair, and may be texts such as "4/5".
    read = ("chosen", "rejected", *(rating_fields(row) or ()))
    if texts := text_columns({name: value for name, value in row.items() if name not in read}):
        candidates = [name for name in texts if name not in SYSTEM_COLUMNS and not COMMENTARY.fullmatch(name)]
        if len(candidates) > 1:
            raise RowError("unread", which_prompt(candidates))
        name = cut((candidates or texts)[0])
        raise RowError(
            "unread",
            f"field {name!r} holds text that is not read, and there is no field 'prompt': say what it is "
            f"(data.columns={{prompt: {name}}}), or leave it out (data.columns={{{name}: null}})",
        )
    pairs.refuse_cut_sentence(row)


def which_prompt(names: Sequence[str]) -> str:
    """Return the question which of several columns is the prompt."""
    columns = [cut(name) for name in names[:5]]
    listed = f"{', '.join(map(repr, columns[:-1]))} and {columns[-1]!r}"
    return (
        f"fields {listed} could all be the prompt, and there is no field 'prompt': say which one is "
        f"(data.columns={{prompt: {columns[0]}}}), and what the others are (data.columns={{input: {columns[1]}}}, or "
        f"system), or leave them out (data.columns={{{columns[1]}: null}})"
    )


def has_ranked_list(row: RowValues) -> bool:
    """Return whether a list of answers stands under a name that means their order."""
    return is_list(row, *RANKED_FIELDS)


def doubt_ranked(row: RowValues) -> None:
    """Refuse a list that may not be in order: a model's samples, or answers that are all right, look the same.

    What says so: `ranks`, the name `ranked`, or LLaMA-Factory's `instruction` with two outputs.
    """
    field = next(name for name in RANKED_FIELDS if row.get(name) is not None)
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
