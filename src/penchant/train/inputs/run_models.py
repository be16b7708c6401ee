"""Open what a run trained, and what it was held to: the models behind `penchant score` and `penchant chat`."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from penchant.config.loading import read_yaml
from penchant.data.options import RenderOptions
from penchant.data.rendering.template_source import FILE
from penchant.digests import check_files
from penchant.engine.reference import fingerprint
from penchant.errors import InputError
from penchant.files import read_json
from penchant.models.finished import ENDED_STATUSES
from penchant.models.load import load_policy
from penchant.models.locate import policy_run
from penchant.models.policy import Policy
from penchant.models.settings import Dtype, FrozenModel, ModelConfig
from penchant.train.inputs.reference_table import load_reference

log = logging.getLogger("penchant.models")


@dataclass(frozen=True)
class TrainedRun:
    """A run directory, or the checkpoint in one, that is opened as a model.

    Attributes:
        path: the run directory.
        folder: the weights in it.
        settings: what its config.yaml says.
    """

    path: Path
    folder: Path
    settings: Mapping[str, object]

    def setting(self, *keys: str) -> object:
        """Return a setting by its path; None where it is not set."""
        node: object = self.settings
        for key in keys:
            node = node.get(key) if isinstance(node, Mapping) else None
        return node

    @property
    def beta(self) -> float | None:
        """The strength by which the run's loss holds the policy to the reference; None for a loss without."""
        for keys in (("loss", "beta"), ("beta",)):
            value = self.setting(*keys)
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                return float(value)
        return None

    @property
    def has_ended(self) -> bool:
        """Whether the run came to its end."""
        return _has_ended(self.path)


def _has_ended(run: Path) -> bool:
    try:
        return read_json(run / "result.json")["status"] in ENDED_STATUSES
    except (OSError, ValueError, KeyError, TypeError):
        return False


def find_run(name: str) -> TrainedRun | None:
    """Return the run that a path names, by its directory or by a checkpoint in it; None for any other model.

    Rounds stand for the run that trained their last policy.

    Raises:
        InputError: a run without a checkpoint, or with a damaged configuration.
    """
    path = Path(name).expanduser()
    in_run = (path.resolve().parent / "config.yaml").is_file() and path.name in ("checkpoint", "best")
    run_folder = path.resolve().parent if in_run else path
    if not (run_folder / "config.yaml").is_file():
        return None
    run = policy_run(run_folder)
    folder = path if in_run else run / "checkpoint"
    if not folder.is_dir():
        raise InputError(f"{run} has no checkpoint yet: nothing of it can be opened as a model")
    check_files(run, ["config.yaml"])
    settings, _ = read_yaml(run / "config.yaml")
    found_run = TrainedRun(run, folder, settings)
    if not found_run.has_ended:
        log.warning("the run in %s did not come to its end: its checkpoint is of some step on the way", run)
    elif not _has_ended(run_folder):
        log.warning("the rounds in %s did not come to their end: the last policy is that of %s", run_folder, run)
    return found_run


def start_reference(run: TrainedRun, policy: Policy, *, dtype: Dtype = "auto") -> Policy:
    """Open what a run's policy is held to: the model that its settings name, or the one that it started from.

    Args:
        policy: the run's policy, whose renderer makes the tokens that both are given.
        dtype: of the weights; `auto` for that of the run.

    Raises:
        InputError: it is not to be had, or its weights are others than when the run began.
    """
    reference_settings = run.setting("reference")
    if isinstance(reference_settings, Mapping):
        reference = load_reference(FrozenModel(**reference_settings), policy)
    else:
        reference = _start_of(run, policy, dtype)
    _check_unchanged(run, reference)
    return reference


def open_reference(
    name: str | None, run: TrainedRun | None, policy: Policy, *, dtype: Dtype = "auto", trust_remote_code: bool = False
) -> Policy | None:
    """Open the reference that a command names.

    Args:
        name: a model, `run` for what the run was held to (nothing without a run), or None for none.
        policy, dtype: as in `start_reference`.

    Raises:
        InputError: it is not to be had.
    """
    if name is None:
        return None
    if name == "run":
        return start_reference(run, policy, dtype=dtype) if run is not None else None
    return load_reference(FrozenModel(name=name, dtype=dtype, trust_remote_code=trust_remote_code), policy)


def _start_of(run: TrainedRun, policy: Policy, dtype: Dtype) -> Policy:
    model_settings = run.setting("model")
    if not isinstance(model_settings, (Mapping, str)):
        raise InputError(f"{run.path / 'config.yaml'} names no model: name the reference, as reference=MODEL")
    settings = (
        ModelConfig(**model_settings) if isinstance(model_settings, Mapping) else ModelConfig(name=model_settings)
    )
    settings = settings.replace(
        lora=None,
        train_top=None,
        sampler="penchant",
        device=str(policy.scorer.device),
        dtype=settings.dtype if dtype == "auto" else dtype,
    )
    # by the template of the run: one that adds tokens resizes the embeddings, as when the run began
    template, args = run.setting("data", "template"), run.setting("data", "template_args")
    # a file may be gone or another one by now; the checkpoint has its text
    saved_text = run.folder / "chat_template.jinja"
    if isinstance(template, str) and template.endswith(FILE) and saved_text.is_file():
        template = str(saved_text)
    rendering = RenderOptions(
        template if isinstance(template, str) else "auto", dict(args) if isinstance(args, Mapping) else {}
    )
    try:
        return load_policy(settings, rendering=rendering)
    except InputError as error:
        raise InputError(
            f"the run in {run.path} began from {settings.name!r}, which cannot be opened: {error}. Name it with "
            "reference=MODEL, or go without by reference=null"
        ) from error


def _check_unchanged(run: TrainedRun, reference: Policy) -> None:
    """Refuse a reference with other weights than the run's; the type of the weights is not compared.

    Raises:
        InputError: they are others.
    """
    try:
        record = read_json(run.path / "provenance.json")
        before = record["reference"]["fingerprint"]
        dtype = record["model"]["dtype"]
    except (OSError, ValueError, KeyError, TypeError):
        return  # nothing to compare with
    present = str(next(reference.model.parameters()).dtype).removeprefix("torch.")
    if dtype == present and before is not None and before != fingerprint(reference.model):
        raise InputError(
            f"the reference {reference.name!r} has other weights than when the run in {run.path} began: put back what "
            "it began with, or name another model with reference=MODEL"
        )
