"""Prompts grouped by their words."""

from __future__ import annotations

import numpy as np
import pytest

from penchant.metrics.word_clusters import word_clusters

THEMES = (
    ("flour", "butter", "oven", "sugar", "dough"),
    ("planet", "orbit", "comet", "telescope", "galaxy"),
    ("goal", "referee", "league", "striker", "penalty"),
)


def themed(count: int) -> list[str]:
    rng = np.random.default_rng(0)
    return [f"Tell me about the {' and '.join(rng.permutation(THEMES[n % 3])[:3])}" for n in range(count)]


def test_themes_come_apart_and_are_named_by_their_words() -> None:
    found = word_clusters(themed(60), max_clusters=3)
    assert found is not None
    labels, names = found
    for theme in range(3):
        assert len({labels[place] for place in range(theme, 60, 3)}) == 1
        assert set(names[labels[theme]].split(", ")) <= set(THEMES[theme])
    assert len(set(labels)) == 3
    assert word_clusters(themed(60), max_clusters=3) == found
    fewer = word_clusters(themed(60), max_clusters=2)
    assert fewer is not None
    assert len(fewer[1]) == 2


@pytest.mark.parametrize("texts", [[], themed(19), ["the same words"] * 40, [f"word{n}" for n in range(40)], [""] * 40])
def test_too_few_or_nothing_in_common_gives_none(texts: list[str]) -> None:
    assert word_clusters(texts) is None
