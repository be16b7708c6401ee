"""Which views of an example there are, and how they are made. Imports no torch."""

from __future__ import annotations

import math
from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field

from penchant.config import Config
from penchant.config.limits import Arguments
from penchant.extension.door import Door, is_extension
from penchant.models.in_memory import ModelName
from penchant.session.objects import CodeName, shown_name

Share = Annotated[float, Field(gt=0, lt=1)]
Prompt = Annotated[str, Field(pattern=r"\{text\}")]


class WordDropout(Config):
    """Leave out words, each with a probability."""

    name: Literal["word_dropout"] = "word_dropout"
    share: Share = 0.3
    """Probability of a word to be left out; at least one stays."""


class WordSwap(Config):
    """Exchange neighbouring words."""

    name: Literal["word_swap"] = "word_swap"
    share: Share = 0.1
    """Exchanges for each word; at least one in a text of two words."""


class TextCrop(Config):
    """Keep one piece of the text."""

    name: Literal["crop"] = "crop"
    share: Share = 0.7
    """Share of the words that the piece has."""


class Reworded(Config):
    """Put the text into one of several templates, drawn for each row."""

    name: Literal["template"] = "template"
    templates: Annotated[tuple[Annotated[str, Field(pattern=r"\{text\}")], ...], Field(min_length=1)] = (
        "Text: {text}",
        "Please read this: {text}",
        "Here is what was written. {text}",
    )
    """The text takes the place of {text}."""


class BackTranslation(Config):
    """Have a language model say the text in other words: in another language, and back (Sennrich et al. 2016)."""

    name: Literal["back_translation"] = "back_translation"
    model: Annotated[ModelName, Field(min_length=1)]
    """A built-in name, a folder or a hub id. The smallest models translate into nonsense: look at some texts first."""
    there: Prompt = "Translate into French.\n\nEnglish: {text}\nFrench:"
    """The prompt for the other language; the text takes the place of {text}. The first line of the answer counts."""
    back: Prompt = "Translate into English.\n\nFrench: {text}\nEnglish:"
    """The prompt for the way back."""
    temperature: Annotated[float, Field(ge=0)] = 0.7
    """Of both; at 0 all copies of a view are alike."""
    max_new_tokens: Annotated[int, Field(ge=1, le=10_000)] = 64
    """Of each answer."""

    @property
    def label(self) -> str:
        """The name, and the model without its folder."""
        return f"{self.name} by {shown_name(self.model).rstrip('/').rpartition('/')[2]}"


class Shift(Config):
    """Move a picture by whole pixels; its edge is continued."""

    name: Literal["shift"] = "shift"
    share: Share = 0.125
    """Of width and height, by how much at most."""


class Flip(Config):
    """Mirror every second picture: left is right. Not for digits or words."""

    name: Literal["flip"] = "flip"


class CropImage(Config):
    """Cut a piece out of a picture, and enlarge it to the picture's size."""

    name: Literal["random_crop"] = "random_crop"
    share: Share = 0.7
    """Of width and height, how much the piece has at least."""


class Cutout(Config):
    """Put a grey square somewhere into a picture (DeVries and Taylor 2017)."""

    name: Literal["cutout"] = "cutout"
    share: Share = 0.4
    """Side of the square, of the picture's shorter side."""


class RandAugment(Config):
    """Several changes of a picture, one after the other, each drawn from shift, rotate, shear, contrast, brightness and
    posterize (after Cubuk et al. 2020)."""  # noqa: D205 - the help is this text as a whole

    name: Literal["rand_augment"] = "rand_augment"
    operations: Annotated[int, Field(ge=1, le=20)] = 2
    """How many changes a picture gets."""
    strength: Annotated[float, Field(gt=0, le=1)] = 0.7
    """Of each change: drawn up to this; 1 is a turn by 30 degrees, or a shift by 30% of the side."""


ImageAugmentation = Shift | Flip | CropImage | Cutout | RandAugment
"""Of pictures."""


