"""Runs that came to their end, and the reward models in them. Imports no torch."""

from __future__ import annotations

from pathlib import Path

from penchant.errors import InputError
from penchant.files import read_json
from penchant.models.locate import check_model, model_folder
from penchant.models.weights import check_kind

ENDED_STATUSES = ("done", "stopped_early", "runaway")
"""The statuses in `result.json` of a run that came to its end."""


def check_finished(folder: Path, use: str) -> None:
    """Refuse a run that did not come to its end; a folder that is neither a run's nor its checkpoint passes.

    A run that was stopped has weights of some step on the way, and a reward model lacks what is taken off its scores:
    nobody who reads the numbers later would know.

    Args:
        folder: a run directory, or the `checkpoint` in one.
        use: what it is wanted for, for the message.

    Raises:
        InputError: the run was interrupted, or has no readable result.
    """
    # a checkpoint has no config.yaml of its own: its run is the folder around it
    run = folder if (folder / "config.yaml").is_file() else folder.resolve().parent
    if not (run / "config.yaml").is_file() or (run != folder and folder.resolve().name not in ("checkpoint", "best")):
        return
    try:
        status = read_json(run / "result.json")["status"]
    except FileNotFoundError:  # it was killed on the way
        status = "no result.json"
    except (OSError, ValueError, KeyError, TypeError):
        status = "a damaged result.json"
    if status not in ENDED_STATUSES:
        raise InputError(
            f"{folder} cannot be {use}: the run did not come to its end ({status}). Finish it with "
            f"`penchant train ... --resume out={run}`, or copy its `checkpoint` elsewhere to take those weights"
        )


def reward_checkpoint(folder: str | Path) -> Path:
    """Return the folder with a reward model's weights: a run directory's `checkpoint`, or the folder itself.

    Raises:
        InputError: there is none, it holds another kind of model, or its run did not come to its end.
    """
    path = Path(folder).expanduser()
    check_finished(path, "a reward")
    check_model(str(path))
    path = model_folder(path)
    check_kind(path, "reward model")
    return path
