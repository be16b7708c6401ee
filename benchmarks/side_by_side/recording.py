"""What both workers note down, in the same way."""

from __future__ import annotations

import json
import os
import platform
import resource
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

SPAWNED = "BENCHMARK_SPAWNED"  # the monotonic clock when the worker's process was started


class Recording:
    """The steps of one run, with the time at which each was done, counted from the start of the process."""

    def __init__(self) -> None:
        self.spawned = float(os.environ[SPAWNED])
        self.steps: list[dict[str, float]] = []
        self.ready_s = 0.0

    def ready(self) -> None:
        """All is loaded and the reference known (where it comes first): training starts."""
        self.ready_s = self._now()

    def step(self, *, loss: float, chosen_logps: float, rejected_logps: float, grad_norm: float) -> None:
        """An optimizer step is done: its numbers before the update, means over its pairs."""
        self.steps.append(
            {
                "loss": loss,
                "chosen_logps": chosen_logps,
                "rejected_logps": rejected_logps,
                "grad_norm": grad_norm,
                "end_s": self._now(),
            }
        )

    def write(self, path: str | Path, *, tokens: dict[str, Any], threads: int, libraries: list[str]) -> None:
        """Leave the result for the driver; `tokens` says what went through the network, as each worker counts it."""
        result: dict[str, Any] = {
            "steps": self.steps,
            "ready_s": self.ready_s,
            "peak_mib": peak_mib(),
            "tokens": tokens,
            "threads": threads,
            "versions": {"python": platform.python_version()} | {name: version(name) for name in libraries},
        }
        Path(path).write_text(json.dumps(result))

    def _now(self) -> float:
        return time.monotonic() - self.spawned


def peak_mib() -> float:
    """The most memory that this process has held resident so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


def read_job() -> tuple[dict[str, Any], str]:
    """The job that the driver wrote, and where the result goes: the worker's two arguments."""
    return json.loads(Path(sys.argv[1]).read_text()), sys.argv[2]


def same_tokens(side: str, expected: list[Any], got: list[Any]) -> None:
    """Stop if a side would train on other token ids than the data was made of."""
    if len(expected) != len(got):
        sys.exit(f"{side} sees {len(got)} rows instead of {len(expected)}")
    for number, (right, mine) in enumerate(zip(expected, got, strict=True)):
        if right != mine:
            sys.exit(f"{side} sees other token ids in row {number}: {mine} instead of {right}")


def keep_first_gradient(model: Any, path: str | Path) -> None:
    """Write the gradient with which any optimizer takes its first step: a tensor a weight, tied ones once.

    Both sides meet it at the same place, after clipping, so equality runs clip at a norm that is never reached.
    """
    from safetensors.torch import save_file
    from torch.optim.optimizer import register_optimizer_step_pre_hook

    def keep(optimizer: Any, *_: Any) -> None:
        if all(group["lr"] == 0 for group in optimizer.param_groups):  # memory being taken: no step of training
            return
        handle.remove()
        gradients = {name: weight.grad for name, weight in model.named_parameters() if weight.grad is not None}
        save_file({name: gradient.detach().float().contiguous() for name, gradient in gradients.items()}, str(path))

    handle = register_optimizer_step_pre_hook(keep)
