"""Which algorithm learns from labels and from rows without them, and its numbers. Imports no torch."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field

from penchant.config import Config
from penchant.config.limits import Arguments
from penchant.extension.door import Door, is_extension
from penchant.session.objects import CodeName, shown_name
from penchant.session.store import is_session_name
from penchant.weak.augmentation.settings import Augmentation

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


class DivideMix(Config):
    """Two networks that tell each other which labels are wrong, and guess these anew (Li et al. 2020).

    The defaults are those for small networks on texts. The paper's, for pictures: `warm_up` 10, `weight` 25 at 20% to
    80% of wrong labels of CIFAR-10 (0 where labels are wrong by class), 150 for CIFAR-100.
    """

    name: Literal["divide_mix"] = "divide_mix"
    warm_up: Ratio = 3
    """Epochs of plain cross-entropy on all labels, before the first division."""
    divide: bool = True
    """Whether labels are divided; `false`: two networks with MixUp on the labels as they are, the control."""
    threshold: Share = 0.5
    """A label is taken for right above this probability."""
    mixup: Annotated[float, Field(ge=0)] = 4.0
    """Of the Beta distribution by which two rows are mixed; 0 mixes none."""
    temperature: Annotated[float, Field(gt=0)] = 0.5
    """Of refined labels and of guesses."""
    weight: Weight = 0.0
    """Of the squared error on guessed labels. With 0 such rows are mixed into others, and that is all."""
    ramp: Ratio = 16
    """Epochs after the warm-up over which this weight rises."""
    prior_weight: Weight = 1.0
    """Of the term that keeps the classes of a batch as frequent as `prior` says."""
    prior: Literal["labels", "uniform"] = "labels"
    """As frequent as among the given labels, or all alike, as in the paper."""
    confidence_penalty: Weight = 0.0
    """Of the negative entropy in the warm-up. The paper has 1 where labels are wrong by class."""
    unlabeled_ratio: Ratio = 1
    """Rows whose label is guessed for each one whose label is kept."""

    @property
    def label(self) -> str:
        return "DivideMix" if self.divide else "two networks, MixUp"


OWN_VECTORS = Door("label vector", kind="function", other_forms=("a classifier's folder",))
"""Label vectors of the user's, by `module:function`."""
OWN_PROPERTIES = Door("property", kind="function")
"""Unsupervised properties of the user's, by `module:function`."""


def is_own_vector(name: str) -> bool:
    """Return whether a label vector is a function, and no folder."""
    # a folder may have a colon in its path, but what follows it there is rarely an identifier
    return is_session_name(name) or (is_extension(name) and name.rpartition(":")[2].isidentifier())


class LabelVectors(Config):
    """Agree over many labels at once: of a row's two views, and with classifiers of other attributes.

    The attributes have heads of their own on the network's hidden layer, which learns from all of them.
    """

    added_fields: ClassVar[frozenset[str]] = frozenset({"properties", "property_weight"})

    name: Literal["label_vectors"] = "label_vectors"
    vectors: tuple[Annotated[CodeName, Field(min_length=1)], ...] = ()
    """Folders of classifiers that were saved (`penchant weak train` leaves one in `classifier/`): topic, sentiment and
    the like; or functions of your own as `module:function`, which get a list of texts and return the probabilities of
    an attribute's classes, a row for each text. The task itself is always one more."""
    threshold: Annotated[float, Field(ge=0)] = 0.8
    """A view counts, for a vector, where its most probable class has at least this probability."""
    weight: Weight = 1.0
    """Of the disagreement of two views, the mean over vectors."""
    supervisor_weight: Weight = 1.0
    """Of the disagreement with the classifiers, the mean over them; a row weighs as its classifier is sure of it."""
    shuffle: bool = False
    """The control: give each row the classifiers' word on another one."""
    properties: tuple[Annotated[CodeName, Field(min_length=1)], ...] = ()
    """Further properties that a good answer has without any label: functions of your own as `module:function`. Each
    gets the class probabilities of rows in their weak and in their strong view, two tensors of shape (rows, classes) of
    which the second has a gradient, and returns a loss for each row."""
    property_weight: Weight = 1.0
    """Of the mean of these losses over rows and properties."""
    unlabeled_ratio: Ratio = UNLABELED_RATIO
    """Unlabelled rows of a step for each labelled one."""

    @property
    def label(self) -> str:
        names = [f"{len(self.vectors)} label vectors"]
        names += [shown_name(name).rpartition("/")[2] for name in self.properties]
        if not self.weight and not self.supervisor_weight:
            names.append("weight 0")
        return ", ".join([*names, *(["shuffled"] if self.shuffle else [])])


