"""The sweep row: whole commands with several betas, one after another, the reference included."""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from side_by_side.commands import train_command
from side_by_side.rows import FOUR_SHORT, SMOLLM2
from side_by_side.state import RowState
from side_by_side.workers import Bench, Data, run_command, train


def settings(quick: bool) -> dict[str, Any]:
    """What the row runs."""
    return {
        "title": "a beta sweep: whole commands, reference included, SmolLM2-135M-Instruct, data of four-short",
        "betas": [0.1, 0.3] if quick else [0.05, 0.1, 0.3, 1.0],
        "repeats": 1 if quick else 5,
        "steps": 2,
        "pairs_per_step": 6 if quick else 12,
        "trl_batch": 6,
        "target": 4.0,
    }


def measure(bench: Bench, state: RowState) -> None:
    """Both sides in turn; what a side computed of the reference is found again within a repeat, and only there."""
    of = state.entry["settings"]
    data = Data(bench, "sweep", FOUR_SHORT, bench.model or SMOLLM2, of["steps"], of["pairs_per_step"])
    for repeat in range(of["repeats"]):
        for side in ("penchant", "trl-precomputed"):
            result = state.once("sweep", lambda side=side: _side(bench, data, of, side), side=side, repeat=repeat)
            shown = ", ".join(f"{seconds:.1f}" for seconds in result["seconds"])
            print(f"   repeat {repeat + 1} of {of['repeats']}, {side}: {shown} s", flush=True)


def _side(bench: Bench, data: Data, of: dict[str, Any], side: str) -> dict[str, Any]:
    assert data.told  # the data is there before the clock starts
    with tempfile.TemporaryDirectory(dir=bench.scratch) as folder:
        cache = Path(folder)
        seconds = []
        for beta in of["betas"]:
            if side == "penchant":
                command = train_command(data, cache / "run", [f"loss.beta={beta}"])
                seconds.append(run_command(command, folder=cache, environment=bench.environment(cache)))
                shutil.rmtree(cache / "run")  # weights and optimizer: more than a gigabyte
            else:
                started = time.monotonic()
                train(data, side, trl_batch=of["trl_batch"], beta=beta, cache=cache)
                seconds.append(time.monotonic() - started)
    return {"seconds": seconds, "total_s": sum(seconds)}
