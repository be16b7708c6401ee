"""Measure what unlabelled pictures add to few labels: supervised training beside the algorithms, seed by seed.

    python benchmarks/pictures.py digits --labels 40 100 400 --seeds 5 --steps 300 --out digits.jsonl
    python benchmarks/pictures.py fashion_mnist --flip --size 14 --labels 100 --seeds 10 --out fashion.jsonl

A line of the file is one training; a stopped run goes on from there. All methods of a seed have the same labels,
start, steps and labelled batches; self-training's last student has them too, and three teachers before it. The
difference to the supervised control is paired over seeds.

`--on validation` measures on pictures that no method learns from and that do not test; settings are chosen by it.
"""

from __future__ import annotations

import argparse
import json
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from penchant.metrics.intervals import paired_difference
from penchant.tasks.pictures import load_images
from penchant.weak.augmentation.images import stack_images
from penchant.weak.augmentation.pixels import augment_pixels
from penchant.weak.augmentation.settings import Cutout, Flip, ImageAugmentation, RandAugment, Shift
from penchant.weak.networks.cnn import ChangePixels, Cnns, CnnWeights, PictureViews
from penchant.weak.networks.network import Network
from penchant.weak.semi_supervised.arms import Arm
from penchant.weak.semi_supervised.loop import Steps, train_arms
from penchant.weak.semi_supervised.report import UnlabeledReport
from penchant.weak.semi_supervised.self_training import pseudo_labels
from penchant.weak.semi_supervised.settings import (
    AnyAlgorithm,
    FixMatch,
    FlexThreshold,
    MeanTeacher,
    SelfTraining,
    Supervised,
)

ALGORITHMS: dict[str, AnyAlgorithm] = {
    "supervised": Supervised(),
    "self_training": SelfTraining(),
    "mean_teacher": MeanTeacher(),
    "fixmatch": FixMatch(),
    "flexmatch": FixMatch(threshold=FlexThreshold()),
}
VALIDATION, SEEDS_AT_ONCE, AT_ONCE = 1_000, 5, 500
Line = dict[str, object]


class Pictures:
    """Pictures to learn from and to measure on, with their labels, and how a network trains on them."""

    def __init__(self, options: argparse.Namespace) -> None:
        aside = VALIDATION if options.on == "validation" else 0
        task = load_images(options.task, train=options.train + aside, test=options.test)
        train = min(options.train, len(task.train) - aside)
        images = [*task.train.images[:train], *(task.train.images[train:] if aside else task.test.images)]
        labels = [*task.train.labels[:train], *(task.train.labels[train:] if aside else task.test.labels)]
        self.train, self.classes, self.labels = train, len(task.classes), np.array(labels, dtype=np.int64)
        weak: tuple[ImageAugmentation, ...] = (Shift(), Flip()) if options.flip else (Shift(),)
        pixels = stack_images(images, options.size)
        known = PictureViews.standardized(pixels[:train])
        # scaled by what is learned from alone
        strong = (*weak, RandAugment(), Cutout())
        self.views = PictureViews(pixels, _change(weak), _change(strong), known.mean, known.scale)
        self.steps = Steps(options.steps, options.batch, options.rate, 0.01)
        self.width, self.dropout = options.width, options.dropout
        print(f"{task.title}: {train} to learn from, {len(labels) - train} to measure on, left out {task.dropped}")

    def arm(self, seed: int, labels: int) -> Arm:
        """Return a seed's labelled rows, as many of each class, and all others without their labels."""
        classes = self.labels[: self.train]
        order = np.random.default_rng(seed).permutation(self.train)
        per_class = labels // self.classes
        labelled = np.concatenate([order[classes[order] == label][:per_class] for label in range(self.classes)])
        others = np.setdiff1d(np.arange(self.train), labelled)
        targets = torch.eye(self.classes)[torch.as_tensor(classes[labelled])]
        return Arm(seed, torch.as_tensor(labelled), targets, torch.as_tensor(others))

    def fit(self, algorithm: AnyAlgorithm, arms: list[Arm]) -> tuple[Network, tuple[UnlabeledReport, ...]]:
        """Train a network for each arm in one pass."""
        if isinstance(algorithm, SelfTraining):
            return self._teach(algorithm, arms), ()
        start = CnnWeights.initial(
            [arm.seed for arm in arms], channels=self.views.pixels.shape[1], width=self.width, classes=self.classes
        )
        trained = train_arms(Cnns(self.views, start, dropout=self.dropout), algorithm, arms, self.steps)
        return trained.network, trained.reports

    def _teach(self, algorithm: SelfTraining, arms: list[Arm]) -> Network:
        """Train a teacher, and students that learn from its surest labels, as `SelfTrainedClassifier` does."""
        network, _ = self.fit(Supervised(), arms)
        rows = torch.stack([arm.unlabeled for arm in arms])
        for _ in range(algorithm.rounds):
            beliefs = self.probabilities(network, rows).double().numpy()
            students = []
            for arm, said in zip(arms, beliefs, strict=True):
                pseudo = pseudo_labels(algorithm, said, arm.targets.double().numpy().mean(0))
                kept = torch.as_tensor(pseudo.rows)
                targets = torch.cat([arm.targets, torch.as_tensor(pseudo.targets[pseudo.rows]).float()])
                weights = torch.cat([torch.ones(len(arm.labeled)), torch.as_tensor(pseudo.weights[pseudo.rows])])
                labelled = torch.cat([arm.labeled, arm.unlabeled[kept]])
                # weights of at most 1, as those of `fit`
                students.append(
                    Arm(arm.seed, labelled, targets, torch.empty(0, dtype=torch.long), weights / weights.max())
                )
            network, _ = self.fit(Supervised(), students)
        return network

    def probabilities(self, network: Network, rows: Tensor) -> Tensor:
        """Return what each seed's network says of its rows, shape (seeds, rows, classes)."""
        with torch.no_grad():
            parts = [network.classify(network.inputs(part, "weak", None), None) for part in rows.split(AT_ONCE, 1)]
        return torch.cat(parts, 1).softmax(-1)

    def accuracy(self, network: Network) -> NDArray[np.float64]:
        """Return the accuracy of each network on what is measured on, shape (seeds,)."""
        rows = torch.arange(self.train, len(self.labels)).expand(network.arms, -1)
        predicted = self.probabilities(network, rows).argmax(-1).numpy()
        return np.asarray((predicted == self.labels[self.train :]).mean(-1))


