"""Fill in what the pages of studies have alike: failures, settings, provenance, machine and time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import yaml

from penchant.reports.kit.tables import flatten
from penchant.reports.kit.text import count, duration, folded, listing

TEMPLATE = "study_page.html.j2"
INTERVALS = "Intervals are 95% and resample prompts, since comparisons of one prompt are not independent."


def shared_context(
    config: Mapping[str, object], provenance: Mapping[str, object], failures: Iterable[tuple[str, str]] = ()
) -> dict[str, object]:
    """Return the part of the template's context that is made alike for every study.

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
        "samples": None,  # templates are strict about names: a page without texts says so
        # In the order of the settings, and without escapes for letters beyond ASCII.
        "settings": yaml.safe_dump(config, sort_keys=False, allow_unicode=True, width=100),
        "provenance": flatten({key: value for key, value in provenance.items() if value is not None}),
    }


def group_failures(failures: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Group stages by the reason for which they failed: the first by its name, the others by their number."""
    # A stage that fails takes all that need it with it, for its own reason: a line for each would bury the page.
    by_reason: dict[str, list[str]] = {}
    for stage, reason in failures:
        by_reason.setdefault(reason, []).append(stage)
    return [
        (stages[0] if len(stages) == 1 else f"{stages[0]} and {len(stages) - 1} more", reason)
        for reason, stages in by_reason.items()
    ]


def shared_facts(seeds: Iterable[int], provenance: Mapping[str, object], seconds: float) -> list[tuple[str, str]]:
    """Return the last of the facts: seeds, machine, and the time of all stages in seconds."""
    return [
        ("Seeds", listing(map(str, seeds))),
        ("Machine", machine_words(provenance)),
        ("Time", f"{duration(seconds)} of computing, all stages and runs together"),
    ]


def machine_words(provenance: Mapping[str, object]) -> str:
    """Return processor and cores, as a run noted them; folders of other versions may lack either."""
    machine = provenance.get("machine")
    facts = machine if isinstance(machine, Mapping) else {}
    if not facts:
        return "not recorded"
    return f"{facts.get('cpu', 'unknown')}, {facts.get('cores', '?')} cores"


def text_cell(
    author: str, text: str, *, index: int | None = None, mark: str = "", facts: str = ""
) -> dict[str, object]:
    """Return one text as an argument of the templates' macro `side_by_side`.

    Args:
        index: the author's place in the legend; None where it has none.
        mark: what stands beside the author, such as the reward. facts: a line below the text.
    """
    head, rest = folded(text)
    # An empty response is a finding, and an empty box would look like a gap of the page.
    parts = {"head": head or "(empty)", "rest": rest, "folded": count(len(text), "character")}
    return {"index": index, "who": author, "mark": mark, **parts, "facts": facts}


def texts_of_prompt(prompt: str, cells: list[dict[str, object]]) -> dict[str, object]:
    """Return a prompt and its texts as an argument of the templates' macro `side_by_side`."""
    head, rest = folded(prompt)
    return {"prompt": head, "prompt_rest": rest, "cells": cells}
