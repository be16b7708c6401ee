"""`penchant rank`: strengths of models, responses or annotators. Imports no torch, so that help is instant."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penchant.cli.arguments import Arguments, Command
from penchant.cli.summary_lines import MOST_LINES, NAME_LENGTH, left_out_lines, print_result
from penchant.raters.settings import Rank
from penchant.typed_json import from_json

if TYPE_CHECKING:
    from penchant.raters.ranking.results import Ranking


def _rank(arguments: Arguments) -> int:
    config = arguments.load(Rank)
    from penchant.raters.ranking.rank import rank
    from penchant.raters.ranking.results import Ranking

    result = rank(config)
    return print_result(result, rank_lines(from_json(Ranking, result.metrics)))


def rank_lines(ranking: Ranking) -> list[str]:
    """Return what `rank` prints: what was left out, then a line per item, the strongest first."""
    from penchant.reports.kit.text import count, format_estimate, short

    basis = f"{ranking.comparisons} comparisons ({ranking.ties} ties)"
    if ranking.rankings is not None:
        basis = f"{ranking.rankings} rankings"
    elif ranking.by == "annotators":
        basis = f"{ranking.comparisons} times that of two one was with the majority of the others"
    lines = [
        f"rank: {len(ranking.items)} {ranking.by}, {basis}",
        *left_out_lines(
            skipped_rows=ranking.skipped_rows, against_itself=ranking.against_itself, unranked=ranking.unranked
        ),
    ]
    # nothing connects them with the others, so no strength of theirs could be compared
    if unmet := ranking.unmet:
        names = ", ".join(short(name, NAME_LENGTH) for name in unmet[:MOST_LINES])
        verb = "is" if len(unmet) == 1 else "are"
        lines.append(f"  {count(len(unmet), 'annotator')} met nobody and {verb} left out: {names}")
    if ranking.reason:
        lines.append(f"  no intervals: {ranking.reason}")
    for rank_number, item in enumerate(ranking.items, 1):
        between = ""
        if item.places:
            low, high = item.places
            between = f", place {low}" if low == high else f", place {low} to {high}"
        lines.append(
            f"  {rank_number}. {short(item.name, NAME_LENGTH)}: {format_estimate(item.strength)} (Elo "
            f"{item.elo.value:.0f}){between}; wins {format_estimate(item.win_rate, percent=True)} of {item.win_rate.n}"
            f"{', ties as half' if ranking.ties else ''}"
        )
    # virtual ties pull all strengths together, so the lines above must not be read without them
    if ranking.prior:
        lines.append(f"  with a prior of {ranking.prior:g} virtual ties between every two")
    return lines


RANK = Command(
    "rank",
    Rank,
    _rank,
    positionals={"file": "FILE"},
    example="models.jsonl prior=0.1 out=strengths",
)
