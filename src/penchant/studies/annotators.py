"""The study of annotators: agreement with one that nobody learned from. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from penchant.studies.annotators_grid import annotators_grid
from penchant.studies.annotators_settings import AnnotatorsConfig
from penchant.studies.study import StudyResult, run_study
from penchant.studies.workers import Workers


def run_annotators(config: AnnotatorsConfig, *, jobs: int = 1, workers: Workers | None = None) -> StudyResult:
    """Run what the study lacks, and write its numbers; see `penchant.studies.study.run_study`."""
    stages = annotators_grid(config)

    def numbers(folder: Path, reasons: Mapping[str, str]) -> dict[str, Any]:
        from penchant.studies.annotators_summary import summarize_annotators

        return summarize_annotators(config, stages, folder, reasons)

    return run_study(config, stages.tasks(), [stages.cells[0].held], numbers, jobs=jobs, workers=workers)
