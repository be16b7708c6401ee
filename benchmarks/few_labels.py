"""Semi-supervised algorithms beside supervised training on the same few labels, over tasks and seeds.

    PENCHANT_DATA=../shared/data python benchmarks/few_labels.py [--tasks subjectivity sst2] [--labels 5 50]

Every algorithm trains a small network on frozen features of one model, with the same labels, steps and start for each
seed; all seeds of one algorithm train in one pass. Rows that keep no label are the rows without labels, and other rows
are tests. Differences from supervised training are taken seed by seed; the interval is Student's t over seeds, so it
counts the choice of labels and the noise of training, and not which rows are tests. No setting was tuned here. It
prints a table, and at the end how much longer five seeds take than one.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import stats
from torch import Tensor

from penchant.tasks import load_task
from penchant.weak.augmentation.settings import WordDropout
from penchant.weak.augmentation.texts import augment
from penchant.weak.classifiers.features import ModelFeatures
from penchant.weak.classifiers.probe_fit import fit_probes
from penchant.weak.classifiers.shrinkage import settle_l2
from penchant.weak.networks.heads import FeatureViews, Heads, HeadWeights
from penchant.weak.semi_supervised.arms import Arm
from penchant.weak.semi_supervised.loop import Steps, train_arms
from penchant.weak.semi_supervised.settings import (
    Algorithm,
    FixedThreshold,
    FixMatch,
    FlexThreshold,
    FreeThreshold,
    MeanTeacher,
    SoftThreshold,
    Supervised,
    Uda,
)

ALGORITHMS: tuple[Algorithm, ...] = (
    MeanTeacher(),
    FixMatch(),
    FixMatch(threshold=FixedThreshold(threshold=0.8)),
    FixMatch(threshold=FlexThreshold()),
    FixMatch(threshold=FreeThreshold()),
    FixMatch(threshold=SoftThreshold()),
    Uda(),
)
STEPS = Steps(count=500, batch_size=64, learning_rate=2e-3, weight_decay=0.01)


@dataclass(frozen=True)
class TaskFeatures:
    """Features of a task's rows, those to learn from first, and their classes.

    Attributes:
        plain: shape (rows, features). strong: of copies with words left out, (copies, rows, features), or None.
    """

    plain: Tensor
    strong: Tensor | None
    classes: NDArray[np.int64]
    train: int

    @property
    def views(self) -> FeatureViews:
        """The features of the rows to learn from, in two views."""
        strong = None if self.strong is None else self.strong[:, : self.train]
        return FeatureViews.standardized(self.plain[: self.train], strong=strong)


def read_features(task: str, options: argparse.Namespace) -> TaskFeatures:
    """Read a task and compute its features, which are kept between calls."""
    if options.features:
        kept = np.load(options.features)
        return TaskFeatures(
            torch.as_tensor(kept["features"]), None, kept["labels"].astype(np.int64), int(kept["train"])
        )
    rows = load_task(task, train=options.train, test=options.test)
    train, test = rows.train, rows.test
    texts = [str(row.classifier_input) for row in (*train, *test)]
    features = ModelFeatures(options.model, options.layer, folder=Path(options.cache))
    plain, strong = features(texts), None
    if options.words:
        copies = [augment(texts, [WordDropout(share=options.words)], seed) for seed in range(2)]
        strong = features([str(text) for copy in copies for text in copy]).view(2, len(texts), -1)
    return TaskFeatures(plain, strong, np.array([row.label for row in (*train, *test)]), len(train))


def arms_of(task: TaskFeatures, labels_per_class: int, seeds: Sequence[int]) -> list[Arm]:
    """Return an arm for each seed, which keeps that many labels of each class."""
    arms, classes = [], task.classes[: task.train]
    for seed in seeds:
        order = np.random.default_rng([seed, 77]).permutation(task.train)
        kept = np.concatenate([order[classes[order] == number][:labels_per_class] for number in np.unique(classes)])
        others = np.setdiff1d(order, kept)
        targets = torch.eye(int(task.classes.max()) + 1)[classes[kept]]
        arms.append(Arm(seed, torch.as_tensor(kept), targets, torch.as_tensor(others)))
    return arms


def accuracies(task: TaskFeatures, algorithm: Algorithm, arms: Sequence[Arm]) -> tuple[NDArray[np.float64], list[str]]:
    """Return each arm's accuracy on the test rows, and what its report warns of."""
    views, seeds = task.views, [arm.seed for arm in arms]
    shape = {"features": views.weak.shape[-1], "width": 64, "classes": arms[0].targets.shape[1]}
    trained = train_arms(Heads(views, HeadWeights.initial(seeds, **shape), dropout=0.5), algorithm, arms, STEPS)
    network = trained.network
    assert isinstance(network, Heads)
    tests = ((task.plain[task.train :].float() - views.mean) / views.scale).expand(len(arms), -1, -1)
    with torch.no_grad():
        predicted = network.classify(tests, None).argmax(-1).numpy()
    warnings = [warning for report in trained.reports for warning in report.warnings]
    return (predicted == task.classes[task.train :]).mean(-1), warnings


