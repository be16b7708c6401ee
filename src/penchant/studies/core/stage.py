"""Stages of studies: what each depends on, and those that every study has. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from penchant.config import Config
from penchant.models.builtin import BUILT_IN, ENCODERS
from penchant.studies.core.address import address, data_content, model_content, reward_content
from penchant.studies.core.kinds import RUN, maker_of, stage_makers
from penchant.studies.core.prompts import locate_prompts
from penchant.studies.core.settings import Prompts, RewardModelStage, SampledConfig, StudyConfig
from penchant.studies.core.stage_settings import ComparisonsSettings, PromptSource, PromptsSettings
from penchant.typed_json import JsonObject, to_object

SHARED = ("sft", "reward_model")
"""Runs that others build on."""


@dataclass(frozen=True)
class Stage:
    """One stage of a study.

    Attributes:
        kind: `prompts`, `sft`, `comparisons`, `reference`, `reward_model`, or a method's name.
        label: for people and in the folder's name, such as `dpo-beta-0.1-seed-0`.
        settings: all that it depends on, besides the stages that it needs, as plain values; content in place of names.
        inputs: where its inputs lie, and under which names: no part of the address, so that they may move.
        needs: the stages before, by what they are to this one.
        value, rate, seed: its place in the grid, None where it has none; `rate` only where a method has several.
        extent: settings that decide how much it computes and not what: with another extent it is another stage, but
            stages that need it stay the same.
    """

    kind: str
    label: str
    settings: JsonObject
    inputs: Mapping[str, str]
    needs: Mapping[str, Stage]
    value: float | None = None
    seed: int | None = None
    rate: float | None = None
    extent: JsonObject = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse a kind that nobody registered, before hours of other stages.

        Raises:
            ValueError: there is no such kind.
        """
        maker_of(self.kind)

    @cached_property
    def address(self) -> str:
        """The digest of everything that it depends on."""
        return self._address({**self.settings, **self.extent})

    @cached_property
    def content(self) -> str:
        """The digest of what other stages take from it."""
        return self._address(self.settings)

    def _address(self, settings: JsonObject) -> str:
        needs = [f"{role} {stage.content}" for role, stage in self.needs.items()]
        has_reward_model = any(stage.kind == "reward_model" for stage in self.needs.values())
        return address(self.kind, settings, needs, inputs=self.inputs, has_reward_model=has_reward_model)

    @property
    def path(self) -> str:
        """Its folder inside the study's."""
        return f"{'stages' if self.kind in (*stage_makers(), *SHARED) else 'runs'}/{self.label}-{self.address}"

    @property
    def is_run(self) -> bool:
        """True where its folder is a run directory."""
        return maker_of(self.kind) == RUN


