"""Read exports of Label Studio (JSON): tasks with what people compared (`Pairwise`) or rated (`Rating`, `Number`)."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import fmean

from penchant.data.layouts.columns import PROMPT_COLUMN, note_nested
from penchant.data.layouts.outcomes import comparisons_of_scores, refuse_identical
from penchant.data.layouts.rating_rules import rating_weights, rules_of, weighted_rating
from penchant.data.layouts.turns import as_prompt
from penchant.data.sources.values import RowError, RowValues, as_number, as_object, as_records, as_text, cut, holds
from penchant.types import Comparison, Prompt, PromptGroup

SIDES = ("left", "right")
RATING_TYPES = ("rating", "number")


def is_task(row: RowValues) -> bool:
    """Return whether a row is an annotated task."""
    return isinstance(row.get("data"), dict) and isinstance(row.get("annotations"), list)


def read_task(row: RowValues) -> PromptGroup:
    """Read a task: its `data` holds prompt and responses, its `annotations` who preferred or rated which.

    A control names what it is about by the names of other tags (`toName`); the responses are the fields of `data` with
    these names. Ratings of several people are averaged.
    """
    data = as_object(row["data"], "data")
    results = list(_results(row))
    pairwise = [(person, result) for person, result in results if result.get("type") == "pairwise"]
    ratings = [(person, result) for person, result in results if result.get("type") in RATING_TYPES]
    if pairwise:
        return _compared(row, data, pairwise)
    if ratings:
        return _rated(row, data, ratings)
    raise RowError("empty", "field 'annotations': nobody compared or rated anything (Pairwise, Rating or Number)")


def _results(row: RowValues) -> Iterator[tuple[str | None, RowValues]]:
    """Yield the results of all annotations that were not cancelled, each with who made it."""
    for index, annotation in enumerate(as_records(row["annotations"], "annotations")):
        # whoever cancelled a task said nothing about it
        if annotation.get("was_cancelled") is True:
            continue
        person = annotation.get("completed_by")
        # a number in most exports, the whole account in others
        if isinstance(person, dict):
            person = person.get("email") or person.get("id")
        name = f"annotations[{index}].result"
        for result in as_records(annotation.get("result"), name):
            # comments and choices of an annotator are no comparison, and are named as unread
            if result.get("type") not in ("pairwise", *RATING_TYPES):
                note_nested(row, f"annotations[].result[{result.get('from_name')}]")
            yield (None if person is None else str(person)), result


def _compared(row: RowValues, data: RowValues, results: list[tuple[str | None, RowValues]]) -> PromptGroup:
    # annotators of one task may have seen different pairs where a project changed meanwhile
    names = list(dict.fromkeys(tuple(_targets(result)) for _, result in results))
    if len(names) != 1 or len(names[0]) != len(SIDES):
        raise RowError("value", f"field 'annotations': expected comparisons of one pair, got {names}")
    comparisons = []
    for person, result in results:
        selected = as_object(result.get("value"), "annotations.result.value").get("selected")
        if selected not in SIDES:
            raise RowError(
                "value", f"field 'annotations.result.value.selected': expected left or right, got {selected!r}"
            )
        winner = SIDES.index(str(selected))
        comparisons.append(Comparison(winner, 1 - winner, annotator=person))
    texts = [_response(row, data, name) for name in names[0]]
    group = PromptGroup(_prompt(row, data, names[0]), texts, comparisons)
    refuse_identical(group.responses, comparisons, "annotations")
    return group


def _rated(row: RowValues, data: RowValues, results: list[tuple[str | None, RowValues]]) -> PromptGroup:
    values: dict[str, dict[str, list[float]]] = {}
    for _, result in results:
        kind, control = str(result.get("type")), str(result.get("from_name"))
        number = as_number(
            as_object(result.get("value"), "annotations.result.value").get(kind), f"annotations.{control}"
        )
        for name in _targets(result):
            values.setdefault(name, {}).setdefault(control, []).append(number)
    controls = list(dict.fromkeys(control for by_control in values.values() for control in by_control))
    # which of several ratings counts decides who wins, so nobody guesses it
    if len(controls) > 1 and rules_of(row).score is None:
        names = ", ".join(map(cut, controls))
        raise RowError(
            "unread", f"the task has several ratings ({names}): say which compares (data.score={controls[0]})"
        )
    weights = rating_weights(row, controls[0])
    texts = [_response(row, data, name) for name in values]
    scores = [
        weighted_rating({control: fmean(numbers) for control, numbers in values[name].items()}, weights)
        for name in values
    ]
    return PromptGroup(_prompt(row, data, tuple(values)), texts, comparisons_of_scores(scores, texts), scores)


def _targets(result: RowValues) -> list[str]:
    return [name.strip() for name in as_text(result.get("to_name"), "annotations.result.to_name").split(",")]


def _response(row: RowValues, data: RowValues, name: str) -> str:
    value = row.get(name, data.get(name))
    if value is None:
        fields = ", ".join(map(cut, data))
        raise RowError(
            "missing",
            f"field 'data' has {fields}, and none is {cut(name)!r}, which the annotations are about: say which it "
            f"shows (data.columns={{{cut(name)}: data.FIELD}})",
        )
    return as_text(value, f"data.{name}")


def _prompt(row: RowValues, data: RowValues, responses: tuple[str, ...]) -> Prompt:
    """Return the prompt: the column of that name, else the field of `data` with text that is no response.

    Raises:
        RowError: no field is left, or several that could be the prompt.
    """
    spare = [name for name, value in data.items() if name not in responses and isinstance(value, str | list)]
    spare = [name for name in spare if holds(data[name])]
    if row.get("prompt") is not None:
        prompt = as_prompt(row["prompt"], "prompt")
    else:
        likely = [name for name in spare if PROMPT_COLUMN.fullmatch(name.strip().lower())] or spare
        if len(likely) != 1:
            fields = " and ".join(repr(cut(name)) for name in likely[:3]) or "none"
            raise RowError(
                "unread" if likely else "missing",
                f"field 'data': {fields} could be the prompt; say which it is (data.columns={{prompt: data.FIELD}})",
            )
        prompt = as_prompt(data[likely[0]], f"data.{likely[0]}")
        spare.remove(likely[0])
    for name in spare:
        note_nested(row, f"data.{name}")
    return prompt
