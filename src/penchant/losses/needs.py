"""What a loss needs of the scores that it is given, and the fields that many losses share. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Annotated, ClassVar

from pydantic import Field

from penchant.config import Config

Beta = Annotated[float, Field(gt=0)]
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
    """What a loss needs beside the policy's summed log-probabilities.

    Attributes:
        reference: the same sums under the reference.
        fronts: of the longer response of a pair, the sum over as many tokens as the shorter one has.
        squares: the log of the summed squared probabilities of the vocabulary, summed over a response's tokens.
        whole_step: all pairs of an optimizer step in one call, since it sorts over them.
        rankings: rankings of a prompt's responses in place of pairs.
    """

    reference: bool = True
    fronts: bool = False
    squares: bool = False
    whole_step: bool = False
    rankings: bool = False

    @classmethod
    def union(cls, several: Iterable[Needs]) -> Needs:
        """Return what any of several losses needs."""
        every = list(several)
        return cls(**{field.name: any(getattr(needs, field.name) for needs in every) for field in fields(cls)})


class PairLoss(Config):
    """The base of a loss's settings: it says what the loss needs."""

    needs: ClassVar[Needs] = Needs()
