"""The admin's page, its numbers against ones counted by hand."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from penchant.web.summary import summarize

ROWS = [{"prompt": f"question-{number}", "responses": ["brief", "a longer text"]} for number in range(4)]
# what each person says of the four prompts, and how many seconds it takes them
SAID = {
    1: [("longer", 2), ("longer", 4), ("longer", 6), ("brief", 8)],
    2: [("longer", 10), ("brief", 20), ("tie", 30), ("skip", 1)],
}


@pytest.fixture
def judged(make_site: Callable[..., Any]) -> tuple[Any, dict[int, list[bool]]]:
    """The site after that, and for each person of every decided pair whether the response shown first won."""
    site = make_site(ROWS, annotators=2, overlap=2, names=["Ada", "Ben"])
    first_won: dict[int, list[bool]] = {1: [], 2: []}
    for number, said in SAID.items():
        person = site.person(number)
        for _ in ROWS:
            text = person.page()
            found = re.search(r"question-(\d)", text)
            assert found is not None
            choice, seconds = said[int(found[1])]
            site.clock.now += seconds
            if choice == "skip":
                person.judge("skip", reason="unclear")
            elif choice == "tie":
                person.judge("tie", seconds=seconds)
            else:
                first = (text.index("a longer text") < text.index("brief")) == (choice == "longer")
                first_won[number].append(first)
                person.judge(places=[1, 2] if first else [2, 1], seconds=seconds, note=f"note of {number}")
    return site, first_won


def test_numbers_are_those_counted_by_hand(judged: tuple[Any, dict[int, list[bool]]]) -> None:
    site, first_won = judged
    with site.database.reading() as session:
        found = summarize(session, 2)
    assert (found.items, found.complete, found.judgments_needed, found.judgments_made, found.stuck) == (4, 3, 8, 7, 1)
    assert found.raw.value == pytest.approx(1 / 3)  # of three prompts that both judged, they agree on one
    # alpha: observed disagreement 4/6; of six values 4, 1, 1 are alike, so 1 - 4*3/(6*5) = 0.6 is expected
    assert found.alpha.value == pytest.approx(1 - (4 / 6) / 0.6)
    assert found.alpha.reason.startswith("no interval")  # three prompts are too few, and the page says so
    assert (found.raw.low, found.raw.high) == pytest.approx((1 - 0.975 ** (1 / 3), 0.905700), abs=1e-5)  # exact, 1 of 3
    assert found.longer_wins.value == pytest.approx(4 / 6)
    both = first_won[1] + first_won[2]
    assert found.first_shown.value == pytest.approx(sum(both) / 6)
    ada, ben = found.workers
    assert (ada.name, ada.judgment_count, ada.skipped, ada.ties, ada.median_s, ada.longer_wins) == (
        "Ada",
        4,
        0,
        0,
        5.0,
        0.75,
    )
    assert (ben.name, ben.judgment_count, ben.skipped, ben.ties, ben.median_s, ben.longer_wins) == (
        "Ben",
        3,
        1,
        1,
        20.0,
        0.5,
    )
    assert ada.left == pytest.approx(sum(first_won[1]) / 4)
    assert len(found.disagreements) == 2


def test_the_page_says_them(judged: tuple[Any, dict[int, list[bool]]]) -> None:
    site, _ = judged
    page = site.admin().get("/admin/").text
    assert "7 of 8 judgments" in page
    assert "3 of 4 items have their 2" in page
    assert "1 cannot reach that" in page
    # the interval is set smaller, behind the value
    tiles = [re.sub("<[^>]*>", "", tile) for tile in re.findall(r'class="value">(.*?)</p>', page)]
    assert [tile.split(" ")[0] for tile in tiles[:2] + tiles[3:]] == ["33%", "−0.11", "67%"]
    assert all(("%]" in tile) != ("[no interval: " in tile) for tile in tiles)
    assert tiles[0] == "33% [1%, 91%]"
    assert page.count('<details class="card split">') == 2
    assert "question-1" in page
    assert "question-2" in page
    assert "question-0" not in page  # there they agree
    assert "note of 2" in page


def test_a_source_reaches_no_annotator(make_site: Callable[..., Any]) -> None:
    told = {"source": "secret-model", "model": "secret-model", "model_a": "secret-model", "id": "secret-model"}
    site = make_site([{"prompt": "p", "responses": ["one", "two"], "meta": told}], annotators=1, overlap=1)
    person = site.person(1)
    html = person.page()
    assert "data-assignment" in html
    assert "secret-model" not in html
    assert "rows-0" not in html


def test_sqlite_writes_ahead_and_syncs(make_site: Callable[..., Any], sqlite_only: None) -> None:
    with make_site(ROWS).database.reading() as session:
        connection = session.connection()
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar_one() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar_one() == 2  # FULL
