"""Lay out the stages of a frontier study, in order. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from penchant.studies.core.methods import Runs, Setting, runs_of, settings_of
from penchant.studies.core.stage import Stage, StageFactory
from penchant.studies.core.stage_settings import SampledSettings
from penchant.studies.frontier.search import searched
from penchant.studies.frontier.settings import FrontierConfig

if TYPE_CHECKING:
    from penchant.studies.core.results import Results

HELD_OUT_SEED = 2  # beyond the evaluation's: the draws of the comparisons that reward models are measured on


@dataclass(frozen=True)
class Grid:
    """All stages of a study; those in `runs` are what it compares.

    Attributes:
        judgements: for each reward model, by seed, whether it is right on `unseen_comparisons`, from which nothing
            learned.
        open: whether results may add runs to these.
    """

    prompts: Stage
    reference: Stage
    method_runs: Runs
    sft: Stage | None
    unseen_comparisons: Stage | None
    judgements: Mapping[int, Stage]
    open: bool = False

    @property
    def runs(self) -> tuple[Stage, ...]:
        """The runs that the study compares."""
        return self.method_runs.runs

    @property
    def required(self) -> tuple[Stage, ...]:
        """The stages without which there is nothing to report."""
        return (self.reference,)

    def stages(self) -> list[Stage]:
        """Return every stage once, each after the stages it needs."""
        first = [self.prompts, *([self.sft] if self.sft else []), self.reference]
        unseen = [self.unseen_comparisons] if self.unseen_comparisons else []
        return [*first, *self.method_runs.stages(), *unseen, *self.judgements.values()]


def grid(config: FrontierConfig, results: Results | None = None) -> Grid:
    """Return the stages that a configuration and the results so far ask for.

    With `search` it is asked again when these stages have ended, until it adds none. Equal results give equal stages,
    and those of fewer results are among those of more.

    Args:
        results: what earlier stages measured; None before any.
    """
    factory = StageFactory.sampled(config)
    # Not the seed of the runs' evaluations: the limit shares no draws with what it is compared with.
    samples = SampledSettings(
        policy=factory.policy,
        draws=factory.draws,
        samples=config.evaluation.reference_samples,
        seed=config.evaluation.seed + 1,
    )
    reference = factory.stage("reference", "reference", samples, factory.sampling_needs)
    steps = config.search.steps if config.search else None

    def build(settings: Mapping[str, list[Setting]]) -> Runs:
        return runs_of(config, factory, factory.comparisons, settings, steps=steps)

    if config.search is None:
        method_runs, is_open = build(settings_of(config)), False
    else:
        method_runs, is_open = searched(config, reference, build, results)
    # Reward models learn from all comparisons, so their accuracy needs comparisons of other prompts.
    unseen, judgements = _judgement_stages(config, factory, method_runs)
    return Grid(factory.prompts, reference, method_runs, factory.start.get("start"), unseen, judgements, is_open)


def _judgement_stages(
    config: FrontierConfig, factory: StageFactory, method_runs: Runs
) -> tuple[Stage | None, dict[int, Stage]]:
    """Return the comparisons of unseen prompts, and the stages in which each reward model judges them."""
    if not method_runs.reward_models:
        return None, {}
    unseen = factory.unseen_comparisons(config.evaluation.seed + HELD_OUT_SEED, groups=1)
    reward_models = method_runs.reward_models.items()
    return unseen, {seed: factory.judgement(model, unseen, seed) for seed, model in reward_models}
