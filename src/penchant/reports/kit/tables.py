"""Hold tables and tiles of a page, and flatten nested settings for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from penchant.reports.kit.text import DASH

MOST_ENTRIES = 400  # of a flattened file: a hostile one may unfold without end
MOST_DEPTH = 8


@dataclass(frozen=True)
class Mark:
    """An interval on a tile's scale of 0 to 100; `kind` is `policy` or `reference`."""

    kind: str
    low: float
    value: float
    high: float


@dataclass(frozen=True)
class Tile:
    """A number that matters: its value, interval, what to compare it with, and both on one scale."""

    label: str
    value: str
    interval: str
    note: str
    marks: tuple[Mark, ...] = ()
    tick: float | None = None


@dataclass(frozen=True)
class Table:
    """Column heads and rows of plain text, the first cell of a row being its name."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def flatten(table: Mapping[str, object]) -> dict[str, str]:
    """Flatten nested settings to `loss.beta: 0.1`, cut at `MOST_ENTRIES` entries and `MOST_DEPTH` levels."""
    flat: dict[str, str] = {}

    def visit(node: object, path: str, depth: int) -> None:
        # YAML's anchors let a file of a few lines stand for billions of entries: both limits are needed.
        if len(flat) >= MOST_ENTRIES:
            return
        if isinstance(node, (Mapping, list)) and node:
            if depth >= MOST_DEPTH:
                flat[path] = "…"
                return
            items = node.items() if isinstance(node, Mapping) else enumerate(node)
            for key, value in items:
                visit(value, f"{path}.{key}" if path else str(key), depth + 1)
        else:
            flat[path] = DASH if node is None else str(node)

    visit(table, "", 0)
    return flat
