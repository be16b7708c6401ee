"""A row of any source, and a row that cannot be used."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from penchant.data.sources.values import Kind


@dataclass(frozen=True, slots=True)
class Row:
    """One row. `source` is where it stands: `prefs.jsonl:12` (line) or `prefs.csv row 12` (both from 1)."""

    source: str
    values: dict[str, Any]


@dataclass(frozen=True, slots=True)
class RowProblem:
    """A row that cannot be used, and why."""

    source: str
    kind: Kind
    message: str

    def __str__(self) -> str:
        return f"{self.source}: {self.message}"
