"""Say what a source gives: rows, and rows that cannot be used with the reason."""

from __future__ import annotations

from dataclasses import dataclass

from penchant.data.sources.values import Kind, RowValues


@dataclass(frozen=True, slots=True)
class Row:
    """One row. `source` is where it stands: `prefs.jsonl:12` (line) or `prefs.csv row 12` (both from 1)."""

    source: str
    values: RowValues


@dataclass(frozen=True, slots=True)
class RowProblem:
    """A row that cannot be used, and why."""

    source: str
    kind: Kind
    message: str

    def __str__(self) -> str:
        return f"{self.source}: {self.message}"
