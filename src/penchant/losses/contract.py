"""What the settings of a loss on pairs say: which function computes it, on what, and what it needs. Imports no torch.

A new loss is a function (in a module of this folder) and a class in `penchant.losses.settings` that names it; dispatch,
training, evaluation and the digests of studies' source follow from the class.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from penchant.config import Config

Beta = Annotated[float, Field(gt=0)]
ReferenceBeta = Annotated[
    float,
    Field(gt=0, description="How strongly the policy is held to the reference: a larger beta stays closer."),
]
# a text here, not under each field: the same setting stands in most losses
NllWeight = Annotated[
    float,
    Field(
        ge=0,
        description="Adds this times the chosen response's mean negative log-likelihood, an anchor that keeps"
        " its probability up.",
    ),
]


@dataclass(frozen=True)
class Needs:
    """Inputs that a loss or an objective needs beside the policy's summed log-probabilities.

    Attributes:
        reference: the same sums under the reference.
        fronts: of the longer response of a pair, the sum over as many tokens as the shorter one has.
        squares: the log of the summed squared probabilities of the vocabulary, summed over a response's tokens.
        whole_step: all pairs of an optimizer step in one call, since it sorts over them.
        rankings: rankings of a prompt's responses in place of pairs.
        mismatched: the policy's KL from the reference, estimated from prompts with responses to other prompts.
    """

    reference: bool = False
    fronts: bool = False
    squares: bool = False
    whole_step: bool = False
    rankings: bool = False
    mismatched: bool = False

    @classmethod
    def union(cls, losses_needs: Iterable[Needs]) -> Needs:
        """Return what any of several losses needs."""
        # an iterator could be read once, and every field goes over all losses
        all_needs = list(losses_needs)
        return cls(**{field.name: any(getattr(needs, field.name) for needs in all_needs) for field in fields(cls)})


class PairLoss(Config):
    """Base of the settings of a loss on pairs of responses.

    A subclass has a `name`, the settings, and says by class variables how it is computed. Functions are named as
    `module:function` and imported at first use, so that the settings import no torch. They are called with the
    log-probabilities by position (policy chosen, policy rejected, reference chosen, reference rejected; without the
    last two where no reference is needed) and with the settings by name, and return one number per pair.

    Attributes:
        function: computes the losses.
        margin: computes by how much the chosen response leads; it gets what `function` gets, and lies in the same
            module or in `penchant.losses.pairs`.
        logps: whether the two are given sums over tokens or means per token.
        needs_reference: whether they compare with a reference.
        needs_fronts: whether they get `fronts`, a `penchant.losses.pairs.FrontSums`.
        needs_squares: whether they get `squares`, a `penchant.losses.pairs.SquareSums`, and both token counts.
        needs_whole_step: whether they sort over all pairs of an optimizer step.
        ranking_function: computes the losses of whole rankings, for a loss that takes those in place of pairs; in the
            same module as `function`.
        fixed_arguments: what the functions get beside the settings.
        can_be_negative: whether the loss of a pair may lie below 0; else the interval of its mean does not either.
    """

    function: ClassVar[str]
    margin: ClassVar[str] = "penchant.losses.pairs:scaled_log_ratio_margin"
    logps: ClassVar[Literal["sum", "mean"]] = "sum"
    needs_reference: ClassVar[bool] = True
    needs_fronts: ClassVar[bool] = False
    needs_squares: ClassVar[bool] = False
    needs_whole_step: ClassVar[bool] = False
    ranking_function: ClassVar[str] = ""
    fixed_arguments: ClassVar[Mapping[str, str]] = {}
    can_be_negative: ClassVar[bool] = False

    name: str

    @property
    def needs(self) -> Needs:
        """All that the loss needs of its inputs."""
        return Needs(
            reference=self.needs_reference,
            fronts=self.needs_fronts,
            squares=self.needs_squares,
            whole_step=self.needs_whole_step,
            rankings=bool(self.ranking_function),
        )

    def arguments(self) -> dict[str, object]:
        """Return the settings as keyword arguments of `function` and `margin`."""
        # the anchor is added for all losses in one place, see `pair_losses`; a function never sees it
        settings = {name: getattr(self, name) for name in type(self).model_fields if name not in ("name", "nll_weight")}
        return {**settings, **self.fixed_arguments}


STRENGTHS = ("beta", "tau")
"""Settings that say how strongly a policy is held to its reference, in units of its scores."""


def forget_strengths(loss: PairLoss, written: object) -> None:
    """Mark the strengths of a loss that nobody gave, where defaults of the run's own loss have filled them in.

    Args:
        written: the loss as it was written: a name, a mapping, or nothing.
    """
    names = written if isinstance(written, Mapping) else ()
    loss.model_fields_set.difference_update(name for name in STRENGTHS if name not in names)


def missing_strengths(loss: PairLoss) -> list[str]:
    """Return the strengths of a loss that nobody gave."""
    return [name for name in STRENGTHS if name in type(loss).model_fields and name not in loss.model_fields_set]
