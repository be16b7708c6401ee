"""Where the repository, the fixtures and the shared cases lie, whatever folder a test lies in."""

from __future__ import annotations

from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
FIXTURES = REPOSITORY / "tests" / "fixtures"
CASES = REPOSITORY.parent / "shared" / "cases"
"""Small files that must be read right; their README says how. They are no part of the repository."""
