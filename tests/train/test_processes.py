"""Two processes (gloo, loopback) make the same steps as one."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def launch(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """What `accelerate launch --multi_cpu --num_processes 2` does, without its imports."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {**os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2",
              "LOCAL_WORLD_SIZE": "2", "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}  # fmt: skip
    other, first = (
        subprocess.Popen(
            [sys.executable, "-m", "penchant.cli", *arguments],
            env={**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in (1, 0)
    )
    out, err = first.communicate(timeout=120)
    other_out, other_err = other.communicate(timeout=60)
    assert (first.returncode, other.returncode) == (0, 0), err + other_err
    assert other_out == ""  # one summary, not two
    return subprocess.CompletedProcess([], first.returncode, out, err)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "early"),
    [("dpo", ()), ("dpo", ("early_stopping.patience=1", "evaluate.every_steps=2", "epochs=9")), ("kto", ())],
)
def test_two_processes_equal_one(
    penchant: Callable[..., Any],
    tiny_model: str,
    preference_file: Path,
    tmp_path: Path,
    method: str,
    early: tuple[str, ...],
) -> None:
    """Steps of 7 comparisons in micro-batches of one or two groups; the last step has only one micro-batch."""
    from safetensors.torch import load_file

    settings = (
        f"model={tiny_model}",
        "model.device=cpu",
        f"data={preference_file}",
        "data.held_out=1",
        "batch_size=7",
        "tokens_per_batch=90",
        "optimizer.learning_rate=0.003",
        "optimizer.eps=1e-3",
        "evaluate.samples.max_new_tokens=4",
        "schedule=linear",
        *early,
    )
    one = penchant("train", method, *settings, "out=one")
    assert one.wait() == 0, one.stderr
    launch(tmp_path, "train", method, *settings, "out=two")
    weights = [load_file(tmp_path / out / "checkpoint" / "model.safetensors") for out in ("one", "two")]
    assert max(float((weights[0][name] - weights[1][name]).abs().max()) for name in weights[0]) < 1e-5
    rows = [
        [json.loads(line) for line in (tmp_path / out / "metrics.jsonl").read_text().splitlines()]
        for out in ("one", "two")
    ]
    for alone, shared in zip(*rows, strict=True):
        assert alone.keys() == shared.keys()
        for name in alone.keys() - {"kind", "seconds", "tokens_per_s", "held_out", "samples"}:
            assert shared[name] == pytest.approx(alone[name], rel=1e-3, abs=1e-5), name
    results = [json.loads((tmp_path / out / "result.json").read_text()) for out in ("one", "two")]
    assert results[0]["status"] == results[1]["status"] == ("stopped_early" if early else "done")
