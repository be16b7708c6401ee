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
from penchant.web.export import Said
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
    shown: list[int],
    settings: Mapping[str, Any],
    done: int,
    of: tuple[int, int, int],
    place: str,
) -> dict[str, Any]:
    """Return what the page of one item needs besides its numbers.

    Args:
        shown: response indices in the order to show. done: items that the person has done. of: items, overlap,
            annotators. place: where the person's pages lie, such as `/w/3`.
    """
    texts, pictures = texts_of(row), source_of(row.get("pictures", {}), place)
    show: Show = settings["show"]
    as_written: Show = "plain" if look_alike([texts[index] for index in shown]) else show
    share = fair_share(*of)
    return {
        "turns": [(who, as_html(text, show, pictures), is_cut(text)) for who, text in turns_of(row)],
        "responses": [
            {"letter": LETTERS[place], "html": as_html(texts[index], as_written), "cut": is_cut(texts[index])}
            for place, index in enumerate(shown)
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
        indices = sorted(split.heard[0].places or ())
        as_written: Show = "plain" if look_alike([texts[index] for index in indices]) else show
        letter = {index: LETTERS[place] for place, index in enumerate(indices)}
        disagreements.append(
            {
                "entry": split.entry,
                "turns": [(who, as_html(text, show, pictures)) for who, text in turns_of(row)],
                "responses": [(letter[index], as_html(texts[index], as_written)) for index in indices],
                "heard": [_heard(said, letter) for said in split.heard],
            }
        )
    return {
        "summary": summary,
        "raw": shown(summary.raw, percent=True),
        "alpha": shown(summary.alpha),
        "kappa": [(a, b, shown(raw, percent=True), shown(kappa)) for a, b, raw, kappa in summary.kappa],
        "first_shown": shown(summary.first_shown, percent=True),
        "longer": shown(summary.longer, percent=True),
        "disagreements": disagreements,
        "percent": percent,
    }


def _heard(said: Said, letter: Mapping[int, str]) -> dict[str, str]:
    places = said.places or {}
    levels = sorted(set(places.values()))
    order = " > ".join(" = ".join(letter[index] for index in sorted(places) if places[index] == at) for at in levels)
    verdict = {"tie": "tie", "both_bad": "all bad"}.get(said.choice, order)
    sure = "" if said.confidence is None else CONFIDENCE[said.confidence]
    at = datetime.fromtimestamp(said.judged_at, UTC).strftime("%Y-%m-%d %H:%M")
    seen = ", ".join(letter[index] for index in said.shown)
    return {"who": said.annotator, "verdict": verdict, "sure": sure, "note": said.note, "at": at, "seen": seen}


def percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.0f}%"


def shown(found: Estimate | Coefficient | None, *, percent: bool = False) -> str:
    """Format a share or a measure of agreement with its interval, or say why there is none."""
    return recorded(None if found is None else found.as_dict(), percent=percent, decimals=0 if percent else 2)
