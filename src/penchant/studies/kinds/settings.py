"""Settings of the study of several kinds of output. Imports no torch."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from penchant.config import Config
from penchant.config.limits import Text, Weight
from penchant.models.settings import ModelConfig
from penchant.session.objects import CodeName
from penchant.studies.core.settings import Count, LearningRate, StudyConfig

SamplesPerGroup = Annotated[int, Field(ge=2, le=1000)]


class Kind(Config):
    """One kind of output: what is asked for, what is preferred, and what has to be kept."""

    prompts: Text
    """`pictures` (a class of clothes each) or `sounds` (a word each), of `penchant-kinds`; else as `prompts` of other
    studies: `film_openings`, or a file."""
    reward: CodeName
    """What is preferred, by the name of a reward: the best sample of a group against the worst."""
    guard: CodeName | None = None
    """What shall not be lost, by the name of a reward, such as `picture_class`; it is measured and not trained on."""
    max_new_tokens: Count
    """Length at which a response is cut."""
    train: Count | None = None
    """Train on the first so many prompts, and measure on the next `test`; null trains and measures on all of them, for
    prompts that are all there are, as those of pictures and sounds."""
    test: Count | None = None
    """Measure on so many prompts."""
    weight: Weight = 1.0
    """Share of the steps of the run on all kinds, relative to the others' weights."""

    @model_validator(mode="after")
    def _both_parts(self) -> Self:
        if (self.train is None) != (self.test is None):
            raise ValueError("`train` and `test` go together: give both, or neither")
        return self


DEFAULT_KINDS = {
    "text": Kind(prompts="film_openings", reward="vader", max_new_tokens=24, train=40, test=20),
    "pictures": Kind(prompts="pictures", reward="picture_brightness", guard="picture_class", max_new_tokens=52),
    "sounds": Kind(prompts="sounds", reward="sound_seconds", guard="sound_word", max_new_tokens=60),
}


class KindsConfig(StudyConfig):
    """Preferences over texts, pictures and sounds: does learning them together cost any of them what it learns alone?
    DPO on each kind alone and on all together, with the KL, and with what had to be kept."""  # noqa: D205 - the help is this text as a whole

    method: ClassVar[str] = "kinds"

    model: ModelConfig = ModelConfig(name="penchant-kinds")
    """The model to start from, which writes all kinds: a name, or its settings."""
    kinds: Annotated[dict[Text, Kind], Field(min_length=2)] = DEFAULT_KINDS
    """The kinds of output by name."""
    samples: SamplesPerGroup = 4
    """Samples of a group, of which the best is preferred to the worst."""
    pairs: Count = 400
    """Groups of samples per kind, and so comparisons, less those that are ties."""
    steps: Count = 40
    """Steps of a run on one kind; the run on all together has as many for each kind, on average by the weights."""
    batch_size: Count = 16
    """Comparisons of a step."""
    # 3e-4 with a beta of .1 went to 19 nats on pictures: brighter ones, and no class was left (decision 48)
    learning_rate: LearningRate = 1e-4
    beta: Annotated[float, Field(gt=0)] = 0.5
    """Beta of DPO."""
    optimizer: Literal["rmsprop", "adamw"] = "adamw"
    """Of every run."""
    measured_samples: Count = 16
    """Samples per prompt by which models are measured, at temperature 1."""
    evaluation_seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 10_000
    """Fixes these samples."""
