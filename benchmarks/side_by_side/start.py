"""The start row: how long one waits for `penchant --help`, and for the first optimizer step."""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from side_by_side.commands import PENCHANT, train_command
from side_by_side.rows import FOUR_SHORT, SMOLLM2
from side_by_side.state import RowState
from side_by_side.workers import Bench, Data, WorkerFailed, run_command


def settings(quick: bool) -> dict[str, Any]:
    """What the start row runs."""
    return {
        "title": "start-up: `penchant --help`, and from the command to the end of the first optimizer step",
        "repeats": 2 if quick else 5,
        "pairs_per_step": 6,
        "targets": {"help_s": 0.5, "first_step_s": 10.0},
    }


def measure(bench: Bench, state: RowState) -> None:
    """Seconds of both, several times."""
    of = state.entry["settings"]
    data = Data(bench, "start", FOUR_SHORT, bench.model or SMOLLM2, 1, of["pairs_per_step"])
    for repeat in range(of["repeats"]):
        result = state.once("start", lambda: _start(bench, data), repeat=repeat)
        print(
            f"   repeat {repeat + 1} of {of['repeats']}: --help {result['help_s']:.2f} s, first step "
            f"{result['first_step_s']:.1f} s, whole command {result['command_s']:.1f} s",
            flush=True,
        )


def _start(bench: Bench, data: Data) -> dict[str, float]:
    assert data.told
    with tempfile.TemporaryDirectory(dir=bench.scratch) as folder:
        cache = Path(folder)
        help_s = run_command([str(PENCHANT), "--help"], folder=cache, environment=bench.environment(cache))
        first_step_s, command_s = _first_step(bench, data, cache)
    return {"help_s": help_s, "first_step_s": first_step_s, "command_s": command_s}


def _first_step(bench: Bench, data: Data, cache: Path) -> tuple[float, float]:
    """Seconds until the first step stands in `metrics.jsonl`, and until the command ends."""
    metrics = cache / "run" / "metrics.jsonl"
    first = 0.0
    started = time.monotonic()
    with (cache / "log.txt").open("w") as log:
        process = subprocess.Popen(
            train_command(data, cache / "run", []),
            env=bench.environment(cache),
            cwd=cache,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        while process.poll() is None:
            if not first and metrics.exists() and _trained(metrics):
                first = time.monotonic() - started
            time.sleep(0.02)
    if process.returncode or not first:
        raise WorkerFailed(f"penchant train dpo: exit code {process.returncode}\n{(cache / 'log.txt').read_text()}")
    return first, time.monotonic() - started


def _trained(metrics: Path) -> bool:
    lines = metrics.read_text().splitlines(keepends=True)
    return any(json.loads(line).get("kind") == "train" for line in lines if line.endswith("\n"))
