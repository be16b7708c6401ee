"""The studies of win rates: `tldr`, `dialogue`, and `transfer` with a judge. Imports no torch."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from penchant.judges.settings import endpoints_of
from penchant.studies.study import StudyResult, run_study
from penchant.studies.win_rate_grid import WinRateGrid, win_rate_grid
from penchant.studies.win_rate_settings import WinRatesConfig
from penchant.studies.workers import Workers

log = logging.getLogger("penchant.studies")


def run_win_rates(config: WinRatesConfig, *, jobs: int = 1, workers: Workers | None = None) -> StudyResult:
    """Run what the study lacks, and write its numbers; see `penchant.studies.study.run_study`.

    Raises:
        InputError: as there; an endpoint that is to judge has no key, before anything is trained.
    """
    for endpoint in endpoints_of(config.judge):
        from penchant.judges.endpoint import EndpointJudge

        EndpointJudge(endpoint)  # says what is missing
    stages = win_rate_grid(config)
    if any(True for _ in endpoints_of(config.judge)):
        log.info("%s", _estimate(config, stages))

    def numbers(folder: Path, reasons: Mapping[str, str]) -> dict[str, Any]:
        from penchant.studies.win_rate_summary import summarize_win_rates

        return summarize_win_rates(config, stages, folder, reasons)

    needed = stages.contenders[0].judged[config.own]
    return run_study(config, stages.tasks(), [needed], numbers, jobs=jobs, workers=workers)


def _estimate(config: WinRatesConfig, stages: WinRateGrid) -> str:
    """How often an endpoint will be asked."""
    draws = sum(config.samples if temperature > 0 else 1 for temperature in dict.fromkeys(config.temperatures))
    orders = 2 if config.orders == "both" else 1
    each = len(stages.contenders) * draws * orders
    limits = [rows.limit for rows in (config.measured, *config.domains.values())]
    if None in limits:
        return f"the judge will be asked {each:,} times a prompt, less what is known already"
    total = each * sum(limit or 0 for limit in limits)
    return f"the judge will be asked up to {total:,} times, less what is known already"
