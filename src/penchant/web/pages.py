"""Templates filled: what an annotator and the admin see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from importlib.resources import files

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from penchant.clean_text import clean
from penchant.reports.kit.text import format_estimate, percent
from penchant.web.assignment import fair_share
from penchant.web.entry_content import EntryContent
from penchant.web.export import StandingJudgment
from penchant.web.judgments import CONFIDENCE, MOST_NOTE, REASONS
from penchant.web.media import html_with_media
from penchant.web.pictures import source_of
from penchant.web.rendering import Show, is_cut
from penchant.web.summary import Summary
from penchant.web.visible import look_alike

LETTERS = "ABCDEFGHI"


def page(template: str, **context: object) -> str:
    """Fill a template of this package; whatever is not ours is escaped and cleaned."""
    return _environment().get_template(template).render(**context)


@lru_cache(maxsize=1)  # its templates are compiled once per process
def _environment() -> Environment:
    return Environment(
        loader=FunctionLoader(lambda name: files("penchant.web").joinpath("templates", name).read_text("utf-8")),
        autoescape=True,
        # a name that no route gives is a mistake of ours, and no empty place on the page
        undefined=StrictUndefined,
        # HTML of ours was cleaned when it was made; all other values are foreign until shown otherwise
        finalize=lambda value: value if isinstance(value, Markup) else clean(str(value)),
        trim_blocks=True,
        lstrip_blocks=True,
    )


def work_context(
    content: EntryContent, order: Sequence[int], show: Show, done: int, totals: tuple[int, int, int], address: str
) -> dict[str, object]:
    """Return what the page of one item needs besides its numbers.

    Args:
        order: response indices in the order to show. show: how texts are shown. done: items that the person has done.
        totals: items, overlap, annotators. address: where the person's pages lie, such as `/w/3`.
    """
    return {
        "turns": _shown_turns(content, show, address),
        "responses": _shown_responses(content, order, show, address),
        "done": done,
        # a fast person judges more than a fair share, and "25 of 20" would look like a mistake
        "share": max(fair_share(*totals), done),
        "reasons": REASONS,
        "confidence": CONFIDENCE,
        "most_note": MOST_NOTE,
    }


def _shown_turns(content: EntryContent, show: Show, address: str) -> list[tuple[str, Markup, bool]]:
    """Return (who, HTML, whether it is cut) of each turn of a prompt."""
    pictures = source_of(content.pictures, address)
    return [
        (role, html_with_media(text, show, pictures, content.media, address), is_cut(text))
        for role, text in content.turns
    ]


def _shown_responses(content: EntryContent, order: Sequence[int], show: Show, address: str) -> list[dict[str, object]]:
    """Return the letter and the HTML of each response in an order; as written where Markdown makes two look alike."""
    texts = [content.responses[index] for index in order]
    as_written: Show = "plain" if look_alike(texts) else show
    return [
        # no pictures of its Markdown: a model could name any file
        {
            "letter": letter,
            "html": html_with_media(text, as_written, (), content.media, address),
            "cut": is_cut(text),
        }
        for letter, text in zip(LETTERS[: len(texts)], texts, strict=True)  # none may be missing on the page
    ]


def admin_context(summary: Summary, show: Show) -> dict[str, object]:
    """Return the summary as the admin page's words."""
    disagreements = []
    for split in summary.disagreements:
        content = EntryContent.read(split.row)
        # in the order of the data, since each person saw the responses in another one
        indices = sorted(split.judgments[0].ranks or ())
        letters = dict(zip(indices, LETTERS, strict=False))
        disagreements.append(
            {
                "entry": split.entry,
                "turns": _shown_turns(content, show, "/admin"),
                "responses": _shown_responses(content, indices, show, "/admin"),
                "judgments": [_judgment_words(judgment, letters) for judgment in split.judgments],
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
    verdict = {"tie": "tie", "both_bad": "all bad"}.get(judgment.record.choice, ranking)
    confidence = "" if judgment.record.confidence is None else CONFIDENCE[judgment.record.confidence]
    return {
        "who": judgment.annotator,
        "verdict": verdict,
        "confidence": confidence,
        "note": judgment.record.note,
        "at": datetime.fromtimestamp(judgment.record.judged_at, UTC).strftime("%Y-%m-%d %H:%M"),
        "seen": ", ".join(letter[index] for index in judgment.order),
    }
