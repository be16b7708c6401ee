"""A stage's work as a worker gets it, and what several stages do alike: load the models, draw samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from penchant.data import load_prompts
from penchant.engine.sampling import Sampling
from penchant.errors import InputError
from penchant.models.load import load_policy
from penchant.models.policy import Policy
from penchant.models.settings import ModelConfig
from penchant.runs.progress import progress_bar
from penchant.studies.core.stage_settings import PolicySettings, SampledSettings
from penchant.typed_json import JsonObject, from_json
from penchant.types import Prompt, Response

STAGE = "stage.json"
Settings = TypeVar("Settings")


@dataclass(frozen=True)
class StageJob:
    """A stage to work on, as it travels to a worker.

    Attributes:
        kind, settings, inputs: of the stage.
        needs: folders of the stages before, by role.
        folder: where it goes.
    """

    kind: str
    settings: JsonObject
    inputs: Mapping[str, str]
    needs: Mapping[str, Path]
    folder: Path

    @classmethod
    def from_plain(cls, plain: JsonObject) -> StageJob:
        """Return a job from what JSON left of it."""
        needs = {role: Path(path) for role, path in plain["needs"].items()}
        return cls(plain["kind"], plain["settings"], plain["inputs"], needs, Path(plain["folder"]))

    def read(self, kind: type[Settings]) -> Settings:
        """Return the settings as an object of the class that this kind of stage has."""
        return from_json(kind, self.settings, "settings")


def start_policy(job: StageJob) -> Policy:
    """Load the model that every method starts from: after SFT where there is one."""
    start, settings = job.needs.get("start"), job.read(PolicySettings)
    name = str(start / "checkpoint") if start else job.inputs["model"]
    return load_policy(ModelConfig(**{**settings.model, "name": name}), template=settings.template)


def trained_policy(job: StageJob) -> Policy:
    """Load what the run that this stage needs has made of it."""
    settings = job.read(PolicySettings)
    name = str(job.needs["run"] / "checkpoint")
    return load_policy(ModelConfig(**{**settings.model, "name": name, "lora": None}), template=settings.template)


def with_room(policy: Policy, file: Path, tokens: int) -> list[Prompt]:
    """Return the prompts of a file after which the model's context has room for so many tokens.

    Raises:
        InputError: there is none.
    """
    prompts = [group.prompt for group in load_prompts(file)]
    fitting = [prompt for prompt in prompts if policy.has_room(prompt, tokens)]
    if not fitting:
        raise InputError(f"no prompt leaves room for {tokens} tokens in the model's context of {policy.context}")
    return fitting


def draw(
    policy: Policy, prompts: Sequence[Prompt], n: int, settings: SampledSettings, temperature: float = 1.0
) -> list[list[Response]]:
    """Draw n samples per prompt, from the whole vocabulary."""
    sampling = Sampling(n, temperature, settings.max_new_tokens, seed=settings.seed)
    with progress_bar("sampling", len(prompts) * n, "samples") as advance:
        return policy.draw(prompts, sampling, progress=advance)
