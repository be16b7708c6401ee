"""Settings of the study of hallucinations. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator

from penchant.config import Config
from penchant.models.settings import ModelConfig
from penchant.studies.core.settings import Count, LearningRate, LimitedStudy
from penchant.studies.hallucination.names import LEARNERS, WORLDS, Learner, WorldName


class CaptionLearning(Config):
    """How every learner learns: equal steps of equal size, whatever its rows are."""

    steps: Count = 80
    """Steps of every learner."""
    batch_size: Count = 32
    """Pairs or captions of a step."""
    learning_rate: LearningRate = 1e-4
    beta: Annotated[float, Field(gt=0)] = 0.5
    """Of DPO: how strongly the captioner is held to what it was."""
    alpha: Annotated[float, Field(gt=0)] = 0.5
    """Of unlikelihood: how much the worst captions count beside the best ones."""


class HallucinationConfig(LimitedStudy):
    """What mends a captioner that names what is not there? DPO on pairs of its own captions beside SFT and
    unlikelihood: false objects, recall of true ones and questions, before and after, on pictures that nobody learned
    from."""  # noqa: D205 - the help is this text as a whole

    method: ClassVar[str] = "hallucination"
    fewest: ClassVar[Mapping[str, int]] = {"train": 40, "test": 20, "questions": 20}

    model: ModelConfig = ModelConfig(name="penchant-scenes")
    """The captioner to start from: a model of pictures and text that knows the study's worlds."""
    worlds: Annotated[tuple[WorldName, ...], Field(min_length=1)] = WORLDS
    """Pictures whose contents are known: `scenes` are rendered, `collages` are made of Fashion-MNIST."""
    learners: Annotated[tuple[Learner, ...], Field(min_length=1)] = LEARNERS
    """What the captioner learns from in the second step."""
    train: Count = 1500
    """Pictures of each seed of which the captioner draws captions to learn from."""
    samples: Annotated[int, Field(ge=2, le=1000)] = 6
    """Captions that it draws of each, at temperature 1."""
    test: Count = 500
    """Pictures to measure on, the same for all learners and seeds. In each stands an object without its companion."""
    questions: Annotated[int, Field(ge=0, le=10_000_000)] = 200
    """Pictures of these that questions are asked of: whether an object is there that is, and that is not."""
    part: Literal["test", "choose"] = "test"
    """Which pictures to measure on: those of the tests, or others on which settings can be chosen."""
    max_new_tokens: Count = 40
    """Length at which a caption is cut."""
    learning: CaptionLearning = CaptionLearning()
    """How learners learn."""
    seeds: Annotated[tuple[Annotated[int, Field(ge=0, le=2**31 - 1)], ...], Field(min_length=1)] = (0, 1, 2, 3, 4)
    """Each draws other pictures to learn from and other captions of them, and orders them in its own way."""

    @field_validator("worlds", "learners")
    @classmethod
    def _named_once(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ValueError(f"{', '.join(repeated)} stands in it more than once: give each once")
        return names
