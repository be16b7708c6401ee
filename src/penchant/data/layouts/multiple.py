"""Read the layouts whose rows hold several responses, or several verdicts on two."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from itertools import combinations

from penchant.data.layouts.columns import note_others
from penchant.data.layouts.outcomes import comparisons_of_ranks, comparisons_of_scores, refuse_identical
from penchant.data.layouts.rating_rules import nested_ratings, rating_weights, weighted_rating
from penchant.data.layouts.turns import instruction_turns, prompt_or_instruction
from penchant.data.sources.values import (
    RowError,
    RowValues,
    as_integer,
    as_list,
    as_number,
    as_object,
    as_records,
    as_text,
)
from penchant.types import Comparison, PromptGroup

SCORE_FIELDS = ("overall_score", "score", "rating", "fine-grained_score", "fine_grained_score")
COMPLETION_FIELDS = ("response", "text", "content", "completion")
RANKED_FIELDS = ("output", "ranked", "answers")
PREDICTION = re.compile(r"prediction \d+")
ANNOTATOR = re.compile(r"annotator\d+")


def read_ranked(row: RowValues) -> PromptGroup:
    """Read a list of answers (`output`, `ranked` or `answers`) from best to worst; or in any order, with `ranks`.

    Older LLaMA-Factory files are the case of two: `"output": [better, worse]`.
    """
    field = next(field for field in RANKED_FIELDS if row.get(field) is not None)
    items = as_list(row[field], field, of="texts, best first")
    texts = [as_text(value, f"{field}[{index}]") for index, value in enumerate(items)]
    if len(texts) < 2:
        raise RowError("value", f"field {field!r}: expected at least two answers, best first, got {len(texts)}")
    # Without places the order itself is the ranking; `_doubt_ranked` has asked whether it is one.
    if row.get("ranks") is None:
        comparisons = comparisons_of_scores(range(len(texts)), range(len(texts)), lower_wins=True)
    else:
        comparisons = comparisons_of_ranks(as_list(row["ranks"], "ranks", of="numbers, 1 the best"), len(texts))
    group = PromptGroup(prompt_or_instruction(row), texts, comparisons)
    refuse_identical(group.responses, comparisons, field)
    return group


def read_ultrafeedback(row: RowValues) -> PromptGroup:
    """Read UltraFeedback: `instruction` or `prompt`, and `completions`, whose scores make the comparisons.

    `data.score` may name an aspect of the `annotations` (`helpfulness`, `honesty`, ...), or weights of several.
    """
    if not (completions := as_records(row["completions"], "completions")):
        raise RowError("empty", "field 'completions' is empty; expected at least one completion")
    # One name for the whole row: scores of different scales cannot be compared with each other.
    filled = {field for completion in completions for field, value in completion.items() if value is not None}
    weights = rating_weights(row, next((field for field in SCORE_FIELDS if field in filled), SCORE_FIELDS[0]))
    texts, scores = [], []
    for index, completion in enumerate(completions):
        name = f"completions[{index}]"
        field = next((field for field in COMPLETION_FIELDS if completion.get(field) is not None), None)
        if field is None:
            raise RowError("missing", f"field {name!r}: a completion needs one of {', '.join(COMPLETION_FIELDS)}")
        texts.append(as_text(completion[field], f"{name}.{field}"))
        scores.append(_completion_rating(completion, weights, name))
        note_others(row, "completions[]", completion, (field, "model"))
    return PromptGroup(prompt_or_instruction(row), texts, comparisons_of_scores(scores, texts), scores)


def _completion_rating(completion: RowValues, weights: Mapping[str, float], name: str) -> float:
    """Return the rating of a completion: of its own fields, or of the aspects that it was annotated by."""
    aspects = completion.get("annotations")
    ratings = {} if aspects is None else nested_ratings(aspects, f"{name}.annotations", "Rating")
    if len(weights) == 1 and (field := next(iter(weights))) in (*SCORE_FIELDS, *completion) and field not in ratings:
        return weights[field] * as_number(completion.get(field), f"{name}.{field}")
    return weighted_rating({**ratings, **completion}, weights, f"{name}.")


def read_openai_summaries(row: RowValues) -> PromptGroup:
    """Read OpenAI's summarisation comparisons: a post (or article), two summaries, the worker's choice."""
    summaries = as_records(row["summaries"], "summaries")
    if len(summaries) != 2:
        raise RowError("value", f"field 'summaries': expected two summaries, got {len(summaries)}")
    texts = []
    note_others(row, "info", as_object(row["info"], "info"), ("post", "article", "title", "subreddit"))
    for index, summary in enumerate(summaries):
        note_others(row, "summaries[]", summary, ("text", "policy"))
        text = as_text(summary.get("text"), f"summaries[{index}].text")
        texts.append(text if text[0].isspace() else f" {text}")  # the prompt ends in "TL;DR:" without a space
    # counted from 0, other than in PandaLM and AlpacaEval
    choice = as_integer(row["choice"], "choice", low=0, high=1)
    worker = row.get("worker")
    group = PromptGroup(
        _post_prompt(as_object(row["info"], "info")),
        texts,
        [Comparison(choice, 1 - choice, annotator=None if worker is None else str(worker))],
    )
    refuse_identical(group.responses, group.comparisons, "summaries")
    return group


def _post_prompt(info: RowValues) -> str:
    body = next((field for field in ("post", "article") if info.get(field) is not None), None)
    if body is None:
        raise RowError("missing", "field 'info': expected 'post' (or 'article'), with 'title' and 'subreddit'")
    lines = []
    if info.get("subreddit") is not None:
        lines.append(f"SUBREDDIT: r/{as_text(info['subreddit'], 'info.subreddit')}")
    if info.get("title") is not None:
        lines.append(f"TITLE: {as_text(info['title'], 'info.title', empty_ok=True)}")
    lines += [f"{body.upper()}: {as_text(info[body], f'info.{body}')}", "TL;DR:"]
    return "\n".join(lines)


def read_pandalm(row: RowValues) -> PromptGroup:
    """Read PandaLM: an instruction, two responses, verdicts `annotator1`.. (0 tie, 1 first, 2 second)."""
    responses = (as_text(row["response1"], "response1"), as_text(row["response2"], "response2"))
    comparisons = []
    for annotator in sorted(filter(ANNOTATOR.fullmatch, row)):
        if row[annotator] is None:
            continue
        verdict = as_integer(row[annotator], annotator, low=0, high=2)
        comparisons.append(_verdict(verdict, annotator=annotator))
    group = PromptGroup(instruction_turns(row), responses, comparisons)
    refuse_identical(group.responses, comparisons, "response1")
    return group


def read_alpaca_eval(row: RowValues) -> PromptGroup:
    """Read AlpacaEval's annotations: an instruction, two outputs, and `preference` from 1 (first) to 2 (second).

    A judge's probability in between counts for the likelier one; 1.5, or 0 as older files have it, is a tie.
    """
    responses = (as_text(row["output_1"], "output_1"), as_text(row["output_2"], "output_2"))
    preference = as_number(row["preference"], "preference")
    if preference and not 1 <= preference <= 2:
        raise RowError("value", f"field 'preference': expected a number from 1 to 2, or 0 for a tie, got {preference}")
    annotator = row.get("annotator")
    # 0 is a tie in AlpacaFarm's files; 1.5 lies in the middle between both outputs
    verdict = 0 if preference in (0, 1.5) else 1 if preference < 1.5 else 2
    name = None if annotator is None else as_text(annotator, "annotator")
    group = PromptGroup(instruction_turns(row), responses, [_verdict(verdict, annotator=name)])
    refuse_identical(group.responses, group.comparisons, "output_1")
    return group


def ambiguous_preferences(values: Collection[object]) -> str:
    """Return what is wrong with a file's preferences, if it is not certain what they mean; else nothing.

    0 is a tie in AlpacaFarm's files. Others count the two outputs from 0, and in theirs a 1 means the second.
    """
    if 0 in values and all(value in (0, 1) for value in values):
        return (
            "the column 'preference' holds 0 and 1 only, or 0 alone: either 0 is a tie and 1 the first output, or 0 is "
            "the first and 1 the second. Set layout=alpaca-eval for ties, or write 1 and 2"
        )
    return ""


def _verdict(verdict: int, first: int = 0, second: int = 1, *, annotator: str | None = None) -> Comparison:
    """Return a comparison of two responses: 0 is a tie, 1 says that the first won, 2 the second."""
    winner, loser = (second, first) if verdict == 2 else (first, second)
    return Comparison(winner, loser, tie=verdict == 0, annotator=annotator)


def read_finegrained(row: RowValues) -> PromptGroup:
    """Read Fine-grained RLHF: a question with passages, `prediction 1`.., and `preference` over their pairs.

    `preference` goes over the pairs 1-2, 1-3, 1-4, 2-3, ... and is 0 for a tie, 1 for the first, 2 for the
    second.
    """
    # by number: as texts, "prediction 10" would stand before "prediction 2"
    fields = sorted(filter(PREDICTION.fullmatch, row), key=lambda field: int(field.split()[1]))
    responses = [as_text(row[field], field) for field in fields]
    pairs = list(combinations(range(len(responses)), 2))
    verdicts = as_list(row["preference"], "preference", of="verdicts 0, 1, 2")
    if len(verdicts) != len(pairs):
        raise RowError(
            "value",
            f"field 'preference': expected {len(pairs)} verdicts, one per pair of {len(responses)} responses, "
            f"got {len(verdicts)}",
        )
    comparisons = [
        _verdict(as_integer(verdict, f"preference[{index}]", low=0, high=2), *pairs[index])
        for index, verdict in enumerate(verdicts)
    ]
    group = PromptGroup(_question_prompt(row), responses, comparisons)
    refuse_identical(group.responses, comparisons, "preference")
    return group


def _question_prompt(row: RowValues) -> str:
    blocks = []
    for index, value in enumerate(as_list(row["passages"], "passages", of="passages")):
        name = f"passages[{index}]"
        parts = as_list(value, name, of="a title and sentences")
        texts = [as_text(part, f"{name}[{i}]", empty_ok=True).strip() for i, part in enumerate(parts)]
        title, *sentences = texts or [""]
        body = " ".join(sentences).removeprefix(title).strip()  # the first passage of an article repeats its title
        blocks.append(f"Passage {index + 1}: {title}\n{body}")
    blocks.append(f"Question: {as_text(row['question'], 'question').strip()}\nAnswer:\n")
    return "\n\n".join(blocks)
