"""Lay out the stages of a study of kinds: pairs, runs alone and together, measurements. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from penchant.rewards.content import reward_content
from penchant.studies.core.stage import Stage, absolute, learning_settings, policy_settings
from penchant.studies.kinds.prompts import kind_prompts
from penchant.studies.kinds.settings import Kind, KindsConfig
from penchant.studies.kinds.stage_settings import KindMeasuredSettings, KindPairsSettings, KindRunSettings

TOGETHER, BEFORE = "together", "before"


@dataclass(frozen=True)
class KindsGrid:
    """All stages of a study of kinds.

    Attributes:
        pairs: by kind and seed. runs: by what was learned (a kind, or `together`) and seed.
        measured: by what was learned (`before` for nothing), kind that is measured, and seed (the first for `before`).
    """

    pairs: Mapping[tuple[str, int], Stage]
    runs: Mapping[tuple[str, int], Stage]
    measured: Mapping[tuple[str, str, int], Stage]

    @property
    def required(self) -> tuple[Stage, ...]:
        """The stages without which there is nothing to report."""
        return tuple(stage for (learner, _, _), stage in self.measured.items() if learner == BEFORE)

    def stages(self) -> list[Stage]:
        """Return every stage once, each after the stages it needs."""
        ordered = [*self.pairs.values(), *self.runs.values(), *self.measured.values()]
        return list({stage.address: stage for stage in ordered}.values())


def kinds_grid(config: KindsConfig) -> KindsGrid:
    """Return the stages that a configuration asks for."""
    prompts = {name: kind_prompts(name, kind) for name, kind in config.kinds.items()}
    pairs = {
        (name, seed): _pairs(config, name, kind, prompts[name][0], seed)
        for name, kind in config.kinds.items()
        for seed in config.seeds
    }
    runs = {}
    for seed in config.seeds:
        for name in config.kinds:
            runs[name, seed] = _run(config, f"{name}-alone", [name], pairs, seed)
        # the same pairs as alone: what differs is the company alone
        runs[TOGETHER, seed] = _run(config, TOGETHER, list(config.kinds), pairs, seed)
    measured = {
        # one measurement serves all seeds: the model before is the same
        (BEFORE, name, config.seeds[0]): _measured(config, BEFORE, name, prompts[name][1], None)
        for name in config.kinds
    }
    for (learner, seed), run in runs.items():
        for name in config.kinds:
            # each model on every kind: a kind may suffer from what another learned
            measured[learner, name, seed] = _measured(config, run.label, name, prompts[name][1], run)
    return KindsGrid(pairs, runs, measured)


def _inputs(config: KindsConfig, kind: Kind | None = None) -> dict[str, str]:
    inputs = {"model": absolute(config.model.name)}
    if kind is not None:
        inputs["reward"] = kind.reward
        if kind.guard is not None:
            inputs["guard"] = kind.guard
    return inputs


def _pairs(config: KindsConfig, name: str, kind: Kind, prompts: tuple[str, ...], seed: int) -> Stage:
    settings = KindPairsSettings(
        policy=policy_settings(config),
        prompts=prompts,
        reward=reward_content(kind.reward),
        samples=config.samples,
        groups=config.pairs,
        max_new_tokens=kind.max_new_tokens,
        seed=seed,
    )
    return Stage("kinds_pairs", f"pairs-{name}-seed-{seed}", settings, _inputs(config, kind), {}, seed=seed)


def _run(config: KindsConfig, label: str, kinds: list[str], pairs: Mapping[tuple[str, int], Stage], seed: int) -> Stage:
    weights = {name: config.kinds[name].weight for name in kinds}
    settings = KindRunSettings(
        policy=policy_settings(config),
        learning=learning_settings(config),
        learning_rate=config.learning_rate,
        beta=config.beta,
        batch_size=config.batch_size,
        # as many steps for each kind as it has alone
        steps=config.steps * len(kinds),
        weights=weights,
        seed=seed,
    )
    needs = {name: pairs[name, seed] for name in kinds}
    return Stage("kinds_run", f"run-{label}-seed-{seed}", settings, _inputs(config), needs, seed=seed)


def _measured(config: KindsConfig, label: str, name: str, prompts: tuple[str, ...], run: Stage | None) -> Stage:
    kind = config.kinds[name]
    settings = KindMeasuredSettings(
        policy=policy_settings(config),
        prompts=prompts,
        reward=reward_content(kind.reward),
        guard=None if kind.guard is None else reward_content(kind.guard),
        samples=config.measured_samples,
        max_new_tokens=kind.max_new_tokens,
        # the same draws for every model, so that differences are paired
        seed=config.evaluation_seed,
    )
    needs = {} if run is None else {"run": run}
    return Stage(
        "kinds_measured", f"{name}-by-{label}", settings, _inputs(config, kind), needs, seed=run.seed if run else None
    )
