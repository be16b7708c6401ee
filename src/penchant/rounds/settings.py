"""Settings that all methods in rounds share. Imports no torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from penchant.config import Config
from penchant.config.limits import Seed, Tokens
from penchant.data.in_memory import data_source
from penchant.data.settings import DataConfig, PromptsConfig
from penchant.errors import InputError
from penchant.methods.dpo import DPO
from penchant.models.settings import FrozenModel, ModelConfig
from penchant.session.objects import code_name
from penchant.types import PromptGroup


def _with_names(settings: object) -> object:
    """Return the settings of a stage with the name of whatever a session handed over in place of one."""
    # the stage's own check would name it too, and its name is what the record of all rounds needs
    if isinstance(settings, Mapping):
        return {key: _with_names(value) for key, value in settings.items()}
    if isinstance(settings, list | tuple) and not any(isinstance(item, PromptGroup) for item in settings):
        return [_with_names(item) for item in settings]
    if isinstance(settings, str | int | float | Config | None):
        return settings
    return code_name(settings) if callable(settings) else data_source(settings)


StageSettings = Annotated[dict[str, Any], BeforeValidator(_with_names)]
"""Settings of the runs of one stage, which are checked as those runs check them."""

DPO_NAMES = {
    name.rpartition(".")[2]: f"dpo.{name}"
    for name in (
        "optimizer.learning_rate",
        "epochs",
        "batch_size",
        "loss",
        "loss.beta",
        "schedule",
        "clip",
        "evaluate",
        "checkpoint_every",
        "trackers",
    )
}
"""Settings of `train dpo` that people give the rounds themselves, and where they belong: no field leads there."""


class RoundsConfig(Config):
    """What every method in rounds is told, and where its rounds lie."""

    model: ModelConfig
    """The policy's start: a name, or its settings (`model.lora.rank=8`)."""
    data: PromptsConfig
    """Prompts: a path or hub id, or its settings."""
    out: Annotated[str, Field(min_length=1)]
    """The folder of all rounds."""
    rounds: Annotated[int, Field(ge=1, le=1_000)] = 2
    """How often to sample and train."""
    max_new_tokens: Tokens = 48
    """Length at which a sample is cut."""
    seed: Seed = 0
    """Fixes the split, the samples and all training."""

    @property
    def path(self) -> Path:
        """Return the folder of all rounds."""
        return Path(self.out).expanduser()

    def folder(self, number: int) -> Path:
        """Return the folder of a round, counted from 0."""
        return self.path / f"round-{number + 1}"

    def prompts(self, side: str) -> Path:
        """Return the file of the prompts to train on (`train`), or held out (`held-out`): the same in all rounds."""
        return self.path / f"prompts-{side}.jsonl"

    def stage_rendering(self) -> dict[str, Any]:
        """Return how texts are rendered, the same in all stages, as settings of a stage's data."""
        data = self.data
        return {"template": data.template, "template_args": data.template_args, "thoughts": data.thoughts}

    def policy_before(self, number: int) -> ModelConfig:
        """Return the policy that a round begins with: that of the last round that trained one, or the start."""
        for earlier_number in reversed(range(number)):
            # a round that had nothing to train on left the policy as it was, and made no folder for it
            if (policy := self.folder(earlier_number) / "policy").exists():
                return self.model.replace(name=str(policy / "checkpoint"))
        return self.model

    def train_on_pairs(
        self, number: int, settings: Mapping[str, Any], *, start: str, reference: Literal["fixed", "moving"]
    ) -> DPO:
        """Return the stage that trains a round's policy on its pairs, from the last round's, held to the reference.

        Args:
            settings: the user's, of `dpo`. start: name of the model that the first round begins with.
        """
        folder, model = self.folder(number), self.policy_before(number)
        # in the first round both are the start, which is then the policy's own and needs no second copy
        is_own = model.name == start or reference == "moving"
        return DPO(
            **settings,
            model=model,
            reference=None if is_own else self.frozen_start(),
            data=DataConfig(path=str(folder / "pairs.jsonl"), held_out=0, **self.stage_rendering()),
            out=str(folder / "policy"),
            seed=self.seed + number,
        )

    def frozen_start(self) -> FrozenModel:
        """Return the policy's start as the reference of a later round."""
        return self.frozen_before(0)

    def frozen_before(self, number: int) -> FrozenModel:
        """Return the policy that a round begins with as a reference."""
        model = self.policy_before(number)
        return FrozenModel(name=model.name, dtype=model.dtype, trust_remote_code=model.trust_remote_code)


def check_stages(
    settings: Mapping[str, Mapping[str, Any]],
    reserved: Mapping[str, Iterable[str]],
    make_stages: Iterable[Callable[[], object]],
) -> None:
    """Refuse wrong settings of the stages before the first one runs.

    Args:
        settings: what the user set, by stage.
        reserved: by stage, the settings that the rounds set themselves.
        make_stages: each makes a stage's configuration.

    Raises:
        ValueError: a setting that is not the user's to set, or one that a stage refuses.
    """
    # by name: the stage itself would say no more than that a setting was given twice
    for name, keys in reserved.items():
        if clashes := sorted(set(keys) & set(settings[name])):
            raise ValueError(f"`{name}.{clashes[0]}` is the pipeline's to set: leave it out")
    try:
        for make_stage in make_stages:
            make_stage()
    except InputError as error:
        raise ValueError(str(error)) from None
