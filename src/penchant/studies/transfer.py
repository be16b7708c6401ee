"""The study of transfer: what training on one domain is worth on others. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from penchant.studies.study import StudyResult, run_study
from penchant.studies.transfer_grid import transfer_grid
from penchant.studies.transfer_settings import TransferConfig
from penchant.studies.workers import Workers


def run_transfer(config: TransferConfig, *, jobs: int = 1, workers: Workers | None = None) -> StudyResult:
    """Run what the study lacks, and write its numbers; see `penchant.studies.study.run_study`."""
    stages = transfer_grid(config)

    def numbers(folder: Path, reasons: Mapping[str, str]) -> dict[str, Any]:
        from penchant.studies.transfer_summary import summarize_transfer

        return summarize_transfer(config, stages, folder, reasons)

    return run_study(config, stages.tasks(), [stages.reference[config.own]], numbers, jobs=jobs, workers=workers)
