"""Check endpoints that judge, and say how often they will be asked, before anything is trained. Imports no torch."""

from __future__ import annotations

import logging

from penchant.judges.settings import endpoints_of
from penchant.studies.win_rates.grid import WinRateGrid
from penchant.studies.win_rates.settings import WinRatesConfig

log = logging.getLogger("penchant.studies")


def check_endpoints(config: WinRatesConfig, grid: WinRateGrid) -> None:
    """Refuse an endpoint that has no key, and say how often endpoints will be asked.

    Raises:
        InputError: an endpoint that is to judge cannot be asked.
    """
    # Judging comes last: without this look a missing key would be found after hours of training.
    endpoints = list(endpoints_of(config.judge))
    for endpoint in endpoints:
        from penchant.judges.endpoint import EndpointJudge

        EndpointJudge(endpoint)  # says what is missing
    if endpoints:
        # Calls cost money, so their number is said while nothing is spent yet.
        log.info("%s", _estimate(config, grid))


def _estimate(config: WinRatesConfig, grid: WinRateGrid) -> str:
    """Estimate how often an endpoint will be asked."""
    # At temperature 0 every draw is the same text, so there is one.
    draws = sum(config.samples if temperature > 0 else 1 for temperature in dict.fromkeys(config.temperatures))
    orders = 2 if config.orders == "both" else 1
    calls_per_prompt = len(grid.contenders) * draws * orders
    limits = [rows.limit for rows in (config.measured, *config.domains.values())]
    if None in limits:
        return f"the judge will be asked {calls_per_prompt:,} times per prompt, less what is known already"
    total = calls_per_prompt * sum(limit or 0 for limit in limits)
    return f"the judge will be asked up to {total:,} times, less what is known already"
