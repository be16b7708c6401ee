"""What is evaluated, and what it is compared with: a run with the model that it started from, or models by name."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from penchant.errors import InputError
from penchant.evaluation.settings import EvaluateConfig
from penchant.files import file_above
from penchant.models.finished import check_finished
from penchant.models.locate import policy_run
from penchant.models.settings import ModelConfig
from penchant.rewards.content import model_content
from penchant.runs.evaluations import FOLDER
from penchant.runs.read import Run, read_runs

if TYPE_CHECKING:
    from penchant.models.policy import Policy

log = logging.getLogger("penchant.evaluation")

NO_MODEL = "none"
"""What `before` says where a model is evaluated alone."""


@dataclass(frozen=True)
class Subject:
    """A model that is evaluated.

    Attributes:
        name: as results call it. path: what is opened.
        template, template_args: how its prompts are rendered.
        run: the run directory that it comes from; None for other models.
    """

    name: str
    path: str
    template: str = "auto"
    template_args: Mapping[str, object] = field(default_factory=dict)
    run: Path | None = None

    @property
    def content(self) -> str:
        """The digest of its weights and files."""
        return model_content(self.path)


def find_subjects(config: EvaluateConfig) -> tuple[Subject, Subject | None]:
    """Return the model that a configuration names, and what it is compared with.

    Raises:
        InputError: a run without a checkpoint, one that did not come to its end, or one that does not say what it
            started from.
    """
    assert config.model is not None  # the settings see to it
    folder = Path(config.model).expanduser()
    if not (folder / "config.yaml").is_file():
        after = Subject(config.model, config.model, config.template or "auto", config.template_args)
        if config.before in (None, NO_MODEL):
            return after, None
        return after, Subject(config.before, config.before, after.template, after.template_args)
    check_finished(folder, "evaluated")
    run = read_runs([folder])[0]
    # the last weights, also where another step was best by some metric: that one is named by its folder
    checkpoint = policy_run(folder) / "checkpoint"
    if not checkpoint.is_dir():
        raise InputError(f"{config.model} has no checkpoint to evaluate: let the run end, or give a model's folder")
    # runs of PPO have prompts in place of data
    part = "data" if isinstance(run.setting("data"), Mapping) else "prompts"
    recorded_template = _text(run.setting(part, "template")) or "auto"
    template, template_args = config.template or recorded_template, config.template_args
    recorded_args = run.setting(part, "template_args")
    # the arguments of one template may be unknown to another
    is_same = template == recorded_template or {template, recorded_template} == {"auto", "chat"}
    if is_same and isinstance(recorded_args, Mapping):
        template_args = {**recorded_args, **template_args}
    after = Subject(run.name, str(checkpoint), template, template_args, folder)
    if config.before == NO_MODEL:
        return after, None
    # an implicit reward is measured from what the run was held to, which may be another model than its start
    held_to = _text(run.setting("reference", "name")) if config.benchmark else ""
    start = config.before or held_to or _start_of(run)
    return after, Subject(start, start, template, template_args) if start else None


def _start_of(run: Run) -> str:
    """Return the model that a run started from; empty for a reward model, whose start has no rewards to compare."""
    if run.method == "reward_model":
        return ""
    start = _text(run.setting("model", "name")) or _text(run.setting("model"))
    if not start:
        raise InputError(
            f"{run.path} does not say which model it started from: give before=MODEL, or before={NO_MODEL}"
        )
    return start


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def output_folder(config: EvaluateConfig, subject: Subject | None) -> Path:
    """Return the folder for results: the one that was given, the run's own, or one in the current folder.

    Raises:
        InputError: something else lies there. Said before the work, not after it.
    """
    if config.out is not None:
        folder = Path(config.out).expanduser()
    else:
        folder = subject.run / FOLDER if subject is not None and subject.run is not None else Path(FOLDER)
    if folder.exists() and not folder.is_dir():
        raise InputError(f"out: {folder} is a file, expected a folder for the results: give another `out`")
    if (file := file_above(folder)) is not None:
        raise InputError(f"out={folder}: {file} is a file, expected a folder: give another `out`")
    return folder


def open_subject(subject: Subject, config: EvaluateConfig, *, overflow: bool = False) -> Policy:
    """Return the policy of a subject, rendered as the run has it.

    Args:
        overflow: whether texts are scored, which may be longer than the context (`config.overflow`).

    Raises:
        InputError: as `penchant.models.load.load_policy`.
    """
    from penchant.models.load import load_policy

    model = ModelConfig(
        name=subject.path, device=config.device, dtype=config.dtype, trust_remote_code=config.trust_remote_code
    )
    try:
        return load_policy(
            model,
            template=subject.template,
            template_args=subject.template_args,
            overflow=config.overflow if overflow else "error",
        )
    except InputError as error:
        if subject.run is None and config.before is None and config.model != subject.name:
            raise InputError(
                f"{error}. It is what the run started from: give before=MODEL, or before={NO_MODEL}"
            ) from None
        raise
