"""A reward model: Bradley and Terry's model of comparisons, fitted by a language model with a scalar head."""

from __future__ import annotations

from functools import partial
from typing import Annotated, ClassVar

from pydantic import Field

from penchant.data.options import Thoughts
from penchant.data.settings import DataConfig
from penchant.train.settings import GradientConfig
from penchant.types import RunResult


class RewardData(DataConfig):
    """Data with comparisons that a reward model learns from."""

    thoughts: Thoughts = "drop"
    """Thoughts before an answer (`<think>`, `reasoning_content`): `drop` learns from the answers alone, and the model
    reads those alone wherever it is asked; `score` reads the thoughts too, here and there."""


class RewardModel(GradientConfig):
    """Learn from comparisons which response is better, as a number per response (Ziegler et al. 2019).

    The head reads the last token of each response. After training, the mean reward of the training data's responses
    is taken off, so that rewards of samples of the reference, which those usually are, have mean zero.
    """

    method: ClassVar[str] = "reward_model"

    data: RewardData
    """The data: a path or hub id, or its settings (`data.ties=half`)."""
    head_learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    """Peak learning rate of the head, which starts from nothing, while the rest starts from a model."""
    margin: Annotated[float, Field(ge=0)] = 0.0
    """By how many nats the chosen response shall lead (Touvron et al. 2023); 0 is Bradley and Terry's model."""


def run(config: RewardModel, *, resume: bool = False) -> RunResult:
    """Train a reward model; see `penchant.train.gradient_run.run_gradient` for errors."""
    from penchant.engine.score import score
    from penchant.models.reward import LearnedReward, new_reward
    from penchant.runs import checkpoint
    from penchant.runs.run_folder import RunFolder
    from penchant.train import gradient_run, objectives, plan
    from penchant.train.evaluation.rewards import held_out_rewards
    from penchant.train.inputs import sources
    from penchant.train.recipe import Prepared, Recipe

    def set_offset(model: LearnedReward, prepared: Prepared) -> None:
        scores = score(model.scorer, prepared.train_data.rendered, budget=prepared.budget)
        # merged rows: a response that was drawn twice counts twice
        counts = [response.count for group in prepared.train_groups for response in group.responses]
        values = [value for row in scores for value in row.tolist()]
        model.offset = sum(map(float.__mul__, values, map(float, counts))) / sum(counts)

    def normalise(model: LearnedReward, prepared: Prepared, folder: RunFolder) -> None:
        """Shift rewards to mean zero over the training responses, each as often as drawn; kept in the checkpoint."""
        # Bradley and Terry's loss depends only on differences, so training leaves the level of the rewards undetermined
        last, best = folder.path / "checkpoint", folder.path / "best"
        # early stopping has made the best weights the last ones; elsewhere they have a mean of their own
        if best.is_dir() and config.early_stopping is None:
            checkpoint.load_weights(best, model.model)
            set_offset(model, prepared)
            model.save_reading(best)
            checkpoint.load_weights(last, model.model)
        set_offset(model, prepared)
        model.save_reading(last)

    recipe = Recipe(
        read=sources.preferences,
        units=lambda group: [plan.comparison_unit(comparison) for comparison in group.comparisons],
        objective=objectives.reward(config.margin),
        held_out=partial(held_out_rewards, margin=config.margin),
        # not `starting_policy`: the model gets a scalar head, and generates nothing
        load=lambda _: new_reward(config.model, config.data.rendering),
        # the head starts from nothing: at the model's rate it would hardly move in a run
        head_rate=config.head_learning_rate,
        finish=normalise,
    )
    return gradient_run.run_gradient(config, recipe, resume=resume)
