"""Lay out the stages of a study of wrong labels, in order. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, replace

from penchant.studies.core.stage import Stage, StageFactory
from penchant.studies.core.stage_settings import MislabelledSettings, SampledRunSettings, SweptLoss
from penchant.studies.noise.settings import NoiseConfig

LEARNERS = ("dpo", "cdpo", "robust", "ipo", "reward_model")
"""Who learns from wrong labels; cDPO and robust DPO are told how many are turned round."""
HELD_OUT_GROUPS = 4  # of an unseen prompt, at least: there are few of these prompts, and samples cost little
HELD_OUT_SEED = 2  # beyond the evaluation's: the draws that unseen comparisons are made of


@dataclass(frozen=True)
class Cell:
    """A run of the study: the learner, the share of wrong labels that it learned from, and the stage that judges it."""

    learner: str
    share: float
    run: Stage
    judgement: Stage


@dataclass(frozen=True)
class NoiseGrid:
    """All stages of a study of wrong labels."""

    prompts: Stage
    unseen_comparisons: Stage
    cells: tuple[Cell, ...]
    few_runs: tuple[Stage, ...]
    before: tuple[Stage, ...]

    @property
    def required(self) -> tuple[Stage, ...]:
        """The stages without which there is nothing to report."""
        return (self.unseen_comparisons,)

    def stages(self) -> list[Stage]:
        """Return every stage once, each after the stages it needs."""
        runs = [cell.run for cell in self.cells] + list(self.few_runs) + [cell.judgement for cell in self.cells]
        ordered = [self.prompts, *self.before, self.unseen_comparisons, *runs]
        # By address: cells that are the very same run, such as cDPO and DPO without wrong labels, have one stage.
        return list({stage.address: stage for stage in ordered}.values())


def noise_grid(config: NoiseConfig) -> NoiseGrid:
    """Return the stages that a configuration asks for."""
    factory = StageFactory.sampled(config)
    held_seed = config.evaluation.seed + HELD_OUT_SEED
    groups = max(config.comparisons.groups, HELD_OUT_GROUPS)
    unseen = factory.unseen_comparisons(held_seed, groups)
    before, cells, few_runs = list(factory.start.values()), [], []
    for seed in config.seeds:
        # All shares of a seed are made of the same comparisons, so that learners and shares are paired.
        clean = factory.comparisons(seed)
        before.append(clean)
        for share in dict.fromkeys(config.shares):
            # Without wrong labels the data are the clean ones themselves, not a copy with an address of its own.
            data = _mislabelled(config, factory, clean, share, seed) if share else clean
            before.append(data)
            for learner in LEARNERS:
                if learner == "reward_model" and config.reward_model is None:
                    continue
                run = _learner(config, factory, learner, share, seed, data)
                cells.append(Cell(learner, share, run, factory.judgement(run, unseen, seed)))
        if config.few is not None:
            few_runs.append(_few_comparisons_run(config, factory, seed, clean))
    return NoiseGrid(factory.prompts, unseen, tuple(cells), tuple(few_runs), tuple(before))


def _mislabelled(config: NoiseConfig, factory: StageFactory, clean: Stage, share: float, seed: int) -> Stage:
    settings = MislabelledSettings(share=share, labels=config.labels, seed=seed)
    label = f"{config.labels}-{share:g}-seed-{seed}"
    return factory.stage("mislabelled", label, settings, {"comparisons": clean}, seed=seed)


def _learner(config: NoiseConfig, factory: StageFactory, learner: str, share: float, seed: int, data: Stage) -> Stage:
    """Return the run of a learner; without wrong labels cDPO and robust DPO are DPO, and share its run."""
    if learner == "reward_model":
        assert config.reward_model is not None
        label = f"reward-model-{config.labels}-{share:g}-seed-{seed}"
        return factory.reward_model(config.reward_model, seed, data, label)
    flip_rate = share / 2 if config.labels == "random" else share  # a coin leaves half of the labels right
    # IPO's loss has no labels to smooth, so at 0 it is still another loss than DPO's.
    loss_name = "dpo" if share == 0 and learner != "ipo" else learner
    loss = {
        "dpo": SweptLoss("sigmoid", beta=config.beta),
        # (1 - eps) L(w, l) + eps L(l, w), with eps the share that is turned round.
        "cdpo": SweptLoss("sigmoid", beta=config.beta, label_smoothing=flip_rate),
        # ((1 - eps) L(w, l) - eps L(l, w)) / (1 - 2 eps), whose expectation under flips is the loss of true labels.
        "robust": SweptLoss("robust", beta=config.beta, label_smoothing=flip_rate),
        "ipo": SweptLoss("ipo", tau=config.tau),
    }[loss_name]
    settings = _settings(config, factory, loss, seed)
    label = f"{loss_name}-{config.labels}-{share:g}-seed-{seed}"
    return factory.stage("dpo", label, settings, {**factory.sampling_needs, "comparisons": data}, share, seed)


def _few_comparisons_run(config: NoiseConfig, factory: StageFactory, seed: int, clean: Stage) -> Stage:
    assert config.few is not None
    base = _settings(config, factory, SweptLoss("sigmoid", beta=config.beta), seed)
    assert base.evaluation is not None
    # With evaluations of its own number: overfitting shows on the way, where the reward falls again.
    evaluation = replace(base.evaluation, times=config.few.times)
    settings = replace(base, prompts=config.few.prompts, epochs=config.few.epochs, evaluation=evaluation)
    needs = {**factory.sampling_needs, "comparisons": clean}
    return factory.stage("dpo", f"few-{config.few.prompts}-seed-{seed}", settings, needs, None, seed)


def _settings(config: NoiseConfig, factory: StageFactory, loss: SweptLoss, seed: int) -> SampledRunSettings:
    return SampledRunSettings(
        policy=factory.policy,
        draws=factory.draws,
        learning=factory.learning,
        learning_rate=config.learning_rate,
        batch_size=config.batch_size,
        epochs=config.epochs,
        loss=loss,
        evaluation=factory.evaluation,
        seed=seed,
    )
