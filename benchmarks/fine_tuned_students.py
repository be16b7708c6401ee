"""A fine-tuned language model that learns from rows without labels, beside plain fine-tuning on the same labels.

    PENCHANT_DATA=../shared/data python benchmarks/fine_tuned_students.py [--wrong 0.4] --out FILE

Every method has the same labels, batches and start for each seed; the rows that keep no label are the rows without
labels, and other rows are tests. With `--wrong` so many labels are another class, and DivideMix stands beside. A cell
is a line of FILE, and cells that are there are not trained again. It prints differences from plain fine-tuning, seed by
seed, with Student's t over seeds, which does not count which rows are tests. No setting was tuned on these tests.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from penchant.tasks import load_task
from penchant.tasks.load import TaskData
from penchant.weak.classifiers.language_model import LanguageModelClassifier
from penchant.weak.classifiers.registry import make_classifier
from penchant.weak.settings import LanguageModel

METHODS: dict[str, dict[str, Any]] = {
    "supervised": {"name": "supervised"},
    "Mean Teacher": {"name": "mean_teacher", "weight": 1.0, "decay": 0.9},
    "FixMatch 0.8": {"name": "fixmatch", "threshold": {"name": "fixed", "threshold": 0.8}},
    "two networks, MixUp": {"name": "divide_mix", "divide": False},
    "DivideMix": {"name": "divide_mix"},
}
VIEWS = {"strong": [{"name": "word_dropout", "share": 0.2}, "word_swap"]}


def labels_of(
    classes: NDArray[np.int64], count: int, wrong: float, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows of each class that keep a label, `count` of each, and these labels, some of them wrong."""
    random = np.random.default_rng([seed, 77])
    order = random.permutation(len(classes))
    kept = np.concatenate([order[classes[order] == number][:count] for number in np.unique(classes)])
    labels, number_of_classes = classes[kept].copy(), int(classes.max()) + 1
    # another class each time: a share of the labels of every class is wrong, and by chance none is right
    for number in np.unique(classes):
        own = np.flatnonzero(classes[kept] == number)
        flipped = random.permutation(own)[: round(wrong * len(own))]
        labels[flipped] = (number + random.integers(1, number_of_classes, len(flipped))) % number_of_classes
    return kept, labels


def train_cell(task: TaskData, options: argparse.Namespace, method: str, seed: int) -> dict[str, Any]:
    """Train one student, and return what stands in its line."""
    classes = np.array([row.label for row in task.train])
    kept, labels = labels_of(classes, options.labels, options.wrong, seed)
    texts = [str(row.classifier_input) for row in task.train]
    settings = LanguageModel(
        model=options.model,
        lora={"rank": options.rank} if options.rank else None,
        training={"epochs": options.epochs, "batch_size": 8, "learning_rate": options.rate},
        algorithm=METHODS[method],
        # the control has no strong view, and no use for one
        views={} if method == "supervised" else VIEWS,
        longest=64,
    )
    started = time.process_time()
    student = make_classifier(settings, names=task.spec.classes, seed=seed)
    assert isinstance(student, LanguageModelClassifier)
    others = np.setdiff1d(np.arange(len(texts)), kept)
    student.fit(
        [texts[row] for row in kept],
        labels,
        unlabeled=[texts[row] for row in others] if settings.learns_from_unlabeled else None,
        classes=len(task.spec.classes),
    )
    predicted = student.predict_proba([row.classifier_input for row in task.test]).argmax(-1)
    right = float((predicted == np.array([row.label for row in task.test])).mean())
    return {
        "method": method,
        "seed": seed,
        "accuracy": right,
        "seconds": round(time.process_time() - started, 1),
        "warnings": [] if student.report is None else list(student.report.warnings),
    }


def print_table(cells: list[dict[str, Any]]) -> None:
    """Print each method's accuracy, and its difference from plain fine-tuning over the seeds that both have."""
    by_method: dict[str, dict[int, dict[str, Any]]] = {}
    for cell in cells:
        by_method.setdefault(cell["method"], {})[cell["seed"]] = cell
    control = by_method.get("supervised", {})
    for method, by_seed in by_method.items():
        seeds = sorted(by_seed.keys() & control.keys())
        gains = np.array([by_seed[seed]["accuracy"] - control[seed]["accuracy"] for seed in seeds])
        mean = np.mean([cell["accuracy"] for cell in by_seed.values()])
        line = f"| {method} | {mean:.3f} | {np.mean([cell['seconds'] for cell in by_seed.values()]):.0f} s |"
        if len(gains) > 1 and method != "supervised":
            half = stats.t.ppf(0.975, len(gains) - 1) * gains.std(ddof=1) / len(gains) ** 0.5
            line += f" {gains.mean():+.3f} ± {half:.3f} ({len(gains)} seeds) |"
        print(line)


def main() -> None:
    """Train the cells that are not there yet, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", default="subjectivity")
    parser.add_argument("--model", default="penchant-0.5m")
    parser.add_argument("--rank", type=int, default=0, help="of LoRA adapters; 0 trains all weights")
    parser.add_argument("--rate", type=float, default=5e-4)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--labels", type=int, default=20, help="per class")
    parser.add_argument("--wrong", type=float, default=0.0, help="share of the labels that are another class")
    parser.add_argument("--train", type=int, default=500)
    parser.add_argument("--test", type=int, default=500)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=["supervised", "Mean Teacher", "FixMatch 0.8"])
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    task = load_task(options.task, train=options.train, test=options.test)
    cells = [json.loads(line) for line in options.out.read_text().splitlines()] if options.out.exists() else []
    done = {(cell["method"], cell["seed"]) for cell in cells}
    # seed by seed: whatever is there when it is stopped is paired
    for seed in range(options.seeds):
        for method in options.methods:
            if (method, seed) not in done:
                cells.append(train_cell(task, options, method, seed))
                with options.out.open("a") as file:
                    file.write(json.dumps(cells[-1]) + "\n")
    print_table(cells)


if __name__ == "__main__":
    main()
