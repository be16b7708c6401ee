"""The result of a run of an earlier session."""

from __future__ import annotations

from pathlib import Path

from penchant.arguments import excerpt
from penchant.errors import InputError
from penchant.runs.read import read_runs
from penchant.types import RunResult


def load_run(path: RunResult | str | Path) -> RunResult:
    """Return the result of a run that has ended, as `train` returned it.

    Args:
        path: the run directory; or a result, which is read again from its directory.

    Raises:
        InputError: it is no path, no run directory, is damaged, has not ended, or holds several runs.
    """
    folder = run_folder(path)
    runs = read_runs([folder])
    if len(runs) > 1:
        raise InputError(f"{folder} holds {len(runs)} runs: name one of them, such as {runs[0].path}")
    if runs[0].result is None:
        raise InputError(f"{folder} holds a run that has not ended: go on with it by `train(config, resume=True)`")
    return RunResult(runs[0].method, folder, dict(runs[0].result))


def run_folder(run: object) -> Path:
    """Return the folder of what stands for a run.

    Raises:
        InputError: it is neither a path nor the result of a run.
    """
    # its metrics may be those of an earlier call: the folder is what counts
    if isinstance(run, RunResult):
        return run.path
    if not isinstance(run, str | Path):
        raise InputError(f"expected a run directory or the result of a run, got {excerpt(run)}")
    return Path(run).expanduser()
