"""The result of a run of an earlier session."""

from __future__ import annotations

from pathlib import Path

from penchant.errors import InputError
from penchant.runs.read import read_runs
from penchant.types import RunResult


def load_run(path: str | Path) -> RunResult:
    """Return the result of a run that has ended, as `train` returned it.

    Args:
        path: the run directory.

    Raises:
        InputError: it is no run directory, is damaged, has not ended, or holds several runs.
    """
    folder = Path(path).expanduser()
    runs = read_runs([folder])
    if len(runs) > 1:
        raise InputError(f"{path} holds {len(runs)} runs: name one of them, such as {runs[0].path}")
    if runs[0].result is None:
        raise InputError(f"{path} holds a run that has not ended: go on with it by `train(config, resume=True)`")
    return RunResult(runs[0].method, folder, dict(runs[0].result))