def probe_accuracies(task: TaskFeatures, arms: Sequence[Arm]) -> NDArray[np.float64]:
    """Return each arm's accuracy of a linear probe on the same labels."""
    results = []
    for arm in arms:
        features, targets = task.plain[arm.labeled], arm.targets.numpy().astype(np.float64)
        l2 = settle_l2("auto", features, targets, seed=arm.seed)
        probes = fit_probes(features, arm.targets[None], l2=l2)
        predicted = probes.predict_proba(task.plain[task.train :])[0].argmax(-1).numpy()
        results.append((predicted == task.classes[task.train :]).mean())
    return np.array(results)


def interval(differences: NDArray[np.float64]) -> str:
    """Return a mean with the half-width of its 95% interval over seeds."""
    half = stats.t.ppf(0.975, len(differences) - 1) * differences.std(ddof=1) / len(differences) ** 0.5
    return f"{differences.mean():+.3f} ± {half:.3f}"


def main() -> None:
    """Measure every task, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", default=["subjectivity"])
    parser.add_argument("--labels", nargs="+", type=int, default=[5], help="labels of each class")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--model", default="minilm-l6")
    parser.add_argument("--layer", type=int, default=-1)
    parser.add_argument("--words", type=float, default=0.0, help="share of words that the strong view leaves out")
    parser.add_argument("--train", type=int, default=2000)
    parser.add_argument("--test", type=int, default=1000)
    parser.add_argument("--features", default=None, help="a file of `picture_features.py`, in place of a task")
    parser.add_argument("--cache", default="runs/few-labels", help="folder of features")
    options = parser.parse_args()
    torch.set_num_threads(1)
    seeds = list(range(options.seeds))
    print("| task | labels per class | algorithm | accuracy | against supervised | warnings |")
    print("|---|---|---|---|---|---|")
    for name in options.tasks:
        task = read_features(name, options)
        for labels_per_class in options.labels:
            arms = arms_of(task, labels_per_class, seeds)
            control, _ = accuracies(task, Supervised(), arms)
            probe = probe_accuracies(task, arms)
            cell = f"| {name} | {labels_per_class} |"
            print(f"{cell} supervised | {control.mean():.3f} | | |")
            print(f"{cell} linear probe | {probe.mean():.3f} | {interval(probe - control)} | |")
            for algorithm in ALGORITHMS:
                right, warnings = accuracies(task, algorithm, arms)
                row = f"{label_of(algorithm)} | {right.mean():.3f} | {interval(right - control)} | {len(warnings)} |"
                print(f"{cell} {row}", flush=True)
    started = time.perf_counter()
    accuracies(task, FixMatch(), arms[:1])
    one = time.perf_counter() - started
    accuracies(task, FixMatch(), arms[:5])
    print(f"\nFixMatch: one seed {one:.1f} s, five seeds {time.perf_counter() - started - one:.1f} s")


def label_of(algorithm: Algorithm) -> str:
    """Return an algorithm's label, with the threshold of FixMatch."""
    fixed = isinstance(algorithm, FixMatch) and isinstance(algorithm.threshold, FixedThreshold)
    return f"{algorithm.label} {algorithm.threshold.threshold:g}" if fixed else algorithm.label  # type: ignore[union-attr]


if __name__ == "__main__":
    main()
