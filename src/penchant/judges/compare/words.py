"""What a comparison by a judge says: lines for a terminal, and sentences for its page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from penchant.clean_text import clean
from penchant.reports.kit.study_page import cell
from penchant.reports.kit.text import count, short

NAME = 48  # characters of the name of a run or a file
Numbers = Mapping[str, Any]


def said(numbers: Numbers) -> list[str]:
    """The result as lines for a terminal."""
    lines = []
    for name, one in numbers["methods"].items():
        rate = one["win_rate"]
        lines.append(
            f"{name}: {_wins(rate['rate'], numbers['against'])} "
            f"({count(rate['rate']['n'], 'pair')}, {count(numbers['prompts'], 'prompt')}; a tie is half a win)"
        )
        parts = (f"{key} {cell(rate[key], percent=True)}" for key in ("wins", "ties", "losses", "unparseable"))
        lines.append(f"  {', '.join(parts)}")
        if rate["unparseable"]["value"] and rate["high"]["value"] is not None:
            lines.append(f"  at most {cell(rate['high'], percent=True)}, had all unparseable ones been wins")
        lines.append(f"  at equal lengths {cell(one['length_controlled'], percent=True)}")
        lines.append(
            f"  the judge: winner changed with the order in {cell(one['flipped'], percent=True)}, named the first "
            f"response in {cell(one['first_place'], percent=True)}"
        )
        lines += [
            f"  {baseline} {cell(of[name]['rate'], percent=True)}" for baseline, of in numbers["baselines"].items()
        ]
        lines += [f"  warning: {warning}" for warning in one["warnings"]]
    lines += [
        f"{test['one']} less {test['other']}: {cell(test['difference'], percent=True, sign=True)}, p {test['p']:.4f}, "
        f"{test['p_holm']:.4f} by Holm"
        for test in numbers["tests"]
    ]
    return [clean(line) for line in lines]


def runs(numbers: Numbers) -> dict[str, list[Numbers]]:
    """What was found of each run or file, a row a temperature where they were drawn anew."""
    found: dict[str, list[Numbers]] = {}
    for one in numbers["methods"].values():
        found.setdefault(one["run"], []).append(one)
    return found


def headline(numbers: Numbers) -> list[str]:
    """Who wins how often, and of how much."""
    against = short(numbers["against"], NAME)
    told = []
    for name, rows in list(runs(numbers).items())[:3]:
        rates = [row["win_rate"]["rate"] for row in rows]
        who = short(name, NAME)
        if len(rows) == 1:
            told.append(f"{who}{'' if _known(rates[0]) else ':'} {_wins(rates[0], against)}.")
        elif not (known := [row for row in rows if _known(row["win_rate"]["rate"])]):
            told.append(f"{who}: {_wins(rates[0], against)}, nor at any other temperature.")
        else:
            least, most = (pick(known, key=lambda row: row["win_rate"]["rate"]["value"]) for pick in (min, max))
            told.append(f"{who} wins {_at(least)} to {_at(most)} against {against}.")
    pairs = [row["win_rate"]["rate"]["n"] for rows in runs(numbers).values() for row in rows]
    each = f"{min(pairs):,} to {count(max(pairs), 'pair')}" if min(pairs) < max(pairs) else count(pairs[0], "pair")
    return [*told, f"{each} each, of {count(numbers['prompts'], 'prompt')}; a tie is half a win."]


def _known(rate: Numbers) -> bool:
    return rate["value"] is not None


def _wins(rate: Numbers, against: str) -> str:
    """Say how often a source wins, or why nobody knows."""
    if _known(rate):
        return f"wins {cell(rate, percent=True)} against {against}"
    return f"its win rate against {against} is undefined: {rate['reason']}"


def undefined(numbers: Numbers) -> bool:
    """Return whether no source has a win rate, since the judge named no winner anywhere."""
    return not any(_known(one["win_rate"]["rate"]) for one in numbers["methods"].values())


def _at(row: Numbers) -> str:
    return f"{cell(row['win_rate']['rate'], percent=True)} (temperature {row['temperature']:g})"


def findings(numbers: Numbers) -> list[str]:
    """What the numbers mean, and what they cannot."""
    methods = list(numbers["methods"].values())
    one_order = numbers["config"]["orders"] == "one"
    told = [
        "Each pair was judged in one order only: what the order decided is not known."
        if one_order
        else "Each pair was judged in both orders; verdicts that differ are a tie; a table says how often.",
        "At equal lengths: what a logistic model of the verdicts expects where both responses have as many characters. "
        "Where it is far from the win rate, the judge and length have to do with each other.",
    ]
    if numbers["baselines"]:
        told.append(
            "A judge that takes the longer response, and one that throws a coin, saw the same pairs: a win rate near "
            "theirs says little of quality."
        )
    if any(row["win_rate"]["unparseable"]["value"] for row in methods):
        told.append("A pair without a verdict counts as not won; at most is the rate if all of these had been won.")
    if any(row["temperature"] is not None for row in methods):
        told.append(
            "At every temperature the responses that are met are the same; only those of the runs were drawn anew."
        )
    if numbers["tests"]:
        told.append(
            "Differences are tested on the same prompts, by turning the signs of whole prompts at random; Holm's "
            "correction is over all the tests of this page."
        )
    told.append("Intervals and tests know of other prompts, not of another training or another judge.")
    return told
