"""Measure what training makes of wrong labels of pictures: plain, two networks, DivideMix, confident learning.

    python benchmarks/wrong_pictures.py --noise symmetric-0.5 --seeds 10 --out wrong-pictures.jsonl

A line of the file is one training; a stopped run goes on from there. All methods of a seed have the same wrong labels,
steps, batches and views, and hold out the same tenth of the rows, by whose labels, wrong ones among them, the best
epoch is chosen. Symmetric: a share of the labels is another class, drawn evenly. Asymmetric: a share of the labels of
each class is the class that looks most like it (CONFUSED).

`--on validation` measures on pictures that no method learns from and that do not test; settings are chosen by it.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable
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
from penchant.weak.augmentation.settings import Flip, Shift
from penchant.weak.networks.cnn import Cnns, CnnWeights, PictureViews
from penchant.weak.networks.network import Network
from penchant.weak.semi_supervised.arms import Arm, network_arms
from penchant.weak.semi_supervised.confident_joint import confident_joint
from penchant.weak.semi_supervised.loop import Steps, train_arms
from penchant.weak.semi_supervised.settings import Algorithm, DivideMix, Supervised

CONFUSED = (6, 3, 4, 1, 2, 7, 0, 9, 8, 7)
"""Of Fashion-MNIST, the class that each becomes where it is wrong by class; a bag looks like nothing else."""
NOISES = ("symmetric-0.2", "symmetric-0.5", "symmetric-0.8", "asymmetric-0.4")
HELD_OUT, FOLDS, VALIDATION = 0.1, 4, 1_000
SEEDS_AT_ONCE, AT_ONCE = 5, 500
NO_ROWS = torch.empty(0, dtype=torch.long)
Labels = NDArray[np.int64]


class Pictures:
    """Pictures to learn from and to measure on, with their true labels, and how a network trains on them."""

    def __init__(self, options: argparse.Namespace) -> None:
        task = load_images("fashion_mnist", train=options.train + VALIDATION, test=options.test)
        measured = slice(options.train, None) if options.on == "validation" else slice(0, 0)
        tests = task.test if options.on == "test" else None
        images = [*task.train.images[: options.train], *(tests.images if tests else task.train.images[measured])]
        labels = [*task.train.labels[: options.train], *(tests.labels if tests else task.train.labels[measured])]
        self.train, self.classes, self.labels = options.train, len(task.classes), np.array(labels, dtype=np.int64)
        change = partial(augment_pixels, augmentations=(Shift(), Flip()))
        self.views = PictureViews.standardized(
            stack_images(images, options.size), lambda pixels, stream: change(pixels, stream=stream)
        )
        self.measured = torch.arange(self.train, len(self.labels))
        self.truth = torch.as_tensor(self.labels[self.train :])
        self.steps = Steps(options.steps, options.batch, options.rate, 0.01)
        self.width, self.dropout = options.width, options.dropout

    def wrong(self, noise: str, seed: int) -> Labels:
        """Return the training labels, of which exactly this share (within each class) is wrong."""
        kind, _, rate = noise.partition("-")
        generator, labels = np.random.default_rng([seed, round(100 * float(rate))]), self.labels[: self.train].copy()
        for label in range(self.classes):
            rows = generator.permutation(np.flatnonzero(self.labels[: self.train] == label))
            rows = rows[: round(float(rate) * len(rows))]
            others = (label + generator.integers(1, self.classes, len(rows))) % self.classes
            labels[rows] = CONFUSED[label] if kind == "asymmetric" else others
        return labels

    def split(self, seed: int) -> tuple[Tensor, Tensor]:
        """Return rows to learn from, and rows held out."""
        order = torch.randperm(self.train, generator=torch.Generator().manual_seed(seed))
        size = round(HELD_OUT * self.train)
        return order[size:].sort().values, order[:size].sort().values

    def networks(
        self, algorithm: Algorithm, labels: list[Labels], rows: list[Tensor], seeds: list[int], look: Look | None
    ) -> Network:
        """Train a network for each seed in one pass, or as many as the algorithm has, on the seed's rows."""
        one_hot = torch.eye(self.classes)
        arms = network_arms(
            algorithm,
            [
                Arm(seed, learned, one_hot[torch.as_tensor(known)[learned]], NO_ROWS)
                for seed, known, learned in zip(seeds, labels, rows, strict=True)
            ],
        )
        start = CnnWeights.initial(
            [arm.seed for arm in arms], channels=self.views.pixels.shape[1], width=self.width, classes=self.classes
        )
        network = Cnns(self.views, start, dropout=self.dropout)
        return train_arms(network, algorithm, arms, self.steps, watch=look).network

    def probabilities(self, network: Network, rows: Tensor) -> Tensor:
        """Return the mean of what the networks of each seed say of its rows, shape (seeds, rows, classes)."""
        twins, parts = network.arms // len(rows), []
        with torch.no_grad():
            for part in rows.split(AT_ONCE, 1):
                inputs = network.inputs(part.repeat_interleave(twins, 0), "weak", None)
                said = network.classify(inputs, None).softmax(-1)
                parts.append(said.view(-1, twins, *said.shape[1:]).mean(1))
        return torch.cat(parts, 1)

    def accuracy(self, network: Network, rows: Tensor, truth: Tensor) -> Tensor:
        """Return the accuracy of each seed on its rows, shape (seeds,)."""
        return (self.probabilities(network, rows).argmax(-1) == truth).float().mean(-1)


