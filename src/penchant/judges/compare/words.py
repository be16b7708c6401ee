"""Lines for a terminal and sentences for the page of a comparison by a judge."""

from __future__ import annotations

from collections.abc import Iterator

from penchant.clean_text import clean
from penchant.judges.compare.results import JudgeResults, SourceResult
from penchant.metrics.estimates import Coefficient
from penchant.reports.kit.text import count, recorded, short

NAME = 48  # characters of the name of a run or a file


def terminal_lines(results: JudgeResults) -> list[str]:
    """Return the result as lines for a terminal."""
    lines = [line for name in results.methods for line in _source_lines(results, name)]
    lines += [
        f"{test.first} minus {test.second}: {recorded(test.difference, percent=True, sign=True)}, p {test.p:.4f}, "
        f"{test.p_holm:.4f} by Holm"
        for test in results.tests
    ]
    return [clean(line) for line in lines]


def _source_lines(results: JudgeResults, name: str) -> Iterator[str]:
    result = results.methods[name].summary
    rate = result.win_rate
    yield (
        f"{name}: {_wins(rate.rate, results.against)} "
        f"({count(rate.rate.n, 'pair')}, {count(results.prompts, 'prompt')}; a tie is half a win)"
    )
    parts = (f"{key} {recorded(getattr(rate, key), percent=True)}" for key in ("wins", "ties", "losses", "unparseable"))
    yield f"  {', '.join(parts)}"
    # what a judge that is hard to read may have hidden
    if rate.unparseable.value and rate.high.value is not None:
        yield f"  at most {recorded(rate.high, percent=True)}, had all unparseable ones been wins"
    yield f"  at equal lengths {recorded(result.length_controlled, percent=True)}"
    yield (
        f"  the judge: winner changed with the order in {recorded(result.flipped, percent=True)}, named the first "
        f"response in {recorded(result.first_place, percent=True)}"
    )
    for baseline, rates in results.baselines.items():
        yield f"  {baseline} {recorded(rates[name].rate, percent=True)}"
    for warning in result.warnings:
        yield f"  warning: {warning}"


def headline(results: JudgeResults) -> list[str]:
    """Return who wins how often, and of how many pairs."""
    against = short(results.against, NAME)
    sentences = []
    # three sources make a headline; the table has all
    for name, rows in list(results.by_run.items())[:3]:
        rates = [row.win_rate.rate for row in rows]
        source = short(name, NAME)
        rows_with_rates = [row for row in rows if row.win_rate.rate.value is not None]
        if len(rows) == 1:
            sentences.append(f"{source}{'' if rows_with_rates else ':'} {_wins(rates[0], against)}.")
        elif not rows_with_rates:
            sentences.append(f"{source}: {_wins(rates[0], against)}, nor at any other temperature.")
        else:
            lowest, highest = (
                pick(rows_with_rates, key=lambda row: row.win_rate.rate.value or 0.0) for pick in (min, max)
            )
            sentences.append(
                f"{source} wins {_rate_at_temperature(lowest)} to {_rate_at_temperature(highest)} against {against}."
            )
    pairs = [result.win_rate.rate.n for result in results.methods.values()]
    pair_counts = (
        f"{min(pairs):,} to {count(max(pairs), 'pair')}" if min(pairs) < max(pairs) else count(pairs[0], "pair")
    )
    return [*sentences, f"{pair_counts} each, of {count(results.prompts, 'prompt')}; a tie is half a win."]


def _wins(rate: Coefficient, against: str) -> str:
    """Return how often a source wins, or why nobody knows."""
    if rate.value is not None:
        return f"wins {recorded(rate, percent=True)} against {against}"
    return f"its win rate against {against} is undefined: {rate.reason}"


def is_undefined(results: JudgeResults) -> bool:
    """Return whether no source has a win rate, since the judge named no winner anywhere."""
    return all(result.win_rate.rate.value is None for result in results.methods.values())


def _rate_at_temperature(result: SourceResult) -> str:
    return f"{recorded(result.win_rate.rate, percent=True)} (temperature {result.temperature:g})"


def findings(results: JudgeResults) -> list[str]:
    """Return what the numbers mean, and what they cannot mean."""
    sentences = [
        "Each pair was judged in one order only: what the order decided is not known."
        if results.config["orders"] == "one"
        else "Each pair was judged in both orders. Verdicts that differ are a tie; the second table says how often.",
        "At equal lengths: what a logistic model of the verdicts expects where both responses have as many characters. "
        "Where it is far from the win rate, the verdicts depend on length.",
    ]
    if results.baselines:
        sentences.append(
            "A judge that takes the longer response, and one that throws a coin, saw the same pairs. A win rate near "
            "theirs says little about quality."
        )
    if any(result.win_rate.unparseable.value for result in results.methods.values()):
        sentences.append(
            "A pair without a verdict counts as not won. “At most” is the rate if all of these had been won."
        )
    if results.has_temperatures:
        sentences.append(
            "The opponent's responses are the same at every temperature. Only those of the runs were drawn anew."
        )
    if results.tests:
        sentences.append(
            "Differences are tested on the same prompts, by turning the signs of whole prompts at random. Holm's "
            "correction is for all tests of this page."
        )
    sentences.append(
        "Intervals and tests are about other prompts. They say nothing of another training run or another judge."
    )
    return sentences
