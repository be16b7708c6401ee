"""What a small policy is worth as its own judge, round by round, beside VADER and a coin in its place.

    PENCHANT_DATA=../shared/data python benchmarks/self_rewarding.py [--seeds 3] [--out runs]

`penchant-0.5m` continues openings of film reviews in three rounds of `train self_rewarding`, from the same prompts and
seeds with each judge: its own likelihood of "great" against "terrible" after an answer, VADER's score, or a coin. The
comparisons by people are pairs of film snippets, of which people called one positive and the other negative
(`nltk/sentence_polarity.zip`). It prints a table; every interval resamples prompts. No setting was tuned here.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import zipfile
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import penchant as pt

PAIRS = 120
QUESTION = "{{ prompt }}{{ response }} Overall, this film is"


def write_comparisons(data: Path, out: Path) -> None:
    """Write pairs of a positive and a negative snippet of film reviews, of 41 to 139 characters."""
    sides = []
    generator = random.Random(0)
    with zipfile.ZipFile(data / "nltk" / "sentence_polarity.zip") as archive:
        for ending in ("pos", "neg"):
            text = archive.read(f"sentence_polarity/rt-polarity.{ending}").decode("latin-1")
            sides.append([line.strip() for line in text.splitlines()])
    for side in sides:
        generator.shuffle(side)
    chosen, rejected = ([text for text in side if 40 < len(text) < 140][:PAIRS] for side in sides)
    rows = [
        {"prompt": f"Review {number}: ", "chosen": good, "rejected": bad}
        for number, (good, bad) in enumerate(zip(chosen, rejected, strict=True), start=1)
    ]
    out.write_text("".join(json.dumps(row) + "\n" for row in rows))


def judges(out: Path, seed: int) -> dict[str, Mapping[str, Any]]:
    """Return the settings of every judge."""
    question = out / "question.j2"
    question.write_text(QUESTION)
    return {
        "itself": {"name": "likelihood", "template": str(question), "words": [" great", " terrible"]},
        "vader": {"name": "reward", "reward": "vader"},
        "coin": {"name": "judge", "judge": {"name": "random", "seed": seed}},
    }


def train(out: Path, judge: str, settings: Mapping[str, Any], seed: int) -> pt.RunResult:
    """Train three rounds with a judge; what is there already is not done again."""
    openings = str(files("penchant.studies.core") / "openings" / "film_openings.txt")
    return pt.train(
        pt.SelfRewarding(
            model={"name": "penchant-0.5m", "device": "cpu"},
            data={"path": openings, "held_out": 100},
            sft=None,
            judge=dict(settings),
            new_prompts={"name": "file", "path": openings, "count": 48},
            comparisons=str(out / "people.jsonl"),
            rounds=3,
            max_new_tokens=24,
            temperature=1.0,
            top_p=1.0,
            dpo={
                "batch_size": 16,
                "epochs": 2,
                "optimizer": {"learning_rate": 5e-5},
                "evaluate": {"samples": {"reward": "vader", "max_prompts": 50, "n": 2}},
            },
            seed=seed,
            out=str(out / f"{judge}-{seed}"),
        )
    )


def shown(estimate: Mapping[str, Any]) -> str:
    """Return an estimate with its interval."""
    ends = "" if estimate["low"] is None else f" [{estimate['low']:.2f}, {estimate['high']:.2f}]"
    return f"{estimate['value']:.2f}{ends}"


def main() -> None:
    """Train with every judge and seed, and print a row per run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("runs/self-rewarding"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    write_comparisons(Path(os.environ["PENCHANT_DATA"]), arguments.out / "people.jsonl")
    print(
        "| judge, seed | accuracy on people's pairs: start, after rounds 1 to 3 | VADER: start, after rounds 1 to 3 |"
    )
    print("|---|---|---|")
    for seed in range(arguments.seeds):
        for judge, settings in judges(arguments.out, seed).items():
            rounds = train(arguments.out, judge, settings, seed).metrics["rounds"]
            accuracies = [rounds[0]["judge_before"], *(row["judge"] for row in rounds)]
            samples = [row["policy"]["samples"] for row in rounds]
            rewards = [samples[0]["reference"], *(side["policy"] for side in samples)]
            cells = [f"{judge}, {seed}", ", ".join(shown(quality["accuracy"]) for quality in accuracies)]
            print(f"| {' | '.join([*cells, ', '.join(shown(side['reward']) for side in rewards)])} |", flush=True)


if __name__ == "__main__":
    main()
