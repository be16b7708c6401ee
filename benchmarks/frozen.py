"""What `model.train_top` gains: steps of all weights, of the last blocks, and of the last blocks on kept states.

    python benchmarks/frozen.py [--top 2] [--repeats 8] [--model smollm2-135m]

One process, the three in a new random order each time, on the same data. Prints a Markdown table for each shape:
fastest and median step, and how long the kept states took to compute (once for a run, or for a sweep).
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch
from ablation import SHAPES, group

from penchant.engine.attention import trunk_blocks
from penchant.engine.frozen import frozen_states
from penchant.engine.memory import keep_freed_memory
from penchant.engine.score import token_budget
from penchant.engine.tree import Packing
from penchant.losses.settings import Sigmoid
from penchant.models.load import load_policy
from penchant.models.policy import Policy
from penchant.models.settings import ModelConfig
from penchant.train.batch import Dataset, micro_batches
from penchant.train.gradient import backward
from penchant.train.objectives import preference
from penchant.train.optimizer import clip, make_optimizer
from penchant.train.plan import Unit
from penchant.train.settings import AdamW


def main() -> None:
    """Measure and print."""
    options = _options()
    keep_freed_memory()
    torch.set_num_threads(2)
    for shape in ("four-short", "two-long"):
        _measure(options, shape)


def _measure(options: argparse.Namespace, shape: str) -> None:
    whole, top = (
        load_policy(ModelConfig(name=options.model, device="cpu", dtype="float32", train_top=count), template="plain")
        for count in (None, options.top)
    )
    count, prompt, responses, length = SHAPES[shape]
    rng = random.Random(0)
    rendered = [group(rng, prompt, responses, length) for _ in range(count)]
    data = Dataset(rendered, [torch.zeros(responses) for _ in rendered])
    blocks = trunk_blocks(top.model)
    assert blocks is not None
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        states, reason = frozen_states(
            top.scorer,
            rendered,
            Path(folder),
            blocks=len(blocks) - options.top,
            weights="",
            precision="float32",
            budget=token_budget(top.scorer.device, rendered),
        )
        spent = time.perf_counter() - began
        assert states is not None, reason
        size = states.states.numel() * states.states.element_size()
        variants = {
            "all weights": (whole, data),
            f"last {options.top} blocks, the others run": (top, data),
            f"last {options.top} blocks, states kept": (top, replace(data, frozen=states)),
        }
        times = _times(variants, responses, options.repeats)
    fastest = {name: min(seconds) for name, seconds in times.items()}
    print(f"\n| {shape}, {options.model} | fastest step | median | all weights / this |\n|---|---|---|---|")
    for name, seconds in times.items():
        ratio = fastest["all weights"] / fastest[name]
        print(f"| {name} | {fastest[name]:.2f} s | {statistics.median(seconds):.2f} s | {ratio:.1f}x |")
    print(f"\nThe states of a step's {count} prompts: {spent:.2f} s once, {size / 2**20:.1f} MiB.", flush=True)


def _times(variants: dict[str, tuple[Policy, Dataset]], responses: int, repeats: int) -> dict[str, list[float]]:
    """Seconds of a step, a first one left out."""
    units = tuple(Unit(pairs=((i, j, 1.0),)) for i in range(responses) for j in range(i + 1, responses))
    objective, rng = preference(Sigmoid(beta=0.1)), random.Random(1)
    learning = {
        name: [p for p in policy.scorer.parameters() if p.requires_grad] for name, (policy, _) in variants.items()
    }
    optimizers = {name: make_optimizer(AdamW(learning_rate=1e-7), some) for name, some in learning.items()}
    times: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(repeats + 1):
        for name in rng.sample(list(variants), len(variants)):
            policy, data = variants[name]
            step = [(number, units) for number in range(len(data.rendered))]
            began = time.perf_counter()
            for batch in micro_batches(
                step, data, budget=token_budget(policy.scorer.device, data.rendered), packing=Packing()
            ):
                backward(policy.scorer, batch, objective, float(len(step) * len(units)), data.frozen)
            clip(learning[name], 1.0)
            optimizers[name].step()
            optimizers[name].zero_grad(set_to_none=True)
            times[name].append(time.perf_counter() - began)
    return {name: seconds[1:] for name, seconds in times.items()}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--top", type=int, default=2, help="blocks that train")
    parser.add_argument("--repeats", type=int, default=8)
    parser.add_argument("--model", default="smollm2-135m")
    return parser.parse_args()


if __name__ == "__main__":
    main()
