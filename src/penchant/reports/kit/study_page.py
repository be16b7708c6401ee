"""What the plain pages of studies have alike: failures, settings, provenance, machine and time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from penchant.metrics.estimates import Measure
from penchant.reports.kit.tables import flatten
from penchant.reports.kit.text import duration, listing, recorded
from penchant.typed_json import JsonObject

TEMPLATE = "study_page.html.j2"
INTERVALS = "Intervals are 95% and resample prompts, since comparisons of one prompt are not independent."
Numbers = Mapping[str, Any]


def shared_context(
    config: JsonObject, provenance: JsonObject, failures: Iterable[tuple[str, str]] = ()
) -> dict[str, Any]:
    """Return what the template takes of every study.

    Args:
        config: the recorded settings. provenance: the recorded machine and versions.
        failures: (stage, reason) of what failed.
    """
    return {
        "brand": "Penchant study",
        "settings_file": "study.yaml",
        "numbers_file": "study.json",
        "intervals": INTERVALS,
        "failures": [{"stage": stages, "reason": reason} for stages, reason in group_failures(failures)],
        "samples": None,
        "settings": yaml.safe_dump(config, sort_keys=False, allow_unicode=True, width=100),
        "provenance": flatten({key: value for key, value in provenance.items() if value is not None}),
    }


def group_failures(failures: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Group the stages that failed for one reason: the first by its name, the others by their number."""
    by_reason: dict[str, list[str]] = {}
    for stage, reason in failures:
        by_reason.setdefault(reason, []).append(stage)
    return [
        (stages[0] if len(stages) == 1 else f"{stages[0]} and {len(stages) - 1} more", reason)
        for reason, stages in by_reason.items()
    ]


def shared_facts(seeds: Iterable[int], provenance: JsonObject, seconds: float) -> list[tuple[str, str]]:
    """Return the last of the facts: seeds, machine, and the time of all stages in seconds."""
    machine = provenance.get("machine") or {}
    return [
        ("Seeds", listing(map(str, seeds))),
        ("Machine", f"{machine.get('cpu', 'unknown')}, {machine.get('cores', '?')} cores"),
        ("Time", f"{duration(seconds)} of computing, all stages and runs together"),
    ]


def cell(numbers: Measure | Numbers | None, *, percent: bool = False, sign: bool = False) -> str:
    """Format an estimate for a table, as `recorded` does."""
    return recorded(numbers, percent=percent, sign=sign)
