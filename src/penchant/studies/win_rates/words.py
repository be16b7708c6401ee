"""Say in sentences what a study of win rates found, never more than its intervals support."""

from __future__ import annotations

from penchant.data.layouts.registry import PREFERENCES
from penchant.metrics.catalogue import metric
from penchant.metrics.estimates import Coefficient
from penchant.reports.kit.text import count, estimate, format_share, listing, p_words, percent
from penchant.studies.core.domains import domain_name
from penchant.studies.core.methods import swept_name
from penchant.studies.win_rates.summary import MethodRates, MethodTest, WinRateSummary

OPPONENTS = {
    "tldr": "the summary of the data",
    "dialogue": "the preferred response of the data",
    "judged-transfer": "the response of the data",
}
LEVEL = 0.05
FEWEST_PROMPTS, FEWEST_DISTINCT = 10, 0.25  # prompts, and how many different responses for each of them are too few
# Layouts in which nobody compared the responses: one side is taken as preferred.
ASSUMED = tuple(layout.name for layout in PREFERENCES if layout.assumed)


def headline(study: WinRateSummary) -> list[str]:
    """Return which trained method wins most on its own domain, at the temperature of the tests."""
    rates = [(rate, method) for method in study.trained if (rate := method.rate_at(study.own_domain, study.tested_at))]
    if not rates:
        return ["No method that trains was judged yet."]
    rate, best = max(rates, key=lambda pair: pair[0].value or 0.0)
    reference = next((method for method in study.methods if method.name == "reference"), None)
    reference_rate = reference and reference.rate_at(study.own_domain, study.tested_at)
    sentence = (
        f"{swept_name(best)} wins {format_share(rate)} against {OPPONENTS[study.study]} at temperature "
        f"{study.tested_at:g}{_half(rate)}"
    )
    comparison = f"; the reference wins {format_share(reference_rate)}" if reference_rate else ""
    prompts = listing(f"{domain.rows.prompts or 0:,} of {domain_name(domain)}" for domain in study.domains)
    # What takes the meaning out of the numbers is said before the first of them.
    return [
        *filter(None, (_guesses(study), _assumed(study))),
        " ".join(filter(None, [f"{sentence}{comparison}.", _same_answers(study, best)])),
        f"{count(len(study.seeds), 'seed')}; intervals resample prompts ({prompts}), not the training. "
        f"{judge_words(study)}",
    ]


def findings(study: WinRateSummary) -> list[str]:
    """Return who wins where, who can be told apart, what temperature does, and what the judge is worth."""
    sentences = [
        f"{swept_name(method)} wins {listing(parts)}, at temperature {study.tested_at:g}."
        for method in study.methods
        if (parts := _rates_by_domain(study, method))
    ]
    sentences += [_differences(study, domain.name) for domain in study.domains]
    sentences += [_temperature(study, method) for method in study.trained]
    sentences += [_same_answers(study, method) for method in study.methods]
    sentences += [_best(study), _length(study), _flips(study), _published(study)]
    return [text for text in sentences if text]


def terminal_lines(study: WinRateSummary) -> list[str]:
    """Return the result as lines for a terminal."""
    rows = [(swept_name(method), _rates_by_domain(study, method)) for method in study.methods]
    lines = [f"{metric('rate').label} against {OPPONENTS[study.study]}, at temperature {study.tested_at:g}:"]
    lines += [f"  {name:<24} {'; '.join(parts)}" for name, parts in rows if parts]
    return [*lines, _published(study)]


def _guesses(study: WinRateSummary) -> str:
    """Warn of a judge that was trained here and is right no more often than a coin, as far as can be told."""
    # Only of a judge that was trained here something is known of how often it is right.
    accuracy = study.judge.accuracy if study.judge else None
    if accuracy is None or accuracy.above(0.5):
        return ""
    return (
        f"This judge is not clearly better than a coin: it agrees with {format_share(accuracy)} of the preferences "
        "that it has not seen. The win rates below say nothing about who is better."
    )


def _assumed(study: WinRateSummary) -> str:
    """Say that nobody compared the responses that the methods learned from, where the layout invents the verdicts."""
    if study.config.get("preferences", {}).get("layout") not in ASSUMED:
        return ""
    return (
        "There is no human preference in the training data: nobody compared its summaries, and the person's is taken "
        "as preferred to those of the models."
    )


def judge_words(study: WinRateSummary) -> str:
    """Return who judges, and how often a judge that was trained here is right."""
    judge = study.config["judge"]
    if study.judge is None:
        name = judge.get("model") or judge.get("reward") or ""
        return f"The judge is {judge['name']}{f' ({name})' if name else ''}."
    sentence = "The judge is a reward model trained on other prompts of the same data"
    if study.judge.accuracy is None:
        return f"{sentence}; how often it is right is not known."
    accuracy = format_share(study.judge.accuracy)
    return f"{sentence}, which agrees with {accuracy} of the data's preferences that it has not seen."


def _half(rate: Coefficient) -> str:
    """Say on which side of one half a rate lies, as far as its interval tells; nothing where it has none."""
    if not rate.has_interval:
        return ""
    if rate.above(0.5):
        return ", more often than not"
    return ", less often than not" if rate.below(0.5) else ", which is not clearly more or less often than not"


