"""The stages of a frontier study, in order. Imports no torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from penchant.studies.settings import FrontierConfig, LearnedMethods
from penchant.studies.tasks import Stages, Task, plain

SWEPT = {"dpo": "beta", "kto": "beta", "unlikelihood": "alpha", "ppo": "target_nats", "ppo_gt": "target_nats"}
"""The setting that a method's sweep goes over; Preferred-FT has only its seeds."""
BEST_OF_N = "best_of_n"
LABELS = {
    "dpo": "DPO",
    "kto": "KTO",
    "preferred_ft": "Preferred-FT",
    "unlikelihood": "Unlikelihood",
    "ppo": "PPO",
    "ppo_gt": "PPO-GT",
    BEST_OF_N: "Best-of-N",
}
TRAINED = ("dpo", "kto", "preferred_ft", "unlikelihood", "ppo", "ppo_gt")


@dataclass(frozen=True)
class Runs:
    """The runs that are compared, and what they learn from, by seed."""

    comparisons: Mapping[int, Task]
    reward_models: Mapping[int, Task]
    runs: tuple[Task, ...]

    def tasks(self) -> list[Task]:
        """Every stage once, each after what it needs of these."""
        return [*self.comparisons.values(), *self.reward_models.values(), *self.runs]


@dataclass(frozen=True)
class Grid:
    """All stages of a study; those in `runs` are what it compares."""

    prompts: Task
    reference: Task
    learned: Runs
    sft: Task | None

    @property
    def comparisons(self) -> Mapping[int, Task]:
        return self.learned.comparisons

    @property
    def reward_models(self) -> Mapping[int, Task]:
        return self.learned.reward_models

    @property
    def runs(self) -> tuple[Task, ...]:
        return self.learned.runs

    def tasks(self) -> list[Task]:
        """Every stage once, each after what it needs."""
        first = [self.prompts, *([self.sft] if self.sft else []), self.reference]
        return [*first, *self.learned.tasks()]


def grid(config: FrontierConfig) -> Grid:
    """The stages that a configuration asks for."""
    stages = Stages.sampled(config)
    samples = {"samples": config.evaluation.reference_samples, "seed": config.evaluation.seed + 1}
    reference = stages.task("reference", "reference", {**stages.draws, **samples}, stages.drawn)
    return Grid(stages.prompts, reference, runs_of(config, stages, stages.comparisons), stages.start.get("start"))


def runs_of(config: LearnedMethods, stages: Stages, compared: Callable[[int], Task], *, ranker: bool = False) -> Runs:
    """Every method over its sweep, for every seed.

    Args:
        compared: the comparisons of a seed. ranker: fit the reward model even where PPO does not take part.
    """
    compare = ranker or any(getattr(config, method, None) for method in TRAINED if method != "ppo_gt")
    comparisons = {seed: compared(seed) for seed in config.seeds if compare}
    rewards = {
        seed: stages.reward_model(config.reward_model, seed, comparisons[seed])
        for seed in config.seeds
        if ranker or config.ppo
    }
    runs = []
    for seed in config.seeds:
        for method in TRAINED:
            before = {"ppo": rewards, "ppo_gt": {}}.get(method, comparisons)
            role = "reward_model" if method == "ppo" else "comparisons"
            needs = {**stages.drawn, role: before[seed]} if seed in before else stages.drawn
            runs += [
                _run(config, stages, method, value, rate, seed, needs)
                for value in _values(config, method)
                for rate in _rates(config, method)
            ]
    return Runs(comparisons, rewards, tuple(runs))


def _run(
    config: LearnedMethods,
    stages: Stages,
    method: str,
    value: float | None,
    rate: float,
    seed: int,
    needs: Mapping[str, Task],
) -> Task:
    swept = SWEPT.get(method)
    own = {name: item for name, item in plain(getattr(config, method)).items() if name != swept}
    if "comparisons" in needs:
        own |= stages.offline
    if method == "dpo":
        own |= {"loss": {"name": "sigmoid", "beta": value}}
    settings: dict[str, Any] = {
        **stages.draws,
        **stages.learning,
        **own,
        "learning_rate": rate,
        **({"evaluation": stages.measured} if stages.measured else {}),
        "value": value,
        "seed": seed,
    }
    several = len(_rates(config, method)) > 1
    name = f"{swept}-{value:g}-" if swept is not None else ""
    name += f"rate-{rate:g}-" if several else ""
    label = f"{method}-{name}seed-{seed}".replace("_", "-")
    return stages.task(method, label, settings, needs, value, seed, rate if several else None)


def _rates(config: LearnedMethods, method: str) -> tuple[float, ...]:
    """The learning rates of a method."""
    rates = getattr(config, method).learning_rate
    return tuple(dict.fromkeys(rates)) if isinstance(rates, tuple) else (rates,)


def _values(config: LearnedMethods, method: str) -> tuple[float | None, ...]:
    sweep = getattr(config, method, None)
    if sweep is None:
        return ()
    values: tuple[float, ...] | None = getattr(sweep, SWEPT[method]) if method in SWEPT else None
    return tuple(dict.fromkeys(values)) if values else (None,)