Look = Callable[[int, Network], None]
Numbers = list[dict[str, float]]


def train(pictures: Pictures, algorithm: Algorithm, labels: list[Labels], seeds: list[int]) -> Numbers:
    """Train one method; return accuracy after the last step, and at the best epoch by labels that are held out."""
    learned, held_out = zip(*(pictures.split(seed) for seed in seeds), strict=True)
    noisy = torch.stack([torch.as_tensor(known)[rows] for known, rows in zip(labels, held_out, strict=True)])
    asked, measured = torch.stack(held_out), pictures.measured.expand(len(seeds), -1)
    epoch = math.ceil(len(learned[0]) / pictures.steps.batch_size)
    looks: list[tuple[Tensor, Network]] = []

    def look(step: int, network: Network) -> None:
        # measured in the end, at one epoch for each seed: the test pictures would take half of the time otherwise
        if step % epoch == 0 or step == pictures.steps.count:
            looks.append((pictures.accuracy(network, asked, noisy), network.copy()))

    pictures.networks(algorithm, labels, list(learned), seeds, look)
    last = pictures.accuracy(looks[-1][1], measured, pictures.truth).tolist()
    chosen = torch.stack([known for known, _ in looks]).argmax(0).tolist()
    best = pictures.accuracy(_networks_at([network for _, network in looks], chosen), measured, pictures.truth).tolist()
    return [{"last": last[seed], "best": best[seed]} for seed in range(len(seeds))]


def _networks_at(epochs: list[Network], chosen: list[int]) -> Network:
    """Return a network that has of each seed the weights of its chosen epoch."""
    network, twins = epochs[0].copy(), epochs[0].arms // len(chosen)
    with torch.no_grad():
        for seed, epoch in enumerate(chosen):
            arms = slice(seed * twins, (seed + 1) * twins)
            for weight, source in zip(network.trained(), epochs[epoch].trained(), strict=True):
                weight[arms] = source[arms]
    return network


def confident(pictures: Pictures, labels: list[Labels], seeds: list[int]) -> Numbers:
    """Leave out labels that networks of other folds speak against, and train plainly on the others."""
    rows = [pictures.split(seed)[0] for seed in seeds]
    # as many rows in each fold, so that those of all seeds are asked about in one pass
    folds = [
        torch.randperm(len(own), generator=torch.Generator().manual_seed(seed)) % FOLDS
        for own, seed in zip(rows, seeds, strict=True)
    ]
    said = np.zeros((len(seeds), len(rows[0]), pictures.classes))
    for fold in range(FOLDS):
        others = [own[fold_of != fold] for own, fold_of in zip(rows, folds, strict=True)]
        network = pictures.networks(Supervised(), labels, others, seeds, None)
        asked = torch.stack([own[fold_of == fold] for own, fold_of in zip(rows, folds, strict=True)])
        for number, probabilities in enumerate(pictures.probabilities(network, asked).numpy()):
            said[number, (folds[number] == fold).numpy()] = probabilities
    kept = [
        own[torch.as_tensor(~confident_joint(known[own.numpy()], probabilities).is_suspect)]
        for own, known, probabilities in zip(rows, labels, said, strict=True)
    ]
    network = pictures.networks(Supervised(), labels, kept, seeds, None)
    right = pictures.accuracy(network, pictures.measured.expand(len(seeds), -1), pictures.truth)
    return [
        {"last": last, "dropped": round(1 - len(own) / len(rows[0]), 3)}
        for last, own in zip(right.tolist(), kept, strict=True)
    ]


