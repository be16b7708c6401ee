"""A stage's work as a worker gets it, and what several stages do alike: load the models, draw samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from penchant.data.load import load_prompts
from penchant.engine.sampling import Sampling
from penchant.errors import InputError
from penchant.models.load import load_policy
from penchant.models.policy import Policy
from penchant.runs.progress import progress_bar
from penchant.studies.core.kinds import resolve
from penchant.studies.core.message import StageMessage
from penchant.studies.core.stage_settings import PolicySettings, SampledSettings, StageSettings
from penchant.typed_json import from_json
from penchant.types import Prompt, Response

STAGE = "stage.json"
# covariant, so that a job of some class of settings is also a job of its base class
Settings = TypeVar("Settings", bound=StageSettings, covariant=True)


@dataclass(frozen=True)
class StageJob(Generic[Settings]):
    """A stage to work on, as a worker has it.

    Attributes:
        kind, settings, inputs: of the stage.
        needs: folders of the stages before, by role.
        folder: where it goes.
    """

    kind: str
    settings: Settings
    inputs: Mapping[str, str]
    needs: Mapping[str, Path]
    folder: Path


def read_job(message: StageMessage) -> StageJob[StageSettings]:
    """Return a message's job, with its settings as an object of their class."""
    # of the class that the study's grid chose, so that whoever reads the job may ask for its class
    settings: StageSettings = from_json(resolve(message.settings_class), message.settings, "settings")
    needs = {role: Path(path) for role, path in message.needs.items()}
    return StageJob(message.kind, settings, message.inputs, needs, Path(message.folder))


def start_policy(job: StageJob[StageSettings], settings: PolicySettings) -> Policy:
    """Load the model that every method starts from: the one after SFT where there is such a stage."""
    start = job.needs.get("start")
    name = str(start / "checkpoint") if start else job.inputs["model"]
    return load_policy(settings.model.replace(name=name), rendering=settings.rendering)


def trained_policy(job: StageJob[StageSettings], settings: PolicySettings) -> Policy:
    """Load the model that the run before this stage has trained."""
    name = str(job.needs["run"] / "checkpoint")
    # its adapters lie in the checkpoint; `lora` would begin new ones on top
    return load_policy(settings.model.replace(name=name, lora=None), rendering=settings.rendering)


def with_room(policy: Policy, file: Path, tokens: int) -> list[Prompt]:
    """Return the prompts of a file that leave room for `tokens` more in the model's context.

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
    # without top-k and top-p: only samples of the whole distribution estimate its KL
    sampling = Sampling(n, temperature, settings.draws.max_new_tokens, seed=settings.seed)
    with progress_bar("sampling", len(prompts) * n, "samples") as advance:
        return policy.draw(prompts, sampling, progress=advance)