def _rates_by_domain(study: WinRateSummary, method: MethodRates) -> list[str]:
    rates = ((domain, method.rate_at(domain.name, study.tested_at)) for domain in study.domains)
    return [f"{format_share(rate)} on {domain_name(domain)}" for domain, rate in rates if rate]


def _differences(study: WinRateSummary, domain: str) -> str:
    """Say which pairs of methods differ, by Holm's correction over all pairs of the domain."""
    tests = [test for test in study.tests if test.domain == domain]
    if not tests:
        return ""
    where = f"on {domain}, at temperature {study.tested_at:g}"
    # By the corrected p-value and not by the interval, which is of one pair: of 21 pairs one excludes 0 by chance.
    clear = [test for test in tests if test.p_holm < LEVEL]
    family = f"paired by prompt, {count(len(tests), 'test')}, Holm's correction"
    if not clear:
        return f"No two of them can be told apart {where} ({family})."
    return f"Clearly different {where} ({family}): {'; '.join(map(_winner_first, clear))}."


def _winner_first(test: MethodTest) -> str:
    gap, better, worse = test.difference, test.one, test.other
    if gap.value < 0:
        better, worse, gap = worse, better, gap.negated()
    size = estimate(gap, percent=True, sign=True)
    return f"{swept_name(better)} above {swept_name(worse)} ({size}, {p_words(test.p_holm)})"


def _temperature(study: WinRateSummary, method: MethodRates) -> str:
    """Say whether a method's rate at the highest temperature is clearly another than at the lowest."""
    lowest, highest = study.temperatures[0], study.temperatures[-1]
    # The two ends are of other draws for the same prompts, so intervals that lie apart are the careful test.
    cold, hot = (method.rate_at(study.own_domain, temperature) for temperature in (lowest, highest))
    if lowest == highest or cold is None or hot is None or not (cold.above(hot) or cold.below(hot)):
        return ""
    word = "falls" if cold.above(hot) else "rises"
    change = f"from {format_share(cold)} at temperature {lowest:g} to {format_share(hot)} at {highest:g}"
    return f"{swept_name(method)} {word} {change}."


def _same_answers(study: WinRateSummary, method: MethodRates) -> str:
    """Warn of a method that gives much the same response to every prompt: its wins tell of the judge alone."""
    cell = method.cell(study.own_domain, study.tested_at)
    if cell is None:
        return ""
    responses = cell.responses
    # Different texts against prompts, not against all draws: several seeds would make any method look alike.
    if responses.prompts < FEWEST_PROMPTS or responses.distinct >= FEWEST_DISTINCT * responses.prompts:
        return ""
    texts, prompts = count(responses.distinct, "text"), count(responses.prompts, "prompt")
    return (
        f"{swept_name(method)} gives much the same response to every prompt ({texts} for {prompts}): what it wins "
        "says more about the judge than about the responses."
    )


def _best(study: WinRateSummary) -> str:
    parts = [
        f"{swept_name(method)} {format_share(best.rate)} at {best.temperature:g}"
        for method in study.methods
        for best in method.best
        if best.domain == study.own_domain
    ]
    if len(study.temperatures) < 2 or not parts:
        return ""
    rates = "; ".join(parts)
    return f"At its best temperature on {study.own_domain}, which is chosen after the fact and so too high: {rates}."


def _length(study: WinRateSummary) -> str:
    """Say what a judge that always takes the longer response would have said of the same pairs."""
    # A judge that learned little else than length looks just like this one, so their rates stand side by side.
    parts = []
    for method in study.methods:
        cell = method.cell(study.own_domain, study.tested_at)
        if cell is not None:
            equal_lengths = cell.summary.length_controlled
            label = metric("length_controlled").label
            at_equal_lengths = f", {format_share(equal_lengths)} {label}" if equal_lengths else ""
            parts.append(f"{swept_name(method)} {format_share(cell.baselines['longest'])}{at_equal_lengths}")
    return f"A judge that always picks the longer response would give: {'; '.join(parts)}." if parts else ""


def _flips(study: WinRateSummary) -> str:
    # Only of pairs that were asked in both orders; asked in one, nobody knows.
    shares = [cell.summary.flipped.value for method in study.methods for cell in method.cells if cell.summary.flipped]
    flips = [share for share in shares if share > 0]
    if not flips:
        return ""
    low, high = percent(min(flips)), percent(max(flips))
    span = low if low == high else f"{low} to {high}"
    return f"Asked in the other order, the judge named another winner in {span} of the pairs; these count as ties."


def _published(study: WinRateSummary) -> str:
    rates = study.published.rates
    labels = {method.name: method.label for method in study.methods}
    parts = []
    for rate in rates:
        temperature_words = (
            "at its best temperature" if rate.temperature is None else f"at temperature {rate.temperature:g}"
        )
        parts.append(f"{labels.get(rate.method, rate.method.upper())} {rate.words} {temperature_words}")
    return (
        f"For comparison, {rates[0].source}: {'; '.join(parts)}; without intervals. That is "
        f"{study.published.setting}: other models, data and judge than here, so only the order of the methods "
        "may be compared."
    )
