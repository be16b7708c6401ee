"""DivideMix: two networks that divide each other's labels into right and wrong ones, and guess the wrong ones anew.

Source: Li et al. 2020 (arXiv:2002.07394), with the authors' code. An arm is a pair of networks, which lie side by side
(`arms.network_arms`). An epoch is as many steps as a batch takes to go over all labelled rows; the authors' goes over
the rows of the clean side, once for each network. Guesses are made of one view without noise, since a network on
features has no other. Texts are not mixed but the last states of a language model, as in SelfMix (Qiao et al. 2022).
With all labels clean, without MixUp and penalties it is supervised training, to the bit.
"""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor

from penchant.errors import InputError
from penchant.losses.weak_settings import CrossEntropy
from penchant.weak.networks.network import Network
from penchant.weak.networks.streams import MIXING, Deck, Stream
from penchant.weak.semi_supervised.arms import ArmRows
from penchant.weak.semi_supervised.division import DivideMonitor, Sides
from penchant.weak.semi_supervised.mixture import clean_probabilities
from penchant.weak.semi_supervised.objective import labeled_loss, misfit
from penchant.weak.semi_supervised.settings import DivideMix

READ_AT_ONCE = 1_024
"""Rows whose losses are computed in one pass."""


class DivideMixObjective:
    """Cross-entropy on refined labels of clean rows, and a squared error on guesses for the others, both under MixUp.

    Raises:
        InputError: networks that are no pairs, pairs with other numbers of rows, another loss than cross-entropy, or a
            warm-up that takes all steps.
    """

    changing: ClassVar[tuple[str, ...]] = ("rows", "sides", "_guessed_deck", "_mixing", "monitor")

    def __init__(self, settings: DivideMix, network: Network, rows: ArmRows, steps: int) -> None:
        _refuse_other_arms(rows)
        self.settings, self.network, self.rows, self.steps = settings, network, rows, steps
        self.epoch_steps = math.ceil(len(rows.counted_positions[0]) / rows.batch_size)
        self.warm_up_steps = settings.warm_up * self.epoch_steps
        if self.warm_up_steps >= steps:
            raise InputError(
                f"a warm-up of {settings.warm_up} epochs of {len(rows.counted_positions[0])} rows takes "
                f"{self.warm_up_steps} steps, and training has {steps}: give it more steps, larger batches or a "
                "shorter `warm_up`"
            )
        self.sides = Sides(rows)
        self._guessed_deck = Deck([self.sides.to_guess(arm) for arm in range(network.arms)], rows.unlabeled_noise)
        self._mixing = Stream(rows.seeds, MIXING)
        self.monitor = DivideMonitor(rows.label_shares, settings.weight)

    def loss(self, step: int) -> Tensor:
        """Return the loss of each network at a step, shape (arms,)."""
        done = step - self.warm_up_steps
        if done < 0:
            return self._warm_up(step)
        if done % self.epoch_steps == 0 and self.settings.divide:
            self._divide()
        return self._after_warm_up(done / self.epoch_steps)

    def _warm_up(self, step: int) -> Tensor:
        """Return cross-entropy on all labels, plus the penalty on confidence."""
        losses, logits = labeled_loss(self.network, self.rows, self.rows.deal_labeled(), step, self.steps)
        if not self.settings.confidence_penalty:
            return losses.mean(-1)
        # labels that are wrong by class are learned early, with confidence: their losses would be as small as others'
        negative_entropy = (logits.softmax(-1) * logits.log_softmax(-1)).sum(-1).mean(-1)
        return losses.mean(-1) + self.settings.confidence_penalty * negative_entropy

    def _divide(self) -> None:
        """Divide the labels of each network by the losses of its twin."""
        losses = self._losses()
        for arm, counted_positions in enumerate(self.rows.counted_positions):
            # the twin's: a network that chose by its own losses would be confirmed in its errors
            probabilities = torch.as_tensor(
                clean_probabilities(losses[arm ^ 1][counted_positions].numpy()), dtype=torch.float32
            )
            threshold = self.settings.threshold
            self.sides.divide(arm, counted_positions, probabilities, threshold)
            self.rows.deal_among(arm, self.sides.kept[arm])
            self._guessed_deck.replace(arm, self.sides.to_guess(arm))
            self.monitor.add_division(arm, probabilities > threshold, self.rows.starts[arm].labels[counted_positions])

    @torch.no_grad()
    def _losses(self) -> Tensor:
        """Return the cross-entropy of each network on all its labelled rows, without noise, shape (arms, rows)."""
        rows = torch.stack([arm.labeled for arm in self.rows.arms])
        labels = torch.stack([start.labels for start in self.rows.starts])
        parts = []
        for some_rows, some_labels in zip(rows.split(READ_AT_ONCE, 1), labels.split(READ_AT_ONCE, 1), strict=True):
            logits = self.network.classify(self.network.inputs(some_rows, "weak", None), None)
            parts.append(misfit(logits, some_labels).cpu())
        return torch.cat(parts, 1)

    def _after_warm_up(self, epochs: float) -> Tensor:
        """Return the loss of a step.

        Args:
            epochs: since the warm-up.
        """
        batch, settings = self.rows.deal_labeled(), self.settings
        guessed_positions = self._guessed_deck.deal(self.rows.batch_size * settings.unlabeled_ratio)
        inputs = self.network.inputs(batch.rows, "weak", self.rows.labeled_noise)
        guessed_rows = self.sides.rows.gather(1, guessed_positions)
        guessed_inputs = self.network.inputs(guessed_rows, "weak", self.rows.unlabeled_noise)
        probabilities, own_guess, guess = self._beliefs(inputs, guessed_inputs)
        targets = self._refine(batch.labels, self.sides.clean.gather(1, batch.positions), probabilities)
        is_guessed = self.sides.is_guessed.gather(1, guessed_positions)
        guesses = self._guesses(guessed_positions, is_guessed, own_guess, guess)
        size = inputs.shape[1]
        every_logit, mixed_targets = self._mixed(inputs, guessed_inputs, torch.cat([targets, guesses], 1))
        logits, guessed_logits = every_logit[:, :size], every_logit[:, size:]
        loss = (misfit(logits, mixed_targets[:, :size]) * batch.counts).mean(-1)
        squares = (guessed_logits.softmax(-1) - mixed_targets[:, size:]).square().mean(-1)
        guessed_loss = (squares * is_guessed).mean(-1)
        self.monitor.add(guesses, is_guessed.float(), own_guess, guessed_loss.detach())
        loss = loss + settings.weight * min(1.0, epochs / settings.ramp) * guessed_loss
        if settings.prior_weight:
            loss = loss + settings.prior_weight * self._imbalance(every_logit)
        return loss

    @torch.no_grad()
    def _beliefs(self, inputs: Tensor, guessed_inputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return what networks say of their rows, of rows to guess, and the mean of both twins on the latter."""
        probabilities = self.network.classify(inputs, None).softmax(-1)
        own_guess = self.network.classify(guessed_inputs, None).softmax(-1)
        twins = _swap_twins(self.network.classify(_swap_twins(guessed_inputs), None).softmax(-1))
        return probabilities, own_guess, (own_guess + twins) / 2

    def _guesses(self, positions: Tensor, is_guessed: Tensor, own_guess: Tensor, guess: Tensor) -> Tensor:
        """Return the guessed labels of rows; where no label is taken for wrong, they are there with their own."""
        arms = torch.arange(len(positions))[:, None]
        refined = self._refine(self.sides.labels[arms, positions], self.sides.clean.gather(1, positions), own_guess)
        return torch.where(is_guessed[..., None], sharpen(guess, self.settings.temperature), refined)

    def _refine(self, labels: Tensor, clean: Tensor, probabilities: Tensor) -> Tensor:
        """Return labels times the probability that they are right, plus what the network says times the rest."""
        clean = clean[..., None]
        refined = sharpen(clean * labels + (1 - clean) * probabilities, self.settings.temperature)
        # a label that is surely right stays as it is, soft ones too
        return torch.where(clean == 1, labels, refined)

    def _mixed(self, inputs: Tensor, guessed_inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits of mixed rows, first those with labels, and their targets, shape (arms, rows, classes) each."""
        network, rows, size = self.network, self.rows, inputs.shape[1]
        if network.mixes == "inputs":
            mixed, mixed_targets = self._mix(torch.cat([inputs, guessed_inputs], 1), targets)
            inputs, guessed_inputs = mixed[:, :size], mixed[:, size:]
        # apart: labelled rows have the noise that they have in supervised training
        logits = torch.cat(
            [network.classify(inputs, rows.labeled_noise), network.classify(guessed_inputs, rows.unlabeled_noise)], 1
        )
        return (logits, mixed_targets) if network.mixes == "inputs" else self._mix(logits, targets)

    def _mix(self, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return rows mixed with others of the batch, by one share per network and step, as in the authors' code."""
        if not self.settings.mixup:
            return inputs, targets
        share = self._mixing.beta(self.settings.mixup, 1)[:, 0]
        share = torch.maximum(share, 1 - share)  # nearer to the row whose label it has
        orders = [self._mixing.permutation(arm, inputs.shape[1]) for arm in range(self.network.arms)]

        def mix(values: Tensor) -> Tensor:
            partners = torch.stack([part[order] for part, order in zip(values, orders, strict=True)])
            shares = share.view(-1, *[1] * (values.ndim - 1))
            return shares * values + (1 - shares) * partners

        return mix(inputs), mix(targets)

    def _imbalance(self, logits: Tensor) -> Tensor:
        """Return the divergence of the classes of a batch from the prior, shape (arms,)."""
        shares = self.rows.label_shares
        prior = shares if self.settings.prior == "labels" else torch.full_like(shares, 1 / self.network.classes)
        mean = logits.softmax(-1).mean(1)
        # a class that no label has asks for nothing
        return torch.where(prior > 0, prior * (prior.clamp(min=1e-12) / mean.clamp(min=1e-12)).log(), 0.0).sum(-1)

    def after_step(self, step: int) -> None:
        """Do nothing."""

    def predictor(self) -> Network:
        """Return the network, whose twins predict by their mean."""
        return self.network


def sharpen(probabilities: Tensor, temperature: float) -> Tensor:
    """Return probabilities to the power of 1 / temperature, normalized."""
    powers = probabilities ** (1 / temperature)
    return powers / powers.sum(-1, keepdim=True)


def _swap_twins(values: Tensor) -> Tensor:
    """Exchange what the two networks of each pair have."""
    return values.view(len(values) // 2, 2, *values.shape[1:]).flip(1).view(values.shape)


def _refuse_other_arms(rows: ArmRows) -> None:
    twins = list(zip(rows.arms[::2], rows.arms[1::2], strict=False))
    if len(rows.arms) % 2 or not all(torch.equal(first.labeled, second.labeled) for first, second in twins):
        raise InputError("DivideMix trains pairs of networks on the same rows: make the arms by `network_arms`")
    # an epoch has as many steps as rows ask for
    if (
        len(
            {
                (len(counted_positions), len(arm.unlabeled))
                for counted_positions, arm in zip(rows.counted_positions, rows.arms, strict=True)
            }
        )
        > 1
    ):
        raise InputError("arms with different numbers of rows have epochs of different lengths: train them apart")
    if not all(isinstance(arm.loss, CrossEntropy) for arm in rows.arms):
        raise InputError("DivideMix makes the labels of its steps itself: take the loss cross_entropy")
