"""Draw the page of many weak sources from its results alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator

from penchant.metrics.estimates import Estimate
from penchant.reports.kit.canvas import MUTED, Picture, blank, error_arms, export, percent_axis, run_style, style
from penchant.reports.kit.page import shared_context, write_page
from penchant.reports.kit.render import figure_context
from penchant.reports.kit.tables import Table
from penchant.reports.kit.text import count, short
from penchant.weak.label_models.results import SourcesResult, SourceWarning
from penchant.weak.label_models.words import NAME, headline, model_rows, notes, source_rows, verdict

MOST_SOURCES = 40  # in the figure
CAPTION = (
    "How often each source is right where it votes: estimated by {model}, with an interval over rows{true}. "
    "The dotted line is chance. An estimate is only as good as the model's assumption that sources err independently."
)
MEANING = (
    "Coverage is the share of rows that a source votes on, overlap where another votes too, conflict where another "
    "votes otherwise.",
    "A label model weighs sources by how they agree with each other. It cannot know whether all of them are wrong in "
    "the same way.",
    "The majority is what every model has to beat. The labels are a start: a student on them may be better than both.",
)


def sources_page(result: SourcesResult, provenance: Mapping[str, object], folder: Path) -> None:
    """Write `report.html` and its figure.

    Raises:
        RunError: the folder cannot be written.
    """
    pictures = {"accuracies": _picture(result)}
    write_page(sources_context(result, provenance, pictures), pictures, folder)


def sources_context(
    result: SourcesResult, provenance: Mapping[str, object], pictures: Mapping[str, Picture]
) -> dict[str, object]:
    """Return the values that fill the template."""
    true = ", and true, on the rows with a truth" if result.with_truth else ""
    caption = CAPTION.format(model=result.model, true=true)
    return {
        "title": "Labels from many weak sources",
        "headline": [f"{headline(result)}.", f"{_capital(verdict(result))}."],
        "section": "Accuracy of the sources",
        # in the order in which they are drawn, whose markers these are
        "legend": ["estimated", "true"] if any(source.true for source in result.sources) else [],
        "warnings": [
            {
                "about": ", ".join(short(name, NAME) for name in warning.sources) or "all",
                "text": f"{_warning_sentence(warning)}.",
            }
            for warning in result.warnings
        ],
        "figures": [figure_context(key, picture, caption) for key, picture in pictures.items()],
        "findings": MEANING,
        "tables": [
            Table("The sources, in the order of the columns.", *source_rows(result)),
            Table("The majority beside each model.", *model_rows(result)),
        ],
        "texts": [],
        "texts_note": "",
        "facts": [
            ("Task", "label rows by the votes of many sources"),
            ("Model", result.model),
            ("Rows", count(result.rows, "row")),
            *(("Read", _capital(note)) for note in notes(result)),
        ],
        **shared_context(result.method, result.level, provenance, "rows"),
    }


def _picture(result: SourcesResult) -> Picture:
    """Draw the estimated accuracy of each source, and the true one where it is known."""
    # a source that never voted has no accuracy to draw
    sources = [source for source in result.sources if source.estimated][:MOST_SOURCES]
    has_truth = any(source.true for source in sources)
    with style():
        figure, axes = blank(7.0, 1.1 + 0.34 * max(len(sources), 1))
        # what a source that guesses among all classes would have
        axes.axvline(1 / len(result.classes), color=MUTED, linewidth=0.9, linestyle=(0, (1, 2)))
        # side by side where both are drawn: markers on one line would hide each other
        series = [("estimated", [source.estimated for source in sources], -0.14 if has_truth else 0.0)]
        if has_truth:
            series.append(("true", [source.true for source in sources], 0.14))
        for index, (name, estimates, shift) in enumerate(series):
            _draw(axes, estimates, shift, index, name)
        # the first column of the file on top, as in the table
        axes.set_ylim(len(sources) - 0.5, -0.5)
        axes.yaxis.set_major_locator(FixedLocator(range(len(sources))))
        axes.set_yticklabels([short(source.name, 20) for source in sources])
        # a marker at 100% would be cut in half
        axes.set_xlim(0, 1.02)
        percent_axis(axes.xaxis)
        return export(figure, "Accuracy where the source votes", [name for name, *_ in series] if has_truth else [])


def _draw(axes: Axes, estimates: Sequence[Estimate | None], shift: float, index: int, name: str) -> None:
    """Draw one accuracy per source, where there is one, a little above or below the source's line."""
    points = [(line, estimate) for line, estimate in enumerate(estimates) if estimate is not None]
    if not points:
        return
    values = [estimate.value for _, estimate in points]
    axes.errorbar(
        values,
        [line + shift for line, _ in points],
        xerr=error_arms([estimate for _, estimate in points]),
        color=run_style(index)[0],
        linestyle="none",
        marker=run_style(index)[2],
        markersize=5,
        # on a phone the axes are so narrow that the room beyond 100% does not hold half a marker
        clip_on=False,
        label=name,
    )


def _warning_sentence(warning: SourceWarning) -> str:
    """Return a warning as a sentence; a source at its beginning keeps its name as it is written."""
    names = tuple(short(name, NAME) for name in warning.sources)
    return warning.text if names and warning.text.startswith(names) else _capital(warning.text)


def _capital(sentence: str) -> str:
    return f"{sentence[:1].upper()}{sentence[1:]}"
