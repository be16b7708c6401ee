"""The stages of a frontier study, in order. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from penchant.studies.core.methods import Runs, Setting, runs_of, settings_of
from penchant.studies.core.stage import Stage, StageFactory
from penchant.studies.core.stage_settings import ComparisonsSettings, PolicySettings, ReferenceSettings
from penchant.studies.frontier.search import searched
from penchant.studies.frontier.settings import FrontierConfig

if TYPE_CHECKING:
    from penchant.studies.core.results import Results

HELD_OUT_SEED = 2  # beyond the evaluation's: the draws of the comparisons that reward models are measured on


@dataclass(frozen=True)
class Grid:
    """All stages of a study; those in `runs` are what it compares.

    Attributes:
        judged: for each reward model, by seed, whether it is right on comparisons that nothing learned from; made from
            `held`.
        open: whether results may add runs to these.
    """

    prompts: Stage
    reference: Stage
    learned: Runs
    sft: Stage | None
    held: Stage | None
    judged: Mapping[int, Stage]
    open: bool = False

    @property
    def comparisons(self) -> Mapping[int, Stage]:
        return self.learned.comparisons

    @property
    def reward_models(self) -> Mapping[int, Stage]:
        return self.learned.reward_models

    @property
    def runs(self) -> tuple[Stage, ...]:
        return self.learned.runs

    @property
    def required(self) -> tuple[Stage, ...]:
        """Stages without any of which there is nothing to say."""
        return (self.reference,)

    def stages(self) -> list[Stage]:
        """Every stage once, each after what it needs."""
        first = [self.prompts, *([self.sft] if self.sft else []), self.reference]
        held = [self.held] if self.held else []
        return [*first, *self.learned.stages(), *held, *self.judged.values()]


def grid(config: FrontierConfig, results: Results | None = None) -> Grid:
    """Return the stages that a configuration asks for, by what has been measured so far.

    With `search` it is asked again when these stages have ended, until it adds none. Equal results give equal stages,
    and those of fewer results are among those of more.

    Args:
        results: what earlier stages measured; None before any.
    """
    factory = StageFactory.sampled(config)
    samples = ReferenceSettings(
        **factory.draws, samples=config.evaluation.reference_samples, seed=config.evaluation.seed + 1
    )
    reference = factory.stage("reference", "reference", samples, factory.sampling_needs)

    def build(settings: Mapping[str, list[Setting]]) -> Runs:
        return runs_of(
            config, factory, factory.comparisons, settings, steps=config.search.steps if config.search else None
        )

    if config.search is None:
        learned, added = build(settings_of(config)), False
    else:
        learned, added = searched(config, reference, build, results)
    held, judged = _judged(config, factory, learned)
    return Grid(factory.prompts, reference, learned, factory.start.get("start"), held, judged, added)


def _judged(config: FrontierConfig, factory: StageFactory, learned: Runs) -> tuple[Stage | None, dict[int, Stage]]:
    """The comparisons of unseen prompts, and what each reward model makes of them."""
    if not learned.reward_models:
        return None, {}
    sizes = {**factory.sizes, "groups": 1}
    draws = ComparisonsSettings(**factory.draws, **sizes, seed=config.evaluation.seed + HELD_OUT_SEED, of="eval")
    held = factory.stage("comparisons", "unseen-comparisons", draws, factory.sampling_needs)
    how = PolicySettings(**factory.model, template=config.template)
    judged = {
        seed: factory.stage(
            "judged", f"{model.label}-judged", how, {"run": model, "held": held, **factory.start}, seed=seed
        )
        for seed, model in learned.reward_models.items()
    }
    return held, judged
