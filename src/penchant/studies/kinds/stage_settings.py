"""What each kind of stage of the study of kinds depends on: one frozen class for each. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from penchant.studies.core.stage_settings import LearningSettings, PolicySettings, StageSettings
from penchant.typed_json import INLINED, OMITTED

PAIRS, MEASURED, TEXTS = "comparisons.jsonl", "measured.npz", "texts.json"


@dataclass(frozen=True, kw_only=True)
class KindPairsSettings(StageSettings):
    """The comparisons of one kind: `groups` groups of samples, the best against the worst by the reward's content."""

    policy: Annotated[PolicySettings, INLINED]
    prompts: tuple[str, ...]
    reward: str
    samples: int
    groups: int
    max_new_tokens: int
    seed: int


@dataclass(frozen=True, kw_only=True)
class KindRunSettings(StageSettings):
    """A run of DPO on the comparisons of one kind, or of several with weights in steps of one kind each."""

    policy: Annotated[PolicySettings, INLINED]
    learning: Annotated[LearningSettings, INLINED]
    learning_rate: float
    beta: float
    batch_size: int
    steps: int
    weights: Mapping[str, float]
    seed: int


@dataclass(frozen=True, kw_only=True)
class KindMeasuredSettings(StageSettings):
    """Samples of one kind by a run's model, or by the model as it was: rewards, what is kept, and the KL."""

    policy: Annotated[PolicySettings, INLINED]
    prompts: tuple[str, ...]
    reward: str
    guard: Annotated[str | None, OMITTED] = None
    samples: int
    max_new_tokens: int
    seed: int
