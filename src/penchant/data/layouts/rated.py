"""Read rows with rated responses: one per row, of which those of one prompt are compared, or a list with ratings."""

from __future__ import annotations

from collections.abc import Mapping

from penchant.data.layouts.cells import unfold_turns
from penchant.data.layouts.columns import note_others, pass_over
from penchant.data.layouts.demonstrations import read_completion
from penchant.data.layouts.outcomes import comparisons_of_scores, require_length
from penchant.data.layouts.rating_rules import (
    number_in,
    rating_weights,
    state_only_rating,
    state_rater,
    weighted_rating,
)
from penchant.data.layouts.transcripts import marked_turns
from penchant.data.layouts.turns import as_prompt, prompt_or_instruction
from penchant.data.sources.values import RowError, RowValues, as_list, as_number, as_object, as_text, flag
from penchant.types import PromptGroup

HELPSTEER_RATINGS = ("helpfulness", "correctness", "coherence", "complexity", "verbosity")
RATING_FIELDS = ("rating", "score", "reward")
# What promptfoo records of a result beside the answer: the prompt already holds the variables.
PROMPTFOO_RECORDS = ("provider", "vars", "testCase", "gradingResult", "metadata", "error")


def read_helpsteer(row: RowValues) -> PromptGroup:
    """Read HelpSteer: a response per row with five ratings; `helpfulness` counts unless `data.score` names others."""
    weights = rating_weights(row, HELPSTEER_RATINGS[0])
    for name in (*HELPSTEER_RATINGS, *weights):
        row.get(name)
    prompt = row["prompt"]
    prompt = marked_turns(as_text(prompt, "prompt")) if isinstance(prompt, str) else as_prompt(prompt, "prompt")
    return PromptGroup(prompt, [as_text(row["response"], "response")], (), [weighted_rating(_numbers(row), weights)])


def read_rated(row: RowValues) -> PromptGroup:
    """Read a prompt with one response and its `rating`, `score` or `reward`, or what `data.score` names.

    `annotator` or `rater` says who rated it.
    """
    field = next((name for name in RATING_FIELDS if row.get(name) is not None), RATING_FIELDS[0])
    weights = rating_weights(row, field)
    for name in weights:
        row.get(name)
    state_rater(row)
    return read_completion(row).replace(scores=(weighted_rating(_numbers(row), weights),))


def _numbers(row: RowValues) -> Mapping[str, object]:
    """Return the columns that hold numbers, also those that are written as text."""
    numbers = {name: number_in(value) for name, value in row.items()}
    return {
        name: number
        for name, number in numbers.items()
        if isinstance(number, int | float) and not isinstance(number, bool)
    }


def read_distilabel(row: RowValues) -> PromptGroup:
    """Read distilabel: an instruction, its `generations`, and a rating of each."""
    texts = [
        as_text(value, f"generations[{index}]")
        for index, value in enumerate(as_list(row["generations"], "generations", of="texts"))
    ]
    field = "ratings" if row.get("ratings") is not None else "rating"
    values = as_list(row[field], field, of="numbers")
    require_length(field, len(values), len(texts))
    scores = [as_number(number_in(value), f"{field}[{index}]") for index, value in enumerate(values)]
    state_only_rating(row, field)
    return PromptGroup(prompt_or_instruction(row), texts, comparisons_of_scores(scores, texts), scores)


def is_promptfoo(row: RowValues) -> bool:
    """Return whether a row is a result of promptfoo's."""
    return isinstance(row.get("prompt"), dict) and (isinstance(row.get("response"), dict) or "error" in row)


def read_promptfoo(row: RowValues) -> PromptGroup:
    """Read a result of promptfoo's: the prompt as it was sent, the answer, and its score.

    `data.score` may name one of the `namedScores`, or `success` (1 or 0).
    """
    rendered, response = as_object(row["prompt"], "prompt"), as_object(row["response"], "response")
    raw = as_text(rendered.get("raw"), "prompt.raw")
    note_others(row, "prompt", rendered, ("raw",))
    note_others(row, "response", response, ("output",))
    named_scores = as_object(row.get("namedScores") or {}, "namedScores")
    ratings: dict[str, object] = {"score": row.get("score"), **named_scores}
    if row.get("success") is not None:
        ratings["success"] = int(flag(row["success"], "success"))
    weights = rating_weights(row, "score")
    pass_over(row, *PROMPTFOO_RECORDS)
    prompt = as_prompt(unfold_turns({"prompt.raw": raw})["prompt.raw"], "prompt.raw")
    if not isinstance(response.get("output"), str):
        raise RowError(
            "type", "field 'response.output': expected the answer's text; results of other kinds are not read"
        )
    text = as_text(response["output"], "response.output")
    return PromptGroup(prompt, [text], (), [weighted_rating(ratings, weights)])
