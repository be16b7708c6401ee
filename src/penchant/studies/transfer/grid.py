"""The stages of a study of transfer, in order. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from penchant.studies.core.methods import Runs, runs_of
from penchant.studies.core.stage import Stage, StageFactory, openings
from penchant.studies.core.stage_settings import MeasuredSettings
from penchant.studies.transfer.settings import TransferConfig

DRAWS_SEED = 3  # beyond the evaluation's: the draws on the domains


@dataclass(frozen=True)
class TransferGrid:
    """All stages of a study of transfer.

    Attributes:
        prompts: of each domain, the own one first.
        reference: its samples, by domain.
        measured: each run's samples, by domain.
        trained: the runs. sft: the stage before, if any.
    """

    prompts: Mapping[str, Stage]
    reference: Mapping[str, Stage]
    measured: tuple[tuple[Stage, Mapping[str, Stage]], ...]
    trained: Runs
    sft: Stage | None

    @property
    def required(self) -> tuple[Stage, ...]:
        """Stages without any of which there is nothing to say."""
        # the first is the own domain's: without it there is nothing to carry over
        return (next(iter(self.reference.values())),)

    def stages(self) -> list[Stage]:
        """Return every stage once, each after what it needs."""
        first = [*self.prompts.values(), *([self.sft] if self.sft else []), *self.reference.values()]
        return [*first, *self.trained.stages(), *(stage for _, cells in self.measured for stage in cells.values())]


def transfer_grid(config: TransferConfig) -> TransferGrid:
    """Return the stages that a configuration asks for."""
    factory = StageFactory.sampled(config)
    prompts = {config.own: factory.prompts} | {
        name: openings(f"prompts-{number}", config, source)
        for number, (name, source) in enumerate(config.domains.items(), start=1)
    }

    # one seed for all runs and domains, beyond those of the evaluations: the same draws for every method
    def cells(label: str, samples: int, run: Stage | None) -> dict[str, Stage]:
        # a temperature that is given twice would have two lines per prompt, which the summary takes for damage
        settings = MeasuredSettings(
            policy=factory.policy,
            draws=factory.draws,
            seed=config.evaluation.seed + DRAWS_SEED,
            temperatures=tuple(dict.fromkeys(config.temperatures)),
            samples=samples,
        )
        needs = {**factory.start, **({"run": run} if run else {})}
        seed = run.seed if run else None
        return {
            name: factory.stage(
                "transfer",
                f"{label}-on-{number}",  # the domain's name may be anything, a number is a folder's name everywhere
                settings,
                {"domain": domain, **needs},
                seed=seed,
            )
            for number, (name, domain) in enumerate(prompts.items())
        }

    trained = runs_of(config, factory, factory.comparisons)
    # each run on each domain is a stage: a domain that is added leaves the others valid
    measured = tuple((run, cells(run.label, config.evaluation.samples, run)) for run in trained.runs)
    return TransferGrid(
        prompts,
        cells("reference", config.evaluation.reference_samples, None),
        measured,
        trained,
        factory.start.get("start"),
    )
