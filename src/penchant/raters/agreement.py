"""From files of several raters to how far they agree: numbers, and a page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import combinations
from typing import Any

from penchant.errors import InputError
from penchant.metrics.agreement import (
    Pair,
    agreement_between,
    krippendorff_alpha,
    leave_one_out,
    majority,
    pair_agreement,
)
from penchant.raters.breakdown import by_length, by_order, by_topic, mean_over, prefers_first_shown, prefers_longer
from penchant.raters.files_to_page import files_to_page
from penchant.raters.ratings import FIRST, SECOND, TIE, Ratings, read_ratings
from penchant.raters.settings import Agree
from penchant.types import RunResult

MOST_ROWS = 12  # of two models each, in the table of people and judges
Verdicts = list[str | None]


def agree(config: Agree) -> RunResult:
    """Read the files, measure, and write `agree.json`, `report.html` and figures to the run directory.

    Raises:
        InputError: what `read_ratings` raises; one rater only; no comparison that two raters share.
        RunError: the folder cannot be written.
    """
    from penchant.raters.agreement_page import agreement_page

    return files_to_page(config, [*config.files, *config.people], lambda: agreement_numbers(config), agreement_page)


def agreement_numbers(config: Agree) -> dict[str, Any]:
    """What there is to say, as plain values; the file `agree.json`."""
    found = read_ratings(
        config.files,
        config.people,
        only=config.annotators,
        topic=config.topic,
        layout=config.layout,
        bad_rows=config.bad_rows,
    )
    _require_common(found)
    clusters = found.clusters
    how = {"level": config.level, "resamples": config.resamples, "seed": config.seed}
    pairs = [
        {"one": found.raters[one], "other": found.raters[other]}
        | _as_dict(_of_two(found.verdicts[one], found.verdicts[other], clusters, how))
        for one, other in combinations(range(len(found.raters)), 2)
    ]
    times = found.times
    humans = _of(found, people=True)
    return {
        "method": config.method,
        "files": list(config.files),
        "people_files": list(config.people),
        "level": config.level,
        "raters": _raters(found, clusters, how),
        "comparisons": len(found.pairs),
        "shared": sum(count >= 2 for count in times),
        "prompts": len(set(clusters)),
        "skipped_rows": found.skipped_rows,
        "alike": found.alike,
        "contradicted": found.contradicted,
        "pairs": pairs,
        "alpha": krippendorff_alpha(found.verdicts, clusters, **how).as_dict(),  # type: ignore[arg-type]
        "alpha_people": krippendorff_alpha(humans, clusters, **how).as_dict() if len(humans) > 1 else None,  # type: ignore[arg-type]
        "lengths": by_length(found, clusters, how),
        "orders": by_order(found, clusters, how),
        "topics": by_topic(found, clusters, how),
        "human_study": _human_study(found, clusters, how),
        "disagreements": _disagreements(found, config.shown),
    }


def _require_common(found: Ratings) -> None:
    if len(found.raters) < 2:
        raise InputError(
            f"there is one rater only ({found.raters[0] if found.raters else 'none'}), and agreement needs two: rows "
            "that say who judged (`annotator`), or one file a judge"
        )
    if not any(count >= 2 for count in found.times):
        raise InputError(
            f"no comparison was judged by two of the {len(found.raters)} raters ({', '.join(found.raters[:10])}): a "
            "comparison is the same where the prompt and both responses are, whatever their order. Are these files "
            "about the same prompts?"
        )


def _of(found: Ratings, *, people: bool) -> list[Verdicts]:
    return [said for rater, said in zip(found.raters, found.verdicts, strict=True) if (rater in found.people) == people]


def _of_two(one: Verdicts, other: Verdicts, clusters: list[str], how: dict[str, Any]) -> Pair:
    """Of what both judged alone: with many raters most pairs have little in common."""
    both = [place for place, pair in enumerate(zip(one, other, strict=True)) if None not in pair] or [0]
    return pair_agreement([one[p] for p in both], [other[p] for p in both], [clusters[p] for p in both], **how)


def _as_dict(pair: Pair) -> dict[str, Any]:
    return {"raw": pair.raw.as_dict(), "kappa": pair.kappa.as_dict()}


def _raters(found: Ratings, clusters: list[str], how: dict[str, Any]) -> list[dict[str, Any]]:
    """Each rater by itself, against the majority and against that of the others.

    Where there are people, the majority is theirs: a judge is held against all of them, a person against the others.
    """
    reference = _of(found, people=True) or found.verdicts
    leads = majority(reference)
    apart = iter(leave_one_out(reference, clusters, **how))
    rows = []
    for rater, said, seen in zip(found.raters, found.verdicts, found.shown, strict=True):
        inside = rater in found.people or not found.people
        whole = pair_agreement(said, leads, clusters, **how)
        rows.append(
            {
                "name": rater,
                "kind": "person" if rater in found.people else "judge" if found.people else "rater",
                "judged": sum(verdict is not None for verdict in said),
                "ties": sum(verdict == TIE for verdict in said),
                "longer": prefers_longer(found, said, clusters, how),
                "first_shown": prefers_first_shown(said, seen, clusters, how),
                # of two, the majority is what both say; who is inside a majority agrees with itself
                "majority": _as_dict(whole) if len(reference) > 2 else None,
                "left_out": _as_dict(next(apart) if inside else whole),
            }
        )
    return rows


def _human_study(found: Ratings, clusters: list[str], how: dict[str, Any]) -> dict[str, Any] | None:
    """The table of the DPO paper's human study: who wins by each judge and by people, and who agrees with whom.

    A row for every two models, where rows say who wrote the responses, and one for everything.
    """
    people, judges = _of(found, people=True), _of(found, people=False)
    if not people or not judges:
        return None
    names = [rater for rater in found.raters if rater not in found.people]
    common = [
        any(said[place] is not None for said in people) and any(said[place] is not None for said in judges)
        for place in range(len(found.pairs))
    ]
    places = [place for place, both in enumerate(common) if both]
    played = {place: tuple(sorted(found.pairs[place].models or ())) for place in places}
    met = Counter(models for models in played.values() if len(set(models)) == 2)
    rows = []
    for models in [(), *(models for models, _ in met.most_common(MOST_ROWS))]:
        own = [place for place in places if not models or played[place] == models]
        if not own:
            continue
        here = [clusters[place] for place in own]
        by_people, by_judges = ([[said[p] for p in own] for said in group] for group in (people, judges))
        wins = None
        if models:
            leads = [found.pairs[p].models[0] == models[0] for p in own]  # type: ignore[index]
            wins = {
                "judges": [_win_rate([said], leads, here, how) for said in by_judges],
                "people": _win_rate(by_people, leads, here, how),
            }
        rows.append(
            {
                "models": list(models) or None,
                "comparisons": len(own),
                "wins": wins,
                "judge_people": [agreement_between([said], by_people, here, **how).as_dict() for said in by_judges],
                "people_people": agreement_between(by_people, None, here, **how).as_dict(),
            }
        )
    return {"judges": names, "people": len(people), "rows": rows}


def _win_rate(
    raters: Sequence[Verdicts], leads: list[bool], clusters: list[str], how: dict[str, Any]
) -> dict[str, Any] | None:
    """How often one model wins by these raters, ties half; `leads` says where its response is the first."""
    won = (
        (0.5 if verdict == TIE else float((verdict == FIRST) == lead), cluster)
        for said in raters
        for verdict, lead, cluster in zip(said, leads, clusters, strict=True)
        if verdict is not None
    )
    return mean_over(won, how)


def _disagreements(found: Ratings, most: int) -> list[dict[str, Any]]:
    """Comparisons on which raters are most divided: opposite verdicts before ties against wins."""
    contested = []
    for place, said in enumerate(zip(*found.verdicts, strict=True)):
        votes = Counter(verdict for verdict in said if verdict is not None)
        if len(votes) > 1:
            total = votes.total()
            opposite, split = min(votes[FIRST], votes[SECOND]) / total, 1 - max(votes.values()) / total
            contested.append((-opposite, -split, place))
    return [
        {
            "prompt": found.pairs[place].prompt,
            "responses": [found.pairs[place].first, found.pairs[place].second],
            "models": list(found.pairs[place].models or ()) or None,
            "said": {
                rater: said[place]
                for rater, said in zip(found.raters, found.verdicts, strict=True)
                if said[place] is not None
            },
        }
        for _, _, place in sorted(contested)[:most]
    ]
