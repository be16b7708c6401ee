"""Read records that Argilla exports: fields of text, and what each annotator answered to the questions about them.

Argilla 1 writes a column for each question, with `user_id`, `value` and `status` of every answer. Argilla 2 writes the
columns `QUESTION.responses`, `QUESTION.responses.users` and `QUESTION.responses.status`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import fmean

from penchant.data.layouts.columns import pass_over
from penchant.data.layouts.outcomes import comparisons_of_ranks, refuse_identical
from penchant.data.layouts.rating_rules import rating_weights, rules_of, weighted_rating
from penchant.data.layouts.turns import as_prompt
from penchant.data.sources.values import RowError, RowValues, as_list, as_number, as_records, as_text, cut
from penchant.types import Comparison, PromptGroup

PROMPT_FIELDS = ("prompt", "instruction", "question")
RESPONSE_FIELDS = ("response", "completion", "answer", "output", "generation")
ANSWER_KEYS = {"user_id", "value", "status"}
SUFFIX = ".responses"
SUBMITTED = "submitted"  # drafts and discarded answers are no verdicts


@dataclass(frozen=True)
class Answer:
    """What one person answered to one question."""

    question: str
    person: str | None
    value: object


def has_answers(row: RowValues) -> bool:
    """Return whether a row has a column with answers of annotators, in one of both forms."""
    return any(
        _is_question(value) or (name.endswith(SUFFIX) and isinstance(value, list) and f"{name}.users" in row)
        for name, value in row.items()
    )


def read_record(row: RowValues) -> PromptGroup:
    """Read a record: rankings compare the fields that they name, ratings rate its response.

    Ratings of several people are averaged. Where there are several rating questions, `data.score` says which counts.
    """
    answers = list(_answers(row))
    rankings = [answer for answer in answers if _ranking(answer.value) is not None]
    ratings = [answer for answer in answers if isinstance(answer.value, int | float)]
    field = next(name for name in PROMPT_FIELDS if row.get(name) is not None)
    prompt = as_prompt(row[field], field)
    pass_over(row, *(name for name in row if f"{SUFFIX}." in name or "suggestion" in name))
    if rankings:
        names, comparisons = _compared(row, rankings)
        group = PromptGroup(prompt, [as_text(row[name], name) for name in names], comparisons)
        refuse_identical(group.responses, comparisons, rankings[0].question)
        return group
    if not ratings:
        raise RowError("empty", "the record has no submitted ranking and no submitted rating")
    response = next((name for name in RESPONSE_FIELDS if row.get(name) is not None), None)
    if response is None:
        raise RowError(
            "missing",
            f"the record has no field {' or '.join(map(repr, RESPONSE_FIELDS))}: say which field was rated "
            "(data.columns={response: FIELD})",
        )
    return PromptGroup(prompt, [as_text(row[response], response)], (), [_rating(row, ratings)])


def _is_question(value: object) -> bool:
    """Return whether a cell holds answers as Argilla 1 writes them; old `datasets` turn the list around."""
    if isinstance(value, dict):
        return value.keys() >= ANSWER_KEYS
    return (
        isinstance(value, list) and bool(value) and all(isinstance(i, dict) and i.keys() >= ANSWER_KEYS for i in value)
    )


def _answers(row: RowValues) -> Iterator[Answer]:
    """Yield the submitted answers to all questions."""
    for name in list(row):
        value = dict.get(row, name)
        if _is_question(value):
            for record in as_records(row[name], name):
                if record["status"] == SUBMITTED:
                    yield Answer(name, _person(record["user_id"]), record["value"])
        elif name.endswith(SUFFIX) and isinstance(value, list):
            values = as_list(row[name], name, of="answers")
            people = _column(row, f"{name}.users", len(values))
            states = _column(row, f"{name}.status", len(values))
            for person, state, answer in zip(people, states, values, strict=True):
                if state in (SUBMITTED, None):
                    yield Answer(name.removesuffix(SUFFIX), _person(person), answer)


def _column(row: RowValues, name: str, length: int) -> list[object]:
    """Return what stands beside the answers: a list of the same length, or nothing for each where there is none."""
    if row.get(name) is None:
        return [None] * length
    items = as_list(row[name], name, of="one per answer")
    if len(items) != length:
        raise RowError("value", f"field {name!r}: expected {length} items, one per answer, got {len(items)}")
    return items


def _person(value: object) -> str | None:
    return None if value is None else str(value)


def _ranking(value: object) -> list[tuple[str, object]] | None:
    """Return the fields that were ranked, each with its rank; None for an answer that is no ranking."""
    if isinstance(value, list) and len(value) > 1 and all(isinstance(item, str) for item in value):
        return [(str(item), rank) for rank, item in enumerate(value, start=1)]
    try:
        records = as_records(value, "value")
    except RowError:
        return None
    if not records or any(record.keys() < {"rank", "value"} for record in records):
        return None
    return [(str(record["value"]), record["rank"]) for record in records]


def _compared(row: RowValues, rankings: list[Answer]) -> tuple[list[str], list[Comparison]]:
    """Return the fields that were ranked, and a comparison for every pair of each annotator's ranking.

    Raises:
        RowError: a ranking names what is no field of the record.
    """
    fields = {name.replace("-", "_").lower(): name for name in row}  # `reply-1` is the field `reply_1`
    names: list[str] = []
    comparisons = []
    for answer in rankings:
        ranked = []
        for label, rank in _ranking(answer.value) or []:
            field = fields.get(label.replace("-", "_").lower())
            if field is None:
                raise RowError(
                    "missing",
                    f"the ranking {answer.question!r} names {cut(label)!r}, which is no field of the record: say which "
                    f"it is (data.columns={{{cut(label)}: FIELD}})",
                )
            names += [field] if field not in names else []
            ranked.append((names.index(field), rank))
        for pair in comparisons_of_ranks([rank for _, rank in ranked], len(ranked)):
            winner, loser = ranked[pair.winner][0], ranked[pair.loser][0]
            comparisons.append(Comparison(winner, loser, pair.tie, answer.person))
    return names, comparisons


def _rating(row: RowValues, ratings: list[Answer]) -> float:
    values: dict[str, list[float]] = {}
    for answer in ratings:
        values.setdefault(answer.question, []).append(as_number(answer.value, answer.question))
    questions = list(values)
    if len(questions) > 1 and rules_of(row).score is None:
        names = ", ".join(map(cut, questions))
        raise RowError(
            "unread", f"the record has several ratings ({names}): say which compares (data.score={questions[0]})"
        )
    weights = rating_weights(row, questions[0])
    return weighted_rating({question: fmean(numbers) for question, numbers in values.items()}, weights)
