"""Read our own JSONL, the one layout that can say all that a `PromptGroup` holds."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from penchant.data.layouts.calls import as_calls
from penchant.data.layouts.media import as_parts
from penchant.data.layouts.outcomes import (
    comparisons_of_ranking,
    comparisons_of_ranks,
    refuse_identical,
    require_length,
    response_index,
)
from penchant.data.layouts.turns import as_prompt
from penchant.data.sources.values import (
    RowError,
    RowValues,
    as_integer,
    as_list,
    as_number,
    as_object,
    as_text,
    describe,
)
from penchant.errors import did_you_mean
from penchant.types import Comparison, PromptGroup, Response

MOST_SAMPLES = 1_000_000  # that one response may stand for; judges are asked about each
RESPONSE_FIELDS = ("text", "content", "token_ids", "finished", "count", "reasoning", "tool_calls")
FIELDS = ("prompt", "responses", "comparisons", "scores", "ranking", "ranks", "columns")


def read_penchant(row: RowValues) -> PromptGroup:
    """Read our own JSONL: `prompt`, `responses`, and `comparisons` or `ranking` or `ranks`, and `scores`.

    A response is text or `{"text", "token_ids", "finished", "count", "reasoning", "tool_calls"}`; its text may be empty
    only where token ids say that it was sampled so, or where it calls functions. In place of `text` one that shows
    pictures or plays sounds has `content`, a list of parts as a turn has it. `ranking` lists response indices from
    best to worst, with tied ones in a list of their own (`[2, [0, 1]]`); `ranks` gives each response its place (1 the
    best, equal places tie). Scores are kept as they are: they make no comparisons. `columns` is an object: what else is
    known of the row, for rewards that read it.
    """
    _refuse_misspelled(row)
    prompt = as_prompt(row["prompt"], "prompt")
    responses = [_own_response(value, f"responses[{i}]") for i, value in enumerate(_own_list(row, "responses"))]
    judgments = [field for field in READERS if row.get(field) is not None]
    # Two of them could contradict each other, and nothing says which holds.
    if len(judgments) > 1:
        raise RowError("value", f"fields {' and '.join(map(repr, judgments))}: give only one of them")
    comparisons: list[Comparison] = []
    for field in judgments:
        comparisons = READERS[field](_own_list(row, field), len(responses))
        refuse_identical(responses, comparisons, field)
    scores = None
    if row.get("scores") is not None:
        values = _own_list(row, "scores")
        scores = [as_number(value, f"scores[{index}]") for index, value in enumerate(values)]
        require_length("scores", len(scores), len(responses))
    columns = None if row.get("columns") is None else as_object(row["columns"], "columns")
    return PromptGroup(prompt, responses, comparisons, scores, columns=columns)


def _own_list(row: RowValues, field: str) -> list[object]:
    return as_list(row[field], field, of={"responses": "responses", "comparisons": "objects"}.get(field, "numbers"))


def _refuse_misspelled(row: RowValues) -> None:
    """Refuse fields that look like a known one; others (an id, notes) may stand in a row of ours."""
    for field in row:
        if field in FIELDS:  # almost always: looking for near names in every row took half of the reading
            continue
        if suggestion := did_you_mean(field, FIELDS, form=repr, cutoff=0.8):
            raise RowError("value", f"field {field!r} is unknown{suggestion}")


def _known_fields(value: object, name: str, *known_fields: str) -> RowValues:
    """Return the fields of an object that are filled; of an object of ours each must be known."""
    fields = as_object(value, name)
    if unknown := set(fields) - set(known_fields):
        raise RowError("value", f"field {name!r}: unknown {min(unknown)!r}; known are {', '.join(known_fields)}")
    return {field: content for field, content in fields.items() if content is not None}  # tables fill up with null


def _own_response(value: object, name: str) -> Response:
    if isinstance(value, str):
        return Response(as_text(value, name))
    fields = _known_fields(value, name, *RESPONSE_FIELDS)
    token_ids = None
    if "token_ids" in fields:
        items = as_list(fields["token_ids"], f"{name}.token_ids", of="token ids")
        token_ids = tuple(as_integer(item, f"{name}.token_ids[{i}]", low=0, high=2**31) for i, item in enumerate(items))
    # Of a sample the ids count. Its text may be empty or hold NUL, as where only an end token was drawn.
    calls = as_calls(fields.get("tool_calls"), f"{name}.tool_calls")
    parts = as_parts(fields["content"], f"{name}.content") if "content" in fields else ""
    if parts and "text" in fields:
        raise RowError("value", f"fields '{name}.text' and '{name}.content': give only one of them")
    if isinstance(parts, str) and parts:
        fields["text"] = parts
    without_text = bool(token_ids or calls or isinstance(parts, tuple))
    text = as_text(
        fields.get("text", "" if calls or isinstance(parts, tuple) else None),
        f"{name}.text",
        empty_ok=without_text,
        nul_ok=bool(token_ids),
    )
    reasoning = as_text(fields.get("reasoning", ""), f"{name}.reasoning", empty_ok=True)
    finished = _as_flag(fields.get("finished", True), f"{name}.finished")
    count = as_integer(fields.get("count", 1), f"{name}.count", low=1, high=MOST_SAMPLES)
    return Response(text, token_ids, finished, count, reasoning, calls, parts if isinstance(parts, tuple) else ())


def _as_flag(value: object, name: str) -> bool:
    if not isinstance(value, bool):
        raise RowError("type", f"field {name!r}: expected true or false, got {describe(value)}")
    return value


def _own_comparisons(items: Sequence[object], responses: int) -> list[Comparison]:
    comparisons = []
    for index, value in enumerate(items):
        name = f"comparisons[{index}]"
        fields = _known_fields(value, name, "winner", "loser", "tie", "annotator", "weight")
        winner = response_index(fields.get("winner"), f"{name}.winner", responses)
        loser = response_index(fields.get("loser"), f"{name}.loser", responses)
        if winner == loser:
            raise RowError("identical", f"field {name!r}: winner and loser are both response {winner}")
        weight = as_number(fields.get("weight", 1.0), f"{name}.weight")
        if weight <= 0:
            raise RowError("value", f"field '{name}.weight': expected a number above 0, got {weight}")
        tie = _as_flag(fields.get("tie", False), f"{name}.tie")
        annotator = fields.get("annotator")
        # many files number their annotators; True is an int in Python, and names nobody
        if annotator is not None and (isinstance(annotator, bool) or not isinstance(annotator, int)):
            annotator = as_text(annotator, f"{name}.annotator", empty_ok=True)
        comparisons.append(Comparison(winner, loser, tie, None if annotator is None else str(annotator), weight))
    return comparisons


READERS: dict[str, Callable[[Sequence[object], int], list[Comparison]]] = {
    "comparisons": _own_comparisons,
    "ranking": comparisons_of_ranking,
    "ranks": comparisons_of_ranks,
}
"""The fields that say who won; a row has at most one. A reader takes the items and the number of responses."""
