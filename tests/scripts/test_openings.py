"""The prompts of the studies: our own words, as the script writes them."""

from __future__ import annotations

import openings


def test_the_shipped_openings_are_those_of_the_script() -> None:
    lines = openings.TARGET.read_text().splitlines()
    assert lines == openings.openings()
    assert len(set(lines)) == openings.COUNT
    assert all(3 <= len(line.split()) <= 8 for line in lines)
    assert all(len({line.split()[0] for line in part}) > 5 for part in (lines[:200], lines[200:]))  # mixed in both