class FeatureNoise(Config):
    """Add normal noise to the numbers that a network reads: features, pixels, or a language model's input embeddings.

    It is drawn anew at each step.
    """

    name: Literal["noise"] = "noise"
    scale: Annotated[float, Field(gt=0, le=100)] = 0.1
    """Standard deviation of the noise, in those of each feature or of a channel; of input embeddings in the root mean
    square of their numbers."""


class ParameterNoise(Config):
    """Add normal noise to the network's weights for the time of one view."""

    name: Literal["parameter_noise"] = "parameter_noise"
    scale: Annotated[float, Field(gt=0, le=100)] = 0.05
    """Standard deviation of the noise, in the root mean square of each tensor of weights."""


BUILT_IN_NAMES = (
    "word_dropout",
    "word_swap",
    "crop",
    "template",
    "back_translation",
    "shift",
    "flip",
    "random_crop",
    "cutout",
    "rand_augment",
    "noise",
    "parameter_noise",
)
OWN_AUGMENTATIONS = Door("augmentation", BUILT_IN_NAMES, kind="function")
"""Augmentations of the user's, by `module:function`."""


class OwnAugmentation(Config):
    """A function of your own: examples and a seed to as many changed examples, such as a translation and back."""

    extension: ClassVar[str] = "function"
    name: Literal["custom"] = "custom"
    function: Annotated[CodeName, Field(min_length=1)]
    """`module:function`, or `path/to/file.py:function`. It gets a list of texts (or images) and a seed, and returns a
    list of the same length and type."""
    settings: Arguments = Field(default_factory=dict)
    """What it is called with besides, by name."""

    @property
    def label(self) -> str:
        """The file and the function, without the folder."""
        return shown_name(self.function).rpartition("/")[2]


def _add_name(value: object) -> object:
    if isinstance(value, str):
        return {"name": "custom", "function": value} if is_extension(value) else {"name": value}
    return value


Augmentation = Annotated[
    Annotated[
        WordDropout | WordSwap | TextCrop | Reworded | BackTranslation | ImageAugmentation | OwnAugmentation,
        Field(discriminator="name"),
    ],
    BeforeValidator(_add_name),
]
"""One change of an example."""
SlowAugmentation = BackTranslation | OwnAugmentation
"""Changes that take longer than a step of training: made once for each copy of a view."""
NetworkNoise = FeatureNoise | ParameterNoise
"""Changes of what a network computes, not of the example: only a view that is asked of a network can have them."""
StrongAugmentation = Annotated[
    Annotated[
        WordDropout
        | WordSwap
        | TextCrop
        | Reworded
        | BackTranslation
        | ImageAugmentation
        | NetworkNoise
        | OwnAugmentation,
        Field(discriminator="name"),
    ],
    BeforeValidator(_add_name),
]
"""One change of an example, or of what a network makes of it."""


class Views(Config):
    """The views of an example: augmentations, one after the other. A network's dropout comes on top of the strong one.

    Features of frozen models are computed once for each copy.
    """

    weak: tuple[Augmentation, ...] = ()
    """Of the view whose class is taken for the truth; the example as it is if empty."""
    strong: tuple[StrongAugmentation, ...] = ()
    """Of the view that learns from it; that of `weak` if no example is changed. Noise of features or weights, `noise`
    and `parameter_noise`, comes on top of either."""
    copies: Annotated[int, Field(ge=1, le=1_000)] = 2
    """Of each augmented view, among which a step chooses."""

    @property
    def strong_examples(self) -> tuple[Augmentation, ...]:
        """The changes of examples in the strong view."""
        return tuple(change for change in self.strong if not isinstance(change, NetworkNoise))

    @property
    def feature_noise(self) -> float:
        """Standard deviation of the noise on features; several add up as independent ones do."""
        return self._total(FeatureNoise)

    @property
    def parameter_noise(self) -> float:
        """Standard deviation of the noise on weights."""
        return self._total(ParameterNoise)

    def _total(self, kind: type[NetworkNoise]) -> float:
        # variances of independent noise add up
        return math.hypot(*(change.scale for change in self.strong if isinstance(change, kind)))
