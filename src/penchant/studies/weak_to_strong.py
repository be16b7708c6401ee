"""The study of weak supervision: supervisors label, students learn, and the gap that they recover is measured."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from penchant.studies.study import StudyResult, run_study
from penchant.studies.weak_grid import weak_grid
from penchant.studies.weak_settings import WeakToStrongConfig
from penchant.studies.workers import Workers


def run_weak_to_strong(config: WeakToStrongConfig, *, jobs: int = 1, workers: Workers | None = None) -> StudyResult:
    """Run what the study lacks, and write its numbers; see `penchant.studies.study.run_study`."""
    grids = weak_grid(config)
    tasks = [task for grid in grids for task in grid.tasks()]

    def numbers(folder: Path, reasons: Mapping[str, str]) -> dict[str, Any]:
        from penchant.studies.weak_summary import summarize_weak

        return summarize_weak(config, grids, folder, reasons)

    return run_study(config, tasks, [grid.rows for grid in grids], numbers, jobs=jobs, workers=workers)
