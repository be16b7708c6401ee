"""Running the workers: one process a run, one after another, sides in turn."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from side_by_side.recording import SPAWNED
from side_by_side.workloads import Workload

BENCHMARKS = Path(__file__).resolve().parent.parent
TRIAL_STEPS, TRIAL_WARMUP = 3, 1  # to choose TRL's batch
SIDES = {"penchant": "Penchant", "trl": "TRL, default", "trl-precomputed": "TRL, precomputed reference"}


class WorkerFailed(Exception):
    """A worker ended with an error; the message has its last lines."""


@dataclass(frozen=True)
class Settings:
    """What all runs share.

    Attributes:
        trl_python: the interpreter of TRL's environment.
        model: the folder that both sides open.
        data: the folder that `prepare` filled.
        scratch: for whatever a run writes; each has its own folder, so nothing is found in a cache.
    """

    trl_python: Path
    workload: Workload
    model: str
    data: Path
    scratch: Path
    steps: int
    threads: int
    optimizer: str
    learning_rate: float
    beta: float
    clip: float
    tokens_per_batch: int | None


def prepare(workload: Workload, model: str, folder: Path, *, steps: int) -> str:
    """Make the data of a workload in a folder.

    Returns:
        The folder of the model.
    """
    job = {
        "workload": workload.as_json(),
        "model": model,
        "folder": str(folder),
        "prompts": workload.prompts(steps),
    }
    return str(_worker(Path(sys.executable), "prepare", job, folder, threads=1)["model"])


def run_side(settings: Settings, side: str, *, micro_batch: int, steps: int | None = None) -> dict[str, Any]:
    """One run of one side in a fresh process.

    Args:
        side: a key of `SIDES`.
        micro_batch: pairs of one forward pass of TRL (ours fills a token budget).
        steps: fewer than the settings say, to try something.
    """
    with tempfile.TemporaryDirectory(dir=settings.scratch) as scratch:
        job = {
            "model": settings.model,
            "data": str(settings.data),
            "scratch": scratch,
            "steps": steps or settings.steps,
            "threads": settings.threads,
            "pairs_per_step": settings.workload.pairs_per_step,
            "optimizer": settings.optimizer,
            "learning_rate": settings.learning_rate,
            "beta": settings.beta,
            "clip": settings.clip,
            "tokens_per_batch": settings.tokens_per_batch,
            "micro_batch": micro_batch,
            "precompute": side == "trl-precomputed",
        }
        ours = side == "penchant"
        python = Path(sys.executable) if ours else settings.trl_python
        load = os.getloadavg()[0]
        worker = "ours" if ours else "theirs"
        result = _worker(python, worker, job, Path(scratch), threads=settings.threads)
    return {"side": side, "load_before": round(load, 2), **result}


def alternate(settings: Settings, *, repeats: int, micro_batch: int) -> Iterator[dict[str, Any]]:
    """Every side once, then again, and so on: what slows the machine for a while slows all of them."""
    for repeat in range(repeats):
        for side in SIDES:
            yield {"repeat": repeat, **run_side(settings, side, micro_batch=micro_batch)}


def _worker(python: Path, module: str, job: dict[str, Any], scratch: Path, *, threads: int) -> dict[str, Any]:
    job_file, result_file, log_file = (scratch / name for name in ("job.json", f"{module}.json", f"{module}.log"))
    job_file.write_text(json.dumps(job))
    environment = os.environ | {
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        "TOKENIZERS_PARALLELISM": "false",
        "CUDA_VISIBLE_DEVICES": "",
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(scratch / "hf"),
        "PYTHONPATH": str(BENCHMARKS),
        SPAWNED: str(time.monotonic()),
    }
    command = [str(python), "-m", f"side_by_side.{module}", str(job_file), str(result_file)]
    with log_file.open("w") as log:
        done = subprocess.run(command, env=environment, cwd=scratch, stdout=log, stderr=subprocess.STDOUT)
    if done.returncode or not result_file.exists():
        last = "\n".join(log_file.read_text().splitlines()[-25:])
        raise WorkerFailed(f"{module} ended with exit code {done.returncode}:\n{last}")
    result: dict[str, Any] = json.loads(result_file.read_text())
    return result
