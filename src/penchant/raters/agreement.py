"""Measure how far several raters agree, from files to numbers and a page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import combinations

from penchant.errors import InputError
from penchant.metrics.agreement import (
    Pair,
    agreement_between,
    krippendorff_alpha,
    leave_one_out,
    majority,
    pair_agreement,
)
from penchant.metrics.estimates import Estimate
from penchant.metrics.resampling import Resampling
from penchant.raters.breakdown import by_length, by_order, by_topic, first_shown_share, leaning, mean_over
from penchant.raters.files_to_page import files_to_page
from penchant.raters.ratings import FIRST, SECOND, TIE, Ratings, read_ratings
from penchant.raters.results import Agreement, Disagreement, HumanStudy, Matchup, MatchupWins, RaterPair, RaterResult
from penchant.raters.settings import Agree, resampling_of
from penchant.types import RunResult

MOST_ROWS = 12  # of two models each, in the table of people and judges
Verdicts = list[str | None]


def agree(config: Agree) -> RunResult:
    """Read the files, measure, and write `agree.json`, `report.html` and figures to the run directory.

    Raises:
        InputError: what `read_ratings` raises; one rater only; no comparison that two raters share.
        RunError: the folder cannot be written.
    """
    from penchant.raters.agreement_page import agreement_page  # brings matplotlib

    return files_to_page(config, [*config.files, *config.people], lambda: measure_agreement(config), agreement_page)


def measure_agreement(config: Agree) -> Agreement:
    """Return how far the raters of the files agree.

    Raises:
        InputError: as `agree`.
    """
    # All numbers below are of one table: every rater's verdict on every pair, None where there is none.
    ratings = read_ratings(
        config.files,
        config.people,
        kept_raters=config.annotators,
        topic=config.topic,
        order=config.order,
        layout=config.layout,
        columns=config.columns,
        bad_rows=config.bad_rows,
    )
    clusters, resampling = ratings.clusters, resampling_of(config)
    # Before anything is measured: with nothing in common every number would be undefined.
    _require_common(ratings, resampling)
    people = _verdicts_of(ratings, people=True)
    return Agreement(
        method=config.method,
        files=config.files,
        people_files=config.people,
        level=config.level,
        raters=_raters(ratings, resampling),
        comparisons=len(ratings.pairs),
        shared=sum(count >= 2 for count in ratings.times),
        prompts=len(set(clusters)),
        skipped_rows=ratings.skipped_rows,
        alike=ratings.alike,
        contradicted=ratings.contradicted,
        pairs=_pairs(ratings, resampling),
        alpha=krippendorff_alpha(ratings.verdicts, clusters, **resampling),
        # one person has nobody to agree with
        alpha_people=krippendorff_alpha(people, clusters, **resampling) if len(people) > 1 else None,
        lengths=by_length(ratings, resampling),
        orders=by_order(ratings, resampling),
        topics=by_topic(ratings, resampling),
        human_study=_human_study(ratings, resampling),
        disagreements=_disagreements(ratings, config.shown),
    )


def _require_common(ratings: Ratings, resampling: Resampling) -> None:
    if len(ratings.raters) < 2:
        raise InputError(
            f"there is one rater only ({ratings.raters[0] if ratings.raters else 'none'}), and agreement needs two: "
            f"rows that say who judged (`annotator`), or one file per judge{_lone_leanings(ratings, resampling)}"
        )
    if not any(count >= 2 for count in ratings.times):
        raise InputError(
            f"no comparison was judged by two of the {len(ratings.raters)} raters ({', '.join(ratings.raters[:10])}): "
            "a comparison is the same where the prompt and both responses are, whatever their order. Are these files "
            "about the same prompts?"
        )


def _lone_leanings(ratings: Ratings, resampling: Resampling) -> str:
    """Return what can be said of a rater without any other, which is what "is my judge biased?" asks for."""
    from penchant.reports.kit.text import format_estimate  # brings matplotlib

    (verdicts,), (sides,) = ratings.verdicts or [[]], ratings.sides or [[]]
    measures = (
        ("the one shown first", first_shown_share(sides, ratings.clusters, resampling)),
        ("the longer one", leaning(verdicts, _longer_first(ratings), ratings.clusters, resampling)),
    )
    shares = [f"{words} in {format_estimate(share, percent=True)} of {share.n}" for words, share in measures if share]
    return f"\n  alone, it took {', '.join(shares)}" if shares else ""


def _longer_first(ratings: Ratings) -> list[bool | None]:
    """Return whether the first response of each pair is the longer one; None where both are as long."""
    return [pair.longer_by > 0 if pair.longer_by else None for pair in ratings.pairs]


def _verdicts_of(ratings: Ratings, *, people: bool) -> list[Verdicts]:
    raters = zip(ratings.raters, ratings.verdicts, strict=True)
    return [verdicts for rater, verdicts in raters if (rater in ratings.people) == people]


def _pairs(ratings: Ratings, resampling: Resampling) -> tuple[RaterPair, ...]:
    raters = zip(ratings.raters, ratings.verdicts, strict=True)
    return tuple(
        RaterPair(first, second, _agreement_of_two(verdicts, other_verdicts, ratings.clusters, resampling))
        for (first, verdicts), (second, other_verdicts) in combinations(raters, 2)
    )


def _agreement_of_two(first: Verdicts, second: Verdicts, clusters: list[str], resampling: Resampling) -> Pair:
    """Return the agreement of two raters on what both judged."""
    # With many raters most pairs have little in common, and the others' items would be counted for each pair anew.
    # Where nothing is common one item stays, of which `pair_agreement` says that nobody rated it twice.
    common = [item for item, verdicts in enumerate(zip(first, second, strict=True)) if None not in verdicts] or [0]
    first, second = ([rater[item] for item in common] for rater in (first, second))
    return pair_agreement(first, second, [clusters[item] for item in common], **resampling)


def _raters(ratings: Ratings, resampling: Resampling) -> tuple[RaterResult, ...]:
    """Return each rater by itself, against the majority and against that of the others.

    Where there are people, the majority is theirs: a judge is held against all of them, a person against the others.
    """
    clusters = ratings.clusters
    reference = _verdicts_of(ratings, people=True) or ratings.verdicts
    leading = majority(reference)
    # one per rater of the reference, in its order: who is part of it takes the next
    against_others = iter(leave_one_out(reference, clusters, **resampling))
    is_longer = _longer_first(ratings)
    rows = []
    for rater, verdicts, sides in zip(ratings.raters, ratings.verdicts, ratings.sides, strict=True):
        is_in_reference = rater in ratings.people or not ratings.people
        against_all = pair_agreement(verdicts, leading, clusters, **resampling)
        rows.append(
            RaterResult(
                name=rater,
                kind="person" if rater in ratings.people else "judge" if ratings.people else "rater",
                judged=sum(verdict is not None for verdict in verdicts),
                ties=sum(verdict == TIE for verdict in verdicts),
                longer=leaning(verdicts, is_longer, clusters, resampling),
                first_shown=first_shown_share(sides, clusters, resampling),
                # The majority of two is what both say, so each of them agrees with it wherever there is one.
                majority=against_all if len(reference) > 2 else None,
                # A judge is no part of the people's majority, so there is nothing to leave out of it.
                left_out=next(against_others) if is_in_reference else against_all,
            )
        )
    return tuple(rows)


def _human_study(ratings: Ratings, resampling: Resampling) -> HumanStudy | None:
    """Return the table of the DPO paper's human study: who wins by each judge and by people, who agrees with whom.

    It has a row for everything, and one for each two models where rows say who wrote the responses.
    """
    people, judges = _verdicts_of(ratings, people=True), _verdicts_of(ratings, people=False)
    if not people or not judges:
        return None
    names = tuple(rater for rater in ratings.raters if rater not in ratings.people)
    # Only what both sides judged: a judge's wins on other comparisons could not be held against people's.
    common = [
        item
        for item in range(len(ratings.pairs))
        if all(any(verdicts[item] is not None for verdicts in group) for group in (people, judges))
    ]
    # sorted, so that A against B and B against A are one matchup
    models_of = {item: tuple(sorted(ratings.pairs[item].models or ())) for item in common}
    # rows that do not say who wrote what have no models, and a model against itself has no winner
    matchups = Counter(models for models in models_of.values() if len(set(models)) == 2)
    rows = []
    # the empty pair of models stands for everything
    for models in [(), *(models for models, _ in matchups.most_common(MOST_ROWS))]:
        items = [item for item in common if not models or models_of[item] == models]
        if items:
            rows.append(_matchup(ratings, models, items, (people, judges), resampling))
    return HumanStudy(names, len(people), tuple(rows))


def _matchup(
    ratings: Ratings,
    models: tuple[str, ...],
    items: list[int],
    groups: tuple[list[Verdicts], list[Verdicts]],
    resampling: Resampling,
) -> Matchup:
    """Return one row of the human study.

    Args:
        models: two names; empty for everything.
        items: the comparisons of this row.
        groups: verdicts of people, and of judges.
    """
    clusters = [ratings.clusters[item] for item in items]
    people, judges = ([[verdicts[item] for item in items] for verdicts in group] for group in groups)
    wins = None
    if models:
        # a pair is oriented by digest, so the first model wrote the first response of some pairs only
        leads = [(ratings.pairs[item].models or models)[0] == models[0] for item in items]
        wins = MatchupWins(
            judges=tuple(_win_rate([verdicts], leads, clusters, resampling) for verdicts in judges),
            people=_win_rate(people, leads, clusters, resampling),
        )
    return Matchup(
        models=models or None,
        comparisons=len(items),
        wins=wins,
        judge_people=tuple(agreement_between([verdicts], people, clusters, **resampling) for verdicts in judges),
        people_people=agreement_between(people, None, clusters, **resampling),
    )


def _win_rate(
    raters: Sequence[Verdicts], leads: list[bool], clusters: list[str], resampling: Resampling
) -> Estimate | None:
    """Return how often one model wins by these raters, ties half.

    Args:
        leads: whether its response is the first of each comparison.
    """
    # The model wins where its response is the first and preferred, or the second and not preferred.
    outcomes = (
        (0.5 if verdict == TIE else float((verdict == FIRST) == lead), cluster)
        for verdicts in raters
        for verdict, lead, cluster in zip(verdicts, leads, clusters, strict=True)
        if verdict is not None
    )
    # One mean over all verdicts, in which a person who judged more counts for more.
    return mean_over(outcomes, resampling)


def _disagreements(ratings: Ratings, limit: int) -> tuple[Disagreement, ...]:
    """Return the comparisons on which raters are most divided: opposite verdicts before ties against wins."""
    contested = []
    for item, verdicts in enumerate(zip(*ratings.verdicts, strict=True)):
        votes = Counter(verdict for verdict in verdicts if verdict is not None)
        if len(votes) > 1:
            total = votes.total()
            # A tie against a win divides raters less than opposite wins do, so these are what is sorted by first.
            opposite, split = min(votes[FIRST], votes[SECOND]) / total, 1 - max(votes.values()) / total
            contested.append((-opposite, -split, item))  # the item last: equal ones stand in the order of the files
    return tuple(_disagreement(ratings, item) for _, _, item in sorted(contested)[:limit])


def _disagreement(ratings: Ratings, item: int) -> Disagreement:
    pair = ratings.pairs[item]
    raters = zip(ratings.raters, ratings.verdicts, strict=True)
    verdicts = {rater: verdict for rater, verdicts in raters if (verdict := verdicts[item]) is not None}
    return Disagreement(pair.prompt, (pair.first, pair.second), pair.models or None, verdicts)
