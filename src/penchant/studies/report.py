"""`penchant report`: run directories or a study's folder in, one self-contained page out. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from penchant.reports.run.page import runs_report
from penchant.studies.core.report import is_study, study_report
from penchant.types import RunResult


def report(runs: Sequence[RunResult | str | Path], out: str | Path) -> Path:
    """Write a report on one run or on several, or on a study.

    Args:
        runs: run directories, or what `train` returned. A run that is still going, or was killed, is reported
            as far as it came. A single folder of a study gives that study's page.
        out: the HTML file to write. The figures go as PNG into the folder `<name>-figures` beside it.

    Returns:
        The path of the HTML file. Equal runs give equal bytes.

    Raises:
        InputError: no runs, a path that is no run directory, or an `out` that is a folder.
    """
    sources = [runs] if isinstance(runs, (str, Path, RunResult)) else list(runs)
    if len(sources) == 1 and not isinstance(sources[0], RunResult) and is_study(sources[0]):
        return study_report(sources[0], out)
    return runs_report(runs, out)
