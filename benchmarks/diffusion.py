"""Diffusion-DPO against SFT on the preferred pictures, from the same pairs in as many steps, on `penchant-diffusion`.

Pairs are of the model's own pictures, and a rule with known truth says which of a pair is preferred: the brighter one,
the one that covers more, or the one that a recogniser takes for the class that was asked for. Each model then draws
pictures with the same noise as the start, so that differences are paired. Each (rule, seed, method) is kept in a file,
and a call that was killed goes on.

    python benchmarks/diffusion.py --out FOLDER [--rules brightness ...] [--seeds 0 1 2 3 4]
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import stats

from penchant.image import Image
from penchant.methods import train
from penchant.methods.dpo import DPO
from penchant.methods.preferred_ft import PreferredFT
from penchant.models.diffusion.policy import DiffusionPolicy, load_diffusion
from penchant.models.recogniser import class_probabilities, load_recogniser

MODEL = "penchant-diffusion"
METHODS = ("dpo", "preferred_ft")
COVERED = 26  # grey levels from which on a pixel is no background: a tenth of white
BETA, RATE, BATCH = 10.0, 1e-4, 32


def measure(rule: str, pictures: NDArray[np.uint8], classes: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return what a rule says of each picture, from 0 to 1."""
    if rule == "brightness":
        return pictures.mean((1, 2)) / 255
    if rule == "area":
        return (pictures >= COVERED).mean((1, 2))
    return class_probabilities(load_recogniser(), pictures)[np.arange(len(pictures)), classes].astype(np.float64)


def draw(
    policy: DiffusionPolicy, each: int, seed: int, steps: int
) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.float64]]:
    """Return so many pictures of each class, their classes, and the KL of each path from the start's."""
    names = policy.shape.conditions
    pictures, kl = policy.draw(names, n=each, steps=steps, seed=seed, reference=load_diffusion(MODEL))
    return pictures, np.repeat(np.arange(len(names)), each), kl


def write_pairs(file: Path, rule: str, seed: int, each: int, steps: int) -> None:
    """Write pairs of the model's own pictures of one class, the preferred one first."""
    policy = load_diffusion(MODEL)
    pictures, classes, _ = draw(policy, each, 10_000 + seed, steps)
    values = measure(rule, pictures, classes)
    folder = file.parent / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for first in range(0, len(pictures) - 1, 2):
        pair = sorted((first, first + 1), key=lambda index: -values[index])
        # a tie says nothing
        if values[pair[0]] == values[pair[1]]:
            continue
        sides = []
        for index in pair:
            (folder / f"{index}.png").write_bytes(Image.make(pictures[index]).content)
            part = {"type": "image", "path": f"pictures/{index}.png"}
            sides.append([{"role": "assistant", "content": [part]}])
        prompt = [{"role": "user", "content": policy.shape.conditions[classes[first]]}]
        rows.append(json.dumps({"prompt": prompt, "chosen": sides[0], "rejected": sides[1]}))
    file.write_text("\n".join(rows))


def train_one(method: str, pairs: Path, out: Path, seed: int, steps: int) -> None:
    """Train from the start on pairs."""
    shared = {
        "model": MODEL,
        "data": {"path": str(pairs), "merge": False, "held_out": 0.1},
        "optimizer": {"name": "adamw", "learning_rate": RATE},
        "batch_size": BATCH,
        "epochs": 100,
        "max_steps": steps,
        "seed": seed,
        "out": str(out),
    }
    train(DPO(**shared, loss={"name": "sigmoid", "beta": BETA}) if method == "dpo" else PreferredFT(**shared))


def run_cell(folder: Path, rule: str, seed: int, arguments: argparse.Namespace) -> None:
    """Train both methods on one set of pairs, and keep what their pictures are like beside the start's."""
    pairs = folder / f"{rule}-{seed}" / "pairs.jsonl"
    for method in METHODS:
        result = folder / f"{rule}-{seed}-{method}.json"
        if result.exists():
            continue
        if not pairs.exists():
            write_pairs(pairs, rule, seed, arguments.each, arguments.sample_steps)
        out, started = folder / f"{rule}-{seed}" / f"{method}-{time.time_ns()}", time.perf_counter()
        train_one(method, pairs, out, seed, arguments.steps)
        seconds = time.perf_counter() - started
        before, classes, _ = draw(load_diffusion(MODEL), arguments.measured, 20_000, arguments.sample_steps)
        after, _, kl = draw(load_diffusion(str(out)), arguments.measured, 20_000, arguments.sample_steps)
        columns = {
            f"{name}_{when}": measure(name, pictures, classes).tolist()
            for name in ("brightness", "area", "class")
            for when, pictures in (("before", before), ("after", after))
        }
        columns |= {
            f"recognised_{when}": (class_probabilities(load_recogniser(), pictures).argmax(1) == classes).tolist()
            for when, pictures in (("before", before), ("after", after))
        }
        result.write_text(json.dumps({"seconds": seconds, "kl": kl.tolist(), **columns}))


def report(folder: Path, rule: str, seeds: list[int]) -> None:
    """Print means over seeds with t intervals over seeds; differences are paired by noise."""
    rows = {
        method: [json.loads((folder / f"{rule}-{seed}-{method}.json").read_text()) for seed in seeds]
        for method in METHODS
    }
    for method, results in rows.items():
        for name in (rule, "recognised"):
            changes = [np.subtract(row[f"{name}_after"], row[f"{name}_before"], dtype=float) for row in results]
            _print(f"{rule}: {method} less the start, {name}", changes)
        _print(f"{rule}: {method}, KL of paths in nats", [np.array(row["kl"]) for row in results])
    for name in (rule, "recognised", "kl"):
        key = name if name == "kl" else f"{name}_after"
        pairs = zip(rows["dpo"], rows["preferred_ft"], strict=True)
        _print(f"{rule}: dpo less preferred_ft, {name}", [np.subtract(a[key], b[key], dtype=float) for a, b in pairs])


def _print(title: str, by_seed: list[NDArray[np.float64]]) -> None:
    # five seeds: a t interval over their means, for resampling so few says too little
    means = np.array([values.mean() for values in by_seed])
    half = stats.t.ppf(0.975, len(means) - 1) * means.std(ddof=1) / len(means) ** 0.5 if len(means) > 1 else np.nan
    print(f"{title}: {means.mean():.4f} [{means.mean() - half:.4f}, {means.mean() + half:.4f}]", flush=True)


def main() -> None:
    """Run what is missing, and print what is there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rules", nargs="+", choices=("brightness", "area", "class"), default=["brightness"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument("--each", type=int, default=64, help="pictures per class that pairs are made of")
    parser.add_argument("--measured", type=int, default=20, help="pictures per class that are measured")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--sample-steps", type=int, default=25)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    arguments.out.mkdir(parents=True, exist_ok=True)
    for rule in arguments.rules:
        for seed in arguments.seeds:
            run_cell(arguments.out, rule, seed, arguments)
        report(arguments.out, rule, arguments.seeds)


if __name__ == "__main__":
    main()