def methods(options: argparse.Namespace) -> dict[str, Algorithm | None]:
    """Return the algorithm of each method; None for confident learning, which trains several networks."""
    weights = {"warm_up": options.warm_up, "mixup": options.mixup}
    return {
        "plain": Supervised(),
        "two networks, MixUp": DivideMix(divide=False, **weights),
        "DivideMix": DivideMix(weight=options.weight, **weights),
        "confident learning": None,
    }


def summarize(lines: list[dict[str, object]]) -> None:
    """Print means, and differences paired by seed: to plain training at both looks, and to two networks with MixUp."""
    scores: dict[tuple[str, str, str], dict[int, float]] = {}
    for line in lines:
        for look in ("last", "best"):
            if look in line:
                key = str(line["noise"]), str(line["method"]), look
                scores.setdefault(key, {})[int(str(line["seed"]))] = float(str(line[look]))
    controls = (("plain", "last"), ("plain", "best"), ("two networks, MixUp", "last"))
    for (noise, method, look), accuracy in scores.items():
        text = f"{noise:15} {method}, {look}: {np.mean(list(accuracy.values())):.3f} ({len(accuracy)} seeds)"
        for control in controls:
            other = scores.get((noise, *control), {})
            seeds = sorted(set(accuracy) & set(other))
            if control != (method, look) and seeds:
                gain = paired_difference([accuracy[s] for s in seeds], [other[s] for s in seeds], seeds, unit="seed")
                ends = f"[{gain.low:+.3f}, {gain.high:+.3f}]" if gain.low is not None else f"({gain.reason})"
                text += f" | to {', '.join(control)} {gain.value:+.3f} {ends}"
        print(text)


def main() -> None:
    """Measure what the file does not have, and print a table."""
    options = parse()
    torch.set_num_threads(1)
    out = Path(options.out)
    lines = [json.loads(line) for line in out.read_text().splitlines()] if out.exists() else []
    done = {(line["noise"], line["seed"], line["method"]) for line in lines}
    pictures = Pictures(options)
    # some seeds at a time, which train in one pass: whenever it is stopped, what there is is paired
    for first in range(0, options.seeds, SEEDS_AT_ONCE):
        for noise in options.noise:
            for method, algorithm in methods(options).items():
                seeds = [
                    seed
                    for seed in range(first, min(first + SEEDS_AT_ONCE, options.seeds))
                    if method in options.methods and (noise, seed, method) not in done
                ]
                if not seeds:
                    continue
                labels, start = [pictures.wrong(noise, seed) for seed in seeds], time.process_time()
                numbers = train(pictures, algorithm, labels, seeds) if algorithm else confident(pictures, labels, seeds)
                seconds = round((time.process_time() - start) / len(seeds), 1)
                rows = [
                    {"noise": noise, "seed": seed, "method": method, **own, "seconds": seconds}
                    for seed, own in zip(seeds, numbers, strict=True)
                ]
                lines += rows
                with out.open("a") as file:
                    file.writelines(json.dumps(row) + "\n" for row in rows)
                mean = np.mean([own["last"] for own in numbers])
                print(f"{noise}, {method}, seeds {seeds}: {mean:.3f}, {seconds} s each", flush=True)
    summarize(lines)


def parse() -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--noise", nargs="+", default=list(NOISES), choices=NOISES)
    parser.add_argument("--methods", nargs="+", default=["plain", "two networks, MixUp", "DivideMix"])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--train", type=int, default=1_000)
    parser.add_argument("--test", type=int, default=2_000)
    parser.add_argument("--on", choices=("test", "validation"), default="test")
    parser.add_argument("--size", type=int, default=14)
    parser.add_argument("--steps", type=int, default=900)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rate", type=float, default=3e-3)
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--dropout", type=float, default=0.0)
    parser.add_argument("--warm-up", type=int, default=5)
    parser.add_argument("--mixup", type=float, default=4.0)
    parser.add_argument("--weight", type=float, default=0.0)
    parser.add_argument("--out", required=True)
    return parser.parse_args()


if __name__ == "__main__":
    main()
