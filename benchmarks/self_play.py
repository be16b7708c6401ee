"""Measure rounds on a small model: SPIN against continued SFT, iterative against offline DPO, fixed against moving.

    nice -n 15 python benchmarks/self_play.py --model ../shared/data/stories260K --out /tmp/self-play --seeds 5

Prompts are the story openings of the studies, the true reward is VADER, and the start of everything is the model after
one epoch of SFT on its own reward-filtered samples (the best of 8 per prompt), which are the demonstrations too.
Prompts are split by seed: 120 that the start and the methods learn from, and 60 that only measure. What is done
is kept, so that the same command goes on; results are in `OUT/results.jsonl`, one line per seed and method.
"""

from __future__ import annotations

import argparse
import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import stats

import penchant as pt
from penchant.data.load import load_demonstrations, load_prompts
from penchant.engine.reference import Reference, sequence_kl
from penchant.types import PromptGroup

OPENINGS = Path(pt.__path__[0]) / "studies" / "core" / "openings" / "story_openings.txt"
REWARD, TOKENS, CANDIDATES = "vader", 40, 8
LEARNED, EVALUATED, DRAWS = 120, 60, 8  # prompts to learn from, those that only measure, and samples of each of these
RATE, BATCH = 1e-4, 16
COLUMNS = ("reward", "kl", "real_logps", "tokens")
CONTRASTS = (("spin-0.1", "sft"), ("spin-1", "sft"), ("fixed", "offline"), ("moving", "fixed"))
Policy = Any


@dataclass(frozen=True)
class Seed:
    """What all methods of a seed share: its number, prompts by side, the folder, the start."""

    number: int
    folder: Path
    start: str
    demonstrations: Path
    prompts: Path
    evaluated: tuple[str, ...]
    real: tuple[PromptGroup, ...]


def make_seed(model: str, out: Path, number: int) -> Seed:
    """Split the prompts, make demonstrations, and fine-tune the start on the first half of them."""
    folder = out / f"seed-{number}"
    folder.mkdir(parents=True, exist_ok=True)
    prompts = [str(group.prompt) for group in load_prompts(OPENINGS)]
    order = np.random.default_rng(number).permutation(len(prompts))
    shuffled = [prompts[index] for index in order]
    evaluated, learned = shuffled[:EVALUATED], shuffled[EVALUATED : EVALUATED + LEARNED]
    best = folder / "best.jsonl"
    if not best.exists():
        policy = pt.load_policy(model, device="cpu")
        samples = policy.sample(
            shuffled[: EVALUATED + LEARNED], pt.Sampling(CANDIDATES, max_new_tokens=TOKENS, seed=1000 + number)
        )
        scored = pt.score_groups(samples, pt.load_reward(REWARD))
        groups = []
        for group in scored:
            top = max(range(len(group.responses)), key=(group.scores or ()).__getitem__)
            # as drawn: a sample that was cut is taught without an end
            groups.append(PromptGroup(group.prompt, [replace(group.responses[top], count=1)]))
        pt.write_groups(groups, best)
    demonstrations = {str(group.prompt): group for group in load_demonstrations(best)}
    files = {"learned": learned, "evaluated": evaluated}
    for name, some in files.items():
        pt.write_groups([demonstrations[prompt] for prompt in some], folder / f"{name}.jsonl")
    (folder / "prompts.txt").write_text("\n".join(learned) + "\n")
    start = folder / "start"
    pt.train(
        pt.SFT(model={"name": model, "device": "cpu"}, data={"path": str(folder / "learned.jsonl"), "held_out": 0},
               optimizer={"name": "adamw", "learning_rate": RATE}, batch_size=BATCH, evaluate={"samples": None},
               out=str(start), seed=number),
        resume=(start / "config.yaml").exists(),
    )  # fmt: skip
    real = tuple(demonstrations[prompt] for prompt in evaluated)
    return Seed(number, folder, str(start / "checkpoint"), folder / "learned.jsonl", folder / "prompts.txt",
                tuple(evaluated), real)  # fmt: skip


def trained(config: Any) -> tuple[str, dict[str, Any]]:
    """Train a method, or go on with it; return its last policy and the metrics."""
    run = pt.train(config, resume=(Path(config.out) / "config.yaml").exists())
    last = run.path / "checkpoint"
    if not last.exists():
        rounds = sorted(run.path.glob("round-*/policy"), key=lambda path: int(path.parent.name.split("-")[1]))
        last = rounds[-1] / "checkpoint"
    return str(last), run.metrics


def measure(seed: Seed, policy_name: str) -> dict[str, list[float]]:
    """Return per evaluated prompt: mean reward, KL from the start, log-likelihood of the real answer, tokens."""
    policy, start = (pt.load_policy(name, device="cpu") for name in (policy_name, seed.start))
    samples = policy.sample(list(seed.evaluated), pt.Sampling(DRAWS, max_new_tokens=TOKENS, seed=7))
    scored = pt.score_groups(samples, pt.load_reward(REWARD))
    kls = sequence_kl(
        policy.scorer, Reference(start.scorer, False), [policy.renderer.render(group) for group in samples]
    )
    columns: dict[str, list[float]] = {"reward": [], "kl": [], "tokens": []}
    for group, kl in zip(scored, kls, strict=True):
        weights = torch.tensor([float(response.count) for response in group.responses])
        lengths = torch.tensor([float(len(response.token_ids or ())) for response in group.responses])
        for name, numbers in (("reward", torch.tensor(group.scores)), ("kl", kl), ("tokens", lengths)):
            columns[name].append(float((numbers * weights).sum() / weights.sum()))
    return columns | {"real_logps": [float(row.sum()) for row in policy.score(list(seed.real))]}


