"""What each part of the engine gains: training steps with one part at a time put back to what it replaced.

    python benchmarks/ablation.py [--shape two-long] [--repeats 10] [--model smollm2-135m]
    python benchmarks/ablation.py --profile [--shape two-long]      # instead: where the time of a step goes

One process, the same step for all, in a new random order each time, so that all meet the same machine; the allocator's
setting, which cannot be taken back, is compared between two processes. Prints a Markdown table: fastest step against
fastest step (a neighbour on the machine only ever makes a step slower), and the median against the median.
"""

from __future__ import annotations

import argparse
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from penchant.data.rendering.rendered import Branch, Rendered
from penchant.engine import kernels, logps
from penchant.engine.memory import keep_freed_memory
from penchant.engine.score import token_budget
from penchant.engine.tree import Packing
from penchant.losses.settings import Sigmoid
from penchant.models.load import load_policy
from penchant.train import batch
from penchant.train.batch import Dataset, micro_batches
from penchant.train.gradient import backward
from penchant.train.objectives import preference
from penchant.train.optimizer import clip, make_optimizer
from penchant.train.plan import Unit
from penchant.train.settings import AdamW

SHAPES = {  # prompts a step, prompt tokens, responses, response tokens
    "four-short": (4, (4, 8), 4, (24, 40)),
    "two-long": (4, (200, 400), 2, (20, 60)),
    "four-long": (1, (300, 500), 4, (80, 160)),
}


@contextmanager
def swapped(holder: Any, name: str, value: Any) -> Iterator[None]:
    """An attribute replaced for a while."""
    before = getattr(holder, name)
    setattr(holder, name, value)
    try:
        yield
    finally:
        setattr(holder, name, before)


class Dense:
    """One masked SDPA call a tree in place of the split attention."""

    apply = staticmethod(kernels.by_tree)


class Choice:
    """Which optimizer a step takes."""

    optimizer = "fused"


def fill_up(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """In place of `tree.pack`: each batch is filled up before the next one begins, so that the last is a rest."""
    taken: list[list[int]] = []
    size = 0
    for index in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        if not taken or size + lengths[index] > budget:
            taken.append([])
            size = 0
        taken[-1].append(index)
        size += lengths[index]
    return taken


VARIANTS: dict[str, Callable[[], Any]] = {
    "the engine": nullcontext,
    "attention: a dense mask a tree": lambda: swapped(kernels, "_SplitAttention", Dense),
    "head: projected again in the backward": lambda: swapped(logps, "KEEP_BYTES", 0),
    "AdamW: foreach instead of fused": lambda: swapped(Choice, "optimizer", "foreach"),
    "micro-batches: filled up, and a rest": lambda: swapped(batch, "pack", fill_up),
}


def main() -> None:
    """Measure and print."""
    options = _options()
    if options.child:
        print(*_seconds(options, ["the engine"], options.child == "keep")["the engine"][1:])
        return
    if options.profile:
        _profile(options)
        return
    print(f"| put back ({options.shape}, {options.model}) | fastest step | median step |\n|---|---|---|")
    times = _seconds(options, list(VARIANTS), True)
    for name in list(VARIANTS)[1:]:
        _row(name, times[name][1:], times["the engine"][1:])
    kept, freed = [], []
    for _ in range(max(2, options.repeats // 3)):
        kept += _child(options, "keep")
        freed += _child(options, "free")
    _row("memory given back after every step (two processes)", freed, kept)


def _row(name: str, variant: list[float], engine: list[float]) -> None:
    fastest, median = min(variant) / min(engine), statistics.median(variant) / statistics.median(engine)
    print(f"| {name} | {fastest:.2f}x | {median:.2f}x |", flush=True)


def _child(options: argparse.Namespace, kind: str) -> list[float]:
    shape = ["--shape", options.shape, "--model", options.model, "--repeats", "4"]
    command = [sys.executable, __file__, "--child", kind, *shape]
    return list(map(float, subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()))


class Training:
    """A policy, and a step of training that is taken again and again."""

    def __init__(self, options: argparse.Namespace) -> None:
        torch.set_num_threads(2)
        self.scorer = load_policy(options.model, template="plain", device="cpu", dtype="float32").scorer
        self.parameters = list(self.scorer.parameters())
        self.optimizers = {
            "fused": make_optimizer(AdamW(learning_rate=1e-7), self.parameters),
            "foreach": torch.optim.AdamW(self.parameters, lr=1e-7, foreach=True),
        }
        count, prompt, responses, length = SHAPES[options.shape]
        units = tuple(Unit(pairs=((i, j, 1.0),)) for i in range(responses) for j in range(i + 1, responses))
        rng = random.Random(0)
        rendered = [group(rng, prompt, responses, length) for _ in range(count)]
        self.data = Dataset(rendered, [torch.zeros(responses) for _ in rendered])
        self.units = [(number, units) for number in range(count)]
        self.budget = token_budget(self.scorer.device, rendered)

    def step(self, name: str) -> float:
        """Seconds of a step in a variant."""
        pairs = float(sum(len(units) for _, units in self.units))
        with VARIANTS[name]():
            began = time.perf_counter()
            for some in micro_batches(self.units, self.data, budget=self.budget, packing=Packing()):
                backward(self.scorer, some, preference(Sigmoid(beta=0.1)), pairs)
            clip(self.parameters, 1.0)
            self.optimizers[Choice.optimizer].step()
            self.optimizers[Choice.optimizer].zero_grad(set_to_none=True)
            return time.perf_counter() - began


def _seconds(options: argparse.Namespace, names: list[str], keep: bool) -> dict[str, list[float]]:
    """Seconds of a step by variant; the first of each is a warm-up."""
    if keep:
        keep_freed_memory()
    training, rng = Training(options), random.Random(0)
    times: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(options.repeats + 1):
        for name in rng.sample(names, len(names)):
            times[name].append(training.step(name))
    return times


def _profile(options: argparse.Namespace) -> None:
    """The operators' own time in the third step, the largest first."""
    keep_freed_memory()
    training = Training(options)
    for _ in range(2):
        training.step("the engine")
    with profile(activities=[ProfilerActivity.CPU]) as seen:
        training.step("the engine")
    events = sorted(seen.key_averages(), key=lambda event: -event.self_cpu_time_total)
    total = sum(event.self_cpu_time_total for event in events)
    print(f"| operator ({options.shape}, {options.model}) | own time | calls |\n|---|---|---|")
    for event in events[:16]:
        print(f"| `{event.key}` | {event.self_cpu_time_total / total:.1%} | {event.count} |")


def group(rng: random.Random, prompt: tuple[int, int], responses: int, length: tuple[int, int]) -> Rendered:
    """A prompt with responses of random tokens."""

    def tokens(sizes: tuple[int, int]) -> tuple[int, ...]:
        return tuple(rng.randrange(1000, 49000) for _ in range(rng.randint(*sizes)))

    branches = [tokens(length) for _ in range(responses)]
    return Rendered(tokens(prompt), tuple(Branch(ids, ((0, len(ids)),)) for ids in branches))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--shape", choices=SHAPES, default="four-short")
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--profile", action="store_true", help="where a step's time goes, instead")
    parser.add_argument("--child", choices=["keep", "free"], help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
