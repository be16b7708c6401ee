"""Running the workers: one process a run, one after another."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from side_by_side.environment import REPOSITORY
from side_by_side.recording import SPAWNED
from side_by_side.rows import Sample, Words
from side_by_side.state import State

BENCHMARKS = Path(__file__).resolve().parent.parent
SIDES = {"penchant": "Penchant", "trl-precomputed": "TRL, precomputed reference", "trl": "TRL, default reference"}
BETA, CLIP, NO_CLIP = 0.1, 1.0, 1e9


class WorkerFailed(Exception):
    """A worker ended with an error; the message has its last lines."""


@dataclass(frozen=True)
class Bench:
    """What all rows share.

    Attributes:
        state: the results so far.
        trl_python: the interpreter of TRL's environment.
        shared: the folder of shared data.
        scratch: for whatever the runs write.
        versions: of the libraries.
        model: instead of the rows' own, to try the machinery; None for theirs.
    """

    state: State
    trl_python: Path
    shared: Path
    scratch: Path
    threads: int
    quick: bool
    versions: dict[str, str]
    model: str | None

    def worker(self, module: str, job: dict[str, Any], *, cache: Path | None = None) -> dict[str, Any]:
        """One run of a worker in a fresh process and folder.

        Args:
            module: of this package; `theirs` runs in TRL's environment.
            cache: where both sides keep what they compute of the reference; the user's own caches if None.

        Raises:
            WorkerFailed: it ended with an error.
        """
        python = self.trl_python if module == "theirs" else Path(sys.executable)
        with tempfile.TemporaryDirectory(dir=self.scratch) as folder:
            scratch = Path(folder)
            files = [scratch / "job.json", scratch / "result.json"]
            files[0].write_text(json.dumps({**job, "scratch": folder, "threads": self.threads}))
            run_command(
                [str(python), "-m", f"side_by_side.{module}", *map(str, files)],
                folder=scratch,
                environment=self.environment(cache),
            )
            result: dict[str, Any] = json.loads(files[1].read_text())
        return result

    def environment(self, cache: Path | None) -> dict[str, str]:
        """Variables of a worker's process."""
        caches = {} if cache is None else {"HF_HOME": str(cache / "hf"), "PENCHANT_CACHE": str(cache / "penchant")}
        return {
            **os.environ,
            "OMP_NUM_THREADS": str(self.threads),
            "MKL_NUM_THREADS": str(self.threads),
            "TOKENIZERS_PARALLELISM": "false",
            "CUDA_VISIBLE_DEVICES": "",
            "HF_HUB_OFFLINE": "1",
            "PYTHONPATH": f"{BENCHMARKS}{os.pathsep}{REPOSITORY / 'src'}",
            **caches,
        }


def run_command(command: Sequence[str], *, folder: Path, environment: dict[str, str]) -> float:
    """Seconds that a command took, from start to end.

    Raises:
        WorkerFailed: its exit code was not 0.
    """
    log_file = folder / "log.txt"
    started = time.monotonic()
    with log_file.open("w") as log:
        done = subprocess.run(
            command, env=environment | {SPAWNED: str(started)}, cwd=folder, stdout=log, stderr=subprocess.STDOUT
        )
    seconds = time.monotonic() - started
    if done.returncode:
        last = "\n".join(log_file.read_text(errors="replace").splitlines()[-25:])
        raise WorkerFailed(f"{' '.join(command[:3])} ended with exit code {done.returncode}:\n{last}")
    return seconds


@dataclass(frozen=True)
class Data:
    """A row's data and model, made when the first run needs them; its folder also keeps both sides' references."""

    bench: Bench
    name: str
    of: Words | Sample
    model: str
    steps: int
    pairs_per_step: int
    seed: int = 0

    @cached_property
    def folder(self) -> Path:
        """Where `prepare` leaves its files."""
        folder = self.bench.scratch / self.name
        folder.mkdir()
        return folder

    @cached_property
    def told(self) -> dict[str, Any]:
        """What `prepare` says: the model's folder, the number of prompts, mean lengths."""
        job = {
            "model": self.model,
            "data": asdict(self.of),
            "folder": str(self.folder),
            "shared": str(self.bench.shared),
            "prompts": -(-self.steps * self.pairs_per_step // self.of.pairs),
            "pairs_per_step": self.pairs_per_step,
            "seed": self.seed,
        }
        return self.bench.worker("prepare", job)


def train(
    data: Data,
    side: str,
    *,
    trl_batch: int,
    steps: int | None = None,
    pairs_per_step: int | None = None,
    learning_rate: float = 1e-6,
    beta: float = BETA,
    clip: float = CLIP,
    gradient: Path | None = None,
    cache: Path | None = None,
) -> dict[str, Any]:
    """One training run of one side.

    Args:
        side: a key of `SIDES`.
        trl_batch: pairs of one forward pass of TRL (ours fills a token budget).
        steps, pairs_per_step: other than the data's, to try something.
        gradient: where to keep the first step's gradient.
        cache: other than the data's own.
    """
    job = {
        "model": data.told["model"],
        "data": str(data.folder),
        "steps": steps or data.steps,
        "pairs_per_step": pairs_per_step or data.pairs_per_step,
        "learning_rate": learning_rate,
        "beta": beta,
        "clip": clip,
        "trl_batch": trl_batch,
        "precompute": side == "trl-precomputed",
        "gradient": gradient and str(gradient),
    }
    load = os.getloadavg()[0]
    module = "ours" if side == "penchant" else "theirs"
    return {"load_before": round(load, 2), **data.bench.worker(module, job, cache=cache or data.folder)}