@dataclass(frozen=True)
class StageFactory:
    """Makes the stages of a study that starts from one model.

    Attributes:
        inputs: where the inputs lie.
        model, learning, offline: what every stage, every run and every run on comparisons has of the study.
        draws: what a stage that samples has.
        start: the SFT stage, where there is one, as a need of all others.
        prompts: the stage that has the prompts.
        measured: how runs are measured while they learn; empty where they are not.
        sizes: of comparisons that are sampled.
    """

    inputs: Mapping[str, str]
    model: JsonObject
    learning: JsonObject
    offline: JsonObject
    draws: JsonObject
    start: dict[str, Stage]
    prompts: Stage
    measured: JsonObject
    sizes: JsonObject

    @classmethod
    def sampled(cls, config: SampledConfig) -> StageFactory:
        """Return the factory of a study whose comparisons are samples that the true reward ranks."""
        inputs = _inputs(config)
        model, learning = model_settings(config), learning_settings(config)
        start: dict[str, Stage] = {}
        if config.sft is not None:
            data = {**plain(config.sft.data), "path": data_content(config.sft.data.path)}
            start = {"start": Stage("sft", "sft", {**model, **learning, **plain(config.sft), "data": data}, inputs, {})}
        draws = {
            **model,
            "reward": reward_content(config.reward),
            "template": config.template,
            "max_new_tokens": config.max_new_tokens,
        }
        return cls(
            inputs,
            model,
            learning,
            offline_settings(config),
            draws,
            start,
            openings("prompts", config, config.eval_prompts),
            {name: getattr(config.evaluation, name) for name in ("times", "spacing", "samples", "seed")},
            plain(config.comparisons),
        )

    @property
    def sampling_needs(self) -> dict[str, Stage]:
        """The stages that a stage needs to sample."""
        return {"prompts": self.prompts, **self.start}

    def stage(
        self,
        kind: str,
        label: str,
        settings: object,
        needs: Mapping[str, Stage],
        value: float | None = None,
        seed: int | None = None,
        rate: float | None = None,
    ) -> Stage:
        """Return a stage of this study; `settings` are an object of its kind's class, or plain values."""
        return Stage(kind, label, to_object(settings), self.inputs, needs, value, seed, rate)

    def comparisons(self, seed: int) -> Stage:
        """Return the stage of the comparisons: samples of the reference for the prompts to train on."""
        settings = ComparisonsSettings(**self.draws, **self.sizes, seed=seed)
        return self.stage("comparisons", f"comparisons-seed-{seed}", settings, self.sampling_needs, seed=seed)

    def reward_model(self, stage: RewardModelStage, seed: int, comparisons: Stage, label: str = "") -> Stage:
        """Return the run of a reward model on these comparisons."""
        fit_settings = {**plain(stage), "template": self.draws["template"], "seed": seed}
        needs = {"comparisons": comparisons, **self.start}
        settings = {**self.model, **self.learning, **fit_settings}
        return self.stage("reward_model", label or f"reward-model-seed-{seed}", settings, needs, seed=seed)


def openings(label: str, config: SampledConfig, measured: Prompts) -> Stage:
    """Return the stage of the prompts to train on, and of others to measure on."""
    inputs = {**_inputs(config), "eval": locate_prompts(measured.path)}
    return Stage("prompts", label, to_object(_prompts(config, measured)), inputs, {})


def plain(config: Config) -> JsonObject:
    """Return a configuration as plain values."""
    return config.model_dump(mode="json")


def model_settings(config: StudyConfig) -> JsonObject:
    """Return the model that every stage starts from, by its content."""
    return {"model": {**plain(config.model), "name": model_content(config.model.name)}}


def learning_settings(config: StudyConfig) -> JsonObject:
    """Return the settings that every run takes from the study."""
    return {"optimizer": config.optimizer, "clip": config.clip, "warmup_steps": config.warmup_steps}


def offline_settings(config: StudyConfig) -> JsonObject:
    """Return the settings that every run on comparisons takes from the study."""
    return {"batch_size": config.batch_size, "epochs": config.epochs}


def _prompts(config: SampledConfig, measured: Prompts) -> PromptsSettings:
    train, unseen = (
        PromptSource(**{**plain(source), "path": data_content(locate_prompts(source.path))})
        for source in (config.prompts, measured)
    )
    is_cut = any(source.prefix_tokens for source in (train, unseen))  # then a tokenizer cuts them
    return PromptsSettings(train=train, eval=unseen, model=model_content(config.model.name) if is_cut else None)


def _inputs(config: SampledConfig) -> dict[str, str]:
    inputs = {
        "model": absolute(config.model.name),
        "reward": config.reward,
        "train": locate_prompts(config.prompts.path),
        "eval": locate_prompts(config.eval_prompts.path),
    }
    return inputs | ({"sft": absolute(config.sft.data.path)} if config.sft else {})


def absolute(name: str) -> str:
    """Return a local path so that it holds from any folder; the name of anything else as it is."""
    path = Path(name).expanduser()
    return str(path.resolve()) if name not in (*BUILT_IN, *ENCODERS) and path.exists() else name
