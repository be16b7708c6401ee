"""`penchant rank`: strengths of models, responses or annotators. Imports no torch, so that help is instant."""

from __future__ import annotations

from typing import Any

from penchant.cli.arguments import Arguments, Command
from penchant.cli.summary_lines import MOST_LINES, NAME_LENGTH, left_out_lines, print_result
from penchant.raters.settings import Rank


def _rank(arguments: Arguments) -> int:
    config = arguments.load(Rank)
    from penchant.raters.ranking.rank import rank

    result = rank(config)
    return print_result(result, rank_lines(result.metrics))


def rank_lines(numbers: dict[str, Any]) -> list[str]:
    """Return what `rank` prints."""
    from penchant.reports.kit.text import count, format_estimate, short

    basis = f"{numbers['comparisons']} comparisons ({numbers['ties']} ties)"
    if numbers["rankings"] is not None:
        basis = f"{numbers['rankings']} rankings"
    elif numbers["by"] == "annotators":
        basis = f"{numbers['comparisons']} times that of two one was with the majority of the others"
    lines = [f"rank: {len(numbers['items'])} {numbers['by']}, {basis}", *left_out_lines(numbers)]
    if numbers["unmet"]:
        names = ", ".join(short(name, NAME_LENGTH) for name in numbers["unmet"][:MOST_LINES])
        verb = "is" if len(numbers["unmet"]) == 1 else "are"
        lines.append(f"  {count(len(numbers['unmet']), 'annotator')} met nobody and {verb} left out: {names}")
    if numbers["reason"]:
        lines.append(f"  no intervals: {numbers['reason']}")
    for rank_number, item in enumerate(numbers["items"], 1):
        between = f", place {_range(*item['places'])}" if item["places"] else ""
        lines.append(
            f"  {rank_number}. {short(item['name'], NAME_LENGTH)}: {format_estimate(item['strength'])} (Elo "
            f"{item['elo']['value']:.0f}){between}; {item['wins']:g} wins, {item['losses']:g} losses"
        )
    if numbers["prior"]:
        lines.append(f"  with a prior of {numbers['prior']:g} virtual ties between every two")
    return lines


def _range(low: int, high: int) -> str:
    return f"{low}" if low == high else f"{low} to {high}"


RANK = Command(
    "rank",
    Rank,
    _rank,
    help="strengths from comparisons or rankings of models, responses or annotators, with intervals and a check that "
    "they exist",
    positionals={"file": "FILE"},
    example="by=annotators prior=0.1",
)
