"""Settings of the frontier study. Imports no torch."""

from __future__ import annotations

from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from penchant.config import Config
from penchant.studies.core.settings import MINIBATCHES, TRAINED, Count, MethodsConfig, Nats, PPOSweep, starting_settings


class Search(Config):
    """A search of settings with the same budget for every method that trains.

    Each method starts with its own settings (every value with every learning rate). Then runs are added, one for each
    method at a time, until all methods have evaluations on both sides of every matched KL or the runs are used up.
    Which run comes next follows from the KLs of those before, never from rewards: so it cannot be fitted to the prompts
    that methods are measured on.
    """

    least: Annotated[int, Field(ge=1, le=1000)] = 3
    """Runs of each method and seed in any case, so that each has its learning rate looked for."""
    most: Annotated[int, Field(ge=1, le=1000)] = 6
    """Runs of each method and seed at most."""
    steps: Count = 96
    """Optimizer steps of every run of every method; `epochs` and the `steps` of PPO do not count then."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.least > self.most:
            raise ValueError(f"`search.least` is {self.least}, more than `search.most`, {self.most}")
        return self


class FrontierConfig(MethodsConfig):
    """True reward against KL for every method over its sweep, beside the best that any policy could reach."""

    method: ClassVar[str] = "frontier"

    # As far as limit lines reach: 160 samples per prompt are trusted up to 2.8 nats with VADER (decision 17).
    matched_nats: Annotated[tuple[Nats, ...], Field(min_length=1, max_length=100)] = (0.5, 1.0, 2.0, 3.0)
    """KLs from the reference at which methods are compared."""
    search: Search | None = None
    """Add runs until every method can be compared at these KLs, with equal budgets; null runs the sweeps alone."""

    @model_validator(mode="after")
    def _search_fits(self) -> Self:
        """Refuse sweeps that cannot have the same number of runs and of optimizer steps as the others."""
        if (search := self.search) is None:
            return self
        for name, sweep in ((name, getattr(self, name)) for name in TRAINED):
            starts = len(starting_settings(name, sweep)) if sweep is not None else 0
            if starts > search.least:
                raise ValueError(
                    f"{name} starts with {starts} settings, more than the {search.least} runs of `search.least`, "
                    "which every method has: raise it, or start with fewer"
                )
            # A run of PPO is whole rounds of sampling and learning; a part of one cannot be asked for.
            if isinstance(sweep, PPOSweep) and search.steps % sweep.steps_per_round:
                raise ValueError(
                    f"`search.steps` is {search.steps}, but {name} takes {sweep.steps_per_round} optimizer steps "
                    f"per round ({sweep.updates} passes in {min(MINIBATCHES, sweep.prompts_per_step)} parts): give a "
                    "multiple of it"
                )
        return self
