"""The runs of every method over its sweep, which several studies compare. Imports no torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from penchant.studies.core.settings import (
    SWEPT,
    TRAINED,
    TRUE_REWARD_METHODS,
    GroupSweep,
    LearnedMethods,
    PPOSweep,
    starting_settings,
)
from penchant.studies.core.stage import Stage, StageFactory
from penchant.studies.core.stage_settings import (
    GroupRunSettings,
    PPORunSettings,
    RunSettings,
    SweptLoss,
    SweptRunSettings,
)

BEST_OF_N = "best_of_n"
LABELS = {
    "dpo": "DPO",
    "kto": "KTO",
    "preferred_ft": "Preferred-FT",
    "unlikelihood": "Unlikelihood",
    "ppo": "PPO",
    "ppo_gt": "PPO-GT",
    "rloo": "RLOO on the true reward",
    "grpo": "GRPO on the true reward",
    BEST_OF_N: "Best-of-N",
}
REPEAT_SEED = 1_000_000  # between the seeds of runs that differ in nothing else


SETTING_LABELS = {"target_nats": "target KL"}
"""Names of settings on pages, where they are not those of the configuration."""


class SweptMethod(Protocol):
    """A method at one setting of its sweep."""

    @property
    def label(self) -> str: ...
    @property
    def setting(self) -> str | None: ...
    @property
    def value(self) -> float | None: ...
    @property
    def rate(self) -> float | None: ...


def setting_words(setting: str | None, value: float | None, rate: float | None) -> str:
    """Return `beta 0.1`, or `beta 0.1, rate 0.0001` where a method has several learning rates; empty without either."""
    words = [f"{SETTING_LABELS.get(setting, setting)} {value:g}"] if setting and value is not None else []
    return ", ".join([*words, f"rate {rate:g}"] if rate is not None else words)


def swept_name(method: SweptMethod) -> str:
    """Return a method's label with its setting, such as `DPO (beta 0.1)`."""
    words = setting_words(method.setting, method.value, method.rate)
    return f"{method.label} ({words})" if words else method.label


@dataclass(frozen=True)
class Setting:
    """The swept value of one run of a method, None where there is none, and its learning rate."""

    value: float | None
    rate: float


@dataclass(frozen=True)
class Runs:
    """The runs that are compared, and what they learn from, by seed."""

    comparisons: Mapping[int, Stage]
    reward_models: Mapping[int, Stage]
    runs: tuple[Stage, ...]

    def stages(self) -> list[Stage]:
        """Return every stage once, each after what it needs of these."""
        return [*self.comparisons.values(), *self.reward_models.values(), *self.runs]


def settings_of(config: LearnedMethods) -> dict[str, list[Setting]]:
    """Return the settings of each method's runs, as its sweep has them."""
    return {
        method: [Setting(*setting) for setting in starting_settings(method, sweep)]
        for method in TRAINED
        if (sweep := getattr(config, method, None)) is not None
    }


def runs_of(
    config: LearnedMethods,
    factory: StageFactory,
    compared: Callable[[int], Stage],
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
    # some learn from the true reward alone; a study of nothing else draws no comparisons
    compare = ranker or any(method in settings for method in TRAINED if method not in TRUE_REWARD_METHODS)
    comparisons = {seed: compared(seed) for seed in config.seeds if compare}
    # Best-of-N of a study without a true reward needs the reward model, whether PPO takes part or not
    rewards = {
        seed: factory.reward_model(config.reward_model, seed, comparisons[seed])
        for seed in config.seeds
        if ranker or config.ppo
    }
    runs = []
    for seed in config.seeds:
        for method, chosen in settings.items():
            # PPO learns from comparisons through the reward model alone
            sources = {"ppo": rewards, **{name: {} for name in TRUE_REWARD_METHODS}}
            before = sources.get(method, comparisons)
            role = "reward_model" if method == "ppo" else "comparisons"
            needs = {**factory.sampling_needs, role: before[seed]} if seed in before else factory.sampling_needs
            # a rate in the label only where there are several, or where a search may add one: the label is part of the
            # folder's name, and folders of a sweep with one rate keep theirs
            rates = steps is not None or len({setting.rate for setting in chosen}) > 1
            runs += [
                _run(config, factory, method, setting, seed, needs, rates=rates, steps=steps) for setting in chosen
            ]
    return Runs(comparisons, rewards, tuple(runs))


def _run(
    config: LearnedMethods,
    factory: StageFactory,
    method: str,
    setting: Setting,
    seed: int,
    needs: Mapping[str, Stage],
    *,
    rates: bool,
    steps: int | None,
) -> Stage:
    """Return one run; with `rates` its learning rate is part of its label."""
    # Preferred-FT has nothing to sweep, so its repeats differ in their seed alone, on the same comparisons
    repeat = int(setting.value or 0) if method == "preferred_ft" else 0
    # below 2**32, which is what numpy takes
    run_seed = (seed + REPEAT_SEED * repeat) % 2**32
    sweep = getattr(config, method)
    settings: RunSettings
    if isinstance(sweep, PPOSweep):
        settings = _ppo_settings(sweep, factory, setting, run_seed, steps)
    elif isinstance(sweep, GroupSweep):
        settings = _group_settings(sweep, factory, setting, run_seed, steps)
    else:
        settings = SweptRunSettings(
            policy=factory.policy,
            draws=factory.draws,
            learning=factory.learning,
            learning_rate=setting.rate,
            batch_size=config.batch_size,
            epochs=config.epochs if steps is None else None,
            steps=steps,
            loss=SweptLoss("sigmoid", beta=setting.value) if method == "dpo" else None,
            evaluation=factory.evaluation,
            value=setting.value,
            seed=run_seed,
        )
    name = f"{SWEPT[method]}-{setting.value:g}-" if setting.value is not None else ""
    name += f"rate-{setting.rate:g}-" if rates else ""
    label = f"{method}-{name}seed-{seed}".replace("_", "-")
    return factory.stage(method, label, settings, needs, setting.value, seed, setting.rate if rates else None)


def _ppo_settings(
    sweep: PPOSweep, factory: StageFactory, setting: Setting, seed: int, steps: int | None
) -> PPORunSettings:
    """Return the settings of a run of PPO; `steps` are optimizer steps, of which a round makes several."""
    assert setting.value is not None  # its sweep is one of numbers
    return PPORunSettings(
        policy=factory.policy,
        draws=factory.draws,
        learning=factory.learning,
        learning_rate=setting.rate,
        # equal optimizer steps for all methods (decision 17), down to whole rounds
        steps=sweep.steps if steps is None else steps // sweep.steps_per_round,
        prompts_per_step=sweep.prompts_per_step,
        samples_per_prompt=sweep.samples_per_prompt,
        updates=sweep.updates,
        kl_start=sweep.kl_start,
        evaluation=factory.evaluation,
        value=setting.value,
        seed=seed,
    )


def _group_settings(
    sweep: GroupSweep, factory: StageFactory, setting: Setting, seed: int, steps: int | None
) -> GroupRunSettings:
    """Return the settings of a run of RLOO or GRPO; a round is one optimizer step."""
    assert setting.value is not None  # its sweep is one of numbers
    return GroupRunSettings(
        policy=factory.policy,
        draws=factory.draws,
        learning=factory.learning,
        learning_rate=setting.rate,
        steps=sweep.steps if steps is None else steps,
        prompts_per_step=sweep.prompts_per_step,
        samples_per_prompt=sweep.samples_per_prompt,
        evaluation=factory.evaluation,
        value=setting.value,
        seed=seed,
    )
