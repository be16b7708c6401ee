"""The stages of a study of wrong labels, in order. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

from penchant.studies.core.stage import Stage, StageFactory, plain
from penchant.studies.core.stage_settings import ComparisonsSettings, MislabelledSettings, PolicySettings
from penchant.studies.noise.settings import NoiseConfig
from penchant.typed_json import JsonObject

LEARNERS = ("dpo", "cdpo", "robust", "ipo", "reward_model")
"""Who learns from wrong labels; cDPO and robust DPO are told how many are turned round."""
HELD_OUT_GROUPS = 4  # of an unseen prompt, at least: there are few of these prompts, and samples cost little
HELD_OUT_SEED = 2  # beyond the evaluation's: the draws that unseen comparisons are made of


@dataclass(frozen=True)
class Cell:
    """A run of the study: who learned, from comparisons with which share of wrong labels; and the stage that judges."""

    learner: str
    share: float
    run: Stage
    judged: Stage


@dataclass(frozen=True)
class NoiseGrid:
    """All stages of a study of wrong labels."""

    prompts: Stage
    held: Stage
    cells: tuple[Cell, ...]
    few: tuple[Stage, ...]
    before: tuple[Stage, ...]

    @property
    def required(self) -> tuple[Stage, ...]:
        """Stages without any of which there is nothing to say."""
        return (self.held,)

    def stages(self) -> list[Stage]:
        """Every stage once, each after what it needs."""
        runs = [cell.run for cell in self.cells] + list(self.few) + [cell.judged for cell in self.cells]
        return list({stage.address: stage for stage in (self.prompts, *self.before, self.held, *runs)}.values())


def noise_grid(config: NoiseConfig) -> NoiseGrid:
    """The stages that a configuration asks for."""
    factory = StageFactory.sampled(config)
    held_seed = config.evaluation.seed + HELD_OUT_SEED
    groups = max(config.comparisons.groups, HELD_OUT_GROUPS)
    settings = ComparisonsSettings(**factory.draws, **{**factory.sizes, "groups": groups}, seed=held_seed, of="eval")
    held = factory.stage("comparisons", "unseen-comparisons", settings, factory.sampling_needs)
    before, cells, few = list(factory.start.values()), [], []
    for seed in config.seeds:
        clean = factory.comparisons(seed)
        before.append(clean)
        for share in dict.fromkeys(config.shares):
            data = _mislabelled(config, factory, clean, share, seed) if share else clean
            before.append(data)
            for learner in LEARNERS:
                if learner == "reward_model" and config.reward_model is None:
                    continue
                run = _learner(config, factory, learner, share, seed, data)
                needs = {"run": run, "held": held, **factory.start}
                how = PolicySettings(**factory.model, template=config.template)
                judged = factory.stage("judged", f"{run.label}-judged", how, needs, seed=seed)
                cells.append(Cell(learner, share, run, judged))
        if config.few is not None:
            few.append(_few(config, factory, seed, clean))
    return NoiseGrid(factory.prompts, held, tuple(cells), tuple(few), tuple(before))


def _mislabelled(config: NoiseConfig, factory: StageFactory, clean: Stage, share: float, seed: int) -> Stage:
    settings = MislabelledSettings(share=share, labels=config.labels, seed=seed)
    label = f"{config.labels}-{share:g}-seed-{seed}"
    return factory.stage("mislabelled", label, settings, {"comparisons": clean}, seed=seed)


def _learner(config: NoiseConfig, factory: StageFactory, learner: str, share: float, seed: int, data: Stage) -> Stage:
    """The run; at a share of 0 those that are DPO then are the very same run."""
    if learner == "reward_model":
        assert config.reward_model is not None
        label = f"reward-model-{config.labels}-{share:g}-seed-{seed}"
        return factory.reward_model(config.reward_model, seed, data, label)
    turned = share / 2 if config.labels == "random" else share  # a coin leaves half of the labels right
    own = "dpo" if share == 0 and learner != "ipo" else learner
    loss = {
        "dpo": {"name": "sigmoid", "beta": config.beta},
        "cdpo": {"name": "sigmoid", "beta": config.beta, "label_smoothing": turned},
        "robust": {"name": "robust", "beta": config.beta, "label_smoothing": turned},
        "ipo": {"name": "ipo", "tau": config.tau},
    }[own]
    settings = _settings(config, factory, loss, seed)
    label = f"{own}-{config.labels}-{share:g}-seed-{seed}"
    return factory.stage("dpo", label, settings, {**factory.sampling_needs, "comparisons": data}, share, seed)


def _few(config: NoiseConfig, factory: StageFactory, seed: int, clean: Stage) -> Stage:
    assert config.few is not None
    own = plain(config.few)
    settings = {
        **_settings(config, factory, {"name": "sigmoid", "beta": config.beta}, seed),
        "prompts": own["prompts"],
        "epochs": own["epochs"],
        "evaluation": {**factory.measured, "times": own["times"]},
    }
    needs = {**factory.sampling_needs, "comparisons": clean}
    return factory.stage("dpo", f"few-{own['prompts']}-seed-{seed}", settings, needs, None, seed)


def _settings(config: NoiseConfig, factory: StageFactory, loss: JsonObject, seed: int) -> JsonObject:
    own = {"loss": dict(loss), "learning_rate": config.learning_rate, "evaluation": factory.measured, "seed": seed}
    return {**factory.draws, **factory.learning, **factory.offline, **own}