def _change(augmentations: tuple[ImageAugmentation, ...]) -> ChangePixels:
    change = partial(augment_pixels, augmentations=augmentations)
    return lambda pixels, stream: change(pixels, stream=stream)


def measure(pictures: Pictures, labels: int, method: str, seeds: list[int]) -> list[Line]:
    """Return a line for each seed."""
    start = time.process_time()
    network, reports = pictures.fit(ALGORITHMS[method], [pictures.arm(seed, labels) for seed in seeds])
    seconds = round((time.process_time() - start) / len(seeds), 1)
    lines: list[Line] = [
        {"labels": labels, "seed": seed, "method": method, "accuracy": accuracy, "seconds": seconds}
        for seed, accuracy in zip(seeds, pictures.accuracy(network).tolist(), strict=True)
    ]
    for line, report in zip(lines, reports, strict=False):
        line |= {"mask_rate": round(report.mask_rate, 3), "warnings": list(report.warnings)}
    return lines


def summarize(lines: list[Line]) -> None:
    """Print the mean accuracy of each method, and its difference to the control with an interval over seeds."""
    scores: dict[tuple[int, str], dict[int, float]] = {}
    for line in lines:
        key = int(str(line["labels"])), str(line["method"])
        scores.setdefault(key, {})[int(str(line["seed"]))] = float(str(line["accuracy"]))
    for (labels, method), accuracy in sorted(scores.items(), key=lambda item: item[0][0]):
        text = f"{labels:5} labels  {method:13} {np.mean(list(accuracy.values())):.3f} ({len(accuracy)} seeds)"
        control = scores.get((labels, "supervised"), {})
        seeds = sorted(set(accuracy) & set(control))
        if method != "supervised" and seeds:
            gain = paired_difference([accuracy[s] for s in seeds], [control[s] for s in seeds], seeds, unit="seed")
            ends = f"({gain.reason})" if gain.low is None else f"[{gain.low:+.3f}, {gain.high:+.3f}]"
            text += f"  {gain.value:+.3f} {ends}"
        print(text)


def main() -> None:
    """Measure what the file does not have, and print a table."""
    options = parse()
    torch.set_num_threads(1)
    out = Path(options.out)
    lines: list[Line] = [json.loads(line) for line in out.read_text().splitlines()] if out.exists() else []
    done = {(line["labels"], line["seed"], line["method"]) for line in lines}
    pictures = Pictures(options)
    # some seeds at a time, which train in one pass: whenever it is stopped, what there is is paired
    for first in range(0, options.seeds, SEEDS_AT_ONCE):
        for labels in options.labels:
            for method in options.methods:
                wanted = range(first, min(first + SEEDS_AT_ONCE, options.seeds))
                seeds = [seed for seed in wanted if (labels, seed, method) not in done]
                if not seeds:
                    continue
                measured = measure(pictures, labels, method, seeds)
                lines += measured
                with out.open("a") as file:
                    file.writelines(json.dumps(line) + "\n" for line in measured)
                mean = np.mean([float(str(line["accuracy"])) for line in measured])
                print(f"{labels}, {method}, seeds {seeds}: {mean:.3f}, {measured[0]['seconds']} s each", flush=True)
    summarize(lines)


def parse() -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task")
    parser.add_argument("--labels", type=int, nargs="+", default=[40, 100, 400])
    parser.add_argument("--methods", nargs="+", default=list(ALGORITHMS), choices=list(ALGORITHMS))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rate", type=float, default=3e-3)
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--dropout", type=float, default=0.2)
    parser.add_argument("--size", type=int)
    parser.add_argument("--flip", action="store_true", help="mirror pictures in both views; not for digits")
    parser.add_argument("--train", type=int, default=2_000)
    parser.add_argument("--test", type=int, default=2_000)
    parser.add_argument("--on", choices=("test", "validation"), default="test")
    parser.add_argument("--out", required=True)
    return parser.parse_args()


if __name__ == "__main__":
    main()
