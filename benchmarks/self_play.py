"""Measure rounds on a small model: SPIN against continued SFT, iterative against offline DPO, fixed against moving.

    nice -n 15 python benchmarks/self_play.py --model ../shared/data/stories260K --out /tmp/self-play --seeds 5

Prompts are openings of the studies, the true reward is VADER, and the start of everything is the model after
one epoch of SFT on its own reward-filtered samples (the best of 8 per prompt), which are the demonstrations too.
Prompts are split by seed: 120 that the start and the methods learn from, and 60 that only measure. 40 prompts are in
neither side of any seed: first, every rate is measured for every method on them, with a seed of its own,
and then each method has the rate of its best reward in all seeds. What is done is kept, so that the same command goes
on; results are in `OUT/tuning.jsonl` and `OUT/results.jsonl`, one line per seed, method and rate.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
from collections.abc import Callable, Iterable, Mapping
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

OPENINGS = Path(pt.__path__[0]) / "studies" / "core" / "openings"
REWARD, TOKENS, CANDIDATES = "vader", 40, 8
LEARNED, EVALUATED, DRAWS = 120, 60, 8  # prompts to learn from, those that only measure, and samples of each of these
TUNED, TUNING_SEEDS = 40, (100,)  # prompts that only rates are chosen on, and the seeds that choose them
RATES = (3e-6, 1e-5, 3e-5, 1e-4)
START_RATE, BATCH = 1e-4, 16
UNFINISHED = 75  # exit status where `--minutes` ended before the work did
COLUMNS = ("reward", "kl", "real_logps", "tokens")
METHODS = ("sft", "spin-0.1", "spin-1", "offline", "fixed", "moving")
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


def split_prompts(file: Path, number: int) -> tuple[list[str], list[str]]:
    """Return the prompts that measure and those to learn from; those for rates measure the seeds of tuning alone."""
    prompts = [str(group.prompt) for group in load_prompts(file)]
    fixed = [prompts[index] for index in np.random.default_rng(2026).permutation(len(prompts))]
    tuned, others = fixed[:TUNED], fixed[TUNED:]
    shuffled = [others[index] for index in np.random.default_rng(number).permutation(len(others))]
    evaluated = tuned if number in TUNING_SEEDS else shuffled[:EVALUATED]
    return evaluated, shuffled[EVALUATED : EVALUATED + LEARNED]


def make_seed(model: str, openings: Path, out: Path, number: int) -> Seed:
    """Split the prompts, make demonstrations, and fine-tune the start on the half to learn from."""
    folder = out / f"seed-{number}"
    folder.mkdir(parents=True, exist_ok=True)
    evaluated, learned = split_prompts(openings, number)
    best = folder / "best.jsonl"
    if not best.exists():
        policy = pt.load_policy(model, device="cpu")
        samples = policy.sample(
            [*evaluated, *learned], pt.Sampling(CANDIDATES, max_new_tokens=TOKENS, seed=1000 + number)
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
               optimizer={"name": "adamw", "learning_rate": START_RATE}, batch_size=BATCH, evaluate={"samples": None},
               out=str(start), seed=number),
        resume=(start / "config.yaml").exists(),
    )  # fmt: skip
    real = tuple(demonstrations[prompt] for prompt in evaluated)
    return Seed(number, folder, str(start / "checkpoint"), folder / "learned.jsonl", folder / "prompts.txt",
                tuple(evaluated), real)  # fmt: skip


def trained(config: Any) -> tuple[str, dict[str, Any]]:
    """Train a method, or go on with it; return its last policy and the metrics."""
    run = pt.train(config, resume=(Path(config.out) / "config.yaml").exists())
    # its checkpoint is of some step on the way: the same command goes on from there
    if run.metrics["status"] == "interrupted":
        sys.exit(UNFINISHED)
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


def methods(seed: Seed) -> dict[str, Callable[[float], Any]]:
    """Return the methods by name, each a function of its learning rate.

    Within SPIN and SFT steps are equal; within the others samples and steps.
    """
    model = {"name": seed.start, "device": "cpu"}
    rows = {"path": str(seed.demonstrations), "held_out": 0}
    prompts = {"path": str(seed.prompts), "held_out": 0}
    shared: dict[str, Any] = {"model": model, "seed": seed.number}
    rounds: dict[str, Any] = {**shared, "reward": REWARD, "max_new_tokens": TOKENS, "data": prompts}

    def stage(rate: float) -> dict[str, Any]:
        optimizer = {"name": "adamw", "learning_rate": rate}
        return {"batch_size": BATCH, "optimizer": optimizer, "evaluate": {"samples": None}}

    def folder(name: str, rate: float) -> str:
        return str(seed.folder / f"{name}-{rate:g}")

    def spin(name: str, beta: float, rate: float) -> pt.SPIN:
        return pt.SPIN(**shared, data=rows, rounds=3, beta=beta, learning_rate=rate, epochs=1, optimizer="adamw",
                       earlier_rounds=0, max_new_tokens=TOKENS, dpo={"batch_size": BATCH},
                       out=folder(name, rate))  # fmt: skip

    def iterative(name: str, rate: float, **changes: Any) -> pt.Iterative:
        settings = {"rounds": 3, "samples_per_prompt": 4, **changes}
        dpo = {**stage(rate), **settings.pop("dpo", {})}
        return pt.Iterative(**rounds, **settings, dpo=dpo, out=folder(name, rate))

    return {
        # as many passes over the demonstrations as SPIN's three iterations take
        "sft": lambda rate: pt.SFT(**shared, data=rows, epochs=3, **stage(rate), out=folder("sft", rate)),
        "spin-0.1": lambda rate: spin("spin-0.1", 0.1, rate),
        "spin-1": lambda rate: spin("spin-1", 1.0, rate),
        # 12 samples per prompt and three passes at once, against 4 and one pass in each of three rounds
        "offline": lambda rate: iterative("offline", rate, rounds=1, samples_per_prompt=12, dpo={"epochs": 3}),
        "fixed": lambda rate: iterative("fixed", rate),
        "moving": lambda rate: iterative("moving", rate, reference="moving"),
    }


def read_lines(file: Path) -> list[dict[str, Any]]:
    """Return what is measured so far."""
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def best_rates(lines: list[dict[str, Any]]) -> dict[str, float]:
    """Return of each method the rate with the best mean reward: what all of them are there to raise."""
    rates = {}
    for name in METHODS:
        # one number per rate, over prompts and seeds; prompts are as many in each
        rewards: dict[float, list[float]] = {}
        for line in lines:
            if line["method"] == name:
                rewards.setdefault(line["rate"], []).append(float(np.mean(line["reward"])))
        rates[name] = max(rewards, key=lambda rate: float(np.mean(rewards[rate])))
    return rates


def main() -> None:
    """Measure all seeds, and write a line per seed, method and rate."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", required=True)
    parser.add_argument("--openings", default="story_openings", help="or film_openings")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--rates", type=float, nargs="+", default=RATES, help="to choose from")
    parser.add_argument("--minutes", type=float, default=1e9, help="begin nothing after so many; exit with 75")
    arguments = parser.parse_args()
    logging.getLogger("penchant").setLevel(logging.ERROR)
    arguments.out.mkdir(parents=True, exist_ok=True)
    end = time.monotonic() + 60 * arguments.minutes
    tuning, results = (arguments.out / f"{name}.jsonl" for name in ("tuning", "results"))
    measure_seeds(arguments, TUNING_SEEDS, dict.fromkeys(METHODS, tuple(arguments.rates)), tuning, end)
    print_tuning(read_lines(tuning))
    rates = {name: (rate,) for name, rate in best_rates(read_lines(tuning)).items()}
    measure_seeds(arguments, range(arguments.seeds), rates, results, end)
    print_table(read_lines(results))


