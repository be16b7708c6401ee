"""Guess which columns of a table of one's own hold a prompt, two responses and who won. Guesses are offered alone."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from itertools import combinations

from penchant.data.layouts.layout import Layout
from penchant.data.sources.values import CAMEL, RowValues

PLAIN_NAME = re.compile(r"[A-Za-z_][\w.-]*")  # others would need quotes in a command
OPTIONAL = ("model_a", "model_b", "annotator")
SIDE_PAIRS = (("a", "b"), ("1", "2"), ("0", "1"), ("left", "right"), ("first", "second"), ("one", "two"), ("x", "y"))
MODEL_WORDS = {"model", "system", "generator", "policy", "author", "name"}
NUMBER_WORDS = {"score", "rating", "tokens", "length", "id", "rank"}
PROMPT_WORDS = {"prompt", "instruction", "question", "query", "input", "problem", "task", "request", "post"}
WINNER_WORDS = (
    *("winner", "preferred", "preference", "vote", "choice", "chosen", "verdict", "better", "best", "judgment"),
    *("judgement", "says", "decision", "pick", "picked", "selected", "result", "label", "won"),
)
RATER_WORDS = {"annotator", "rater", "judge", "worker", "user", "person", "who"}


def guess_pair(names: Sequence[str], row: RowValues, layouts: Sequence[Layout]) -> dict[str, str]:
    """Return by field of the layout `response-pair` the column that may hold it; empty where one is missing.

    Args:
        names: the row's columns that hold something.
        layouts: those that a loader takes: without `response-pair` among them nothing is offered.
    """
    if not any(layout.name == "response-pair" for layout in layouts):
        return {}
    plain = [name for name in names if PLAIN_NAME.fullmatch(name)]
    answers = _sides(plain, row)
    prompt = _first_of(plain, PROMPT_WORDS)
    used = {*answers, prompt}
    # in the order of the words: `winner` says it more surely than `label` does
    winner = next((name for word in WINNER_WORDS for name in plain if name not in used and word in _words(name)), "")
    # a part of the line would be answered with another error
    if not (answers and prompt and winner):
        return {}
    guess = {"prompt": prompt, "response_a": answers[0], "response_b": answers[1], "winner": winner}
    if models := _sides(plain, row, MODEL_WORDS):
        guess |= {"model_a": models[0], "model_b": models[1]}
    if rater := _first_of([name for name in plain if name not in {*guess.values()}], RATER_WORDS):
        guess["annotator"] = rater
    return {field: column for field, column in guess.items() if field not in OPTIONAL or field != column}


def _sides(names: Sequence[str], row: RowValues, nouns: Collection[str] = ()) -> tuple[str, str] | tuple[()]:
    """Return the two columns whose names differ in a side alone, in the order of the sides.

    Args:
        nouns: words of which the names have one; if none are given the columns are responses, and longer texts win.
    """
    pairs = []
    for pair in combinations(names, 2):
        words = [_words(name) for name in pair]
        differing = [(x, y) for x, y in zip(*words, strict=False) if x != y]
        if len(words[0]) != len(words[1]) or len(differing) != 1:
            continue
        shared = {*words[0]} & {*words[1]}
        fits = bool(shared & {*nouns}) if nouns else not shared & (MODEL_WORDS | NUMBER_WORDS)
        # `answer_b` may stand before `answer_a` in the file
        for sides in SIDE_PAIRS:
            if fits and differing[0] in (sides, sides[::-1]):
                pairs.append(pair if differing[0] == sides else pair[::-1])
    # of several pairs the texts: `note_1` and `note_2` are shorter than the answers
    return max(pairs, key=lambda pair: sum(len(str(row[name])) for name in pair), default=())


def _first_of(names: Sequence[str], words: Collection[str]) -> str:
    return next((name for name in names if {*_words(name)} & {*words}), "")


def _words(name: str) -> list[str]:
    return re.findall(r"[a-z]+|\d+", CAMEL.sub("_", name).lower())
