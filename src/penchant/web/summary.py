"""Numbers of the admin page: who did how much, how far people agree, and what biases them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from operator import itemgetter
from statistics import median

from sqlmodel import Session, col, func, select

from penchant.data.layouts.own import read_penchant
from penchant.metrics.agreement import agreement_between, krippendorff_alpha, pair_agreement
from penchant.metrics.estimates import Coefficient, Estimate
from penchant.metrics.intervals import cluster_mean
from penchant.raters.ratings import Ratings, RatingsTable
from penchant.raters.row_metadata import RowMetadata
from penchant.web.assignment import DONE, SKIPPED
from penchant.web.database import items_of
from penchant.web.entry_content import EntryContent
from penchant.web.export import StandingJudgment, rows, standing_judgments
from penchant.web.tables import Annotator, Assignment, Entry, Judgment

MOST_PEOPLE = 12  # of whom every two stand in a table, which has 66 lines then
MOST_READ = 30  # disagreements on the page, the latest


@dataclass(frozen=True)
class Worker:
    """Counts and shares of one person's judgments.

    Attributes:
        left, longer_wins: shares of decided pairs in which the first on the page, or the longer one, won.
        median_s: seconds per item. checks: (right, seen) attention checks.
    """

    number: int
    name: str
    judgment_count: int
    skipped: int
    ties: int
    both_bad: int
    undone: int
    median_s: float | None
    left: float | None
    longer_wins: float | None
    checks: tuple[int, int]


@dataclass(frozen=True)
class Disagreement:
    """An item of which people said different things."""

    entry: int
    row: str
    judgments: tuple[StandingJudgment, ...]


@dataclass(frozen=True)
class Summary:
    """A collection so far.

    Attributes:
        items, complete: how many there are, and how many have their overlap.
        judgments_needed, judgments_made: skips and attention checks aside.
        stuck: items whose overlap cannot be reached, since too many skipped them.
        raw, alpha: agreement on pairs of responses; kappa: of each two people that judged a common item.
        first_shown, longer_wins: shares of decided pairs that the response shown first, or the longer one, won; None
            where there are none.
    """

    items: int
    complete: int
    judgments_needed: int
    judgments_made: int
    stuck: int
    raw: Coefficient
    alpha: Coefficient
    kappa: tuple[tuple[str, str, Coefficient, Coefficient], ...]
    first_shown: Estimate | None
    longer_wins: Estimate | None
    workers: tuple[Worker, ...]
    disagreements: tuple[Disagreement, ...]


def summarize(session: Session, overlap: int) -> Summary:
    """Summarize everything of a collection at once."""
    judgments = standing_judgments(session)
    real = [judgment for judgment in judgments if judgment.answer is None]
    entries = {entry.id: entry.row for entry in session.exec(select(Entry))}
    lengths = {
        number: [len(text) for text in EntryContent.read(entries[number]).responses]
        for number in {judgment.entry for judgment in real}
    }
    names = {annotator.id: annotator.name for annotator in session.exec(select(Annotator).order_by(col(Annotator.id)))}
    by_item: dict[int, list[StandingJudgment]] = defaultdict(list)
    for judgment in real:
        by_item[judgment.item].append(judgment)
    ranked = {item: [judgment for judgment in group if judgment.ranks] for item, group in by_item.items()}
    items = items_of(session)
    # from the export's rows, so that these numbers are those that `penchant agree` gives of the same file
    ratings = ratings_of(session)
    verdicts = ratings.verdicts or [[]]  # nobody has said anything yet
    split = [item for item, item_judgments in ranked.items() if _differ(item_judgments)]
    # the latest first, since whoever looks at the page while people judge has seen the others
    split.sort(key=lambda item: max(judgment.record.id or 0 for judgment in ranked[item]), reverse=True)
    return Summary(
        items=items,
        complete=sum(len(item_judgments) >= overlap for item_judgments in ranked.values()),
        judgments_needed=items * overlap,
        judgments_made=sum(map(len, ranked.values())),
        # each person has an item once: who skipped it cannot judge it any more
        stuck=sum(
            len(names) - sum(judgment.ranks is None for judgment in item_judgments) < overlap
            for item_judgments in by_item.values()
        ),
        raw=agreement_between(verdicts, clusters=ratings.clusters),
        alpha=krippendorff_alpha(verdicts, ratings.clusters),
        kappa=_kappas(ratings),
        first_shown=_share(real, _first_won),
        longer_wins=_share(real, lambda judgment, a, b: _longer_won(judgment, a, b, lengths)),
        workers=tuple(_worker(session, number, name, judgments, lengths) for number, name in names.items()),
        disagreements=tuple(
            Disagreement(ranked[item][0].entry, entries[ranked[item][0].entry], tuple(ranked[item]))
            for item in split[:MOST_READ]
        ),
    )


def ratings_of(session: Session) -> Ratings:
    """Return who says what of which pair of responses, as `penchant agree` reads it from the same database."""
    table = RatingsTable()
    for row in rows(session):
        group = read_penchant(row)
        for comparison in group.comparisons:
            table.add(comparison.annotator or "", group, comparison, RowMetadata())
    return table.ratings()


def _verdict(judgment: StandingJudgment, a: int, b: int) -> str:
    assert judgment.ranks is not None
    rank_a, rank_b = judgment.ranks[a], judgment.ranks[b]
    return "tie" if rank_a == rank_b else "first" if rank_a < rank_b else "second"


def _differ(judgments: Sequence[StandingJudgment]) -> bool:
    verdicts = {
        tuple(_verdict(judgment, a, b) for a, b in combinations(sorted(judgment.ranks or ()), 2))
        for judgment in judgments
    }
    return len(verdicts) > 1


def _kappas(ratings: Ratings) -> tuple[tuple[str, str, Coefficient, Coefficient], ...]:
    """Return agreement and kappa of each two people with a common pair; nothing where a table would be too long."""
    # the table grows with the square of people
    if len(ratings.raters) > MOST_PEOPLE:
        return ()
    people = sorted(zip(ratings.raters, ratings.verdicts, strict=True), key=itemgetter(0))
    pairs = [
        (first, second, pair_agreement(verdicts, other_verdicts, ratings.clusters))
        for (first, verdicts), (second, other_verdicts) in combinations(people, 2)
    ]
    return tuple((first, second, pair.raw, pair.kappa) for first, second, pair in pairs if pair.raw.n)


def _decided_pairs(judgments: Sequence[StandingJudgment]) -> list[tuple[StandingJudgment, int, int]]:
    """Return (judgment, winner, loser) of every pair that somebody decided."""
    return [
        (judgment, a, b) if judgment.ranks[a] < judgment.ranks[b] else (judgment, b, a)
        for judgment in judgments
        if judgment.ranks
        for a, b in combinations(sorted(judgment.ranks), 2)
        if judgment.ranks[a] != judgment.ranks[b]
    ]


def _first_won(judgment: StandingJudgment, winner: int, loser: int) -> bool:
    return judgment.order.index(winner) < judgment.order.index(loser)


def _longer_won(
    judgment: StandingJudgment, winner: int, loser: int, lengths: Mapping[int, Sequence[int]]
) -> bool | None:
    # of equal lengths none is the longer one
    winner_length, loser_length = lengths[judgment.entry][winner], lengths[judgment.entry][loser]
    return None if winner_length == loser_length else winner_length > loser_length


def _share(
    judgments: Sequence[StandingJudgment], holds: Callable[[StandingJudgment, int, int], bool | None]
) -> Estimate | None:
    """Return the share of decided pairs of which something holds; None counts a pair out."""
    values, clusters = [], []
    for judgment, winner, loser in _decided_pairs(judgments):
        value = holds(judgment, winner, loser)
        if value is not None:
            values.append(float(value))
            clusters.append(judgment.entry)
    return cluster_mean(values, clusters, share=True) if values else None


def _worker(
    session: Session,
    number: int,
    name: str,
    judgments: Sequence[StandingJudgment],
    lengths: Mapping[int, Sequence[int]],
) -> Worker:
    own_judgments = [judgment for judgment in judgments if judgment.annotator == name]
    real = [judgment for judgment in own_judgments if judgment.answer is None]
    ranked = [judgment for judgment in real if judgment.ranks is not None]
    decided_pairs = _decided_pairs(real)
    lefts = [_first_won(*pair) for pair in decided_pairs]
    longs = [longer_won for pair in decided_pairs if (longer_won := _longer_won(*pair, lengths)) is not None]
    checks = [judgment for judgment in own_judgments if judgment.answer is not None]
    undone = select(func.count()).select_from(Judgment).join(Assignment).where(Assignment.annotator_id == number)
    return Worker(
        number=number,
        name=name,
        judgment_count=len(ranked),
        skipped=len(real) - len(ranked),
        ties=sum(judgment.record.choice == "tie" for judgment in ranked),
        both_bad=sum(judgment.record.choice == "both_bad" for judgment in ranked),
        undone=session.exec(undone.where(col(Judgment.undone_at).is_not(None))).one(),
        median_s=median(judgment.record.seconds for judgment in ranked) if ranked else None,
        left=sum(lefts) / len(lefts) if lefts else None,
        longer_wins=sum(longs) / len(longs) if longs else None,
        checks=(sum(judgment.ranks == judgment.answer for judgment in checks), len(checks)),
    )


def progress_of(session: Session, annotator: int) -> int:
    """Return how many items a person has done, attention checks and skips too: they cannot be told from outside."""
    query = select(func.count()).where(Assignment.annotator_id == annotator, col(Assignment.state).in_((DONE, SKIPPED)))
    return session.exec(query).one()
