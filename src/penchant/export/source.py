"""What is exported: the weights that a name stands for, and the run that trained them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from penchant.digests import check_files, read_sums
from penchant.errors import InputError
from penchant.files import read_json
from penchant.models.finished import check_finished
from penchant.models.locate import locate, policy_run
from penchant.models.weights import check_kind

STEP_FOLDER = re.compile(r"checkpoint-(\d+)")
"""A checkpoint that a run keeps beside the last one, by its step."""
RUN_FILES = ("config.yaml", "provenance.json", "result.json", "metrics.jsonl")


@dataclass(frozen=True)
class Source:
    """A model to export.

    Attributes:
        name: as the user named it.
        weights: the folder, or the hub id, of its weights.
        run: the run that trained them; None for a model that Penchant did not train.
        kind: whether it writes or scores.
        adapter: whether the weights are adapters on a base.
        step: the run's step that the weights are of, where it is known.
    """

    name: str
    weights: str
    run: Path | None
    kind: Literal["policy", "reward model"]
    adapter: bool
    step: int | None = None


def open_source(name: str) -> Source:
    """Return what a name stands for, checked: the run has ended, and its files are what it wrote.

    Raises:
        InputError: no such model, a run that has not ended, another kind of model than a policy or a reward model.
        DamagedFile: files of the run are not what it wrote.
    """
    path = Path(name).expanduser()
    run, weights = _run_of(path), name
    if run is not None:
        check_finished(path, "exported")
        # of rounds of reward model and policy, the last policy is what was made, or the best where rounds named one
        if (last := policy_run(run)) != run:
            return open_source(str(last))
        _check_run(run)
        weights = str(run / "checkpoint" if path.resolve() == run.resolve() else path)
    elif path.is_dir() and not any((path / file).exists() for file in ("config.json", "adapter_config.json")):
        raise InputError(
            f"{path} cannot be exported: expected a run directory (with config.yaml and checkpoint) or a model's "
            "folder (with config.json), found neither"
        )
    folder = locate(weights)
    step = None if run is None else _step_of(run, Path(weights).name)
    return Source(name, folder, run, _kind(Path(folder)), (Path(folder) / "adapter_config.json").is_file(), step)


def _step_of(run: Path, folder: str) -> int | None:
    """Return the step that the weights in a run's folder are of: the best one's, where the run kept those."""
    if match := STEP_FOLDER.fullmatch(folder):
        return int(match[1])
    try:
        result = read_json(run / "result.json")
        # the final numbers are those of the weights in `checkpoint`, which a run with a best step put there
        step = result.get("best_step") if folder == "best" else (result.get("final") or {}).get("step")
    except (OSError, ValueError, AttributeError):
        return None
    return step if isinstance(step, int) else None


def _run_of(path: Path) -> Path | None:
    """Return the run that a path belongs to: the path itself, or the folder around one of its checkpoints."""
    if (path / "config.yaml").is_file() or (path / "result.json").is_file():
        return path
    parent = path.resolve().parent
    name = path.resolve().name
    if (name in ("checkpoint", "best") or STEP_FOLDER.fullmatch(name)) and (parent / "config.yaml").is_file():
        return parent
    return None


def _check_run(run: Path) -> None:
    """Refuse a run whose record is damaged: the card would state its numbers."""
    listed = read_sums(run)
    # an older run has digests of fewer files, or none, which is said once
    names = RUN_FILES if listed is None else [name for name in RUN_FILES if name in listed]
    check_files(run, names)
    if not (run / "checkpoint").is_dir():
        raise InputError(f"{run} cannot be exported: it has no checkpoint, so no weights")


def _kind(folder: Path) -> Literal["policy", "reward model"]:
    try:
        check_kind(folder, "policy")
        return "policy"
    except InputError as error:
        try:
            check_kind(folder, "reward model")
        except InputError:
            raise error from None
        return "reward model"


def stored_dtype(folder: Path) -> str:
    """Return the dtype that a folder's settings name for its weights; `float32` where they name none."""
    try:
        settings = read_json(folder / "config.json")
        return str(settings.get("dtype") or settings.get("torch_dtype") or "float32")
    except (OSError, ValueError, AttributeError):
        return "float32"
