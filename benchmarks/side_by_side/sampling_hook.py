"""The sampling row: `benchmarks/sampling.py` measures it in a process of its own and leaves a table."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from side_by_side.environment import code_digest
from side_by_side.state import RowState
from side_by_side.workers import BENCHMARKS, Bench, run_command

SCRIPT = BENCHMARKS / "sampling.py"


def settings(quick: bool) -> dict[str, Any]:
    """What the row runs."""
    return {"title": "sampling", "script": code_digest(BENCHMARKS, "sampling*.py"), "quick": quick}


def measure(bench: Bench, state: RowState) -> None:
    """The script's table: `title`, `columns`, `rows`, `notes`."""
    state.once("table", lambda: _table(bench))


def _table(bench: Bench) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(dir=bench.scratch) as folder:
        file = Path(folder) / "table.json"
        command = [sys.executable, str(SCRIPT), "--json", str(file), *(["--quick"] if bench.quick else [])]
        run_command(command, folder=Path(folder), environment=bench.environment(None))
        table: dict[str, Any] = json.loads(file.read_text())
    return table
