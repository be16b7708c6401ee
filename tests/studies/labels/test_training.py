"""A cell's networks: alone and side by side, and against the classifiers that do the same one by one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from penchant.errors import InputError
from penchant.studies.labels.networks import TextNetworks, probabilities
from penchant.studies.labels.stored import PLAIN, STRONG, StoredRows
from penchant.studies.labels.training import Validation, train_cell
from penchant.weak.classifiers.mlp import MlpClassifier
from penchant.weak.contract import Example
from penchant.weak.networks.heads import FeatureViews
from penchant.weak.networks.network import Network
from penchant.weak.semi_supervised.arms import Arm
from penchant.weak.semi_supervised.confident_learning import ConfidentClassifier
from penchant.weak.semi_supervised.self_training import SelfTrainedClassifier
from penchant.weak.semi_supervised.settings import (
    AnyAlgorithm,
    ConfidentLearning,
    DivideMix,
    FixedThreshold,
    FixMatch,
    LabelVectors,
    SelfTraining,
    Supervised,
)
from penchant.weak.settings import Mlp

ROWS, TRAIN, WIDTH = 90, 60, 6
SETTINGS = Mlp(model="nobody/model", steps=12, batch_size=8, hidden=8)
ALGORITHMS: tuple[AnyAlgorithm, ...] = (
    Supervised(),
    FixMatch(),
    DivideMix(warm_up=1),
    SelfTraining(rounds=2),
    ConfidentLearning(folds=3),
)


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> TextNetworks:
    folder = tmp_path_factory.mktemp("features")
    generator = np.random.default_rng(0)
    labels = np.arange(ROWS) % 2
    plain = (generator.normal(size=(ROWS, WIDTH)) + labels[:, None]).astype(np.float32)
    np.save(folder / PLAIN, plain)
    np.save(folder / STRONG, np.stack([plain[:TRAIN] + 0.1, plain[:TRAIN] - 0.1]))
    return TextNetworks(SETTINGS, StoredRows(folder, labels, TRAIN, 2), folder)


def arms(networks: TextNetworks, seeds: Sequence[int], labelled: int) -> list[Arm]:
    labels = torch.eye(2)[torch.as_tensor(networks.rows.labels)]
    orders = [torch.randperm(TRAIN, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
    return [
        Arm(seed, order[:labelled], labels[order[:labelled]], order[labelled:])
        for seed, order in zip(seeds, orders, strict=True)
    ]


@pytest.mark.parametrize("algorithm", ALGORITHMS, ids=lambda algorithm: algorithm.name)
def test_seeds_train_side_by_side_as_they_train_alone(networks: TextNetworks, algorithm: AnyAlgorithm) -> None:
    labelled = 20 if algorithm.name in ("fixmatch", "self_training") else TRAIN
    together = train_cell(networks, algorithm, arms(networks, (3, 8), labelled))
    for place, seed in enumerate((3, 8)):
        alone = train_cell(networks, algorithm, arms(networks, (seed,), labelled))
        assert (alone.last[0] == together.last[place]).all()


def test_self_training_is_the_classifier_that_trains_one_by_one(networks: TextNetworks) -> None:
    settings = SelfTraining(rounds=2, threshold=0.6)
    (arm,) = arms(networks, (5,), 20)
    classifier = SelfTrainedClassifier(settings, lambda number: mlp(networks, 5), seed=5)
    classifier.fit(names(arm.labeled), arm.targets.numpy(), unlabeled=names(arm.unlabeled))
    tests = torch.arange(TRAIN, ROWS)
    said = classifier.predict_proba(names(tests)).argmax(1)
    trained = train_cell(networks, settings, [arm])
    assert ((said == networks.rows.test_labels) == trained.last[0]).all()
    assert classifier.report is not None
    assert trained.mask_rates[0] == pytest.approx(classifier.report.mask_rate)


def test_students_grow_as_they_are_told(networks: TextNetworks, monkeypatch: pytest.MonkeyPatch) -> None:
    changes: list[dict[str, object]] = []
    start = networks.start

    def spy(seeds: Sequence[int], change: dict[str, object] | None = None) -> Network:
        changes.append(change or {})
        return start(seeds, change)

    monkeypatch.setattr(networks, "start", spy)
    settings = SelfTraining(rounds=3, student={"dropout": 0.2}, growth=({"hidden": 4}, {"hidden": 16}))
    train_cell(networks, settings, arms(networks, (5,), 20))
    assert [change.get("hidden") for change in changes] == [None, 4, 16, 16]
    assert [change.get("dropout") for change in changes] == [None, 0.2, 0.2, 0.2]


def test_confident_learning_is_the_classifier_that_trains_one_by_one(networks: TextNetworks) -> None:
    (arm,) = arms(networks, (5,), TRAIN)
    wrong = arm.targets.clone()
    wrong[:12] = wrong[:12].flip(1)
    settings = ConfidentLearning(folds=3)
    classifier = ConfidentClassifier(settings, lambda part: mlp(networks, 5), seed=5)
    classifier.fit(names(arm.labeled), wrong.numpy())
    assert classifier.suspects
    said = classifier.predict_proba(names(torch.arange(TRAIN, ROWS))).argmax(1)
    trained = train_cell(networks, settings, [replace(arm, targets=wrong)])
    assert ((said == networks.rows.test_labels) == trained.last[0]).all()


class Unscaled(MlpClassifier):
    """Takes features as they are: a cell's are scaled over all rows, a classifier's over those that it is given."""

    def _views(self, examples: Sequence[Example]) -> FeatureViews:
        plain = self.features(examples)
        return FeatureViews(plain[None], plain[None], torch.zeros(WIDTH), torch.ones(WIDTH))


def mlp(networks: TextNetworks, seed: int) -> MlpClassifier:
    """The same network as a classifier of names of rows, scaled as the cell's is."""
    plain = networks.inputs(torch.arange(ROWS))

    def features(examples: Sequence[Example]) -> torch.Tensor:
        return plain[[int(str(example)) for example in examples]]

    return Unscaled(SETTINGS, features=features, seed=seed)


