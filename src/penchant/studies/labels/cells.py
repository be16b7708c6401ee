"""The stage of a cell of the study of labels: which rows have which labels, training, and what was right."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from penchant.errors import InputError
from penchant.studies.core.job import StageJob
from penchant.studies.labels.networks import Networks, PictureNetworks, TextNetworks
from penchant.studies.labels.stage_settings import BEST, LAST, CellSettings
from penchant.studies.labels.stored import LABELS, LEARNED, Groups, StoredRows, linear_predictions
from penchant.studies.labels.training import Trained, Validation, train_cell
from penchant.studies.labels.wrong import clean_rows, wrong_labels
from penchant.weak.semi_supervised.arms import Arm
from penchant.weak.settings import Cnn

HELD_OUT, LEFT_OUT = 33, 34
"""Purposes of random numbers: rows that are held out, and rows that are left out so that all seeds have as many."""
Rows = NDArray[np.intp]


@dataclass(frozen=True)
class LabeledRows:
    """The rows of one seed.

    Attributes:
        labeled: rows with a label. labels: theirs. unlabeled: rows without one.
        chosen_by: rows by whose labels the best epoch is chosen; none is chosen if empty. their_labels: of these.
    """

    labeled: Rows
    labels: NDArray[np.int64]
    unlabeled: Rows
    chosen_by: Rows
    their_labels: NDArray[np.int64]


def cell_stage(job: StageJob[CellSettings], folder: Path) -> dict[str, object]:
    """Write whether each test row is right, for every seed: after the last step, and at the best epoch."""
    # which rows and labels there are hangs on the seed alone, so methods are paired
    settings, rows = job.settings, StoredRows.read(job.needs["rows"])
    parts = [rows_of_seed(settings, rows, seed, job.needs) for seed in settings.seeds]
    # of this process: other work on the machine does not count, several threads count each; and without the looks that
    # choose an epoch, so that the control is not slower for being looked at
    started = time.process_time()
    networks = _networks(job, rows)
    trained = _linear(networks, settings, parts) if settings.algorithm is None else _train(networks, settings, parts)
    seconds = time.process_time() - started - trained.look_seconds
    # single answers, not their mean: differences are taken row by row
    np.save(folder / LAST, trained.last)
    if trained.best is not None:
        np.save(folder / BEST, trained.best)
    truth = rows.train_labels
    return {
        "labels": len(parts[0].labeled),
        "unlabeled": len(parts[0].unlabeled),
        "wrong": [float((part.labels != truth[part.labeled]).mean()) for part in parts],
        "warnings": [list(warnings) for warnings in trained.warnings],
        "mask_rates": list(trained.mask_rates),
        "processor_seconds": seconds,
    }


def _networks(job: StageJob[CellSettings], rows: StoredRows) -> Networks:
    network = job.settings.network
    if isinstance(network, Cnn):
        return PictureNetworks(network, rows)
    return TextNetworks(network, rows, job.needs["features"])


def rows_of_seed(settings: CellSettings, rows: StoredRows, seed: int, needs: Mapping[str, Path]) -> LabeledRows:
    """Return which rows of a seed have which label.

    Raises:
        InputError: more clean labels than there are rows, or fewer than classes.
    """
    truth, all_rows = rows.train_labels, np.arange(rows.train)
    none = all_rows[:0]
    clean = none if settings.clean is None else clean_rows(truth, settings.clean, seed)
    # few labels: all other rows have lost theirs
    if settings.noise is None:
        return LabeledRows(clean, truth[clean], np.setdiff1d(all_rows, clean), none, truth[none])
    noisy, labeled_rows = _noisy(settings, rows, seed, needs)
    # rows that are clean, and that the weak model knew too, differ in number from seed to seed, and all seeds of a cell
    # train in one pass with epochs of one length
    noisy_rows = _first_rows(np.setdiff1d(labeled_rows, clean), len(labeled_rows) - len(clean), seed)
    # clean labels too few to learn from may still tell a good epoch from a bad one
    if settings.clean_use == "choose":
        return LabeledRows(noisy_rows, noisy[noisy_rows], none, clean, truth[clean])
    if settings.clean_use == "learn":
        # the same wrong labels as without the clean ones
        labels = noisy.copy()
        labels[clean] = truth[clean]
        learned_rows = np.concatenate([clean, noisy_rows])
        return LabeledRows(learned_rows, labels[learned_rows], none, none, truth[none])
    # the same for every method of a condition, whether it chooses an epoch or not
    order = np.random.default_rng([seed, HELD_OUT]).permutation(noisy_rows)
    held_rows, learned_rows = _split_rows(order, settings.held_out or 0.0, rows.train_groups(), seed)
    return LabeledRows(learned_rows, noisy[learned_rows], none, held_rows, noisy[held_rows])


def _split_rows(order: Rows, share: float, groups: Groups | None, seed: int) -> tuple[Rows, Rows]:
    """Return rows that are held out and rows to learn from, which have no related ones among them.

    Args:
        order: the rows in the order of the draw. share: of them to hold out.
        groups: of all rows, the same for related ones; None where none are related.

    Raises:
        InputError: none would be left.
    """
    count = max(1, round(share * len(order)))
    if groups is None:
        return np.sort(order[:count]), np.sort(order[count:])
    # whole groups, from the first of the order on, until there are enough: a related row on the other side would make
    # the epoch look better that learned it by heart
    names, first, sizes = np.unique(groups[order], return_index=True, return_counts=True)
    by_draw = np.argsort(first)
    enough = int(np.searchsorted(np.cumsum(sizes[by_draw]), count)) + 1
    is_held = np.isin(groups[order], names[by_draw[:enough]])
    # by how many rows the last group is too large differs from seed to seed, and all seeds learn from as many
    spare = int(np.bincount(groups).max()) - 1
    return np.sort(order[is_held][:count]), _first_rows(np.sort(order[~is_held]), len(order) - count - spare, seed)


def _first_rows(rows: Rows, count: int, seed: int) -> Rows:
    """Return so many of some rows, the same for every method; all of them where they are no more.

    Raises:
        InputError: none would be left.
    """
    if count < 1:
        raise InputError(
            "clean labels and those that the weak model learned from leave no other rows: lower `few.counts` or "
            "`together.model_rows`"
        )
    if len(rows) == count:
        return rows
    return np.sort(np.random.default_rng([seed, LEFT_OUT]).permutation(rows)[:count])


def _noisy(
    settings: CellSettings, rows: StoredRows, seed: int, needs: Mapping[str, Path]
) -> tuple[NDArray[np.int64], Rows]:
    """Return a label for every row, of which some are wrong, and the rows that have it."""
    noise = settings.noise
    assert noise is not None
    all_rows = np.arange(rows.train)
    if noise.kind == "model":
        index = settings.seeds.index(seed)
        weak_rows = np.load(needs["weak"] / LEARNED, allow_pickle=False)[index]
        # of these the weak model knows the truth
        return np.load(needs["weak"] / LABELS, allow_pickle=False)[index], np.setdiff1d(all_rows, weak_rows)
    assert noise.rate is not None
    return wrong_labels(rows.train_labels, rows.classes, noise.kind, noise.rate, seed), all_rows


def _train(networks: Networks, settings: CellSettings, parts: list[LabeledRows]) -> Trained:
    assert settings.algorithm is not None
    # hard labels: how sure a weak model is stays out of this study
    classes = torch.eye(networks.rows.classes)
    arms = [
        Arm(seed, torch.as_tensor(part.labeled), classes[torch.as_tensor(part.labels)], torch.as_tensor(part.unlabeled))
        for seed, part in zip(settings.seeds, parts, strict=True)
    ]
    _refuse_one_class(parts)
    # few labels leave none to choose by
    validation = None
    if len(parts[0].chosen_by):
        validation = Validation(
            torch.as_tensor(np.array([part.chosen_by for part in parts])),
            torch.as_tensor(np.array([part.their_labels for part in parts])),
        )
    return train_cell(networks, settings.algorithm, arms, validation)


def _linear(networks: Networks, settings: CellSettings, parts: list[LabeledRows]) -> Trained:
    """Fit a linear classifier of each seed to the same labels."""
    _refuse_one_class(parts)
    rows, features = networks.rows, networks.features()
    test_features, groups = features[rows.train :], rows.train_groups()
    predicted = [
        linear_predictions(features, part.labeled, np.eye(rows.classes)[part.labels], test_features, seed, groups)
        for seed, part in zip(settings.seeds, parts, strict=True)
    ]
    return Trained(np.array(predicted) == rows.test_labels)


def _refuse_one_class(parts: list[LabeledRows]) -> None:
    if bad := [len(part.labels) for part in parts if len(np.unique(part.labels)) < 2]:
        raise InputError(f"all {bad[0]} labels are of one class: nothing can be told apart")
