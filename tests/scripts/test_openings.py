"""The prompts of the studies: our own words, as the script writes them."""

from __future__ import annotations

import openings
import pytest


@pytest.mark.parametrize("name", openings.SETS)
def test_the_shipped_openings_are_those_of_the_script(name: str) -> None:
    lines = (openings.FOLDER / f"{name}.txt").read_text().splitlines()
    assert lines == openings.openings(openings.SETS[name])
    assert len(lines) == len(set(lines)) >= 264  # 200 to train on, 64 to measure on
    assert all(3 <= len(line.split()) <= 8 for line in lines)
    assert all(len({line.split()[0] for line in part}) > 5 for part in (lines[:200], lines[200:]))  # mixed in both
