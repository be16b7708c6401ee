"""The main job in one go, offline: SmolLM2-135M-Instruct learns from comparisons to write kinder film reviews.

1. It continues 72 review openings four times each. 2. VADER, a sentiment lexicon, ranks the four: six comparisons an
opening. 3. DPO trains on them. 4. Policy and reference are compared on 24 openings that nobody trained on. 5. A page
shows what happened. Run it with `make demo MODEL=smollm2-135m`, or: python examples/demo.py [--out FOLDER]
"""

from __future__ import annotations

import argparse
import logging
import time
from datetime import datetime
from pathlib import Path

import penchant as pt
from penchant.runs.progress import progress_bar

OPENINGS = Path(__file__).with_name("film_openings.txt")
TRAIN = 72  # openings to train on; the rest is for the evaluation


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs") / f"demo-{datetime.now():%Y%m%d-%H%M%S}")
    out = parser.parse_args().out
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    started = time.monotonic()
    out.mkdir(parents=True)

    print("1/4 SmolLM2-135M-Instruct, de-quantized from Q4_1 (converted the first time: half a minute)", flush=True)
    openings = OPENINGS.read_text().splitlines()
    policy = pt.load_policy("smollm2-135m", template="plain")

    print(f"2/4 continuing {TRAIN} openings of film reviews, four times each, and ranking them by VADER", flush=True)
    with progress_bar("sampling", TRAIN * 4, "samples") as advance:
        groups = policy.sample(openings[:TRAIN], pt.Sampling(n=4, max_new_tokens=20), progress=advance)
    groups = pt.compare_by_score(pt.score_groups(groups, pt.load_reward("vader")))
    pt.write_groups(groups, out / "comparisons.jsonl")
    unseen = out / "unseen_openings.txt"
    unseen.write_text("\n".join(openings[TRAIN:]) + "\n")
    del policy  # training loads its own

    print("3/4 training on the comparisons with DPO", flush=True)
    config = pt.DPO(
        model="smollm2-135m",
        data={"path": str(out / "comparisons.jsonl"), "template": "plain", "ties": "drop", "held_out": 12},
        out=str(out / "dpo-smollm2-135m"),
        epochs=3,
        batch_size=36,
        loss=pt.losses.Sigmoid(beta=0.1),
        optimizer={"name": "rmsprop", "learning_rate": 5e-6},
        evaluate={
            "every_steps": 14,
            "samples": {"prompts": str(unseen), "n": 6, "max_new_tokens": 20, "reward": "vader"},
        },
    )
    run = pt.train(config)

    print("4/4 the report", flush=True)
    page = pt.report([run], out / "report.html")
    before, after = (run.metrics["final"]["samples"][who]["reward"] for who in ("reference", "policy"))
    print(
        f"\nVADER reward on {len(openings) - TRAIN} unseen openings: "
        f"{before['value']:.2f} [{before['low']:.2f}, {before['high']:.2f}] before, "
        f"{after['value']:.2f} [{after['low']:.2f}, {after['high']:.2f}] after "
        f"(95% intervals; {time.monotonic() - started:.0f} s in all)"
    )
    print(f"open this page in a browser: {page.resolve()}")


if __name__ == "__main__":
    main()
