"""The stages of a frontier study, in order. Imports no torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from penchant.studies.core.settings import SWEPT, TRAINED, LearnedMethods
from penchant.studies.core.stage import Stages, Task, plain
from penchant.studies.frontier.settings import FrontierConfig, starting_settings

if TYPE_CHECKING:
    from penchant.studies.core.results import Results

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
HELD_OUT_SEED = 2  # beyond the evaluation's: the draws of the comparisons that reward models are measured on
REPEAT_SEED = 1_000_000  # between the seeds of runs that differ in nothing else


@dataclass(frozen=True)
class Setting:
    """What one run of a method has of its own: the swept value, None where there is none, and the learning rate."""

    value: float | None
    rate: float


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
    """All stages of a study; those in `runs` are what it compares.

    Attributes:
        judged: for each reward model, by seed, whether it is right on comparisons that nothing learned from; made from
            `held`.
        open: whether results may add runs to these.
    """

    prompts: Task
    reference: Task
    learned: Runs
    sft: Task | None
    held: Task | None
    judged: Mapping[int, Task]
    open: bool = False

    @property
    def comparisons(self) -> Mapping[int, Task]:
        return self.learned.comparisons

    @property
    def reward_models(self) -> Mapping[int, Task]:
        return self.learned.reward_models

    @property
    def runs(self) -> tuple[Task, ...]:
        return self.learned.runs

    @property
    def needed(self) -> tuple[Task, ...]:
        """Stages without any of which there is nothing to say."""
        return (self.reference,)

    def tasks(self) -> list[Task]:
        """Every stage once, each after what it needs."""
        first = [self.prompts, *([self.sft] if self.sft else []), self.reference]
        held = [self.held] if self.held else []
        return [*first, *self.learned.tasks(), *held, *self.judged.values()]


def grid(config: FrontierConfig, results: Results | None = None) -> Grid:
    """Return the stages that a configuration asks for, by what has been measured so far.

    With `search` it is asked again when these stages have ended, until it adds none. Equal results give equal stages,
    and those of fewer results are among those of more.

    Args:
        results: what earlier stages measured; None before any.
    """
    stages = Stages.sampled(config)
    samples = {"samples": config.evaluation.reference_samples, "seed": config.evaluation.seed + 1}
    reference = stages.task("reference", "reference", {**stages.draws, **samples}, stages.drawn)

    def build(settings: Mapping[str, list[Setting]]) -> Runs:
        return runs_of(
            config, stages, stages.comparisons, settings, steps=config.search.steps if config.search else None
        )

    if config.search is None:
        learned, added = build(settings_of(config)), False
    else:
        from penchant.studies.frontier.search import searched

        learned, added = searched(config, reference, build, results)
    held, judged = _judged(config, stages, learned)
    return Grid(stages.prompts, reference, learned, stages.start.get("start"), held, judged, added)


def settings_of(config: LearnedMethods) -> dict[str, list[Setting]]:
    """Return the settings of each method's runs, as its sweep has them."""
    return {
        method: [Setting(*setting) for setting in starting_settings(method, sweep)]
        for method in TRAINED
        if (sweep := getattr(config, method, None)) is not None
    }


def runs_of(
    config: LearnedMethods,
    stages: Stages,
    compared: Callable[[int], Task],
    settings: Mapping[str, list[Setting]] | None = None,
    *,
    ranker: bool = False,
    steps: int | None = None,
) -> Runs:
    """Return every method over its sweep, for every seed.

    Args:
        compared: the comparisons of a seed. settings: of each method's runs; those of its sweep if not given.
        ranker: fit the reward model even where PPO does not take part.
        steps: optimizer steps of every run, where all have the same.
    """
    settings = settings_of(config) if settings is None else settings
    compare = ranker or any(method in settings for method in TRAINED if method != "ppo_gt")
    comparisons = {seed: compared(seed) for seed in config.seeds if compare}
    rewards = {
        seed: stages.reward_model(config.reward_model, seed, comparisons[seed])
        for seed in config.seeds
        if ranker or config.ppo
    }
    runs = []
    for seed in config.seeds:
        for method, chosen in settings.items():
            before = {"ppo": rewards, "ppo_gt": {}}.get(method, comparisons)
            role = "reward_model" if method == "ppo" else "comparisons"
            needs = {**stages.drawn, role: before[seed]} if seed in before else stages.drawn
            rates = steps is not None or len({setting.rate for setting in chosen}) > 1
            runs += [_run(config, stages, method, setting, seed, needs, rates=rates, steps=steps) for setting in chosen]
    return Runs(comparisons, rewards, tuple(runs))


def _run(
    config: LearnedMethods,
    stages: Stages,
    method: str,
    setting: Setting,
    seed: int,
    needs: Mapping[str, Task],
    *,
    rates: bool,
    steps: int | None,
) -> Task:
    """One run. `rates`: its learning rate is part of its name, for there are several."""
    swept = SWEPT[method]
    sweep = getattr(config, method)
    own = {name: item for name, item in plain(sweep).items() if name not in (swept, "repeats")}
    if "comparisons" in needs:
        own |= stages.offline
    if steps is not None:
        own |= {"steps": steps // sweep.steps_per_round} if method in ("ppo", "ppo_gt") else {"steps": steps}
        own.pop("epochs", None)
    if method == "dpo":
        own |= {"loss": {"name": "sigmoid", "beta": setting.value}}
    repeat = int(setting.value or 0) if method == "preferred_ft" else 0
    settings: dict[str, Any] = {
        **stages.draws,
        **stages.learning,
        **own,
        "learning_rate": setting.rate,
        **({"evaluation": stages.measured} if stages.measured else {}),
        "value": setting.value,
        "seed": (seed + REPEAT_SEED * repeat) % 2**32,
    }
    name = f"{swept}-{setting.value:g}-" if setting.value is not None else ""
    name += f"rate-{setting.rate:g}-" if rates else ""
    label = f"{method}-{name}seed-{seed}".replace("_", "-")
    return stages.task(method, label, settings, needs, setting.value, seed, setting.rate if rates else None)


def _judged(config: FrontierConfig, stages: Stages, learned: Runs) -> tuple[Task | None, dict[int, Task]]:
    """The comparisons of unseen prompts, and what each reward model makes of them."""
    if not learned.reward_models:
        return None, {}
    draws = {**stages.draws, **stages.sizes, "groups": 1, "seed": config.evaluation.seed + HELD_OUT_SEED, "of": "eval"}
    held = stages.task("comparisons", "unseen-comparisons", draws, stages.drawn)
    how = {**stages.model, "template": config.template}
    judged = {
        seed: stages.task(
            "judged", f"{model.label}-judged", how, {"run": model, "held": held, **stages.start}, seed=seed
        )
        for seed, model in learned.reward_models.items()
    }
    return held, judged
