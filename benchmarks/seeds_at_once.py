"""Measure how much longer five seeds of a cell take than one, by processor time, on the features of a finished study.

    penchant study labels --preset small 'tasks=[subjectivity]' out=labels
    OMP_NUM_THREADS=1 python benchmarks/seeds_at_once.py labels

One seed and five train in turn, five times; the ratio is the median over these. 100 clean labels, 500 steps.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import numpy as np
import torch

from penchant.studies.labels.networks import TextNetworks
from penchant.studies.labels.stored import StoredRows
from penchant.studies.labels.training import train_cell
from penchant.studies.labels.wrong import clean_rows
from penchant.weak.semi_supervised.arms import Arm
from penchant.weak.semi_supervised.settings import Algorithm, FixMatch, MeanTeacher, Supervised
from penchant.weak.settings import Mlp

TIMES, SEEDS, LABELS = 5, 5, 100
ALGORITHMS: tuple[Algorithm, ...] = (Supervised(), FixMatch(), MeanTeacher())


def main() -> None:
    """Print the seconds of one seed and of five, and their ratio, for each algorithm."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("study", help="folder of a study of labels on one task of texts")
    stages = Path(parser.parse_args().study) / "stages"
    torch.set_num_threads(1)
    (features,) = stages.glob("*-features-*")
    # the rows alone have a file of texts, those of weak models have labels only
    rows = StoredRows.read(next(stages.glob("*/texts.json")).parent)
    networks = TextNetworks(Mlp(model="minilm-l6"), rows, features)
    for algorithm in ALGORITHMS:
        one, several = zip(*(_both(networks, rows, algorithm) for _ in range(TIMES)), strict=True)
        ratio = statistics.median(b / a for a, b in zip(one, several, strict=True))
        seconds = f"{statistics.median(one):.2f} s, {SEEDS} seeds {statistics.median(several):.2f} s"
        print(f"{algorithm.label}: one seed {seconds}, {ratio:.1f} times")


def _both(networks: TextNetworks, rows: StoredRows, algorithm: Algorithm) -> tuple[float, float]:
    """Return the processor time of a training of one seed, and of one of several."""
    times = []
    for seeds in (1, SEEDS):
        arms = [_arm(rows, seed) for seed in range(seeds)]
        started = time.process_time()
        train_cell(networks, algorithm, arms)
        times.append(time.process_time() - started)
    return times[0], times[1]


def _arm(rows: StoredRows, seed: int) -> Arm:
    clean = clean_rows(rows.train_labels, LABELS, seed)
    targets = torch.eye(rows.classes)[torch.as_tensor(rows.train_labels[clean])]
    others = np.setdiff1d(np.arange(rows.train), clean)
    return Arm(seed, torch.as_tensor(clean), targets, torch.as_tensor(others))


if __name__ == "__main__":
    main()
