"""The steps of a fine-tuning that learns from rows without labels too: an algorithm on a language model.

The labelled part of a step, its order, learning rates and clipping are those of plain fine-tuning, so that this is the
control: at a threshold above 1 the two are equal to the bit.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from penchant.losses.weak_settings import WeakLoss
from penchant.weak.augmentation.settings import Views
from penchant.weak.classifiers.reading import HeadReading
from penchant.weak.classifiers.text_network import TextNetwork, TextViews, weights_in_place
from penchant.weak.classifiers.text_twins import TextTwins
from penchant.weak.contract import Example
from penchant.weak.networks.network import StrongNoise
from penchant.weak.networks.streams import TWIN_DROPOUT, Stream
from penchant.weak.semi_supervised.arms import TWIN_SEED, Arm, ArmRows, network_arms
from penchant.weak.semi_supervised.objective import Objective
from penchant.weak.semi_supervised.registry import make_objective
from penchant.weak.semi_supervised.report import UnlabeledReport
from penchant.weak.semi_supervised.settings import UNLABELED_RATIO, Algorithm, LabelVectors, Supervised
from penchant.weak.training_state import restore_training_state, training_state
from penchant.weak.vector_content import property_content

log = logging.getLogger("penchant.weak")


@dataclass(frozen=True)
class LearnedRows:
    """What an algorithm learns from.

    Attributes:
        examples: those with labels first. targets: probabilities of these, shape (labelled, classes).
        weights: how much each of these counts, (labelled,); all alike if None.
        vectors: of each classifier of another attribute, its probabilities for all examples, (examples, its classes).
    """

    examples: Sequence[Example]
    targets: Tensor
    weights: Tensor | None
    loss: WeakLoss
    vectors: tuple[Tensor, ...] = ()


class AlgorithmSteps:
    """An algorithm on a language model: the loss of each step, what follows it, and what predicts in the end.

    Args:
        twin: weights of the second network of an algorithm that trains two, in the order of the first's: those of the
            model that train, then the head's.

    Attributes:
        report: what was made of rows without labels; None before `finish`, and where there are none.

    Raises:
        InputError: no rows without labels, two views that are the same, or an augmentation that changes nothing.
    """

    changing: ClassVar[tuple[str, ...]] = ("network", "objective")

    def __init__(
        self,
        algorithm: Algorithm,
        reading: HeadReading,
        rows: LearnedRows,
        views: Views,
        *,
        seed: int,
        batch_size: int,
        twin: Sequence[nn.Parameter] = (),
    ) -> None:
        self.algorithm, self.batch_size, self.twin = algorithm, batch_size, list(twin)
        text_views = TextViews(rows.examples, views, seed)
        strong_noise = StrongNoise(views.feature_noise, views.parameter_noise)
        first = TextNetwork(reading, text_views, strong_noise=strong_noise)
        self.network: TextNetwork | TextTwins = first
        if self.twin:
            draws = Stream([seed + TWIN_SEED], TWIN_DROPOUT)
            second = TextNetwork(
                reading, text_views, strong_noise=strong_noise, weights=[*self.twin], dropout_draws=draws
            )
            self.network = TextTwins(first, second)
        self._parameters = first.parameters
        # rows with labels stand first
        count = len(rows.targets)
        arm = Arm(
            seed,
            torch.arange(count),
            rows.targets,
            torch.arange(count, len(rows.examples)),
            weights=rows.weights,
            loss=rows.loss,
            vectors=rows.vectors,
        )
        # the twin has the same rows, and another seed for their order
        self.arms = network_arms(algorithm, [arm])
        self.digest = _digest(algorithm, views, text_views, rows)
        self.report: UnlabeledReport | None = None
        self._objective: Objective | None = None

    def begin(self, batches_of: Callable[[int], Sequence[Sequence[int]]]) -> None:
        """Take the labelled rows of each step.

        Args:
            batches_of: a network's seed to the batches of its fine-tuning, by place; the last of an epoch is smaller.
        """
        ratio = UNLABELED_RATIO if isinstance(self.algorithm, Supervised) else self.algorithm.unlabeled_ratio
        batches = [batches_of(arm.seed) for arm in self.arms]
        arm_rows = ArmRows(self.arms, batch_size=self.batch_size, unlabeled_ratio=ratio, labeled_batches=batches)
        self._objective = make_objective(self.algorithm, self.network, arm_rows, len(batches[0]))
        if self._objective.monitor is not None:
            log.info(
                "%s: beside its labelled texts (%d) a step reads %d %s twice, and those that count once more with "
                "gradients%s",
                self.algorithm.label,
                len(batches[0][0]),
                self.batch_size * ratio,
                "whose label it guesses" if self.twin else "without a label",
                "; all that in two networks" if self.twin else "",
            )

    def backward(self, step: int) -> float:
        """Add the gradient of a step's loss to the weights; return the loss, the mean of two networks'."""
        loss = self.objective.loss(step).sum()
        # first up to the logits, then pass by pass on to the weights
        loss.backward()
        self.network.finish_backward()
        return float(loss.detach()) / len(self.arms)

    def after_step(self, step: int) -> None:
        """Do what follows an optimizer step."""
        self.objective.after_step(step)

    @contextmanager
    def predicting(self) -> Iterator[None]:
        """Give the model the weights that would predict, inside the block; of two networks the first's."""
        with weights_in_place(self._parameters, self._predicting_weights()):
            yield

    @torch.no_grad()
    def finish(self) -> None:
        """Leave the model with the weights that predict, and `report` with what was made of rows without labels.

        Raises:
            RunError: the loss of these rows was 0 throughout though some counted.
        """
        # copied, and not put in place: the teacher goes with the objective
        for parameter, weight in zip(self._parameters, self._predicting_weights(), strict=True):
            parameter.copy_(weight)
        monitor = self.objective.monitor
        if monitor is not None:
            monitor.check()
            # of twins the first's: theirs are alike
            self.report = monitor.reports()[0]

    def _predicting_weights(self) -> list[Tensor]:
        # the twin's stand behind the first network's, and are its own already
        return self.objective.predictor().trained()[: len(self._parameters)]

    @property
    def objective(self) -> Objective:
        """The algorithm with its rows in hand; there after `begin`."""
        assert self._objective is not None
        return self._objective


class AlgorithmProgress(nn.Module):
    """What an algorithm's steps changed beside the weights, as a module: checkpoints hold the state of modules."""

    def __init__(self, steps: AlgorithmSteps) -> None:
        super().__init__()
        self.steps = steps

    def get_extra_state(self) -> dict[str, Any]:
        """Return averages, random streams, orders, thresholds and divisions for a checkpoint."""
        return training_state(self.steps)

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Restore them from a checkpoint."""
        restore_training_state(self.steps, state)


def _digest(algorithm: Algorithm, views: Views, texts: TextViews, rows: LearnedRows) -> str:
    """Return a digest of all that decides the steps beside the labelled rows, by which a checkpoint is known."""
    # what users' code and models made of texts stands for these; a property is asked at each step
    properties = map(property_content, algorithm.properties) if isinstance(algorithm, LabelVectors) else ()
    settings = algorithm.model_dump(mode="json"), views.model_dump(mode="json")
    content = [*settings, texts.texts, texts.fixed_copies, list(properties)]
    content += [hashlib.sha256(vector.double().numpy().tobytes()).hexdigest() for vector in rows.vectors]
    return hashlib.sha256(repr(content).encode(errors="replace")).hexdigest()[:32]