class SelfTraining(Config):
    """Learn from the surest labels of a teacher, which learned from the labels, and teach the next (Noisy Student)."""

    added_fields: ClassVar[frozenset[str]] = frozenset({"confident_share", "growth"})

    name: Literal["self_training"] = "self_training"
    rounds: Annotated[int, Field(ge=1, le=100)] = 3
    """Students after the first teacher."""
    labels: Literal["soft", "hard"] = "soft"
    """The teacher's probabilities, or its most probable class (pseudo-labels)."""
    share: Annotated[float, Field(gt=0, le=1)] = 0.5
    """How many of the rows of each predicted class are learned, the surest first."""
    threshold: Share = 0.0
    """Of these, only rows whose most probable class has at least this probability."""
    balance: Literal["labels", "uniform", "none"] = "labels"
    """Weigh pseudo-labels so that classes are as frequent as among the labels, all alike, or as they come."""
    weight: Annotated[float, Field(gt=0)] = 1.0
    """How much a pseudo-label counts on average against a label."""
    confident_share: Annotated[float | None, Field(gt=0, le=1)] = None
    """Where no rows without labels are given, as in a weak-to-strong study: the first teacher learns from this share of
    the labels of each class, those that their supervisor is surest of, and all that are certain; every row then counts
    as one without a label. A small network's own `confident_share` says the same."""
    noise: tuple[Augmentation, ...] = ()
    """How the student's rows are changed, one augmentation after the other. A small network has its dropout besides."""
    student: Arguments = Field(default_factory=dict)
    """Settings that students have in place of the teacher's, such as `{hidden: 256}` for larger ones."""
    growth: tuple[Arguments, ...] = ()
    """Settings of the student of each round on top of `student`, so that each is larger than its teacher:
    `[{hidden: 64}, {hidden: 128}, {hidden: 256}]`. The last ones hold for all rounds that follow."""

    def student_of(self, number: int) -> Arguments:
        """Return the settings in which the student of a round, from 1, differs from the first teacher."""
        # what a list does not reach is as its last entry
        grown = self.growth[min(number, len(self.growth)) - 1] if self.growth else {}
        return {**self.student, **grown}

    @property
    def label(self) -> str:
        return f"self-training, {self.rounds} round{'s' if self.rounds > 1 else ''}"


class ConfidentLearning(Config):
    """Leave out labels that cross-validated predictions speak against (Northcutt et al. 2021)."""

    name: Literal["confident_learning"] = "confident_learning"
    folds: Annotated[int, Field(ge=2, le=100)] = 5
    """Parts of the rows; what is said of a part was learned from the others. Related rows are in one."""
    treatment: Literal["drop", "reweight"] = "drop"
    """Of suspect labels: leave them out, or count them by how probable they are found."""

    @property
    def label(self) -> str:
        return f"confident learning, {self.treatment}"


def add_name(value: object) -> object:
    """Return an algorithm's settings for its name alone."""
    return {"name": value} if isinstance(value, str) else value


Algorithm = Annotated[
    Annotated[Supervised | MeanTeacher | FixMatch | Uda | DivideMix | LabelVectors, Field(discriminator="name")],
    BeforeValidator(add_name),
]
"""What is made of labels and of rows without them."""
AnyAlgorithm = Annotated[
    Annotated[
        Supervised | MeanTeacher | FixMatch | Uda | DivideMix | LabelVectors | SelfTraining | ConfidentLearning,
        Field(discriminator="name"),
    ],
    BeforeValidator(add_name),
]
"""What a small network and a language model can learn by."""
OuterAlgorithm = Annotated[
    Annotated[Supervised | SelfTraining | ConfidentLearning, Field(discriminator="name")], BeforeValidator(add_name)
]
"""What any classifier can learn by: it is trained several times."""
