"""Agreement over label vectors: a row's views, student and supervisors should agree on many attributes of it.

An attribute (topic, sentiment, subjectivity ...) is a classifier that was trained before, and a head on the network's
hidden layer, or on a language model's last state. The loss is that of the labels, plus the disagreement of strong with
weak views over all heads, plus the disagreement of the attributes' heads with their classifiers. With no attribute and
hard classes above a threshold it is FixMatch. The proposal closes a lecture on weak-to-strong generalization; it has no
published equation.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from penchant.errors import InputError
from penchant.weak.networks.network import ManyHeads, Network
from penchant.weak.networks.streams import TEACHER, Stream
from penchant.weak.semi_supervised.arms import ArmRows
from penchant.weak.semi_supervised.fix_match import refuse_one_view
from penchant.weak.semi_supervised.monitor import Monitor
from penchant.weak.semi_supervised.objective import labeled_loss, misfit
from penchant.weak.semi_supervised.settings import OWN_PROPERTIES, LabelVectors


class LabelVectorsObjective:
    """Cross-entropy on labels, plus the disagreement over the task's head and the heads of attributes.

    Raises:
        InputError: a network without heads for the attributes, or whose strong view is its weak one; a property that is
            not there or breaks its contract.
    """

    changing: ClassVar[tuple[str, ...]] = ("rows", "monitor")

    def __init__(self, settings: LabelVectors, network: Network, rows: ArmRows, steps: int) -> None:
        refuse_one_view(network)
        widths = tuple(vector.shape[1] for vector in rows.arms[0].vectors)
        if not isinstance(network, ManyHeads) or network.attribute_widths != widths:
            raise InputError(
                "label vectors need a network with a head for each of them: take student.name=mlp, or lm with a head"
            )
        self.settings, self.network, self.rows, self.steps = settings, network, rows, steps
        self.monitor: Monitor | None = Monitor(rows.label_shares, settings.weight)
        vectors = [arm.vectors for arm in rows.arms]
        if settings.shuffle:
            vectors = [_shuffled(vector, arm, Stream(rows.seeds, TEACHER)) for arm, vector in enumerate(vectors)]
        # of each attribute, for all arms: (arms, rows, classes)
        self.vectors = [torch.stack(parts).float() for parts in zip(*vectors, strict=True)]
        self.properties = [Property(name) for name in settings.properties]

    def loss(self, step: int) -> Tensor:
        """Return the labelled loss plus both disagreements, weighted, shape (arms,)."""
        losses, _ = labeled_loss(self.network, self.rows, self.rows.deal_labeled(), step, self.steps)
        unlabeled, noise = self.rows.deal_unlabeled(), self.rows.unlabeled_noise
        with torch.no_grad():
            weak = self.network.every_head(self.network.inputs(unlabeled, "weak", noise), None)
        strong = self.network.every_head(self.network.inputs(unlabeled, "strong", noise), noise, "strong")
        disagreement = torch.stack([self._of_views(*views) for views in zip(weak, strong, strict=True)])
        self._watch(weak[0], strong[0], disagreement[0])
        total = losses.mean(-1) + self.settings.weight * disagreement.mean(0)
        if self.vectors:
            with_classifiers = [
                self._with_classifier(logits, vector, unlabeled)
                for logits, vector in zip(strong[1:], self.vectors, strict=True)
            ]
            total = total + self.settings.supervisor_weight * torch.stack(with_classifiers).mean(0)
        if self.properties:
            views = weak[0].softmax(-1), strong[0].softmax(-1)
            violations = torch.stack([violation(*views) for violation in self.properties])
            total = total + self.settings.property_weight * violations.mean(0)
        return total

    def _of_views(self, weak: Tensor, strong: Tensor) -> Tensor:
        """Return the disagreement of strong views with the confident classes of weak ones, shape (arms,)."""
        probabilities = weak.softmax(-1)
        mask = (probabilities.amax(-1) >= self.settings.threshold).float()
        pseudo = one_hot(probabilities.argmax(-1), probabilities.shape[-1]).float()
        # over the whole batch, rows that do not count included, as FixMatch has it
        return (misfit(strong, pseudo) * mask).mean(-1)

    def _with_classifier(self, logits: Tensor, vector: Tensor, rows: Tensor) -> Tensor:
        """Return the disagreement of an attribute's head with its classifier, shape (arms,)."""
        expected = vector.gather(1, rows[..., None].expand(-1, -1, vector.shape[-1]))
        chance = 1 / vector.shape[-1]
        # a classifier that says the same of every class says nothing of the row
        sureness = (expected.amax(-1) - chance) / (1 - chance)
        return (misfit(logits, expected) * sureness).sum(-1) / sureness.sum(-1).clamp(min=1e-9)

    def _watch(self, weak: Tensor, strong: Tensor, loss: Tensor) -> None:
        """Tell the monitor what became of the rows as the task's head has it."""
        assert self.monitor is not None
        probabilities = weak.softmax(-1)
        mask = (probabilities.amax(-1) >= self.settings.threshold).float()
        pseudo = one_hot(probabilities.argmax(-1), probabilities.shape[-1]).float()
        self.monitor.add(pseudo, mask, strong.detach().softmax(-1), loss.detach())

    def after_step(self, step: int) -> None:
        """Do nothing."""

    def predictor(self) -> Network:
        """Return the network, whose `classify` is the task's head."""
        return self.network


class Property:
    """A user's function that says by how much the predictions of rows violate a property that needs no label.

    Args:
        name: `module:function`.

    Raises:
        InputError: there is no such function.
    """

    def __init__(self, name: str) -> None:
        self.name, self.function = name, OWN_PROPERTIES.load_callable(name)

    def __call__(self, weak: Tensor, strong: Tensor) -> Tensor:
        """Return the mean loss over each arm's rows, shape (arms,).

        Args:
            weak, strong: class probabilities, shape (arms, rows, classes); the second has a gradient.

        Raises:
            InputError: it fails, or returns anything but a finite loss for each row.
        """
        # arm by arm: a function that looks at a batch as a whole must not see another arm's
        return torch.stack([self._of_arm(*views) for views in zip(weak, strong, strict=True)])

    def _of_arm(self, weak: Tensor, strong: Tensor) -> Tensor:
        # copies: a function that works in place must not change what other losses see
        with OWN_PROPERTIES.named_errors(self.name):
            losses = self.function(weak.clone(), strong.clone())
        if not isinstance(losses, Tensor) or losses.shape != weak.shape[:1]:
            kind = f"the shape {tuple(losses.shape)}" if isinstance(losses, Tensor) else f"a {type(losses).__name__}"
            raise OWN_PROPERTIES.refusal(
                self.name, f"it returned {kind}, expected a tensor of shape ({len(weak)},): a loss for each row"
            )
        if not torch.isfinite(losses).all():
            raise OWN_PROPERTIES.refusal(self.name, "it returned a loss that is not finite")
        return losses.mean()


def _shuffled(vectors: tuple[Tensor, ...], arm: int, stream: Stream) -> tuple[Tensor, ...]:
    """Return vectors whose rows are in one random order: they agree with each other, and with no row."""
    if not vectors:
        return vectors
    order = stream.permutation(arm, len(vectors[0]))
    return tuple(vector[order] for vector in vectors)
