"""Settings of the noise study. Imports no torch."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from penchant.config import Config
from penchant.studies.core.settings import Count, LearningRate, RewardModelStage, SampledConfig


class FewComparisons(Config):
    """A run that sees few comparisons again and again, to show where overfitting starts."""

    prompts: Count = 16
    """Prompts whose comparisons it learns from."""
    epochs: Count = 40
    """How often it goes over them."""
    times: Count = 8
    """Evaluations on the way."""


class NoiseConfig(SampledConfig):
    """What wrong labels do: DPO, its relatives and the reward model on comparisons of which a share is wrong."""

    method: ClassVar[str] = "noise"

    # Below one half: there labels say nothing, and beyond it they teach the opposite.
    shares: Annotated[tuple[Annotated[float, Field(ge=0, lt=0.5)], ...], Field(min_length=1)] = (
        0.0,
        0.1,
        0.2,
        0.3,
        0.4,
    )
    """Shares of the comparisons with wrong labels. cDPO and robust DPO are told how many are turned round; at 0 they
    are DPO."""
    labels: Literal["flipped", "random"] = "flipped"
    """What a wrong label is: the comparison turned round, or the toss of a coin (which leaves half of them right)."""
    beta: Annotated[float, Field(gt=0)] = 0.1
    """Beta of DPO, cDPO and robust DPO."""
    tau: Annotated[float, Field(gt=0)] = 0.1
    """Tau of IPO."""
    learning_rate: LearningRate = 1e-5
    reward_model: RewardModelStage | None = RewardModelStage()
    """The reward model; null leaves it out."""
    few: FewComparisons | None = FewComparisons()
    """Few comparisons (none flipped) many times over; null leaves it out."""
