"""Stages of studies: what each depends on, and those that every study has. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from penchant.config import Config
from penchant.data.rendering.template_source import keep_template
from penchant.models.builtin import BUILT_IN, ENCODERS
from penchant.studies.core.address import address, data_content, model_content, reward_content
from penchant.studies.core.kinds import RUN, maker_of, stage_makers
from penchant.studies.core.prompts import locate_prompts
from penchant.studies.core.settings import Comparisons, Prompts, RewardModelStage, SampledConfig, StudyConfig
from penchant.studies.core.stage_settings import (
    ComparisonsSettings,
    DrawSettings,
    EvaluationSettings,
    LearningSettings,
    PolicySettings,
    PromptSource,
    PromptsSettings,
    RewardModelSettings,
    SFTSettings,
    StageSettings,
)
from penchant.typed_json import from_json, to_object

SHARED = ("sft", "reward_model")
"""Runs that others build on."""
DEFAULT_SIZES = Comparisons()


@dataclass(frozen=True)
class Stage:
    """One stage of a study.

    Attributes:
        kind: `prompts`, `sft`, `comparisons`, `reference`, `reward_model`, or a method's name.
        label: for people and in the folder's name, such as `dpo-beta-0.1-seed-0`.
        settings: all that it depends on, besides the stages that it needs; content in place of names.
        inputs: where its inputs lie, and under which names: no part of the address, so that they may move.
        needs: the stages before, by what they are to this one.
        value, rate, seed: its place in the grid, None where it has none; `rate` only where a method has several.
    """

    kind: str
    label: str
    settings: StageSettings
    inputs: Mapping[str, str]
    needs: Mapping[str, Stage]
    value: float | None = None
    seed: int | None = None
    rate: float | None = None

    # else a typo would come to light in the worker, after the stages before it have run for hours
    def __post_init__(self) -> None:
        """Refuse a kind that nobody registered.

        Raises:
            ValueError: there is no such kind.
        """
        maker_of(self.kind)

    @cached_property
    def address(self) -> str:
        """The digest of everything that it depends on."""
        return self._address(to_object(self.settings))

    @cached_property
    def content(self) -> str:
        """The digest of what other stages take from it."""
        extent = self.settings.extent
        return self._address({name: value for name, value in to_object(self.settings).items() if name not in extent})

    def _address(self, settings: Mapping[str, object]) -> str:
        # the content of a need, not its address: probes of an early layer stay when activations go deeper for another
        needs = [f"{role} {stage.content}" for role, stage in self.needs.items()]
        # a stage that reads a reward model reaches the code that loads one, though no setting names it
        has_reward_model = any(stage.kind == "reward_model" for stage in self.needs.values())
        return address(self.kind, settings, needs, inputs=self.inputs, has_reward_model=has_reward_model)

    @property
    def path(self) -> str:
        """Its folder inside the study's."""
        part = "stages" if self.kind in (*stage_makers(), *SHARED) else "runs"
        # the label is for people, and the address alone tells stages apart. A stage is looked up by both, so one whose
        # label changes is done again
        return f"{part}/{self.label}-{self.address}"

    @property
    def is_run(self) -> bool:
        """True where its folder is a run directory."""
        return maker_of(self.kind) == RUN


