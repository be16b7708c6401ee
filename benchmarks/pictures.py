"""Measure what unlabelled pictures add to few labels: supervised training beside the algorithms, seed by seed.

    python benchmarks/pictures.py digits --labels 40 100 400 --seeds 5 --out digits.jsonl
    python benchmarks/pictures.py fashion_mnist --size 14 --labels 100 --seeds 5 --out fashion.jsonl

A line of the file is one training; a stopped run goes on from there. All methods of a seed have the same labels,
start, steps and labelled batches. The difference to the supervised control is paired over seeds.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
from scipy.stats import t as student_t

from penchant.tasks.pictures import ImageTask, load_images
from penchant.weak.classifiers.cnn import CnnClassifier
from penchant.weak.settings import Cnn

ALGORITHMS: dict[str, dict[str, object]] = {
    "supervised": {"name": "supervised"},
    "mean_teacher": {"name": "mean_teacher"},
    "fixmatch": {"name": "fixmatch"},
}


def main() -> None:
    arguments = _arguments()
    task = load_images(arguments.task, train=arguments.train, test=arguments.test)
    print(f"{task.title}: {len(task.train)} to train on, {len(task.test)} to test on, left out {dict(task.dropped)}")
    out = Path(arguments.out)
    lines = [json.loads(line) for line in out.read_text().splitlines()] if out.exists() else []
    done = {(line["labels"], line["seed"], line["method"]) for line in lines}
    # seed by seed: whenever it is stopped, what there is is paired
    for seed in range(arguments.seeds):
        for labels in arguments.labels:
            for method in arguments.methods:
                if (labels, seed, method) not in done:
                    line = _train(task, labels, seed, method, steps=arguments.steps, size=arguments.size)
                    lines.append(line)
                    with out.open("a") as file:
                        file.write(json.dumps(line) + "\n")
                    print(json.dumps(line), flush=True)
    _summarize(lines)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task")
    parser.add_argument("--labels", type=int, nargs="+", default=[40, 100, 400])
    parser.add_argument("--methods", nargs="+", default=list(ALGORITHMS), choices=list(ALGORITHMS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--size", type=int)
    parser.add_argument("--train", type=int, default=3_000)
    parser.add_argument("--test", type=int, default=2_000)
    parser.add_argument("--out", required=True)
    return parser.parse_args()


def _train(task: ImageTask, labels: int, seed: int, method: str, *, steps: int, size: int | None) -> dict[str, object]:
    """Train one method on labels drawn by the seed, as many of each class, and measure it on the test part."""
    start = time.process_time()
    classes = np.array(task.train.labels)
    order = np.random.default_rng(seed).permutation(len(classes))
    per_class = labels // len(task.classes)
    labelled = np.concatenate([order[classes[order] == label][:per_class] for label in range(len(task.classes))])
    others = sorted(set(range(len(classes))) - set(labelled.tolist()))
    classifier = CnnClassifier(Cnn(algorithm=ALGORITHMS[method], steps=steps, size=size), seed=seed)
    classifier.fit(
        [task.train.images[row] for row in labelled.tolist()],
        classes[labelled],
        unlabeled=[task.train.images[row] for row in others],
    )
    predicted = classifier.predict_proba(task.test.images).argmax(-1)
    report = classifier.report
    return {
        "labels": labels,
        "seed": seed,
        "method": method,
        "accuracy": float((predicted == np.array(task.test.labels)).mean()),
        "mask_rate": None if report is None else round(report.mask_rate, 3),
        "warnings": [] if report is None else list(report.warnings),
        "seconds": round(time.process_time() - start, 1),
    }


def _summarize(lines: list[dict[str, object]]) -> None:
    """Print the mean accuracy of each method, and its difference to the control with an interval over seeds."""
    accuracy = {(line["labels"], line["method"], line["seed"]): line["accuracy"] for line in lines}
    for labels in sorted({line["labels"] for line in lines}):
        for method in ALGORITHMS:
            seeds = [seed for (n, name, seed) in accuracy if (n, name) == (labels, method)]
            if not seeds:
                continue
            mean = np.mean([accuracy[labels, method, seed] for seed in seeds])
            paired = [seed for seed in seeds if (labels, "supervised", seed) in accuracy]
            gains = np.array([accuracy[labels, method, s] - accuracy[labels, "supervised", s] for s in paired])
            text = f"{labels:5} labels  {method:13} {mean:.3f}"
            # with two seeds an interval would be as wide as the page
            if method != "supervised" and len(gains) > 2:
                half = student_t.ppf(0.975, len(gains) - 1) * gains.std(ddof=1) / len(gains) ** 0.5
                text += f"  {gains.mean():+.3f} [{gains.mean() - half:+.3f}, {gains.mean() + half:+.3f}]"
            print(f"{text}  ({len(seeds)} seeds)")


if __name__ == "__main__":
    main()
