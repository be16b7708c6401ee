"""Templates filled: what an annotator and the admin see."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from penchant.clean_text import clean
from penchant.metrics.estimates import Coefficient, Estimate
from penchant.reports.kit.text import recorded
from penchant.web.assignment import fair_share
from penchant.web.export import StandingJudgment
from penchant.web.judgments import CONFIDENCE, MOST_NOTE, REASONS
from penchant.web.pictures import source_of
from penchant.web.rendering import Show, as_html, is_cut
from penchant.web.summary import Summary
from penchant.web.visible import look_alike

LETTERS = "ABCDEFGHI"
ROLES = {"user": "Person", "assistant": "Assistant", "system": "Instructions to the assistant"}


def page(template: str, **context: Any) -> str:
    """Fill a template of this package; whatever is not ours is escaped and cleaned."""
    return _environment().get_template(template).render(**context)


@lru_cache(maxsize=1)
def _environment() -> Environment:
    return Environment(
        loader=FunctionLoader(lambda name: files("penchant.web").joinpath("templates", name).read_text("utf-8")),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=lambda value: value if isinstance(value, Markup) else clean(str(value)),
        trim_blocks=True,
        lstrip_blocks=True,
    )


def texts_of(row: Mapping[str, Any]) -> list[str]:
    """Return the responses of an entry's row."""
    return [value if isinstance(value, str) else value["text"] for value in row["responses"]]


def turns_of(row: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return (who, text) of an entry's prompt; `who` is empty where it is one text."""
    prompt = row["prompt"]
    if isinstance(prompt, str):
        return [("", prompt)]
    return [(ROLES.get(turn["role"], turn["role"]), turn["content"]) for turn in prompt]


def work_context(
    row: Mapping[str, Any],
    order: list[int],
    settings: Mapping[str, Any],
    done: int,
    totals: tuple[int, int, int],
    address: str,
) -> dict[str, Any]:
    """Return what the page of one item needs besides its numbers.

    Args:
        order: response indices in the order to show. done: items that the person has done. totals: items, overlap,
            annotators. address: where the person's pages lie, such as `/w/3`.
    """
    texts, pictures = texts_of(row), source_of(row.get("pictures", {}), address)
    show: Show = settings["show"]
    as_written: Show = "plain" if look_alike([texts[index] for index in order]) else show
    share = fair_share(*totals)
    return {
        "turns": [(role, as_html(text, show, pictures), is_cut(text)) for role, text in turns_of(row)],
        "responses": [
            {"letter": LETTERS[position], "html": as_html(texts[index], as_written), "cut": is_cut(texts[index])}
            for position, index in enumerate(order)
        ],
        "done": done,
        "share": max(share, done),
        "reasons": REASONS,
        "confidence": CONFIDENCE,
        "most_note": MOST_NOTE,
    }


def admin_context(summary: Summary, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the summary as the admin page's words."""
    show: Show = settings["show"]
    disagreements = []
    for split in summary.disagreements:
        row = json.loads(split.row)
        texts, pictures = texts_of(row), source_of(row.get("pictures", {}), "/admin")
        indices = sorted(split.judgments[0].ranks or ())
        as_written: Show = "plain" if look_alike([texts[index] for index in indices]) else show
        letter = {index: LETTERS[position] for position, index in enumerate(indices)}
        disagreements.append(
            {
                "entry": split.entry,
                "turns": [(role, as_html(text, show, pictures)) for role, text in turns_of(row)],
                "responses": [(letter[index], as_html(texts[index], as_written)) for index in indices],
                "judgments": [_judgment_words(judgment, letter) for judgment in split.judgments],
            }
        )
    return {
        "summary": summary,
        "raw": format_estimate(summary.raw, percent=True),
        "alpha": format_estimate(summary.alpha),
        "kappa": [
            (a, b, format_estimate(raw, percent=True), format_estimate(kappa)) for a, b, raw, kappa in summary.kappa
        ],
        "first_shown": format_estimate(summary.first_shown, percent=True),
        "longer": format_estimate(summary.longer_wins, percent=True),
        "disagreements": disagreements,
        "percent": percent,
    }


def _judgment_words(judgment: StandingJudgment, letter: Mapping[int, str]) -> dict[str, str]:
    ranks = judgment.ranks or {}
    levels = sorted(set(ranks.values()))
    ranking = " > ".join(
        " = ".join(letter[index] for index in sorted(ranks) if ranks[index] == level) for level in levels
    )
    verdict = {"tie": "tie", "both_bad": "all bad"}.get(judgment.choice, ranking)
    confidence = "" if judgment.confidence is None else CONFIDENCE[judgment.confidence]
    time = datetime.fromtimestamp(judgment.judged_at, UTC).strftime("%Y-%m-%d %H:%M")
    seen = ", ".join(letter[index] for index in judgment.order)
    return {
        "who": judgment.annotator,
        "verdict": verdict,
        "confidence": confidence,
        "note": judgment.note,
        "at": time,
        "seen": seen,
    }


def percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.0f}%"


def format_estimate(estimate: Estimate | Coefficient | None, *, percent: bool = False) -> str:
    """Format a share or a measure of agreement with its interval, or say why there is none."""
    return recorded(None if estimate is None else estimate.as_dict(), percent=percent, decimals=0 if percent else 2)
