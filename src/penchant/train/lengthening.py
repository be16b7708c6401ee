"""Whether a run that is resumed with more steps can be lengthened, and to what it would be equal.

It can where the longer run, had it been so long from the start, would have taken the very steps that are done: the same
rows in the same order, which is so whenever only the length differs, at the same learning rates. A schedule that falls
to the end of the run takes others, unless it begins anew where the run ended (`schedule.restarts`): a warm restart,
which is a setting, so that a run that has it from the start is the same run.
"""

from __future__ import annotations

from typing import TypeVar

from penchant.errors import InputError, RunMismatchError
from penchant.files import read_json, recover_folder
from penchant.runs import checkpoint
from penchant.runs.lengthening import first_lengths, read_lengthenings
from penchant.runs.recorded_settings import LENGTHS
from penchant.runs.run_folder import RunFolder
from penchant.train.optimizer import schedule
from penchant.train.settings import RunConfig

C = TypeVar("C", bound=RunConfig)


def check_restarts(config: RunConfig, total: int) -> None:
    """Refuse a warm restart that the run never comes to.

    Raises:
        InputError: names it, and how long the run is.
    """
    if (restarts := config.schedule.restarts) and restarts[-1] >= total:
        raise InputError(
            f"schedule.restarts: the schedule cannot begin anew after step {restarts[-1]} of a run of {total} steps"
        )


def check_lengthening(folder: RunFolder, config: RunConfig, before: int, total: int) -> int:
    """Return how many steps are done of a run that is to be lengthened.

    Args:
        before, total: the steps that the run had, and those that it shall have.

    Raises:
        RunMismatchError: it cannot be lengthened; says why, and what can be done. Nothing was changed.
    """
    run, old_config = folder.path, folder.shorter_config
    assert isinstance(old_config, RunConfig)
    if getattr(config, "early_stopping", None) is not None:
        raise RunMismatchError(
            f"the run in {run} keeps the weights of its best evaluation (early_stopping), which are not those that "
            f"longer training would go on from: {_train_on(folder, config)}"
        )
    # a run that ran away or came to rest would do so again: more of it is another run, and the user's to begin
    if (status := _status(folder)) in ("stopped_early", "runaway"):
        raise RunMismatchError(f"the run in {run} stopped by itself ({status}): {_train_on(folder, config)}")
    if total <= before:
        raise RunMismatchError(_not_longer(folder, config, before, total))
    # a kill between two renames leaves it under another name
    recover_folder(run / "checkpoint")
    if not (run / "checkpoint").exists():
        raise RunMismatchError(f"the run in {run} has no checkpoint yet, and cannot be lengthened: start a new run")
    state = checkpoint.load_state(run / "checkpoint")
    step = int(state["loop"]["step"])
    if state["optimizer"] is None:
        raise RunMismatchError(
            f"the run in {run} kept no optimizer when it ended (checkpoint.optimizer=false, or a version before 0.4), "
            f"and cannot be lengthened: {_train_on(folder, config)}"
        )
    old, new = schedule(old_config.schedule, before), schedule(config.schedule, total)
    # by their values, whatever their names: the steps of a warm-up alone are the same under every schedule
    if any(old(number) != new(number) for number in range(step)):
        raise RunMismatchError(_restart_advice(folder, config, old_config, step, before))
    return step


def _status(folder: RunFolder) -> str:
    file = folder.path / "result.json"
    try:
        return str(read_json(file).get("status", "")) if file.exists() else ""
    except (ValueError, AttributeError):
        return ""  # damaged: named where it is read


def _not_longer(folder: RunFolder, config: RunConfig, before: int, total: int) -> str:
    settings = "steps" if "steps" in type(config).model_fields else "epochs or max_steps"
    if total < before:
        return (
            f"the run in {folder.path} is one of {before} steps and cannot be shortened to {total}: start a new run "
            "with another out"
        )
    return f"the run in {folder.path} has {before} steps already, and would be no longer: raise {settings}"


def _restart_advice(folder: RunFolder, config: RunConfig, old_config: RunConfig, step: int, before: int) -> str:
    # without spaces, so that no shell takes it for two arguments
    restarts = ",".join(map(str, (*old_config.schedule.restarts, before)))
    lengths = " ".join(
        f"{name}={value}" for name in sorted(LENGTHS) if (value := getattr(config, name, None)) is not None
    )
    name, share = old_config.schedule.name, isinstance(old_config.schedule.warmup_steps, float)
    reason = "whose warm-up is a share of all steps" if name == "constant" and share else "which goes by all steps"
    return (
        f"the run in {folder.path} has taken {step} steps with schedule={name}, {reason}: a longer run would have "
        f"taken them at other rates. Let the schedule begin anew after step {before}, a warm restart that is recorded: "
        f"penchant train {config.method} --resume out={folder.path} {lengths} schedule.restarts=[{restarts}]"
    )


def _train_on(folder: RunFolder, config: RunConfig) -> str:
    """Say how training goes on from a run's weights without its optimizer."""
    # without it the new run would be held to the weights that it begins with
    reference = f" reference={config.model.name}" if "reference" in type(config).model_fields else ""
    return (
        f"train on from its weights as a new run, with a fresh optimizer: penchant train {config.method} "
        f"model={folder.path}{reference} out=ANOTHER, and the other settings as in its config.yaml"
    )


def as_begun(config: C, folder: RunFolder) -> C:
    """Return the settings with the length that the run was begun with.

    By it an evaluation chooses how many prompts it samples for: the longer run goes on with those that it began with,
    so that its start and its end are compared on the same ones.
    """
    if not folder.resume:
        return config
    lengths = dict(first_lengths(read_lengthenings(folder.path)))
    # nothing is recorded yet where it is lengthened now, for the first time
    if not lengths and folder.shorter_config is not None:
        lengths = {name: getattr(folder.shorter_config, name) for name in LENGTHS if name in type(config).model_fields}
    # the restarts decide no number of prompts, and stay those of now
    changes = {name: value for name, value in lengths.items() if name in LENGTHS}
    return config.replace(**changes) if changes else config
