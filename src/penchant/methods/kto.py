"""Kahneman-Tversky Optimization: learn from responses labelled good or bad, which need no partner.

Source: Ethayarajh et al. 2024 (arXiv:2402.01306).
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from penchant.data.layouts.unpaired import LabelCounts, count_labels, labels_of, without_ratings
from penchant.data.settings import DataConfig
from penchant.errors import InputError
from penchant.losses.contract import Beta
from penchant.models.settings import FrozenModel
from penchant.train.settings import PolicyConfig
from penchant.types import RunResult

if TYPE_CHECKING:
    from penchant.train.recipe import Counts, Source

LabelWeight = Annotated[float, Field(gt=0)]

ADVISED = (1.0, 4 / 3)
"""What the paper advises for the weighted good labels over the weighted bad ones (its eq. 8)."""

SLACK = 0.05  # of that range, which nobody needs to hear of


class KTO(PolicyConfig):
    """Train a policy from single responses labelled good or bad; comparisons count as one label of each kind."""

    method: ClassVar[str] = "kto"

    data: DataConfig
    """The data: a path or hub id, or its settings (`data.ties=half`)."""
    beta: Beta = 0.1
    """How strongly the policy is held to the reference: a larger beta stays closer."""
    desirable_weight: LabelWeight = 1.0
    """How much a good label counts."""
    undesirable_weight: LabelWeight = 1.0
    """How much a bad label counts."""
    reference: FrozenModel | None = None
    """The model that the policy is held to; the policy's own start if not given."""


def labelled(data: DataConfig) -> Source:
    """Read data with labels and count them.

    Raises:
        InputError: scores that are no labels, or contradictions where those are errors.
    """
    from penchant.train.inputs.sources import preferences

    source = preferences(data)
    # where any group has comparisons, these decide: scores are then ratings, not labels (decision 0007)
    source = replace(source, groups=without_ratings(source.groups))
    counts = count_labels(source.groups)
    warnings = list(source.warnings)
    if counts.labelled_both:
        both_labels = f"{data.path}: {counts.labelled_both} responses are labelled both good and bad"
        if data.contradictions == "error":
            raise InputError(f'{both_labels}. Decide which holds, or keep them with contradictions="warn"')
        warnings.append(f"{both_labels}; both labels are kept")
    return replace(source, counts=source.counts | vars(counts), warnings=tuple(warnings))


def check_labels(config: KTO, data_counts: Counts) -> list[str]:
    """Return a warning where good and bad labels weigh too differently.

    Args:
        data_counts: of all the data, with those of `LabelCounts`.

    Raises:
        InputError: all labels are of one kind.
    """
    numbers = {name: value for name, value in data_counts.items() if isinstance(value, int | float)}
    counts = LabelCounts(numbers["desirable"], numbers["undesirable"], int(numbers["labelled_both"]))
    if counts.desirable + counts.undesirable and not (counts.desirable and counts.undesirable):
        kind, lacks = ("good", "bad") if counts.desirable else ("bad", "good")
        advice = "; to imitate good responses alone there is the method sft" if counts.desirable else ""
        raise InputError(
            f"{config.data.title}: all {counts.desirable + counts.undesirable:g} labels are {kind}, but kto learns "
            f"from how good and bad responses differ: add {lacks} ones{advice}"
        )
    return _imbalance(config, counts)


def _imbalance(config: KTO, counts: LabelCounts) -> list[str]:
    """Warn where good and bad labels, as they are weighted, are further apart than the paper advises."""
    if not (counts.desirable and counts.undesirable):
        return []
    # by summed weights, as they stand in the loss: merged rows count as often as they were labelled
    ratio = config.desirable_weight * counts.desirable / (config.undesirable_weight * counts.undesirable)
    low, high = ADVISED
    if low - SLACK <= ratio <= high + SLACK:
        return []
    # the range of one weight while the other is kept: for both at once there is no single answer
    ends = [config.desirable_weight * end / ratio for end in ADVISED]
    return [
        f"{counts.desirable:g} good and {counts.undesirable:g} bad labels weigh {ratio:.3g} to 1; KTO's paper advises "
        f"{low:g} to {high:.2f}, which desirable_weight between {ends[0]:.3g} and {ends[1]:.3g} gives"
    ]


def run(config: KTO, *, resume: bool = False) -> RunResult:
    """Train on labels; see `penchant.train.gradient_run.run_gradient` for errors."""
    from penchant.train import gradient_run, objectives, plan
    from penchant.train.evaluation.labels import held_out_labels
    from penchant.train.recipe import Recipe, starting_policy

    weights = config.desirable_weight, config.undesirable_weight
    recipe = Recipe(
        read=labelled,
        # of all sources together: one of them may have good labels alone
        check=lambda counts: check_labels(config, counts),
        units=lambda group: [
            plan.Unit(response=label.response, weight=label.weight, desirable=label.desirable)
            for label in labels_of(group)
        ],
        # the same weights in both: the held-out loss is the one that training minimises
        objective=objectives.labels(beta=config.beta, weights=weights),
        held_out=partial(held_out_labels, beta=config.beta, weights=weights),
        # earlier turns are labelled with the response where the file says that they are taught
        load=partial(starting_policy, switches=True),
        reference=config.reference,
    )
    return gradient_run.run_gradient(config, recipe, resume=resume)
