"""What the admin page says: who did how much, how far people agree, and what pulls at them. Plain numbers."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import median

from sqlmodel import Session, col, func, select

from penchant.data.layouts.own import read_penchant
from penchant.metrics.agreement import agreement_between, krippendorff_alpha, pair_agreement
from penchant.metrics.estimates import Coefficient, Estimate
from penchant.metrics.intervals import cluster_mean
from penchant.raters.ratings import Ratings, RatingsTable
from penchant.raters.row_metadata import Beside
from penchant.web.assignment import DONE, SKIPPED
from penchant.web.export import Said, all_said, rows
from penchant.web.tables import Annotator, Assignment, Entry, Item, Judgment

MOST_PEOPLE = 12
"""People of whom every two stand in a table."""
MOST_READ = 30
"""Disagreements on the page, the latest."""


@dataclass(frozen=True)
class Worker:
    """What one person did. `left` and `longer` are shares of decided pairs: the first on the page won, the longer one
    won; `median_s` is seconds an item; `checks` is (right, seen)."""

    number: int
    name: str
    judged: int
    skipped: int
    ties: int
    both_bad: int
    undone: int
    median_s: float | None
    left: float | None
    longer: float | None
    checks: tuple[int, int]


@dataclass(frozen=True)
class Disagreement:
    """An item of which people said different things."""

    entry: int
    row: str
    heard: tuple[Said, ...]


@dataclass(frozen=True)
class Summary:
    """A collection so far.

    Attributes:
        items, complete: how many there are, and how many have their overlap. needed, judged: judgments, skips and
            attention checks aside. stuck: items whose overlap cannot be reached, since too many skipped them.
        raw, alpha: agreement on pairs of responses; kappa: of each two people that judged a common item.
        first_shown, longer: shares of decided pairs that the response shown first, or the longer one, won; None where
            there are none.
    """

    items: int
    complete: int
    needed: int
    judged: int
    stuck: int
    raw: Coefficient
    alpha: Coefficient
    kappa: tuple[tuple[str, str, Coefficient, Coefficient], ...]
    first_shown: Estimate | None
    longer: Estimate | None
    workers: tuple[Worker, ...]
    disagreements: tuple[Disagreement, ...]


def summarize(session: Session, overlap: int) -> Summary:
    """Summarize everything of a collection at once."""
    said = all_said(session)
    real = [one for one in said if one.answer is None]
    entries = {entry.id: entry.row for entry in session.exec(select(Entry))}
    lengths = _lengths(entries, {one.entry for one in real})
    names = {annotator.id: annotator.name for annotator in session.exec(select(Annotator).order_by(col(Annotator.id)))}
    by_item: dict[int, list[Said]] = defaultdict(list)
    for one in real:
        by_item[one.item].append(one)
    judged = {item: [one for one in heard if one.places] for item, heard in by_item.items()}
    items = int(session.exec(select(func.count()).select_from(Item).where(col(Item.answer).is_(None))).one())
    ratings = ratings_of(session)
    verdicts = ratings.verdicts or [[]]  # nobody has said anything yet
    split = [item for item, heard in judged.items() if _differ(heard)]
    split.sort(key=lambda item: max(one.number for one in judged[item]), reverse=True)
    skipped = {item: sum(one.places is None for one in heard) for item, heard in by_item.items()}
    return Summary(
        items=items,
        complete=sum(len(heard) >= overlap for heard in judged.values()),
        needed=items * overlap,
        judged=sum(map(len, judged.values())),
        stuck=sum(len(names) - count < overlap for count in skipped.values()),
        raw=agreement_between(verdicts, clusters=ratings.clusters),
        alpha=krippendorff_alpha(verdicts, ratings.clusters),
        kappa=_kappas(ratings),
        first_shown=_share(real, _first_won),
        longer=_share(real, lambda one, a, b: _longer_won(one, a, b, lengths)),
        workers=tuple(_worker(session, number, name, said, lengths) for number, name in names.items()),
        disagreements=tuple(
            Disagreement(judged[item][0].entry, entries[judged[item][0].entry], tuple(judged[item]))
            for item in split[:MOST_READ]
        ),
    )


def _lengths(entries: Mapping[int, str], wanted: set[int]) -> dict[int, list[int]]:
    """Return characters of each response of an entry."""
    found = {}
    for number in wanted:
        texts = json.loads(entries[number])["responses"]
        found[number] = [len(text if isinstance(text, str) else text["text"]) for text in texts]
    return found


def ratings_of(session: Session) -> Ratings:
    """Return who says what of which pair of responses, as `penchant agree` reads it from the same database."""
    table = RatingsTable()
    for row in rows(session):
        group = read_penchant(row)
        for comparison in group.comparisons:
            table.add(comparison.annotator or "", group, comparison, Beside())
    return table.ratings()


def _verdict(said: Said, a: int, b: int) -> str:
    assert said.places is not None
    one, other = said.places[a], said.places[b]
    return "tie" if one == other else "first" if one < other else "second"


def _differ(heard: Sequence[Said]) -> bool:
    verdicts = {tuple(_verdict(one, a, b) for a, b in combinations(sorted(one.places or ()), 2)) for one in heard}
    return len(verdicts) > 1


def _kappas(found: Ratings) -> tuple[tuple[str, str, Coefficient, Coefficient], ...]:
    """Return agreement and kappa of each two people with a common pair; nothing where a table would be too long."""
    if len(found.raters) > MOST_PEOPLE:
        return ()
    clusters = found.clusters
    people = sorted(range(len(found.raters)), key=lambda rater: found.raters[rater])
    pairs = [
        (found.raters[one], found.raters[other], pair_agreement(found.verdicts[one], found.verdicts[other], clusters))
        for one, other in combinations(people, 2)
    ]
    return tuple((one, other, pair.raw, pair.kappa) for one, other, pair in pairs if pair.raw.n)


def _decided(said: Sequence[Said]) -> list[tuple[Said, int, int]]:
    """Return (judgment, winner, loser) of every pair that somebody decided."""
    return [
        (one, a, b) if one.places[a] < one.places[b] else (one, b, a)
        for one in said
        if one.places
        for a, b in combinations(sorted(one.places), 2)
        if one.places[a] != one.places[b]
    ]


def _first_won(said: Said, winner: int, loser: int) -> bool:
    return said.shown.index(winner) < said.shown.index(loser)


def _longer_won(said: Said, winner: int, loser: int, lengths: Mapping[int, Sequence[int]]) -> bool | None:
    one, other = lengths[said.entry][winner], lengths[said.entry][loser]
    return None if one == other else one > other


def _share(said: Sequence[Said], holds: object) -> Estimate | None:
    assert callable(holds)
    values, clusters = [], []
    for one, winner, loser in _decided(said):
        value = holds(one, winner, loser)
        if value is not None:
            values.append(float(value))
            clusters.append(one.entry)
    return cluster_mean(values, clusters, share=True) if values else None


def _worker(
    session: Session, number: int, name: str, said: Sequence[Said], lengths: Mapping[int, Sequence[int]]
) -> Worker:
    mine = [one for one in said if one.annotator == name]
    real = [one for one in mine if one.answer is None]
    judged = [one for one in real if one.places is not None]
    decided = _decided(real)
    lefts = [_first_won(*of) for of in decided]
    longs = [won for of in decided if (won := _longer_won(*of, lengths)) is not None]
    checks = [one for one in mine if one.answer is not None]
    undone = select(func.count()).select_from(Judgment).join(Assignment).where(Assignment.annotator_id == number)
    return Worker(
        number=number,
        name=name,
        judged=len(judged),
        skipped=len(real) - len(judged),
        ties=sum(one.choice == "tie" for one in judged),
        both_bad=sum(one.choice == "both_bad" for one in judged),
        undone=int(session.exec(undone.where(col(Judgment.undone_at).is_not(None))).one()),
        median_s=median(one.seconds for one in judged) if judged else None,
        left=sum(lefts) / len(lefts) if lefts else None,
        longer=sum(longs) / len(longs) if longs else None,
        checks=(sum(one.places == one.answer for one in checks), len(checks)),
    )


def progress_of(session: Session, annotator: int) -> int:
    """Return how many items a person has done, attention checks and skips too: they cannot be told from outside."""
    asked = select(func.count()).where(Assignment.annotator_id == annotator, col(Assignment.state).in_((DONE, SKIPPED)))
    return int(session.exec(asked).one())
