"""Rankings that comparisons came from."""

from __future__ import annotations

import pytest

from penchant.data.layouts.own import read_penchant
from penchant.data.layouts.rankings import rankings_of
from penchant.errors import InputError
from penchant.types import Comparison, PromptGroup

FOUR = ["a", "b", "c", "d"]


@pytest.mark.parametrize("ranking", [[2, 0, 3, 1], [3, 1], [0, 1, 2]])
def test_a_ranking_comes_back(ranking: list[int]) -> None:
    group = read_penchant({"prompt": "p", "responses": FOUR, "ranking": ranking})
    assert rankings_of(group) == [(None, ranking)]


def test_one_for_each_annotator() -> None:
    said = [Comparison(0, 1, annotator="Ann"), Comparison(1, 0, annotator="Bob")]
    assert rankings_of(PromptGroup("p", FOUR, said)) == [("Ann", [0, 1]), ("Bob", [1, 0])]


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ([], "fewer than two responses are ranked"),
        ([Comparison(0, 1, tie=True, annotator="Ann")], "the comparisons of Ann have ties"),
        ([Comparison(0, 1, weight=2.0)], "its comparisons have weights"),
        ([Comparison(0, 1), Comparison(1, 2)], "some are missing"),
        ([Comparison(0, 1), Comparison(1, 2), Comparison(2, 0)], "go in a circle"),
        ([Comparison(0, 1), Comparison(0, 1)], "doubled"),
        ([Comparison(0, 1), Comparison(2, 3)], "some are missing"),
    ],
)
def test_what_is_no_ranking_is_refused(said: list[Comparison], words: str) -> None:
    with pytest.raises(InputError, match=words):
        rankings_of(PromptGroup("p", FOUR, said))
