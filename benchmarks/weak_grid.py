"""A weak-to-strong grid of probes: Penchant's study beside the naive way, in which every cell starts from nothing.

    PENCHANT_DATA=../shared/data python benchmarks/weak_grid.py [--train 1500] [--test 1821] [--every 1]

The grid has 3 supervisors, 3 students, 3 losses and 5 seeds: 135 cells. Both sides fit the same probes with the same
settings. The study computes each model's activations once, each supervisor and ceiling once, and all students of a
model as one batched operation. The naive way trains the supervisor, computes the activations of its rows, and fits
student and ceiling, in each cell again; once with Penchant's activations, and once as scripts mostly do it, with padded
batches of 32 texts through transformers, in the order of the file. As all cells of a supervisor and a student cost the
same there, one of each of the 9 is timed and counts for its 15 losses and seeds; `--every 15` runs that many instead.
One process, 2 threads.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from itertools import product
from pathlib import Path

import numpy as np
import torch

from penchant.models.load import load_policy
from penchant.models.policy import Policy
from penchant.studies.core.study import run_study
from penchant.studies.weak_to_strong.grid import weak_grid
from penchant.studies.weak_to_strong.settings import WeakToStrongConfig
from penchant.tasks import halves, load_task
from penchant.tasks.load import data_folder
from penchant.weak.classifiers.features import activations, layer_of
from penchant.weak.classifiers.probe_fit import fit_probes
from penchant.weak.classifiers.readers import LanguageModelReader
from penchant.weak.classifiers.registry import make_classifier
from penchant.weak.settings import L2, Probe

CELLS = 15  # losses x seeds of one supervisor and student
BATCH = 32


def settings(options: argparse.Namespace, out: Path) -> WeakToStrongConfig:
    """The grid, as the study takes it."""
    return WeakToStrongConfig(
        train=options.train,
        test=options.test,
        weak=({"name": "tfidf"}, {"name": "tfidf", "rows": 100}, {"name": "probe", "model": "penchant-0.5m"}),
        strong=("penchant-1.5m", "penchant-5m", {"model": "smollm2-135m", "layer": 20}),
        losses=({"name": "cross_entropy"}, {"name": "confidence"}, {"name": "adaptive_confidence"}),
        seeds=(0, 1, 2, 3, 4),
        l2=L2,
        controls=False,
        out=str(out),
    )


def padded(policy: Policy, texts: list[str], layer: int, longest: int) -> torch.Tensor:
    """The states of a layer at the last tokens, by batches of 32 as they come."""
    tokenizer = policy.tokenizer
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    tokenizer.padding_side = "right"
    found = []
    with torch.no_grad():
        for first in range(0, len(texts), BATCH):
            read = tokenizer(
                texts[first : first + BATCH], padding=True, truncation=True, max_length=longest, return_tensors="pt"
            )
            states = policy.model(**read, output_hidden_states=True).hidden_states[layer]
            found.append(states[torch.arange(len(states)), read["attention_mask"].sum(-1) - 1])
    return torch.cat(found).half()


def naive_cell(
    config: WeakToStrongConfig, weak: int, strong: int, loss: int, seed: int, *, batches: bool = False
) -> float:
    """One cell from nothing; the student's accuracy. batches: read texts as `padded` does."""
    data = load_task(config.tasks[0], train=config.train, test=config.test, folder=data_folder())
    own, other = halves(data.train, seed)
    classes = len(data.spec.classes)
    supervisor = config.weak[weak]
    chosen = own[: supervisor.rows]
    teacher = make_classifier(supervisor, l2=L2, steps=config.steps)
    teacher.fit([e.text for e in chosen], [e.label for e in chosen], classes=classes)
    labels = teacher.predict_proba([e.text for e in other])
    student = config.strong[strong]
    assert isinstance(student, Probe)
    policy = load_policy(student.model, template="plain")
    texts = [e.text for e in (*other, *data.test)]
    with tempfile.TemporaryDirectory() as scratch:
        if batches:
            states = padded(policy, texts, student.layer, config.longest)
        else:
            states = layer_of(
                activations(LanguageModelReader(policy), texts, Path(scratch), longest=config.longest), student.layer
            )
    truth = np.eye(classes)[[e.label for e in other]]
    accuracy = 0.0
    for targets, using in ((truth, config.losses[0]), (labels, config.losses[loss])):
        probes = fit_probes(states[: len(other)], torch.as_tensor(targets)[None], [using], l2=L2, steps=config.steps)
        said = probes.predict_proba(states[len(other) :])[0].argmax(-1).numpy()
        accuracy = float((said == [e.label for e in data.test]).mean())
    return accuracy


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--train", type=int, default=1500)
    parser.add_argument("--test", type=int, default=1821)
    parser.add_argument("--every", type=int, default=1, help="naive cells to run of each supervisor and student")
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "2")
    torch.set_num_threads(2)
    with tempfile.TemporaryDirectory() as folder:
        config = settings(options, Path(folder) / "study")
        stages = sum(len(grid.stages()) for grid in weak_grid(config))
        began = time.perf_counter()
        result = run_study(config)
        ours = time.perf_counter() - began
        found = {(c["weak"], c["strong"], c["loss"]): c["student"]["value"] for c in result.numbers["cells"]}
    seconds: dict[str, dict[tuple[int, int], list[float]]] = {"penchant": {}, "padded": {}}
    accuracies: dict[tuple[int, int, int], list[float]] = {}
    for weak, strong in product(range(3), range(3)):
        for number, (loss, seed) in enumerate(product(range(3), config.seeds)):
            for batches in (False, True) if number < options.every else ():
                began = time.perf_counter()
                right = naive_cell(config, weak, strong, loss, seed, batches=batches)
                of = seconds["padded" if batches else "penchant"]
                of.setdefault((weak, strong), []).append(time.perf_counter() - began)
                if not batches:
                    accuracies.setdefault((weak, strong, loss), []).append(right)
    timed = sum(map(len, seconds["padded"].values()))
    print(f"{options.train} rows to train and {options.test} to test on, 135 cells; the study has {stages} stages")
    print(f"naive: {timed} of 135 cells timed, each standing for {CELLS // options.every}")
    print("| | seconds | times ours |\n|---|---|---|")
    print(f"| Penchant, the whole study in a fresh folder | {ours:.0f} | 1 |")
    for name, of in seconds.items():
        theirs = sum(CELLS * statistics.mean(times) for times in of.values())
        print(f"| the naive way, activations: {name} | {theirs:.0f} | {theirs / ours:.1f} |")
    if options.every == CELLS:  # the same students
        apart = [
            abs(statistics.mean(of) - found[config.weak[w].label, config.strong[s].label, result.numbers["losses"][k]])
            for (w, s, k), of in accuracies.items()
        ]
        print(f"largest difference of a mean accuracy between the two: {max(apart):.4f}")
    print(json.dumps({name: {str(key): times for key, times in of.items()} for name, of in seconds.items()}))


if __name__ == "__main__":
    main()