def methods(seed: Seed) -> dict[str, Callable[[], Any]]:
    """Return the configurations by name: equal steps within SPIN and SFT, equal samples and steps within the others."""
    model = {"name": seed.start, "device": "cpu"}
    rows = {"path": str(seed.demonstrations), "held_out": 0}
    prompts = {"path": str(seed.prompts), "held_out": 0}
    adamw = {"name": "adamw", "learning_rate": RATE}
    shared: dict[str, Any] = {"model": model, "seed": seed.number}
    stage = {"batch_size": BATCH, "optimizer": adamw, "evaluate": {"samples": None}}
    rounds: dict[str, Any] = {**shared, "reward": REWARD, "max_new_tokens": TOKENS, "data": prompts}

    def spin(beta: float, name: str) -> pt.SPIN:
        return pt.SPIN(**shared, data=rows, rounds=3, beta=beta, learning_rate=RATE, epochs=1, optimizer="adamw",
                       earlier_rounds=0, max_new_tokens=TOKENS, dpo={"batch_size": BATCH},
                       out=str(seed.folder / name))  # fmt: skip

    def iterative(name: str, **changes: Any) -> pt.Iterative:
        settings = {"rounds": 3, "samples_per_prompt": 4, "dpo": stage, **changes}
        return pt.Iterative(**rounds, **settings, out=str(seed.folder / name))

    return {
        # as many passes over the demonstrations as SPIN's three iterations take
        "sft": lambda: pt.SFT(**shared, data=rows, epochs=3, **stage, out=str(seed.folder / "sft")),
        "spin-0.1": lambda: spin(0.1, "spin-0.1"),
        "spin-1": lambda: spin(1.0, "spin-1"),
        # 12 samples per prompt and three passes at once, against 4 and one pass in each of three rounds
        "offline": lambda: iterative("offline", rounds=1, samples_per_prompt=12, dpo={**stage, "epochs": 3}),
        "fixed": lambda: iterative("fixed"),
        "moving": lambda: iterative("moving", reference="moving"),
    }


def main() -> None:
    """Measure all seeds, and write a line per seed and method."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=5)
    arguments = parser.parse_args()
    logging.getLogger("penchant").setLevel(logging.ERROR)
    arguments.out.mkdir(parents=True, exist_ok=True)
    results = arguments.out / "results.jsonl"
    lines = [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []
    done = {(line["seed"], line["method"]) for line in lines}
    for number in range(arguments.seeds):
        seed = make_seed(arguments.model, arguments.out, number)
        for name, make in {"start": None, **methods(seed)}.items():
            if (number, name) in done:
                continue
            began = time.monotonic()
            policy, metrics = (seed.start, {}) if make is None else trained(make())
            line = {
                "seed": number,
                "method": name,
                "seconds": time.monotonic() - began,
                "round_seconds": metrics.get("round_seconds"),
                "stop_reason": metrics.get("stop_reason"),
                **measure(seed, policy),
            }
            with results.open("a") as file:
                file.write(json.dumps(line) + "\n")
    print_table([json.loads(line) for line in results.read_text().splitlines()])


def print_table(lines: list[dict[str, Any]]) -> None:
    """Print the mean of each method over prompts and seeds, and what it gains over its control by seed."""
    table = {(line["seed"], line["method"]): line for line in lines}
    for name in dict.fromkeys(line["method"] for line in lines):
        rows = [line for line in lines if line["method"] == name]
        print(f"{name}: " + ", ".join(f"{column} {mean_and_range(rows, column)}" for column in COLUMNS))
    for first, second in CONTRASTS:
        seeds = [seed for seed, name in table if name == first and (seed, second) in table]
        for column in COLUMNS:
            # prompts are the same in both, so that a seed's difference is paired
            gains = [np.mean(table[seed, first][column]) - np.mean(table[seed, second][column]) for seed in seeds]
            print(f"{first} - {second}, {column}: {interval(gains)}")


def mean_and_range(rows: list[dict[str, Any]], column: str) -> str:
    """Return the mean over seeds, and the smallest and the largest seed."""
    means = [float(np.mean(row[column])) for row in rows]
    return f"{np.mean(means):.3f} ({min(means):.3f} to {max(means):.3f})"


def interval(gains: list[Any]) -> str:
    """Return the mean over seeds with Student's 95% interval."""
    if len(gains) < 2:
        return f"{np.mean(gains):+.3f}, one seed" if gains else "no seed"
    arm = stats.t.ppf(0.975, len(gains) - 1) * np.std(gains, ddof=1) / np.sqrt(len(gains))
    return f"{np.mean(gains):+.3f} [{np.mean(gains) - arm:+.3f}, {np.mean(gains) + arm:+.3f}], {len(gains)} seeds"


if __name__ == "__main__":
    main()
