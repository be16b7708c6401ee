"""Texts about two sides, for tables of verdicts that are read with either side first."""

from __future__ import annotations

import re


def with_sides(text: str, first: str, second: str) -> str:
    """Return a text with its `X` and `Y` (in their case) filled."""
    sides = {"X": first, "Y": second, "x": first.lower(), "y": second.lower(), "Ｘ": chr(ord(first) + 0xFEE0)}
    return re.sub(r"(?<![A-Za-z])[XYxyＸ](?![A-Za-z])", lambda found: sides[found[0]], text)
