"""Train the networks of a cell by its algorithm: all seeds in one pass, in rounds where it trains several times."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from penchant.errors import InputError
from penchant.studies.labels.networks import Networks, probabilities
from penchant.weak.networks.network import Network
from penchant.weak.semi_supervised.arms import Arm, network_arms
from penchant.weak.semi_supervised.confident_joint import confident_joint
from penchant.weak.semi_supervised.confident_learning import deal_folds, trusted_labels
from penchant.weak.semi_supervised.loop import train_arms
from penchant.weak.semi_supervised.report import UnlabeledReport
from penchant.weak.semi_supervised.self_training import pseudo_labels
from penchant.weak.semi_supervised.settings import (
    AnyAlgorithm,
    ConfidentLearning,
    LabelVectors,
    SelfTraining,
    Supervised,
)

Right = NDArray[np.bool_]


@dataclass(frozen=True)
class Validation:
    """Rows by whose labels an epoch is chosen.

    Attributes:
        rows: of each arm, shape (arms, rows). labels: theirs, which may be wrong, same shape.
    """

    rows: Tensor
    labels: Tensor


@dataclass(frozen=True)
class Trained:
    """What a cell's training left.

    Attributes:
        last: whether each test row is right after the last step, shape (arms, tests). best: the same at the epoch that
            the validation chose; None without one.
        warnings: of each arm, what looks wrong. mask_rates: share of the rows without a label that counted, of each
            arm; empty where there are none.
        look_seconds: of processor time, that went into choosing an epoch.
    """

    last: Right
    best: Right | None = None
    warnings: tuple[tuple[str, ...], ...] = ()
    mask_rates: tuple[float, ...] = ()
    look_seconds: float = 0.0


def train_cell(
    networks: Networks, algorithm: AnyAlgorithm, arms: Sequence[Arm], validation: Validation | None = None
) -> Trained:
    """Train an arm for each seed and test them; an arm's result is what it would be alone.

    Raises:
        InputError: rows that the algorithm cannot use.
        RunError: a loss that is not finite, or one that was 0 throughout.
    """
    match algorithm:
        case SelfTraining():
            return _self_train(networks, algorithm, arms)
        case ConfidentLearning():
            return _learn_confidently(networks, algorithm, arms)
        case LabelVectors():
            raise InputError("label vectors need classifiers of other attributes, which this study has none of")
    # DivideMix trains two networks for each arm
    looks = _Looks(networks, len(network_arms(algorithm, arms)) // len(arms), validation)
    every_arm = network_arms(algorithm, arms)
    network = networks.start([arm.seed for arm in every_arm])
    # of the rows with labels: what counts as one pass does not depend on the method
    looks.epoch = math.ceil(len(arms[0].labeled) / networks.steps.batch_size)
    # nobody looks where nothing is chosen: looks cost as much as training small networks
    watch = looks.look if validation is not None else None
    trained = train_arms(network, algorithm, every_arm, networks.steps, watch=watch)
    last = _right(networks, trained.network, looks.twins)
    # twins say of the same rows what both think: one report for the two
    reports = trained.reports[:: looks.twins]
    best = None if validation is None else looks.best(trained.network)
    return replace(_reported(last, reports), best=best, look_seconds=looks.seconds)


def _reported(last: Right, reports: Sequence[UnlabeledReport]) -> Trained:
    return Trained(
        last,
        warnings=tuple(report.warnings for report in reports),
        mask_rates=tuple(report.mask_rate for report in reports),
    )


def _right(networks: Networks, network: Network, twins: int = 1) -> Right:
    """Return whether each test row is right, shape (arms, tests)."""
    rows = networks.rows
    # tests stand behind the rows to learn from
    tests = torch.arange(rows.train, len(rows.labels))
    predicted = probabilities(networks, network, tests, twins).argmax(-1).numpy()
    return np.asarray(predicted == rows.test_labels)


@dataclass
class _Looks:
    """Looks at networks once an epoch, and keeps what each arm said at the best by the validation.

    Attributes:
        twins: networks that predict by their mean. epoch: steps of one.
        seconds: of processor time, of all looks so far.
    """

    networks: Networks
    twins: int
    validation: Validation | None
    epoch: int = 1
    seconds: float = 0.0
    _scores: Tensor | None = field(default=None, repr=False)
    _right: Right | None = field(default=None, repr=False)
    _step: int = 0

    def look(self, step: int, network: Network) -> None:
        """Look at networks after a step, if it ends an epoch."""
        if step % self.epoch == 0:
            self._look(step, network)

    def best(self, network: Network) -> Right:
        """Return whether each test row is right at the best epoch; the end counts as one."""
        # an epoch may end with the last step, and is looked at once
        if self._step != self.networks.steps.count:
            self._look(self.networks.steps.count, network)
        assert self._right is not None
        return self._right

    def _look(self, step: int, network: Network) -> None:
        started = time.process_time()
        self._keep_best(step, network)
        self.seconds += time.process_time() - started

    def _keep_best(self, step: int, network: Network) -> None:
        assert self.validation is not None
        predicted = probabilities(self.networks, network, self.validation.rows, self.twins).argmax(-1)
        scores = (predicted == self.validation.labels).float().mean(-1)
        self._step = step
        # the earlier of equals: it was there first
        is_better = torch.ones_like(scores, dtype=torch.bool) if self._scores is None else scores > self._scores
        if not is_better.any():
            return
        right = _right(self.networks, network, self.twins)
        if self._right is None or self._scores is None:
            self._scores, self._right = scores, right
            return
        self._scores = torch.where(is_better, scores, self._scores)
        self._right = np.where(is_better.numpy()[:, None], right, self._right)


def _self_train(networks: Networks, settings: SelfTraining, arms: Sequence[Arm]) -> Trained:
    """Train a teacher of each arm, then students of its surest labels, as `SelfTrainedClassifier` does one by one."""
    if settings.noise:
        raise InputError("`noise` of self-training changes texts, and this study keeps features: leave it out")
    if not len(arms[0].unlabeled):
        raise InputError("self-training learns from rows without labels, and none are left")
    # all seeds have as many rows without labels
    seeds, unlabeled = [arm.seed for arm in arms], torch.stack([arm.unlabeled for arm in arms])
    network = train_arms(networks.start(seeds), Supervised(), arms, networks.steps).network
    masks: tuple[float, ...] = ()
    for number in range(1, settings.rounds + 1):
        predicted = probabilities(networks, network, unlabeled).double().numpy()
        # what classes are balanced to
        shares = [_label_shares(arm) for arm in arms]
        pseudo = [
            pseudo_labels(settings, beliefs, label_shares)
            for beliefs, label_shares in zip(predicted, shares, strict=True)
        ]
        taught = [
            replace(
                arm,
                labeled=torch.cat([arm.labeled, arm.unlabeled]),
                targets=torch.cat([arm.targets.double(), torch.as_tensor(labels.targets)]).float(),
                weights=_as_weights(arm, labels.weights),
                unlabeled=arm.unlabeled[:0],
            )
            for arm, labels in zip(arms, pseudo, strict=True)
        ]
        # of the last round, whose student is kept
        masks = tuple(float((labels.weights > 0).mean()) for labels in pseudo)
        # from its start again: a teacher trained on would keep its errors
        student = networks.start(seeds, settings.student_of(number))
        network = train_arms(student, Supervised(), taught, networks.steps).network
    return Trained(_right(networks, network), mask_rates=masks, warnings=((),) * len(arms))


def _label_shares(arm: Arm) -> NDArray[np.float64]:
    weights = torch.ones(len(arm.labeled)) if arm.weights is None else arm.weights
    shares = (arm.targets * weights[:, None]).sum(0) / weights.sum()
    return np.asarray(shares.double().numpy())


def _as_weights(arm: Arm, pseudo: NDArray[np.float64]) -> Tensor:
    """Return the weights of labels and pseudo-labels, the largest as 1."""
    labels = torch.ones(len(arm.labeled)) if arm.weights is None else arm.weights
    # rare classes weigh more than a label, and weights go up to 1
    weights = torch.cat([labels.double(), torch.as_tensor(pseudo)])
    return (weights / weights.max()).float()


def _learn_confidently(networks: Networks, settings: ConfidentLearning, arms: Sequence[Arm]) -> Trained:
    """Train without suspect labels, as `ConfidentClassifier` does one by one; all folds of all arms in one pass."""
    folds = settings.folds
    # related rows in one fold: a network that learned one of them is no judge of the other
    groups = networks.rows.train_groups()
    every_row = np.arange(networks.rows.train) if groups is None else groups
    dealt = [deal_folds(list(map(str, every_row[arm.labeled.numpy()].tolist())), folds, arm.seed) for arm in arms]
    parts = [
        replace(arm, labeled=arm.labeled[other_rows], targets=arm.targets[other_rows], unlabeled=arm.unlabeled[:0])
        for arm, fold_of in zip(arms, dealt, strict=True)
        for fold in range(folds)
        for other_rows in [torch.as_tensor(np.flatnonzero(fold_of != fold))]
    ]
    network = train_arms(networks.start([part.seed for part in parts]), Supervised(), parts, networks.steps).network
    # each network says something of all rows, and of each row that one counts which did not learn it
    rows = torch.stack([arm.labeled for arm in arms]).repeat_interleave(folds, 0)
    predicted = probabilities(networks, network, rows).double().numpy().reshape(len(arms), folds, rows.shape[1], -1)
    trusted, warnings = [], []
    for arm, fold_of, beliefs in zip(arms, dealt, predicted, strict=True):
        labels = arm.targets.argmax(1).numpy()
        out_of_sample = beliefs[fold_of, np.arange(len(fold_of))]
        joint = confident_joint(labels, out_of_sample)
        weights, said_of_it = trusted_labels(settings.treatment, joint, labels, out_of_sample)
        trusted.append(replace(arm, weights=torch.as_tensor(weights).float()))
        warnings.append(tuple(said_of_it))
    # from the same start as the control, on the labels that are left
    last = train_arms(networks.start([arm.seed for arm in arms]), Supervised(), trusted, networks.steps).network
    return Trained(_right(networks, last), warnings=tuple(warnings))
