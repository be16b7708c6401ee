"""Draw the page of strengths from its results alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from penchant.raters.agreement_figures import draw_rows
from penchant.raters.files_to_page import count_facts
from penchant.raters.ranking.results import Ranking
from penchant.raters.ranking.words import NAME, caption, comparisons_words, findings, headline, title
from penchant.reports.kit.canvas import MUTED, Picture, blank, export, style
from penchant.reports.kit.page import shared_context, write_page
from penchant.reports.kit.render import figure_context
from penchant.reports.kit.tables import Table
from penchant.reports.kit.text import DASH, format_share, listing, number, recorded, short

MOST_ITEMS = 40  # items in the figure and the table of who beat whom


def strengths_page(ranking: Ranking, provenance: Mapping[str, object], folder: Path) -> None:
    """Write `report.html` and its figure.

    Raises:
        RunError: the folder cannot be written.
    """
    pictures = {"strengths": _picture(ranking)}
    write_page(strengths_context(ranking, provenance, pictures), pictures, folder)


def strengths_context(
    ranking: Ranking, provenance: Mapping[str, object], pictures: Mapping[str, Picture]
) -> dict[str, object]:
    """Return the values that fill the template."""
    return {
        "title": title(ranking),
        "headline": headline(ranking),
        "section": "Strengths",
        "figures": [figure_context(key, picture, caption(ranking)) for key, picture in pictures.items()],
        "findings": findings(ranking),
        # a table of who beat whom has a column per item, and more than forty do not fit on a page
        "tables": [_table(ranking), *([_wins(ranking)] if len(ranking.items) <= MOST_ITEMS else [])],
        "texts": [],
        "texts_note": "",
        "facts": _facts(ranking),
        **shared_context(ranking.method, ranking.level, provenance, ranking.resampled),
    }


def _table(ranking: Ranking) -> Table:
    rows = tuple(
        (
            f"{position}. {short(item.name, NAME)}",
            recorded(item.strength, decimals=2),  # the same digits in every row, so that they can be compared by eye
            recorded(item.elo, decimals=0),
            DASH if not item.places else _place_span(item.places),
            _halves(item.wins),
            _halves(item.losses),
            format_share(item.win_rate),
        )
        for position, item in enumerate(ranking.items, 1)
    )
    halved = "; ties are half a win each way" if ranking.ties else ""
    return Table(
        f"The strongest first. Places are those among the middle of the resamples{halved}.",
        (ranking.by.removesuffix("s"), "strength", "Elo", "place", "wins", "losses", "share of wins"),
        rows,
    )


def _halves(wins: float) -> str:
    # ties are half a win each way, so there are whole and half wins and no others
    return number(wins, 0 if wins == round(wins) else 1)


def _place_span(span: tuple[int, int]) -> str:
    return f"{span[0]}" if span[0] == span[1] else f"{span[0]} to {span[1]}"


def _wins(ranking: Ranking) -> Table:
    names = [short(item.name, NAME) for item in ranking.items]
    rows = []
    for row, name in enumerate(names):
        cells = []
        # an item against itself was left out, so the diagonal shows dashes like every two that never met
        for column in range(len(names)):
            wins, losses = ranking.wins[row][column], ranking.wins[column][row]
            cells.append(DASH if not wins + losses else f"{_halves(wins)} of {wins + losses:.0f}")
        rows.append((name, *cells))
    halved = ", ties half" if ranking.ties else ""
    return Table(
        f"Who beat whom: wins of the row's {ranking.by.removesuffix('s')} over the column's{halved}.",
        ("wins of", *names),
        tuple(rows),
    )


def _picture(ranking: Ranking) -> Picture:
    items = ranking.items[:MOST_ITEMS]
    title = "Strength, log-odds" + (f": the strongest {MOST_ITEMS}" if len(ranking.items) > MOST_ITEMS else "")
    with style():
        figure, axes = blank(7.0, 1.1 + 0.27 * len(items))
        # strengths have mean zero, so this line is the average item
        axes.axvline(0, color=MUTED, linewidth=0.9, linestyle=(0, (1, 2)))
        draw_rows(axes, [short(item.name, 28) for item in items], [item.strength for item in items])
        axes.set_xlabel("stronger than the mean", loc="right")
        return export(figure, title, [])


def _facts(ranking: Ranking) -> list[tuple[str, str]]:
    task = f"rank {ranking.by} by who is preferred"
    if ranking.by == "annotators":
        task = "rank annotators by agreement with the others"
    facts = [("Task", task), ("File", ranking.file), ("Counted", comparisons_words(ranking))]
    if ranking.unmet:
        facts.append(("Left out", f"annotators who met nobody: {listing(short(n, NAME) for n in ranking.unmet)}"))
    return facts + count_facts(
        ("Left out", ranking.skipped_rows, "rows that cannot be used"),
        ("Left out", ranking.against_itself, "comparisons of something with itself"),
        ("Left out", ranking.unranked, "rows that are no rankings"),
    )
