"""The frontier study: every method over its sweep, true reward against KL. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from penchant.studies.grid import grid
from penchant.studies.measured import Results
from penchant.studies.settings import FrontierConfig
from penchant.studies.study import StudyResult, run_study
from penchant.studies.tasks import Task
from penchant.studies.workers import Workers


def run_frontier(config: FrontierConfig, *, jobs: int = 1, workers: Workers | None = None) -> StudyResult:
    """Run what the study lacks, and write its numbers; see `penchant.studies.study.run_study`."""
    stages = grid(config)

    def more(results: Results) -> Sequence[Task]:
        nonlocal stages
        stages = grid(config, results)
        return stages.tasks()

    def numbers(folder: Path, reasons: Mapping[str, str]) -> dict[str, Any]:
        from penchant.studies.summary import summarize

        return summarize(config, stages, folder, reasons)

    return run_study(config, stages.tasks(), [stages.reference], numbers, jobs=jobs, workers=workers, more=more)
