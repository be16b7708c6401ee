"""What each kind of stage of the study of hallucinations depends on: one frozen class for each kind. No torch here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from penchant.models.settings import ModelConfig
from penchant.studies.core.stage_settings import StageSettings
from penchant.studies.hallucination.names import Learner, WorldName
from penchant.typed_json import OMITTED

TESTS, SAMPLES, QUESTIONS, CAPTIONS = "tests.jsonl", "samples.jsonl", "questions.json", "captions.json"
"""Files: pictures to measure on with their contents, captions that were drawn of others, questions about pictures, and
what a captioner writes and answers."""


@dataclass(frozen=True, kw_only=True)
class PicturesSettings(StageSettings):
    """The pictures to measure on, and questions about them.

    Attributes:
        clothes: digests of the files of Fashion-MNIST; empty for rendered scenes, which come of the code.
        questions: how many of the pictures questions are asked of.
    """

    world: WorldName
    clothes: tuple[str, ...]
    part: Literal["test", "choose"]
    test: int
    questions: int


@dataclass(frozen=True, kw_only=True)
class SamplesSettings(StageSettings):
    """Captions that the captioner draws of pictures of one seed; the model by its content."""

    model: ModelConfig
    world: WorldName
    clothes: tuple[str, ...]
    train: int
    samples: int
    max_new_tokens: int
    seed: int


@dataclass(frozen=True, kw_only=True)
class CaptionerSettings(StageSettings):
    """A captioner after its second step, or before it, and what it writes of the pictures to measure on.

    Attributes:
        learner: None before the second step. The others are None then, too.
        seed: of training, and of the captions that are drawn.
    """

    model: ModelConfig
    max_new_tokens: int
    seed: int
    learner: Annotated[Learner | None, OMITTED] = None
    steps: Annotated[int | None, OMITTED] = None
    batch_size: Annotated[int | None, OMITTED] = None
    learning_rate: Annotated[float | None, OMITTED] = None
    beta: Annotated[float | None, OMITTED] = None
    alpha: Annotated[float | None, OMITTED] = None