def measure_seeds(
    arguments: argparse.Namespace, seeds: Iterable[int], rates: Mapping[str, tuple[float, ...]], file: Path, end: float
) -> None:
    """Measure the rates of each method with some seeds, and write a line for each; leave out what is there."""
    done = {(line["seed"], line["method"], line["rate"]) for line in read_lines(file)}
    for number in seeds:
        jobs = [("start", 0.0), *((name, rate) for name, some in rates.items() for rate in some)]
        jobs = [job for job in jobs if (number, *job) not in done]
        if not jobs:
            continue
        seed = make_seed(arguments.model, OPENINGS / f"{arguments.openings}.txt", arguments.out, number)
        for name, rate in jobs:
            if time.monotonic() > end:
                sys.exit(UNFINISHED)
            line = json.dumps(measure_method(seed, name, rate))
            with file.open("a") as lines:
                lines.write(line + "\n")


def measure_method(seed: Seed, name: str, rate: float) -> dict[str, Any]:
    """Train a method of a seed at a rate, and return its line of results."""
    began = time.monotonic()
    policy, metrics = (seed.start, {}) if name == "start" else trained(methods(seed)[name](rate))
    return {
        "seed": seed.number,
        "method": name,
        "rate": rate,
        "seconds": time.monotonic() - began,
        "round_seconds": metrics.get("round_seconds"),
        "stop_reason": metrics.get("stop_reason"),
        **measure(seed, policy),
    }


def print_tuning(lines: list[dict[str, Any]]) -> None:
    """Print what each rate of each method came to on the prompts for rates."""
    for name, rate in dict.fromkeys((line["method"], line["rate"]) for line in lines):
        rows = [line for line in lines if (line["method"], line["rate"]) == (name, rate)]
        print(f"{name} {rate:g}: " + ", ".join(f"{column} {mean_and_range(rows, column)}" for column in COLUMNS))
    print(best_rates(lines))


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
