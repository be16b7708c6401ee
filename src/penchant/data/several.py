"""Readers of the layouts whose rows hold several responses, or several verdicts on two."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import Any

from penchant.data.fields import (
    RowError,
    as_integer,
    as_list,
    as_number,
    as_object,
    as_prompt,
    as_records,
    as_text,
    instruction_turns,
    prompt_or_instruction,
    shown,
)
from penchant.types import Comparison, PromptGroup, Response

Row = dict[str, Any]
SCORE_FIELDS = ("overall_score", "score", "rating", "fine-grained_score", "fine_grained_score")
COMPLETION_FIELDS = ("response", "text", "content", "completion")
RANKED_FIELDS = ("output", "ranked", "answers")
PREDICTION = re.compile(r"prediction \d+")
ANNOTATOR = re.compile(r"annotator\d+")


def comparisons_of_scores(
    scores: Sequence[float], texts: Sequence[object], *, lower_wins: bool = False
) -> list[Comparison]:
    """Every pair of responses: the better score wins, equal scores tie. Identical responses are not compared."""
    comparisons = []
    for first, second in combinations(range(len(scores)), 2):
        if texts[first] == texts[second]:
            continue
        if scores[first] == scores[second]:
            comparisons.append(Comparison(first, second, tie=True))
        elif (scores[first] < scores[second]) == lower_wins:
            comparisons.append(Comparison(first, second))
        else:
            comparisons.append(Comparison(second, first))
    return comparisons


def _refuse_identical(responses: Sequence[Response], comparisons: Iterable[Comparison], name: str) -> None:
    for comparison in comparisons:
        if responses[comparison.winner] == responses[comparison.loser]:
            raise RowError(
                "identical",
                f"field {name!r}: it compares responses {comparison.winner} and {comparison.loser}, which are the "
                "same; remove that comparison",
            )


# ---------------------------------------------------------------- our own layout

OWN_FIELDS = ("prompt", "responses", "comparisons", "scores", "ranking", "ranks")


def read_penchant(row: Row) -> PromptGroup:
    """Our own JSONL: `prompt`, `responses`, and `comparisons` or `ranking` or `ranks`, and `scores`.

    A response is text or `{"text", "token_ids", "finished", "count"}`; its text may be empty only where token ids
    say that it was sampled so. `ranking` lists response indices from best to worst, with tied ones in a list of
    their own (`[2, [0, 1]]`); `ranks` gives each response its place (1 the best, equal places tie). Scores are
    kept as they are: they make no comparisons.
    """
    _refuse_misspelled(row, OWN_FIELDS, "")
    prompt = as_prompt(row["prompt"], "prompt")
    responses = [_own_response(value, f"responses[{i}]") for i, value in enumerate(_own_list(row, "responses"))]
    stated = [field for field in ("comparisons", "ranking", "ranks") if row.get(field)]
    if len(stated) > 1:
        raise RowError("value", f"fields {' and '.join(map(repr, stated))}: give only one of them")
    comparisons: list[Comparison] = []
    if stated:
        read = {"comparisons": _own_comparisons, "ranking": _own_ranking, "ranks": _own_ranks}[stated[0]]
        comparisons = read(_own_list(row, stated[0]), len(responses))
        _refuse_identical(responses, comparisons, stated[0])
    scores = None
    if row.get("scores") is not None:
        values = _own_list(row, "scores")
        scores = [as_number(value, f"scores[{index}]") for index, value in enumerate(values)]
        _require_length("scores", len(scores), len(responses))
    return PromptGroup(prompt, responses, comparisons, scores)


def _own_list(row: Row, field: str) -> list[Any]:
    return as_list(row[field], field, of={"responses": "responses", "comparisons": "objects"}.get(field, "numbers"))


def _require_length(name: str, length: int, expected: int) -> None:
    if length != expected:
        raise RowError("value", f"field {name!r}: expected {expected} items, one a response, got {length}")


def _refuse_misspelled(values: Row, known: Sequence[str], name: str) -> None:
    """Other fields may stand in a row of ours (an id, notes), but not ones that look like a known field."""
    for field in values:
        near = difflib.get_close_matches(str(field), known, n=1, cutoff=0.8)
        if near and field not in known:
            raise RowError("value", f"field {name + str(field)!r} is unknown; did you mean {near[0]!r}?")


def _own_response(value: object, name: str) -> Response:
    if isinstance(value, str):
        return Response(as_text(value, name))
    fields = as_object(value, name)
    unknown = set(fields) - {"text", "token_ids", "finished", "count"}
    if unknown:
        raise RowError("value", f"field {name!r}: unknown {min(unknown)!r}; known are text, token_ids, finished, count")
    token_ids = fields.get("token_ids")
    if token_ids is not None:
        items = as_list(token_ids, f"{name}.token_ids", of="token ids")
        token_ids = tuple(as_integer(item, f"{name}.token_ids[{i}]", low=0, high=2**31) for i, item in enumerate(items))
    text = as_text(fields.get("text"), f"{name}.text", empty_ok=bool(token_ids))
    finished = _as_flag(fields.get("finished", True), f"{name}.finished")
    count = as_integer(fields.get("count", 1), f"{name}.count", low=1, high=2**53)
    return Response(text, token_ids, finished, count)


def _as_flag(value: object, name: str) -> bool:
    if not isinstance(value, bool):
        raise RowError("type", f"field {name!r}: expected true or false, got {shown(value)}")
    return value


def _own_comparisons(items: list[Any], responses: int) -> list[Comparison]:
    comparisons = []
    for index, value in enumerate(items):
        name = f"comparisons[{index}]"
        fields = as_object(value, name)
        unknown = set(fields) - {"winner", "loser", "tie", "annotator", "weight"}
        if unknown:
            raise RowError(
                "value", f"field {name!r}: unknown {min(unknown)!r}; known are winner, loser, tie, annotator, weight"
            )
        winner = _response_index(fields.get("winner"), f"{name}.winner", responses)
        loser = _response_index(fields.get("loser"), f"{name}.loser", responses)
        if winner == loser:
            raise RowError("identical", f"field {name!r}: winner and loser are both response {winner}")
        weight = as_number(fields.get("weight", 1.0), f"{name}.weight")
        if weight <= 0:
            raise RowError("value", f"field '{name}.weight': expected a number above 0, got {weight}")
        tie = _as_flag(fields.get("tie", False), f"{name}.tie")
        annotator = fields.get("annotator")
        if annotator is not None and (isinstance(annotator, bool) or not isinstance(annotator, int)):
            annotator = as_text(annotator, f"{name}.annotator", empty_ok=True)
        comparisons.append(Comparison(winner, loser, tie, None if annotator is None else str(annotator), weight))
    return comparisons


def _response_index(value: object, name: str, responses: int) -> int:
    if responses < 2:
        raise RowError("value", f"field {name!r}: there are fewer than two responses to compare")
    return as_integer(value, name, low=0, high=responses - 1)


def _own_ranking(items: list[Any], responses: int) -> list[Comparison]:
    """[best, [tied, tied], worst]: indices may be left out, but none may stand twice."""
    place: dict[int, float] = {}
    for level, item in enumerate(items):
        for member in item if isinstance(item, list) else [item]:
            index = _response_index(member, f"ranking[{level}]", responses)
            if index in place:
                raise RowError("value", f"field 'ranking': response {index} stands in it twice")
            place[index] = float(level)
    ranked = sorted(place)
    found = comparisons_of_scores([place[index] for index in ranked], ranked, lower_wins=True)
    return [Comparison(ranked[each.winner], ranked[each.loser], tie=each.tie) for each in found]


def _own_ranks(items: list[Any], responses: int) -> list[Comparison]:
    _require_length("ranks", len(items), responses)
    ranks = [as_number(value, f"ranks[{index}]") for index, value in enumerate(items)]
    return comparisons_of_scores(ranks, range(len(ranks)), lower_wins=True)


# ---------------------------------------------------------------- other people's layouts


def read_ranked(row: Row) -> PromptGroup:
    """A list of answers (`output`, `ranked` or `answers`) from best to worst; or in any order, with `ranks`.

    Older LLaMA-Factory files are the case of two: `"output": [better, worse]`.
    """
    field = next(field for field in RANKED_FIELDS if row.get(field) is not None)
    items = as_list(row[field], field, of="texts, best first")
    texts = [as_text(value, f"{field}[{index}]") for index, value in enumerate(items)]
    if len(texts) < 2:
        raise RowError("value", f"field {field!r}: expected at least two answers, best first, got {len(texts)}")
    if row.get("ranks") is None:
        comparisons = comparisons_of_scores(range(len(texts)), range(len(texts)), lower_wins=True)
    else:
        comparisons = _own_ranks(as_list(row["ranks"], "ranks", of="numbers, 1 the best"), len(texts))
    group = PromptGroup(prompt_or_instruction(row), texts, comparisons)
    _refuse_identical(group.responses, comparisons, field)
    return group


def read_ultrafeedback(row: Row) -> PromptGroup:
    """UltraFeedback: `instruction` (or `prompt`) and `completions` with scores, which make the comparisons."""
    completions = as_records(row["completions"], "completions")
    if not completions:
        raise RowError("empty", "field 'completions' is empty; expected at least one completion")
    scored_by = next((f for f in SCORE_FIELDS if any(each.get(f) is not None for each in completions)), SCORE_FIELDS[0])
    texts, scores = [], []
    for index, completion in enumerate(completions):
        name = f"completions[{index}]"
        field = next((field for field in COMPLETION_FIELDS if completion.get(field) is not None), None)
        if field is None:
            raise RowError("missing", f"field {name!r}: a completion needs one of {', '.join(COMPLETION_FIELDS)}")
        texts.append(as_text(completion[field], f"{name}.{field}"))
        scores.append(as_number(completion.get(scored_by), f"{name}.{scored_by}"))
    return PromptGroup(prompt_or_instruction(row), texts, comparisons_of_scores(scores, texts), scores)


def read_openai_summaries(row: Row) -> PromptGroup:
    """OpenAI's summarisation comparisons: a post (or article), two summaries, the worker's choice."""
    summaries = as_records(row["summaries"], "summaries")
    if len(summaries) != 2:
        raise RowError("value", f"field 'summaries': expected two summaries, got {len(summaries)}")
    texts = []
    for index, summary in enumerate(summaries):
        text = as_text(summary.get("text"), f"summaries[{index}].text")
        texts.append(text if text[0].isspace() else f" {text}")  # the prompt ends in "TL;DR:"
    choice = as_integer(row["choice"], "choice", low=0, high=1)
    worker = row.get("worker")
    group = PromptGroup(
        _post_prompt(as_object(row["info"], "info")),
        texts,
        [Comparison(choice, 1 - choice, annotator=None if worker is None else str(worker))],
    )
    _refuse_identical(group.responses, group.comparisons, "summaries")
    return group


def _post_prompt(info: dict[str, Any]) -> str:
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


def read_pandalm(row: Row) -> PromptGroup:
    """PandaLM: an instruction, two responses, verdicts `annotator1`.. (0 a tie, 1 the first, 2 the second)."""
    responses = (as_text(row["response1"], "response1"), as_text(row["response2"], "response2"))
    comparisons = []
    for annotator in sorted(filter(ANNOTATOR.fullmatch, row)):
        if row[annotator] is None:
            continue
        verdict = as_integer(row[annotator], annotator, low=0, high=2)
        comparisons.append(_verdict(verdict, 0, 1, annotator))
    group = PromptGroup(instruction_turns(row), responses, comparisons)
    _refuse_identical(group.responses, comparisons, "response1")
    return group


def _verdict(verdict: int, first: int, second: int, annotator: str | None = None) -> Comparison:
    winner, loser = (second, first) if verdict == 2 else (first, second)
    return Comparison(winner, loser, tie=verdict == 0, annotator=annotator)


def read_finegrained(row: Row) -> PromptGroup:
    """Fine-grained RLHF: a question with passages, `prediction 1`.., and `preference` over their pairs.

    `preference` goes over the pairs 1-2, 1-3, 1-4, 2-3, ... and is 0 for a tie, 1 for the first, 2 for the second.
    """
    fields = sorted(filter(PREDICTION.fullmatch, row), key=lambda field: int(field.split()[1]))
    responses = [as_text(row[field], field) for field in fields]
    pairs = list(combinations(range(len(responses)), 2))
    verdicts = as_list(row["preference"], "preference", of="verdicts 0, 1, 2")
    if len(verdicts) != len(pairs):
        raise RowError(
            "value",
            f"field 'preference': expected {len(pairs)} verdicts, one a pair of {len(responses)} responses, "
            f"got {len(verdicts)}",
        )
    comparisons = [
        _verdict(as_integer(verdict, f"preference[{index}]", low=0, high=2), *pairs[index])
        for index, verdict in enumerate(verdicts)
    ]
    group = PromptGroup(_question_prompt(row), responses, comparisons)
    _refuse_identical(group.responses, comparisons, "preference")
    return group


def _question_prompt(row: Row) -> str:
    blocks = []
    for index, value in enumerate(as_list(row["passages"], "passages", of="passages")):
        name = f"passages[{index}]"
        parts = as_list(value, name, of="a title and sentences")
        title, *sentences = [as_text(part, f"{name}[{i}]", empty_ok=True).strip() for i, part in enumerate(parts)] or [""]
        body = " ".join(sentences).removeprefix(title).strip()  # the first passage of an article repeats its title
        blocks.append(f"Passage {index + 1}: {title}\n{body}")
    blocks.append(f"Question: {as_text(row['question'], 'question').strip()}\nAnswer:\n")
    return "\n\n".join(blocks)
