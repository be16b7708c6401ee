"""The study of wrong labels: what flipped comparisons and few comparisons do to those who learn from them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from penchant.studies.noise_grid import noise_grid
from penchant.studies.settings import NoiseConfig
from penchant.studies.study import StudyResult, run_study
from penchant.studies.workers import Workers


def run_noise(config: NoiseConfig, *, jobs: int = 1, workers: Workers | None = None) -> StudyResult:
    """Run what the study lacks, and write its numbers; see `penchant.studies.study.run_study`."""
    stages = noise_grid(config)

    def numbers(folder: Path, reasons: Mapping[str, str]) -> dict[str, Any]:
        from penchant.studies.noise_summary import summarize_noise

        return summarize_noise(config, stages, folder, reasons)

    return run_study(config, stages.tasks(), [stages.held], numbers, jobs=jobs, workers=workers)