@dataclass(frozen=True)
class StageFactory:
    """Makes the stages of a study that starts from one model.

    Attributes:
        inputs: where the inputs lie.
        policy, draws, learning: what every stage, every stage that samples and every run has of the study.
        start: the SFT stage, where there is one, as a need of all others.
        prompts: the stage that has the prompts.
        evaluation: how runs are measured while they learn; None where they are not.
        sizes: of comparisons that are sampled.
    """

    inputs: Mapping[str, str]
    policy: PolicySettings
    draws: DrawSettings
    learning: LearningSettings
    start: Mapping[str, Stage]
    prompts: Stage
    evaluation: EvaluationSettings | None = None
    sizes: Comparisons = DEFAULT_SIZES

    @classmethod
    def sampled(cls, config: SampledConfig) -> StageFactory:
        """Return the factory of a study whose comparisons are samples that the true reward ranks."""
        inputs, policy, learning = _inputs(config), policy_settings(config), learning_settings(config)
        start: dict[str, Stage] = {}
        if config.sft is not None:
            settings = SFTSettings(
                model=policy.model,
                learning=learning,
                data=config.sft.data.replace(
                    path=data_content(config.sft.data.path), template=keep_template(config.sft.data.template)
                ),
                learning_rate=config.sft.learning_rate,
                epochs=config.sft.epochs,
                max_steps=config.sft.max_steps,
                batch_size=config.sft.batch_size,
            )
            # one run for all seeds: it is the reference that they share
            start = {"start": Stage("sft", "sft", settings, inputs, {})}
        # by content: another function or model under the same name is another reward
        draws = DrawSettings(reward_content(config.reward), config.max_new_tokens)
        measured = config.evaluation
        return cls(
            inputs,
            policy,
            draws,
            learning,
            start,
            openings("prompts", config, config.eval_prompts),
            EvaluationSettings(measured.times, measured.spacing, measured.samples, measured.seed),
            config.comparisons,
        )

    @property
    def sampling_needs(self) -> dict[str, Stage]:
        """The stages that a stage needs to sample."""
        return {"prompts": self.prompts, **self.start}

    def stage(
        self,
        kind: str,
        label: str,
        settings: StageSettings,
        needs: Mapping[str, Stage],
        value: float | None = None,
        seed: int | None = None,
        rate: float | None = None,
    ) -> Stage:
        """Return a stage of this study."""
        return Stage(kind, label, settings, self.inputs, needs, value, seed, rate)

    def comparisons(self, seed: int) -> Stage:
        """Return the stage of the comparisons: samples of the reference for the prompts to train on."""
        settings = self._comparisons_settings(seed, self.sizes.groups)
        return self.stage("comparisons", f"comparisons-seed-{seed}", settings, self.sampling_needs, seed=seed)

    def unseen_comparisons(self, seed: int, groups: int) -> Stage:
        """Return the stage of comparisons for the prompts to measure on, from which nothing learns."""
        # of the same prompts for every seed and learner, so that their accuracies are paired
        settings = self._comparisons_settings(seed, groups, role="eval")
        return self.stage("comparisons", "unseen-comparisons", settings, self.sampling_needs)

    def _comparisons_settings(self, seed: int, groups: int, role: Literal["eval"] | None = None) -> ComparisonsSettings:
        return ComparisonsSettings(
            policy=self.policy, draws=self.draws, samples=self.sizes.samples, groups=groups, seed=seed, role=role
        )

    def reward_model(self, stage: RewardModelStage, seed: int, comparisons: Stage, label: str = "") -> Stage:
        """Return the run of a reward model on these comparisons."""
        settings = reward_model_settings(stage, self.policy, self.learning, seed)
        needs = {"comparisons": comparisons, **self.start}
        return self.stage("reward_model", label or f"reward-model-seed-{seed}", settings, needs, seed=seed)

    def judgement(self, run: Stage, unseen: Stage, seed: int) -> Stage:
        """Return the stage that judges unseen comparisons by what a run has learned."""
        # the start as well, since DPO's implicit reward is a ratio to it
        needs = {"run": run, "held": unseen, **self.start}
        return self.stage("judged", f"{run.label}-judged", self.policy, needs, seed=seed)


def openings(label: str, config: SampledConfig, measured: Prompts) -> Stage:
    """Return the stage of the prompts to train on, and of others to measure on."""
    train, unseen = (
        from_json(PromptSource, {**plain(source), "path": data_content(locate_prompts(source.path))})
        for source in (config.prompts, measured)
    )
    # prompts that are taken whole are the same for every model, and a study of another one keeps the stage
    is_cut = any(source.prefix_tokens for source in (train, unseen))
    settings = PromptsSettings(train=train, eval=unseen, model=model_content(config.model.name) if is_cut else None)
    return Stage("prompts", label, settings, {**_inputs(config), "eval": locate_prompts(measured.path)}, {})


def plain(config: Config) -> dict[str, object]:
    """Return a configuration as plain values."""
    return config.model_dump(mode="json")


def policy_settings(config: StudyConfig) -> PolicySettings:
    """Return the model that every stage starts from, by its content."""
    return PolicySettings(
        model=config.model.replace(name=model_content(config.model.name)),
        template=keep_template(config.template),
        template_args=config.template_args or None,
    )


def learning_settings(config: StudyConfig) -> LearningSettings:
    """Return the settings that every run takes from the study."""
    return LearningSettings(config.optimizer, config.clip, config.warmup_steps)


def reward_model_settings(
    stage: RewardModelStage, policy: PolicySettings, learning: LearningSettings, seed: int
) -> RewardModelSettings:
    """Return the settings of the run of a reward model."""
    return RewardModelSettings(
        policy=policy,
        learning=learning,
        learning_rate=stage.learning_rate,
        epochs=stage.epochs,
        batch_size=stage.batch_size,
        held_out=stage.held_out,
        seed=seed,
    )


def _inputs(config: SampledConfig) -> dict[str, str]:
    # absolute, for a worker may run in another folder; what stands in an address is their content
    inputs = {
        "model": absolute(config.model.name),
        "reward": config.reward,
        "train": locate_prompts(config.prompts.path),
        "eval": locate_prompts(config.eval_prompts.path),
    }
    return inputs | ({"sft": absolute(config.sft.data.path)} if config.sft else {})


def absolute(name: str) -> str:
    """Return a local path as an absolute one, and any other name as it is."""
    path = Path(name).expanduser()
    # a folder in the current one that is called like a built-in model must not stand for it
    return str(path.resolve()) if name not in (*BUILT_IN, *ENCODERS) and path.exists() else name
