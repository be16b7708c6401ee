"""A small frontier that anyone can run: a 260,032-parameter story model learns to tell happier stories.

48 openings, ten groups of four samples each, ranked by VADER (the true reward); DPO with full fine-tuning; then reward
and KL on 48 openings that nobody trained on, for several seeds. About half a minute a seed on two cores.

    python examples/stories.py --model ../shared/data/stories260K --seeds 3 --out runs/stories
"""

from __future__ import annotations

import argparse
import logging
import statistics
import time
from datetime import datetime
from pathlib import Path

import penchant as pt
from penchant.runs.progress import progress_bar

OPENINGS = Path(__file__).with_name("story_openings.txt")
TRAIN = 48  # openings to train on; the rest is for the evaluation
GROUPS, RESPONSES = 10, 4  # groups an opening, samples a group


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="the folder of stories260K")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--beta", type=float, default=0.3)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("runs") / f"stories-{datetime.now():%Y%m%d-%H%M%S}")
    options = parser.parse_args()
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    options.out.mkdir(parents=True)
    runs = []
    for seed in range(options.seeds):
        started = time.monotonic()
        runs.append(run_seed(options, seed))
        print(f"seed {seed}: {shown(runs[-1])}, {time.monotonic() - started:.0f} s", flush=True)
    if len(runs) > 1:
        rewards, kls = ([end(run)["policy"][name]["value"] for run in runs] for name in ("reward", "kl_nats"))
        start = statistics.mean(end(run)["reference"]["reward"]["value"] for run in runs)
        print(
            f"mean of {len(runs)} seeds: reward {start:.2f} -> {statistics.mean(rewards):.2f} "
            f"(standard deviation {statistics.stdev(rewards):.2f}) at a KL of {statistics.mean(kls):.2f} nats"
        )
    print(f"open this page in a browser: {pt.report(runs, options.out / 'report.html').resolve()}")


def run_seed(options: argparse.Namespace, seed: int) -> pt.RunResult:
    """Sample, rank, train and evaluate with one seed."""
    openings = OPENINGS.read_text().splitlines()
    unseen = options.out / "unseen_openings.txt"
    unseen.write_text("\n".join(openings[TRAIN:]) + "\n")
    comparisons = options.out / f"comparisons-{seed}.jsonl"
    pt.write_groups(sample_and_rank(options.model, openings[:TRAIN], seed), comparisons)
    config = pt.DPO(
        model=options.model,
        # the ten groups of an opening stay apart: merged they would be one group of 40 with 780 comparisons
        data={"path": str(comparisons), "merge": False, "ties": "drop", "held_out": 0},
        out=str(options.out / f"seed-{seed}"),
        seed=seed,
        epochs=options.epochs,
        batch_size=96,
        loss=pt.losses.Sigmoid(beta=options.beta),
        optimizer={"name": "rmsprop", "learning_rate": 3e-5},
        clip=1.0,
        evaluate={
            "every_steps": 10,
            "samples": {
                "prompts": str(unseen),
                "max_prompts": 48,
                "n": 10,
                "max_new_tokens": 40,
                "reward": "vader",
                "seed": 1000 + seed,
            },
        },
    )
    return pt.train(config)


def sample_and_rank(model: str, openings: list[str], seed: int) -> list[pt.PromptGroup]:
    """Groups of four samples with the six comparisons that VADER makes of them."""
    policy = pt.load_policy(model)
    with progress_bar("sampling", len(openings) * GROUPS * RESPONSES, "samples") as advance:
        sampling = pt.Sampling(n=GROUPS * RESPONSES, max_new_tokens=40, seed=seed)
        drawn = policy.draw(openings, sampling, progress=advance)
    groups = [
        pt.PromptGroup(opening, row[first : first + RESPONSES])
        for opening, row in zip(openings, drawn, strict=True)
        for first in range(0, len(row), RESPONSES)
    ]
    return pt.compare_by_score(pt.score_groups(groups, pt.load_reward("vader")))


def end(run: pt.RunResult) -> dict:
    """The last evaluation on samples."""
    return run.metrics["final"]["samples"]


def shown(run: pt.RunResult) -> str:
    """Reward before and after, and KL, with their intervals."""
    before, after, kl = end(run)["reference"]["reward"], end(run)["policy"]["reward"], end(run)["policy"]["kl_nats"]
    numbers = [f"{e['value']:.2f} [{e['low']:.2f}, {e['high']:.2f}]" for e in (before, after, kl)]
    return f"reward {numbers[0]} -> {numbers[1]} at a KL of {numbers[2]} nats"


if __name__ == "__main__":
    main()
