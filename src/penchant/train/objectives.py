"""What a step minimises: scores of a micro-batch in, a sum of losses and sums for the metrics out.

The loop divides by the step's normaliser (the summed weight of its comparisons, or of its taught tokens), so a step
is the mean over those whatever its micro-batches were.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from penchant.data.rendering.renderer import Rendered
from penchant.losses.contract import Needs, PairLoss
from penchant.losses.custom import check_custom_losses, custom_digests, custom_places
from penchant.losses.dispatch import pair_losses, ranking_losses
from penchant.losses.pairs import FrontSums, SquareSums
from penchant.losses.reward import bradley_terry
from penchant.losses.unpaired import kto, label_margins
from penchant.train.batch import MicroBatch
from penchant.train.plan import Part


@dataclass(frozen=True)
class MicroBatchLoss:
    """Losses of one micro-batch and the sums that its metrics are made of.

    Attributes:
        losses: one number per term (pair, ranking or imitated response), weighted: their sum over the step, divided
            by the normaliser, is the loss.
        slots: (terms, k) the slots that each term read, to name the rows of a bad one.
        sums: weighted sums for the metrics; divided by the normaliser they are the step's means.
    """

    losses: Float[Tensor, " terms"]
    slots: Tensor
    sums: dict[str, Tensor]


@dataclass(frozen=True)
class Objective:
    """A loss on scores, with its normaliser and what it needs of the data.

    Attributes:
        compute: (logps (slots,), micro-batch) -> MicroBatchLoss.
        normaliser: (step's parts, rendered groups) -> the weight that the step's sums are divided by.
        unit: what the step counts, `pairs`, `responses` or `labels`.
        parts: metrics that are means over a part of the step only, with the metric that says how large that part is.
        needs: what the loss needs of its data and micro-batches.
        learns_from: what the data must hold, for the message where it holds none.
        code: digests of the user's code that it computes with, by what a message calls it.
        own_losses: the losses of that code, each with file and line, for the message of one that is not finite.
    """

    compute: Callable[[Float[Tensor, " slots"], MicroBatch], MicroBatchLoss]
    normaliser: Callable[[Sequence[Part], Sequence[Rendered]], float]
    unit: str
    parts: Mapping[str, str] = field(default_factory=dict)
    needs: Needs = field(default_factory=Needs)
    learns_from: str = "comparisons"
    code: Mapping[str, str] = field(default_factory=dict)
    own_losses: Sequence[str] = ()

    def means(self, sums: Mapping[str, float]) -> dict[str, float]:
        """Return the metrics of a step from its sums over the normaliser; what a step has no part for is left out."""
        return {
            name: value / sums[self.parts[name]] if name in self.parts else value
            for name, value in sums.items()
            if name not in self.parts or sums[self.parts[name]]
        }


def preference(settings: PairLoss) -> Objective:
    """Build the objective of a loss on pairs: the weighted mean over comparisons.

    A tie is two pairs of half its weight.
    """
    if settings.needs.rankings:
        return rankings(settings)
    # a wrong loss of the user's fails here, before a model is loaded
    check_custom_losses(settings)

    def compute(scores: Float[Tensor, " slots"], batch: MicroBatch) -> MicroBatchLoss:
        # slots, not rows: a response that won twice is scored once and read twice
        winners, losers = batch.pairs.unbind(1)
        logps, squares = _halves(scores, batch, settings.needs)
        ref = (batch.reference[winners], batch.reference[losers]) if settings.needs.reference else (None, None)
        chosen, rejected = logps[winners], logps[losers]
        losses, margins = pair_losses(
            settings,
            chosen,
            rejected,
            ref[0],
            ref[1],
            batch.tokens[winners],
            batch.tokens[losers],
            fronts=_front_sums(logps, batch) if settings.needs.fronts else None,
            squares=SquareSums(squares[winners], squares[losers]) if settings.needs.squares else None,
        )
        return _paired(losses, margins, {"chosen_logps": chosen, "rejected_logps": rejected}, batch)

    return Objective(
        compute,
        _pair_weight,
        "pairs",
        needs=settings.needs,
        code=custom_digests(settings),
        own_losses=custom_places(settings),
    )


def _halves(scores: Tensor, batch: MicroBatch, needs: Needs) -> tuple[Tensor, Tensor]:
    """Return the slots' logps, and the second half where the loss needs the squares."""
    slots = len(batch.tokens)
    # a weight made of the squares must not be minimised
    return scores[:slots], scores[slots:].detach() if needs.squares else scores


def _front_sums(logps: Tensor, batch: MicroBatch) -> FrontSums:
    winners, losers = batch.fronts.unbind(1)
    return FrontSums(logps[winners], logps[losers], batch.reference[winners], batch.reference[losers])


def rankings(settings: PairLoss) -> Objective:
    """Build the objective of a loss on rankings: the mean over the step's rankings."""

    def compute(logps: Float[Tensor, " slots"], batch: MicroBatch) -> MicroBatchLoss:
        winners, losers = batch.pairs.unbind(1)
        losses = ranking_losses(settings, logps, batch.reference, batch.rankings)
        # metrics are of the pairs that a ranking implies, so that they compare with those of other losses
        policy, reference = logps.detach(), batch.reference
        _, margins = pair_losses(
            settings,
            policy[winners],
            policy[losers],
            reference[winners],
            reference[losers],
            batch.tokens[winners],
            batch.tokens[losers],
        )
        logp_columns = {"chosen_logps": logps[winners], "rejected_logps": logps[losers]}
        width = max(map(len, batch.rankings))
        # rankings differ in length: the last response fills up, which names it twice and no other
        padded = [[*ranking, *[ranking[-1]] * (width - len(ranking))] for ranking in batch.rankings]
        slots = torch.tensor(padded, device=losses.device)
        return MicroBatchLoss(losses, slots, _paired(margins, margins, logp_columns, batch).sums)

    return Objective(compute, _pair_weight, "rankings", needs=settings.needs, learns_from="rankings")


def reward(margin: float = 0.0) -> Objective:
    """Build the objective of a reward model: Bradley and Terry's loss, the weighted mean over comparisons.

    Args:
        margin: see `penchant.losses.reward.bradley_terry`.
    """

    def compute(rewards: Float[Tensor, " slots"], batch: MicroBatch) -> MicroBatchLoss:
        winners, losers = batch.pairs.unbind(1)
        chosen, rejected = rewards[winners], rewards[losers]
        losses = bradley_terry(chosen, rejected, margin=margin)
        # without the margin that the loss asks for: accuracy is about who leads, not by enough
        margins = (chosen - rejected).detach()
        return _paired(losses, margins, {"chosen_reward": chosen, "rejected_reward": rejected}, batch)

    return Objective(compute, _pair_weight, "pairs")


def _paired(losses: Tensor, margins: Tensor, extra_columns: dict[str, Tensor], batch: MicroBatch) -> MicroBatchLoss:
    """Return losses of pairs times their weights, and the sums that every loss on pairs shows."""
    winners, losers = batch.pairs.unbind(1)
    weights = batch.pair_weights
    # a margin of exactly 0, as all have before the first step, counts half
    right = (margins > 0).float() + 0.5 * (margins == 0)
    columns = {name: column.detach() for name, column in extra_columns.items()} | {
        "margin": margins,
        "accuracy": right,
        "chosen_tokens": batch.tokens[winners],
        "rejected_tokens": batch.tokens[losers],
    }
    # products and sums, no `@`: under autocast that would be half precision
    return MicroBatchLoss(
        losses * weights, batch.pairs, {name: (column * weights).sum() for name, column in columns.items()}
    )


def _pair_weight(step: Sequence[Part], rendered: Sequence[Rendered]) -> float:
    return sum(weight for _, units in step for unit in units for _, _, weight in unit.pairs)


def imitation(against: float = 0.0, *, learns_from: str = "comparisons") -> Objective:
    """Build the objective of maximum likelihood: the mean negative log-likelihood per taught token of the step.

    Args:
        against: times the log-probability of each response that lost to a taught one is added (unlikelihood).
        learns_from: what the responses are taken from.
    """

    def compute(logps: Float[Tensor, " slots"], batch: MicroBatch) -> MicroBatchLoss:
        losses = -logps[batch.targets] * batch.target_weights
        sums = {"mean_logps": -losses.detach().sum()}
        # at 0 the result is Preferred-FT's to the last bit: nothing is added, not even zeros
        if not against:
            return MicroBatchLoss(losses, batch.targets[:, None], sums)
        # a loser counts in the sum, and not in the normaliser: that is of the taught tokens alone
        losers = batch.pairs[:, 1]
        pushed = logps[losers] * batch.pair_weights
        slots = torch.cat([batch.targets, losers])[:, None]
        return MicroBatchLoss(torch.cat([losses, against * pushed]), slots, sums)

    # by tokens over the whole step: a mean of means would let a micro-batch of short responses count more
    def normaliser(step: Sequence[Part], rendered: Sequence[Rendered]) -> float:
        return sum(
            unit.weight * rendered[group].branches[unit.response].scored
            for group, units in step
            for unit in units
            if unit.response is not None
        )

    return Objective(compute, normaliser, "responses", learns_from=learns_from)


def labels(*, beta: float, weights: tuple[float, float]) -> Objective:
    """Build KTO's objective: the mean over labels of good and bad, weighted by side (good, bad) in the loss."""

    def compute(logps: Float[Tensor, " slots"], batch: MicroBatch) -> MicroBatchLoss:
        policy, ref = logps[batch.targets], batch.reference[batch.targets]
        losses = kto(
            policy,
            ref,
            batch.desirable,
            batch.kl,
            beta=beta,
            desirable_weight=weights[0],
            undesirable_weight=weights[1],
        )
        # the paper's lambda weighs the loss; metrics count every label the same
        counts, ratios = batch.target_weights, (policy - ref).detach()
        # a step may have labels of one side alone, and then says nothing of the other
        good, bad = counts * batch.desirable, counts * ~batch.desirable
        margins = label_margins(policy, ref, batch.desirable, batch.kl, beta=beta)
        right = (margins > 0).float() + 0.5 * (margins == 0)
        sums = {
            "margin": (margins * counts).sum(),
            "label_accuracy": (right * counts).sum(),
            # means over one side are divided by that side's share, which a step may have none of
            "desirable_share": good.sum(),
            "undesirable_share": bad.sum(),
            "desirable_log_ratio": (ratios * good).sum(),
            "undesirable_log_ratio": (ratios * bad).sum(),
            "mismatched_log_ratio": batch.kl * counts.sum(),
        }
        return MicroBatchLoss(losses * counts, batch.targets[:, None], sums)

    def normaliser(step: Sequence[Part], rendered: Sequence[Rendered]) -> float:
        return sum(unit.weight for _, units in step for unit in units)

    parts = {"desirable_log_ratio": "desirable_share", "undesirable_log_ratio": "undesirable_share"}
    needs = Needs(reference=True, mismatched=True)
    return Objective(compute, normaliser, "labels", parts, needs, learns_from="labels (or comparisons)")


def metric_sums(outcomes: Sequence[MicroBatchLoss]) -> dict[str, float]:
    """Add the metric sums of some micro-batches, in float64."""
    return {
        name: float(torch.stack([outcome.sums[name].double() for outcome in outcomes]).sum())
        for name in (outcomes[0].sums if outcomes else ())
    }
