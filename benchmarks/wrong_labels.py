"""Wrong labels: small networks, DivideMix, confident learning and a probe at several rates of symmetric noise.

    PENCHANT_DATA=../shared/data python benchmarks/wrong_labels.py --task sst2 --model minilm-l6 --layer -1 \\
        --rates 0.2 0.4 0.6 --seeds 5 --train 3000 --test 1821 --out wrong-labels.json

A wrong label is another class than the true one, drawn evenly, so that a rate of 0.4 means that 40% are wrong. Each
seed draws other wrong labels and holds out a tenth of the rows, by whose noisy labels the best epoch is chosen.
All seeds of a network train in one pass. Features are computed once; `--features FILE.npz` keeps them, and has those of
pictures (`picture_features.py`). One process.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from penchant.tasks import load_task
from penchant.tasks.load import data_folder
from penchant.weak.classifiers.features import ModelFeatures
from penchant.weak.classifiers.probe import ProbeClassifier
from penchant.weak.networks.heads import FeatureViews, Heads, HeadWeights
from penchant.weak.networks.network import Network
from penchant.weak.semi_supervised.arms import Arm, network_arms
from penchant.weak.semi_supervised.confident_learning import ConfidentClassifier
from penchant.weak.semi_supervised.loop import Steps, train_arms
from penchant.weak.semi_supervised.settings import Algorithm, ConfidentLearning, DivideMix, Supervised

STEPS = Steps(500, 64, 2e-3, 0.01)  # the defaults of a small network
WIDTH, DROPOUT = 64, 0.5
HELD_OUT = 0.1
Accuracies = dict[str, list[float]]


class Rows:
    """Features of a task, and labels of which a share is wrong."""

    def __init__(self, features: Tensor, labels: NDArray[np.int64], train: int) -> None:
        self.features, self.labels, self.train = features, labels, train
        self.classes = int(labels.max()) + 1
        self.test = torch.arange(train, len(labels))
        self.views = FeatureViews.standardized(features)

    def wrong(self, rate: float, seed: int, confused: Sequence[int] = ()) -> NDArray[np.int64]:
        """Labels of the training rows, of which exactly this share is another class.

        Args:
            confused: the class that each becomes; any other one, drawn evenly, if not given.
        """
        generator = np.random.default_rng([seed, round(100 * rate)])
        labels = self.labels[: self.train].copy()
        chosen = generator.permutation(self.train)[: round(rate * self.train)]
        drawn = (labels[chosen] + generator.integers(1, self.classes, len(chosen))) % self.classes
        labels[chosen] = np.array(confused)[labels[chosen]] if confused else drawn
        return labels

    def split(self, seed: int) -> tuple[Tensor, Tensor]:
        """Rows to learn from, and rows held out."""
        order = torch.randperm(self.train, generator=torch.Generator().manual_seed(seed))
        size = round(HELD_OUT * self.train)
        return order[size:].sort().values, order[:size].sort().values

    def accuracy(self, network: Network, rows: Tensor, truth: Tensor, twins: int) -> Tensor:
        """Accuracy of the mean of `twins` networks each, shape (seeds,); rows and truth per seed."""
        with torch.no_grad():
            asked = rows.repeat_interleave(twins, 0)
            said = network.classify(network.inputs(asked, "weak", None), None).softmax(-1)
        mean = said.view(-1, twins, *said.shape[1:]).mean(1)
        return (mean.argmax(-1) == truth).float().mean(-1)


def networks(rows: Rows, algorithm: Algorithm, labels: list[NDArray[np.int64]], seeds: list[int]) -> Accuracies:
    """Train one network (or pair) per seed; accuracy after the last step, and at the best epoch by noisy labels."""
    splits = [rows.split(seed) for seed in seeds]
    arms = [
        Arm(seed, learned, torch.eye(rows.classes)[torch.as_tensor(own)[learned]], torch.empty(0, dtype=torch.long))
        for seed, own, (learned, _) in zip(seeds, labels, splits, strict=True)
    ]
    all_arms = network_arms(algorithm, arms)
    twins = len(all_arms) // len(arms)
    start = HeadWeights.initial(
        [arm.seed for arm in all_arms], features=rows.features.shape[1], width=WIDTH, classes=rows.classes
    )
    held_out = torch.stack([held for _, held in splits])
    noisy = torch.stack([torch.as_tensor(own)[held] for own, (_, held) in zip(labels, splits, strict=True)])
    tests = rows.test.expand(len(seeds), -1)
    truth = torch.as_tensor(rows.labels)[rows.test]
    epoch = math.ceil(len(splits[0][0]) / STEPS.batch_size)
    looks: list[tuple[Tensor, Tensor]] = []

    def look(step: int, network: Network) -> None:
        if step % epoch == 0 or step == STEPS.count:
            looks.append((rows.accuracy(network, held_out, noisy, twins), rows.accuracy(network, tests, truth, twins)))

    train_arms(Heads(rows.views, start, dropout=DROPOUT), algorithm, all_arms, STEPS, watch=look)
    by_noisy, by_truth = (torch.stack(parts) for parts in zip(*looks, strict=True))
    best = by_truth.gather(0, by_noisy.argmax(0)[None])[0]
    return {"last": by_truth[-1].tolist(), "best epoch": best.tolist()}


def probes(rows: Rows, labels: list[NDArray[np.int64]], seeds: list[int], confident: bool) -> Accuracies:
    """Fit a probe with l2 chosen by noisy labels for each seed, plain or within confident learning."""
    texts = [str(row) for row in range(len(rows.labels))]

    def features(asked: object) -> Tensor:
        assert isinstance(asked, list)
        return rows.features[[int(row) for row in asked]]

    accuracies, truth = [], rows.labels[rows.train :]
    for seed, own in zip(seeds, labels, strict=True):
        probe: ProbeClassifier | ConfidentClassifier = ProbeClassifier(features, seed=seed)
        if confident:
            probe = ConfidentClassifier(ConfidentLearning(), partial(_probe, features, seed), seed=seed)
        probe.fit(texts[: rows.train], own, classes=rows.classes)
        accuracies.append(float((probe.predict_proba(texts[rows.train :]).argmax(1) == truth).mean()))
    return {"": accuracies}


def _probe(features: Callable[[object], Tensor], seed: int, part: str) -> ProbeClassifier:
    return ProbeClassifier(features, seed=seed)


METHODS = ("cross-entropy", "two networks, MixUp", "DivideMix", "DivideMix, weight 25", "probe, l2 auto")
CONFIDENT = "probe, confident learning"


def measure(
    rows: Rows,
    rate: float,
    seeds: list[int],
    confused: Sequence[int] = (),
    asked: Sequence[str] = (*METHODS, CONFIDENT),
) -> Accuracies:
    """Return the accuracy of the methods that are asked for, one number per seed."""
    labels, results = [rows.wrong(rate, seed, confused) for seed in seeds], {}
    methods: dict[str, Callable[[], Accuracies]] = {
        METHODS[0]: lambda: networks(rows, Supervised(), labels, seeds),
        METHODS[1]: lambda: networks(rows, DivideMix(divide=False), labels, seeds),
        METHODS[2]: lambda: networks(rows, DivideMix(), labels, seeds),
        METHODS[3]: lambda: networks(rows, DivideMix(weight=25.0), labels, seeds),
        METHODS[4]: lambda: probes(rows, labels, seeds, confident=False),
        CONFIDENT: lambda: probes(rows, labels, seeds, confident=True),
    }
    for name, run in methods.items():
        if name not in asked:
            continue
        # slow ones last: what is done by then is printed
        started = time.monotonic()
        for look, accuracies in run().items():
            results[f"{name}{', ' * bool(look)}{look}"] = accuracies
            print(f"    {look}: {' '.join(f'{accuracy:.4f}' for accuracy in accuracies)}", flush=True)
        print(f"  {rate:.0%} {name}: {time.monotonic() - started:.0f} s", flush=True)
    return results


def half_width(values: list[float]) -> float:
    """Half of the 95% interval of a mean, by Student's t."""
    from scipy.stats import t

    return float(t.ppf(0.975, len(values) - 1) * statistics.stdev(values) / math.sqrt(len(values)))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--task", default="sst2")
    parser.add_argument("--model", default="minilm-l6")
    parser.add_argument("--layer", type=int, default=-1)
    parser.add_argument("--rates", type=float, nargs="+", default=[0.2, 0.4, 0.6])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--train", type=int, default=3000)
    parser.add_argument("--test", type=int, default=1821)
    parser.add_argument("--features", default=None)
    parser.add_argument("--confused", type=int, nargs="*", default=[], help="the class that each becomes")
    parser.add_argument("--methods", nargs="+", default=[*METHODS, CONFIDENT], choices=[*METHODS, CONFIDENT])
    parser.add_argument("--out", default="wrong-labels.json")
    options = parser.parse_args()
    if not all(0 <= rate < 1 for rate in options.rates):
        parser.error(f"a rate of wrong labels lies in [0, 1), got {options.rates}")
    # the control of all others
    options.methods = [METHODS[0], *options.methods]
    rows, seeds = read(options), list(range(options.seeds))
    content: dict[str, Accuracies] = {}
    for rate in options.rates:
        content[f"{rate:g}"] = results = measure(rows, rate, seeds, options.confused, options.methods)
        control = results["cross-entropy, last"]
        for name, accuracies in results.items():
            gains = [one - other for one, other in zip(accuracies, control, strict=True)]
            gain = f"{statistics.mean(gains):+.3f} +- {half_width(gains):.3f}"
            print(f"{rate:g} | {name} | {statistics.mean(accuracies):.3f} | {gain}", flush=True)
        Path(options.out).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def read(options: argparse.Namespace) -> Rows:
    """Return the rows of a task with their features, from the file where they are kept already."""
    file = Path(options.features) if options.features else None
    if file is not None and file.is_file():
        kept = np.load(file)
        return Rows(torch.as_tensor(kept["features"]).float(), kept["labels"].astype(np.int64), int(kept["train"]))
    data = load_task(options.task, train=options.train, test=options.test, folder=data_folder())
    examples = [*data.train, *data.test]
    features = ModelFeatures(options.model, options.layer)([example.text for example in examples])
    labels = np.array([example.label for example in examples], dtype=np.int64)
    if file is not None:
        np.savez(file, features=features.numpy(), labels=labels, train=len(data.train))
    return Rows(features.float(), labels, len(data.train))


if __name__ == "__main__":
    main()
