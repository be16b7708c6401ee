"""Which algorithm learns from labels and from rows without them, and its numbers. Imports no torch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from penchant.config import Config

Share = Annotated[float, Field(ge=0, le=1)]
Weight = Annotated[float, Field(ge=0)]
Decay = Annotated[float, Field(ge=0, lt=1)]
Ratio = Annotated[int, Field(ge=1, le=1_000)]
UNLABELED_RATIO = 3


class Supervised(Config):
    """Learn from labelled rows alone: the control of every other algorithm."""

    name: Literal["supervised"] = "supervised"

    @property
    def label(self) -> str:
        return "supervised"


class MeanTeacher(Config):
    """Agree with an average of one's own weights on every row, under other noise (Tarvainen and Valpola 2017)."""

    name: Literal["mean_teacher"] = "mean_teacher"
    weight: Weight = 10.0
    """Of the squared difference between the student's and the teacher's probabilities, after the ramp."""
    ramp: Share = 0.3
    """Share of training over which the weight rises, as exp(-5 (1 - t)^2)."""
    decay: Decay = 0.99
    """Of the average: min(1 - 1 / (step + 1), decay), so that it is a true average at first."""
    unlabeled_ratio: Ratio = UNLABELED_RATIO
    """Unlabelled rows of a step for each labelled one."""

    @property
    def label(self) -> str:
        return "Mean Teacher"


class FixedThreshold(Config):
    """The same threshold for every row and class: FixMatch (Sohn et al. 2020)."""

    name: Literal["fixed"] = "fixed"
    threshold: Annotated[float, Field(ge=0)] = 0.95
    """A row counts where its most probable class has at least this probability; above 1 none does."""


class FlexThreshold(Config):
    """A lower threshold for classes that are learned slowly: FlexMatch (Zhang et al. 2021)."""

    name: Literal["flex"] = "flex"
    threshold: Annotated[float, Field(ge=0)] = 0.95
    """Of the class that most confident rows have."""


class FreeThreshold(Config):
    """A threshold that follows the mean confidence, of each class: FreeMatch (Wang et al. 2023)."""

    name: Literal["free"] = "free"
    decay: Decay = 0.99
    """Of the averages of confidence and class probabilities."""
    fairness: Weight = 0.05
    """Weight of the term that keeps classes as frequent among strong views as among weak ones."""


class SoftThreshold(Config):
    """No threshold but a weight that falls with less confidence than the mean: SoftMatch (Chen et al. 2023)."""

    name: Literal["soft"] = "soft"
    decay: Decay = 0.99
    """Of mean and variance of the confidence."""


Threshold = Annotated[
    FixedThreshold | FlexThreshold | FreeThreshold | SoftThreshold,
    Field(discriminator="name"),
]


class FixMatch(Config):
    """Learn from one's own confident classes of weak views, on strong views; thresholds of four kinds."""

    name: Literal["fixmatch"] = "fixmatch"
    threshold: Threshold = FixedThreshold()
    """Which unlabelled rows count: `fixed` (FixMatch), `flex`, `free`, or `soft`."""
    weight: Weight = 1.0
    """Of the cross-entropy on unlabelled rows."""
    align: bool = False
    """Distribution alignment: scale predictions so that classes are as frequent as among the labels."""
    unlabeled_ratio: Ratio = UNLABELED_RATIO
    """Unlabelled rows of a step for each labelled one."""

    @property
    def label(self) -> str:
        names = {"fixed": "FixMatch", "flex": "FlexMatch", "free": "FreeMatch", "soft": "SoftMatch"}
        return names[self.threshold.name] + (", aligned" if self.align else "")


class Uda(Config):
    """Say of a strong view what is said of the weak one, sharpened (Xie et al. 2020)."""

    name: Literal["uda"] = "uda"
    threshold: Share = 0.8
    """A row counts where its most probable class has at least this probability."""
    temperature: Annotated[float, Field(gt=0)] = 0.4
    """Of the softmax on weak views."""
    weight: Weight = 1.0
    """Of the cross-entropy on unlabelled rows."""
    annealing: Literal["none", "linear", "log", "exp"] = "none"
    """Training signal annealing: labelled rows whose class is surer than a bound that rises to 1 do not count."""
    unlabeled_ratio: Ratio = UNLABELED_RATIO
    """Unlabelled rows of a step for each labelled one."""

    @property
    def label(self) -> str:
        return "UDA"


def add_name(value: object) -> object:
    """Return an algorithm's settings for its name alone."""
    return {"name": value} if isinstance(value, str) else value


Algorithm = Annotated[
    Annotated[Supervised | MeanTeacher | FixMatch | Uda, Field(discriminator="name")], BeforeValidator(add_name)
]
"""What is made of labels and of rows without them."""
