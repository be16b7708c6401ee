"""The benchmarks are no part of the package: their folder has to be on the path."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))


@pytest.fixture(autouse=True)
def one_warm_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The runs that the tests make up have three steps, the first of them warm-up."""
    from side_by_side import summary

    monkeypatch.setattr(summary, "WARMUP", 1)
