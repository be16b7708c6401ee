"""The page of `penchant data show`: what stands in its first lines."""

from __future__ import annotations

from penchant.data.rendering.marked import MarkedPiece, MarkedResponse, MarkedRow, RefusedRow
from penchant.reports.run.marked import marked_headline, marked_page

ROW = MarkedRow(
    source="prefs.jsonl:1",
    prompt=(MarkedPiece("The film", "given"),),
    tokens=2,
    responses=(
        MarkedResponse("chosen", (MarkedPiece(" is good", "scored"),), 3, 2),
        MarkedResponse("rejected", (MarkedPiece(" is bad", "scored"),), 2, 2),
    ),
)
REFUSED = RefusedRow("prefs.jsonl:2", "no room")


def test_the_first_line_counts_what_is_scored_and_what_is_refused() -> None:
    assert marked_headline([ROW, REFUSED]) == [
        "4 of 7 tokens are scored: they are coloured below. All others are context.",
        "1 row cannot be rendered, for the reason that stands there.",
    ]
    assert marked_headline([REFUSED, REFUSED]) == ["2 rows cannot be rendered, for the reason that stands there."]


def test_the_page_names_task_model_and_data_and_has_no_script() -> None:
    html = marked_page([ROW, REFUSED], "prefs.jsonl", "penchant-0.5m", 4_000)
    about = html.partition('class="about"')[2].partition("</dl>")[0]
    assert [words in about for words in ("Task", "penchant-0.5m", "prefs.jsonl", "Rows")] == [True] * 4
    assert "<script" not in html
    assert "script-src" not in html
