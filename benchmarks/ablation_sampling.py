"""What each part of the sampler gains: the same draws with one part at a time put back to what it replaced.

    python benchmarks/ablation_sampling.py [--repeats 5] [--model smollm2-135m]

One process, all variants in a new random order each time. Prints a Markdown table: fastest against fastest, and the
median against the median. The policy has LoRA adapters.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import torch
from ablation import swapped

from penchant.engine import generate, rows
from penchant.engine.generate import Sampling
from penchant.models.load import load_policy
from penchant.models.policy import Policy
from penchant.models.settings import LoRA, ModelConfig

WORKLOADS = {"short prompts, n = 4": (32, 16, 4), "long prompts, n = 4": (256, 4, 4)}  # tokens, prompts, samples
NEW_TOKENS = 24


VARIANTS: dict[str, Callable[[], Any]] = {
    "the sampler": nullcontext,
    "keys and values kept as transformers does": lambda: swapped(generate, "rows_like", lambda cache: rows.PlainRows()),
    "adapters not merged": lambda: swapped(generate, "merged_adapters", nullcontext),
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(2)
    config = ModelConfig(name=options.model, device="cpu", dtype="float32", lora=LoRA())
    policy = load_policy(config, template="plain")
    print("| put back | workload | fastest | median |\n|---|---|---|---|")
    for workload, shape in WORKLOADS.items():
        times = _seconds(policy, shape, options.repeats)
        base = times.pop("the sampler")
        for name, of in times.items():
            fastest, median = min(of) / min(base), statistics.median(of) / statistics.median(base)
            print(f"| {name} | {workload} | {fastest:.2f}x | {median:.2f}x |", flush=True)


def _seconds(policy: Policy, shape: tuple[int, int, int], repeats: int) -> dict[str, list[float]]:
    """Seconds of all draws by variant; the first of each is a warm-up."""
    tokens, count, n = shape
    rng = random.Random(0)
    prompts = [" ".join(rng.choices(("sea", "wind", "old", "house", "told", "never"), k=tokens)) for _ in range(count)]
    sampling = Sampling(n=n, max_new_tokens=NEW_TOKENS)
    times: dict[str, list[float]] = {name: [] for name in VARIANTS}
    for _ in range(repeats + 1):
        for name in rng.sample(list(VARIANTS), len(VARIANTS)):
            with VARIANTS[name]():
                began = time.perf_counter()
                policy.draw(prompts, sampling)
                times[name].append(time.perf_counter() - began)
    return {name: of[1:] for name, of in times.items()}


if __name__ == "__main__":
    main()
