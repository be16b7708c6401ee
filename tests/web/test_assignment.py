"""Who gets what: every item its overlap, nobody an item twice, sides that balance, leases that end."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlmodel import Session, SQLModel, create_engine, select

from penchant.web.assignment import DONE, SKIPPED, fair_share, next_assignment, order_of
from penchant.web.settings import Collect
from penchant.web.tables import Annotator, Assignment, Entry, Item, Judgment


def rows(count: int) -> list[dict[str, Any]]:
    return [{"prompt": f"p{n}", "responses": ["one", "two"]} for n in range(count)]


@settings(max_examples=25)
@given(
    items=st.integers(1, 8),
    people=st.integers(1, 5),
    overlap=st.integers(1, 5),
    seed=st.integers(0, 99),
    turns=st.lists(st.tuples(st.integers(0, 4), st.sampled_from(["judge", "leave", "skip", "wait"])), max_size=40),
)
def test_each_item_gets_its_overlap_however_fast_people_are(
    items: int, people: int, overlap: int, seed: int, turns: list[tuple[int, str]]
) -> None:
    """People come in any order, look and go away, skip, take pauses; then all who are left work to the end."""
    overlap = min(overlap, people)
    engine = create_engine("sqlite://")
    SQLModel.metadata.create_all(engine)
    config = Collect(annotators=people, overlap=overlap, lease_minutes=1, seed=seed, check_every=10)
    now = 0.0
    with Session(engine) as session:
        for number in range(1, items + 1):
            session.add(Entry(id=number, source="", row="{}"))
            session.add(Item(id=number, entry_id=number, members="[0, 1]", shuffle=(number * 7919) % 101))
        for number in range(1, people + 1):
            session.add(Annotator(id=number, name=str(number)))
        session.flush()

        def finish(found: Assignment, choice: str) -> None:
            found.state = SKIPPED if choice == "skip" else DONE
            said = Judgment(
                client_id=str(uuid.uuid4()), assignment_id=found.id or 0, choice=choice, seconds=1, judged_at=now
            )
            session.add_all([found, said])
            session.flush()

        skips: Counter[int] = Counter()
        for who, act in turns:
            now += 100 if act == "wait" else 1
            found = next_assignment(session, who % people + 1, config, now)
            if found is None or act in ("leave", "wait"):
                continue
            skips[found.item_id] += act == "skip"
            finish(found, "skip" if act == "skip" else "tie")
        now += 100  # everybody's lease ends
        worked = True
        while worked:
            worked = False
            for who in range(1, people + 1):
                now += 1
                found = next_assignment(session, who, config, now)
                if found is not None:
                    finish(found, "tie")
                    worked = True
        asked = select(Assignment.item_id, Assignment.annotator_id).join(Judgment).where(Judgment.choice == "tie")
        judged = Counter(item for item, _ in session.exec(asked).all())
    for item in range(1, items + 1):
        assert min(overlap, people - skips[item]) <= judged[item] <= overlap
    engine.dispose()


@given(st.integers(2, 9), st.integers(0, 99), st.integers(1, 99))
def test_sides_balance_within_an_item(responses: int, seed: int, item: int) -> None:
    members = list(range(responses))
    orders = [order_of(members, seed, item, earlier) for earlier in range(4)]
    assert all(sorted(order) == members for order in orders)
    assert orders[1] == orders[0][::-1]
    assert orders[3] == orders[2][::-1]
    assert orders == [order_of(members, seed, item, earlier) for earlier in range(4)]


def test_sides_are_even_over_items_and_follow_the_seed() -> None:
    first = [order_of([0, 1], 0, item, 0)[0] for item in range(1000)]
    assert 440 < sum(first) < 560
    assert first != [order_of([0, 1], 1, item, 0)[0] for item in range(1000)]


def test_a_lease_ends_and_a_late_answer_is_still_taken(make_site: Callable[..., Any]) -> None:
    site = make_site(rows(1), annotators=2, overlap=1, lease_minutes=10)
    slow, fast = site.person(1), site.person(2)
    assignment, _, csrf = slow.look()
    assert fast.look() is None
    site.clock.now += 599
    assert slow.look()[0] == assignment  # looking renews it
    site.clock.now += 599
    assert fast.look() is None
    site.clock.now += 2
    assert fast.judge("tie")
    assert slow.send(csrf, id=str(uuid.uuid4()), assignment=assignment, choice="tie").status_code == 200
    assert slow.look() is None


def test_a_lapsed_item_is_not_shown_again_once_others_did_it(make_site: Callable[..., Any]) -> None:
    site = make_site(rows(1), annotators=2, overlap=1, lease_minutes=1)
    slow, fast = site.person(1), site.person(2)
    assert slow.look()
    site.clock.now += 61
    assert fast.judge("tie")
    assert slow.look() is None


def test_everybody_gets_the_checks_once_and_they_count_for_nothing(
    make_site: Callable[..., Any], tmp_path: Any
) -> None:
    checks = tmp_path / "checks.jsonl"
    checks.write_text(
        '{"prompt": "2 + 2?", "chosen": "4", "rejected": "5"}\n{"prompt": "1 + 1?", "chosen": "2", "rejected": "3"}\n'
    )
    site = make_site(rows(6), annotators=2, overlap=2, checks=str(checks), check_every=3)
    for number, right in ((1, True), (2, False)):
        person = site.person(number)
        while (text := person.page()) and "data-assignment" in text:
            places = None
            for good, bad in (("4", "5"), ("2", "3")):
                if f"<p>{good}</p>" in text and f"<p>{bad}</p>" in text:
                    first = text.index(f"<p>{good}</p>") < text.index(f"<p>{bad}</p>")
                    places = [1, 2] if first == right else [2, 1]
            assert person.judge(places=places)
    page = site.admin().get("/admin/").text
    assert "12 of 12 judgments" in page
    assert page.index("2 of 2") < page.index("0 of 2")
    assert "2 + 2" not in site.admin().get("/admin/export.jsonl").text


def test_a_plain_share_of_the_work() -> None:
    assert fair_share(10, 2, 4) == 5
    assert fair_share(10, 3, 3) == 10
    assert fair_share(7, 1, 3) == 3


@pytest.mark.parametrize(("seed", "same"), [(0, True), (1, False)])
def test_the_seed_decides_who_sees_what_first(
    make_site: Callable[..., Any], tmp_path: Any, seed: int, same: bool
) -> None:
    first = make_site(rows(40), annotators=1, overlap=1, out=str(tmp_path / "a.sqlite"), seed=0).person(1).page()
    other = make_site(rows(40), annotators=1, overlap=1, out=str(tmp_path / "b.sqlite"), seed=seed).person(1).page()
    prompt = [page.split('class="prompt card"')[1].split("</section>")[0] for page in (first, other)]
    assert (prompt[0] == prompt[1]) == same