def names(rows: torch.Tensor) -> list[str]:
    return list(map(str, rows.tolist()))


def test_fixmatch_without_a_confident_row_is_supervised_training(networks: TextNetworks) -> None:
    plain = train_cell(networks, Supervised(), arms(networks, (1, 2), 20))
    none = train_cell(networks, FixMatch(threshold=FixedThreshold(threshold=1.1)), arms(networks, (1, 2), 20))
    assert (plain.last == none.last).all()
    assert none.mask_rates == (0.0, 0.0)
    assert all(none.warnings)


def test_the_best_epoch_is_the_one_that_the_held_out_labels_choose(networks: TextNetworks) -> None:
    held = torch.arange(TRAIN, ROWS)[None]
    truth = torch.as_tensor(networks.rows.test_labels)[None]
    right = train_cell(networks, Supervised(), arms(networks, (1,), 20), Validation(held, truth))
    assert right.best is not None
    # chosen by the tests themselves, no epoch can be better; by the opposite of the truth none can be worse
    opposite = train_cell(networks, Supervised(), arms(networks, (1,), 20), Validation(held, 1 - truth))
    assert opposite.best is not None
    assert opposite.best.mean() <= right.last.mean() <= right.best.mean()
    assert (opposite.last == right.last).all()


def test_twins_say_their_mean(networks: TextNetworks) -> None:
    network = networks.start([1, 2])
    rows = torch.arange(5)
    each, both = probabilities(networks, network, rows), probabilities(networks, network, rows, 2)
    assert torch.allclose(each.mean(0), both[0])
    own = probabilities(networks, network, torch.stack([rows, rows.flip(0)]))
    assert torch.allclose(own[0], each[0])
    assert torch.allclose(own[1], each[1].flip(0))


def test_what_this_study_cannot_train_is_refused(networks: TextNetworks, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="label vectors"):
        train_cell(networks, LabelVectors(vectors=(str(tmp_path),)), arms(networks, (1,), 20))
    with pytest.raises(InputError, match="rows without labels"):
        train_cell(networks, SelfTraining(), arms(networks, (1,), TRAIN))
    with pytest.raises(InputError, match="leave it out"):
        train_cell(networks, SelfTraining(noise=("word_dropout",)), arms(networks, (1,), 20))
