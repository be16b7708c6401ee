"""Arms that train side by side on rows of one network: which rows are whose, and what labels they have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import ClassVar

import torch
from torch import Tensor

from penchant.errors import InputError
from penchant.losses.weak_settings import CrossEntropy, WeakLoss
from penchant.weak.networks.streams import LABELED, UNLABELED, Deck, GivenDeck, Stream
from penchant.weak.semi_supervised.settings import Algorithm, DivideMix
from penchant.weak.targets import WeakTargets, weak_targets

TWIN_SEED = 500_009
"""Added to the seed of an arm for its second network."""


@dataclass(frozen=True)
class Arm:
    """One training: its rows, by their place in the network, and its labels.

    Attributes:
        labeled: rows with labels, shape (labelled,). targets: their probabilities, (labelled, classes).
        weights: how much each counts, from 0 to 1, (labelled,); 1 if None.
        unlabeled: rows without labels; none may be given.
        loss: on the labels.
        vectors: of each classifier of another attribute, its probabilities for all rows of the network, (rows, its
            classes).
    """

    seed: int
    labeled: Tensor
    targets: Tensor
    unlabeled: Tensor
    weights: Tensor | None = None
    loss: WeakLoss = field(default_factory=CrossEntropy)
    vectors: tuple[Tensor, ...] = ()


@dataclass(frozen=True)
class Batch:
    """Rows of a step.

    Attributes:
        rows: in the network, shape (arms, batch). labels: (arms, batch, classes), what each arm's loss starts from.
        counts: how much each row counts, (arms, batch). positions: places among an arm's labelled rows, (arms, batch).
    """

    rows: Tensor
    labels: Tensor
    counts: Tensor
    positions: Tensor


def network_arms(algorithm: Algorithm, arms: Sequence[Arm]) -> list[Arm]:
    """Return an arm for each network that an algorithm trains: those given, or twins that lie side by side.

    Twins have the same rows and another seed. What is predicted for such an arm is the mean of the two.
    """
    if not isinstance(algorithm, DivideMix):
        return list(arms)
    return [twin for arm in arms for twin in (arm, replace(arm, seed=arm.seed + TWIN_SEED))]


class ArmRows:
    """The rows of all arms, dealt in batches, with random numbers of their own for labelled and unlabelled ones.

    Args:
        arms: of the same number of classes.
        labeled_batches: of each arm, the places among its labelled rows of each step; in random order, from a stream,
            if not given.

    Raises:
        InputError: an arm without labelled rows, or some arms with and others without unlabelled rows.
    """

    changing: ClassVar[tuple[str, ...]] = ("labeled_noise", "unlabeled_noise", "_labeled_deck", "_unlabeled_deck")

    def __init__(
        self,
        arms: Sequence[Arm],
        *,
        batch_size: int,
        unlabeled_ratio: int,
        labeled_batches: Sequence[Sequence[Sequence[int]]] | None = None,
    ) -> None:
        self.arms, self.batch_size, self.unlabeled_ratio = arms, batch_size, unlabeled_ratio
        if min(len(arm.labeled) for arm in arms) == 0:
            raise InputError("there are no labelled rows to learn from")
        # one batch for all: an arm without rows would need one of another shape
        if len({len(arm.unlabeled) > 0 for arm in arms}) > 1:
            raise InputError("some arms have unlabelled rows, others none: train them apart")
        self.labeled_noise = Stream(self.seeds, LABELED)
        self.unlabeled_noise = Stream(self.seeds, UNLABELED)
        self._starts = [weak_targets(arm.loss, arm.targets.float(), arm.weights) for arm in arms]
        # places among an arm's labelled rows, so that labels are found by them
        self._labeled_deck: Deck | GivenDeck = (
            Deck(self.counted_positions, self.labeled_noise)
            if labeled_batches is None
            else GivenDeck(labeled_batches, self.labeled_noise)
        )
        self._unlabeled_deck = Deck([arm.unlabeled for arm in arms], self.unlabeled_noise) if self.unlabeled else None

    @cached_property
    def seeds(self) -> list[int]:
        """The seed of each arm."""
        return [arm.seed for arm in self.arms]

    @property
    def unlabeled(self) -> bool:
        """Whether there are rows without labels."""
        return len(self.arms[0].unlabeled) > 0

    @property
    def starts(self) -> list[WeakTargets]:
        """What each arm's loss starts from, for all its labelled rows."""
        return self._starts

    @cached_property
    def label_shares(self) -> Tensor:
        """Share of each class among the labels of each arm, shape (arms, classes)."""
        return torch.stack([torch.tensor(start.shares) for start in self._starts])

    @property
    def counted_positions(self) -> list[Tensor]:
        """Places of the labelled rows of each arm that count, and among which batches are dealt."""
        return [(start.counts > 0).nonzero().squeeze(1) for start in self._starts]

    def deal_among(self, arm: int, positions: Tensor) -> None:
        """Deal labelled rows of an arm among these places from now on."""
        self._labeled_deck.replace(arm, positions)

    def deal_labeled(self) -> Batch:
        """Return the labelled rows of the next step."""
        positions = self._labeled_deck.deal(self.batch_size)
        rows = torch.stack([arm.labeled[chosen] for arm, chosen in zip(self.arms, positions, strict=True)])
        labels = torch.stack([start.labels[chosen] for start, chosen in zip(self._starts, positions, strict=True)])
        # 1 on average over an arm's rows: the size of a step does not depend on its weights
        counts = torch.stack(
            [
                start.counts[chosen] / start.counts[start.counts > 0].mean()
                for start, chosen in zip(self._starts, positions, strict=True)
            ]
        )
        return Batch(rows, labels, counts, positions)

    def deal_unlabeled(self) -> Tensor:
        """Return unlabelled rows of the next step, shape (arms, batch).

        Raises:
            InputError: there are none.
        """
        if self._unlabeled_deck is None:
            raise InputError(
                "this algorithm learns from rows without labels, and none are given: give `unlabeled`, or take "
                "algorithm=supervised"
            )
        return self._unlabeled_deck.deal(self.batch_size * self.unlabeled_ratio)
