"""Questions about objects: half of them yes, and what is not there drawn in three ways."""

from __future__ import annotations

from collections import Counter

import pytest

from penchant.errors import InputError
from penchant.metrics.object_questions import ObjectQuestion, build_questions

NAMES = ["cup", "fork", "plate", "dog", "cat"]
# forks stand beside cups, and cats are the commonest by themselves
OBJECTS = [["cup"], ["cup", "fork"], ["cup", "fork"], ["cat"], ["cat"], ["cat"], ["dog", "plate"]]


def absent(questions: list[ObjectQuestion], picture: int, kind: str) -> list[str]:
    return [q.name for q in questions if q.picture == picture and q.negatives == kind and not q.truth]


def test_half_of_the_questions_are_yes_and_all_are_true_to_the_pictures() -> None:
    questions = build_questions(OBJECTS, NAMES, per_picture=4)
    assert len(set(questions)) == len(questions)
    assert all((q.name in OBJECTS[q.picture]) == q.truth for q in questions)
    counts = Counter((q.picture, q.negatives, q.truth) for q in questions)
    # pictures of one object have one question of either answer
    assert {counts[0, kind, truth] for kind in ("random", "popular", "adversarial") for truth in (True, False)} == {1}
    assert counts[1, "popular", True] == counts[1, "popular", False] == 2
    for picture in range(len(OBJECTS)):
        present = [{q.name for q in questions if (q.picture, q.negatives, q.truth) == (picture, kind, True)}
                   for kind in ("random", "popular", "adversarial")]  # fmt: skip
        assert present[0] == present[1] == present[2]


def test_what_is_not_there_is_common_or_expected() -> None:
    questions = build_questions(OBJECTS, NAMES, per_picture=2)
    assert absent(questions, 0, "popular") == ["cat"]
    assert absent(questions, 0, "adversarial") == ["fork"]
    draws = {absent(build_questions(OBJECTS, NAMES, per_picture=2, seed=seed), 0, "random")[0] for seed in range(40)}
    assert draws == {"fork", "plate", "dog", "cat"}
    assert build_questions(OBJECTS, NAMES, seed=3) == build_questions(OBJECTS, NAMES, seed=3)


def test_what_cannot_be_asked_is_refused() -> None:
    with pytest.raises(InputError, match="an even number"):
        build_questions(OBJECTS, NAMES, per_picture=3)
    with pytest.raises(InputError, match="not among the names: cow"):
        build_questions([["cow"]], NAMES)
    with pytest.raises(InputError, match="nothing to ask"):
        build_questions([["cup"]], ["cup"])
