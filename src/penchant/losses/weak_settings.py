"""Which loss a student has on weak labels, and its numbers. Imports no torch.

The equations are in `penchant.losses.weak`; `penchant.weak.targets` makes each loss's target at a step.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from penchant.config import Config
from penchant.config.limits import Arguments
from penchant.extension.door import Door
from penchant.session.objects import CodeName, shown_name

Share = Annotated[float, Field(ge=0, le=1)]


def _is_distribution(prior: str | tuple[float, ...]) -> str | tuple[float, ...]:
    """Refuse shares that do not sum to 1."""
    if isinstance(prior, tuple) and abs(sum(prior) - 1) > 1e-6:
        raise ValueError(f"`prior` must be shares of classes that sum to 1, got {list(prior)}")
    return prior


Prior = Annotated[
    Literal["weak", "balanced"] | tuple[Share, ...],
    BeforeValidator(lambda prior: "balanced" if prior is None else prior),  # what version 0.3 wrote for equal shares
    AfterValidator(_is_distribution),
]
"""The share of each class that a student's hardened predictions keep, in each batch. A class with less than about half
an example of a batch has none there."""


class CrossEntropy(Config):
    """Cross-entropy on the supervisor's labels as they are: the naive way."""

    name: Literal["cross_entropy"] = "cross_entropy"
    labels: Literal["soft", "hard"] = "soft"
    """The supervisor's probabilities, or its most probable class."""


class Confidence(Config):
    """The auxiliary confidence loss (Burns et al. 2023): a part of the target is what the student itself believes."""

    name: Literal["confidence"] = "confidence"
    alpha: Share = 0.5
    """Weight of the student's own predictions after warm-up; 0.75 for the largest students in the paper."""
    warmup: Share = 0.2
    """Share of training over which the weight rises from 0."""
    prior: Prior = "weak"
    """Share of each class that the student's hardened predictions keep. `weak`: the mean of the weak labels that it
    learns from; `balanced`: the same for all, as in the paper; or the shares themselves, such as `[0.7, 0.3]`."""


class Product(Config):
    """A target in proportion to the student's probabilities times the supervisor's, each to a power."""

    name: Literal["product"] = "product"
    student_power: Annotated[float, Field(ge=0)] = 1.0
    """Power of the student's probabilities; 0 leaves them out."""
    weak_power: Annotated[float, Field(ge=0)] = 1.0
    """Power of the supervisor's."""
    warmup: Share = 0.2
    """Share of training over which the student's power rises from 0."""


class AdaptiveConfidence(Config):
    """The confidence loss with a weight of its own for each example, by how sure the student is against its teacher."""

    name: Literal["adaptive_confidence"] = "adaptive_confidence"
    alpha: Share = 1.0
    """Largest weight of the student's own predictions."""
    warmup: Share = 0.2
    """Share of training over which it rises from 0."""
    prior: Prior = "weak"
    """Share of each class that the student's hardened predictions keep, as for `confidence`."""


class Filtered(Config):
    """Cross-entropy on the labels that the supervisor is surest of."""

    name: Literal["filtered"] = "filtered"
    share: Annotated[float, Field(gt=0, le=1)] = 0.5
    """How many of each predicted class are kept."""


OWN_WEAK_LOSSES = Door(
    "loss", ("cross_entropy", "confidence", "product", "adaptive_confidence", "filtered"), kind="function"
)
"""Losses on weak labels of the user's, by `module:function`."""


class CustomWeakLoss(Config):
    """A loss of your own: cross-entropy to the target that a function makes at each step."""

    extension: ClassVar[str] = "function"
    name: Literal["custom"] = "custom"
    function: Annotated[CodeName, Field(min_length=1)]
    """`module:function`, or `path/to/file.py:function`. It gets the student's logits and the weak labels, both of shape
    (examples, classes), and the share of the training that is done, and returns probabilities of that shape."""
    settings: Arguments = Field(default_factory=dict)
    """What it is called with besides, by name."""

    @property
    def label(self) -> str:
        """The file and the function, without the folder."""
        return shown_name(self.function).rpartition("/")[2]


WeakLoss = Annotated[
    CrossEntropy | Confidence | Product | AdaptiveConfidence | Filtered | CustomWeakLoss, Field(discriminator="name")
]
