"""Direct Preference Optimization and its relatives: one method, the loss chooses (Rafailov et al. 2023)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Self

from pydantic import ModelWrapValidatorHandler, model_validator

from penchant.config import Config
from penchant.data.settings import DataConfig
from penchant.losses.contract import forget_strengths
from penchant.losses.settings import PreferenceLoss, Sigmoid
from penchant.models.settings import FrozenModel
from penchant.train.settings import PolicyConfig
from penchant.types import PromptGroup, RunResult

if TYPE_CHECKING:
    from penchant.train.plan import Unit
    from penchant.train.recipe import Source


class DPO(PolicyConfig):
    """Train a policy from comparisons, without a reward model and without reinforcement learning."""

    method: ClassVar[str] = "dpo"

    data: DataConfig
    """The data: a path or hub id, or its settings (`data.ties=half`)."""
    loss: PreferenceLoss = Sigmoid()
    """The loss on a pair of responses."""
    # None: the loss needs no second copy of the weights, since the start's numbers are kept in a table
    reference: FrozenModel | None = None
    """The model that the policy is held to; the policy's own start if not given."""

    @model_validator(mode="wrap")
    @classmethod
    def _keep_what_was_given(cls, values: object, handler: ModelWrapValidatorHandler[Self]) -> Self:
        # before the defaults are filled in: a diffusion model has no default beta, and asks whether one was given
        config = handler(values)
        if isinstance(values, Mapping) and not isinstance(loss := values.get("loss"), Config):
            forget_strengths(config.loss, loss)
        return config


def run(config: DPO, *, resume: bool = False) -> RunResult:
    """Train with the configured loss on pairs; see `penchant.train.gradient_run.run_gradient` for errors."""
    from penchant.data.layouts.rankings import rankings_of
    from penchant.train import gradient_run, objectives, plan
    from penchant.train.evaluation.preferences import held_out_preferences
    from penchant.train.inputs import sources
    from penchant.train.recipe import Recipe

    needs = config.loss.needs

    def units(group: PromptGroup) -> list[Unit]:
        if needs.rankings:
            return [plan.ranking_unit(ranking) for _, ranking in rankings_of(group)]
        return [plan.comparison_unit(comparison) for comparison in group.comparisons]

    def read(data: DataConfig) -> Source:
        source = sources.preferences(data)
        # what a loss cannot take is refused or left out by name, where the rows are still known
        if needs.whole_step:
            return sources.check_equal_weights(source, config.loss.name, data.path)
        return sources.rankings_only(source, data.path) if needs.rankings else source

    recipe = Recipe(
        read=read,
        units=units,
        # here, before the model is loaded: a user's loss is tried on four pairs
        objective=objectives.preference(config.loss),
        held_out=partial(held_out_preferences, loss=config.loss),
        reference=config.reference,
    )
    return gradient_run.run_gradient(config, recipe, resume=resume)
