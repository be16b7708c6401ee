"""What a study of win rates says in sentences. Never more than its intervals do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from penchant.data.layouts.registry import PREFERENCES
from penchant.reports.kit.text import count, estimate, listing, number, p_words, recorded
from penchant.studies.frontier.summary import turned
from penchant.studies.frontier.words import as_estimate
from penchant.studies.transfer.words import method_name, shown_domain

MET = {
    "tldr": "the summary of the data",
    "dialogue": "the preferred response of the data",
    "judged-transfer": "the response of the data",
}
LEVEL = 0.05
ENOUGH, FEW = 10, 0.25  # prompts, and how many different responses for each of them are too few
ASSUMED = tuple(layout.name for layout in PREFERENCES if layout.assumed)
Numbers = Mapping[str, Any]


def headline(study: Numbers) -> list[str]:
    """Of the methods that train, the one that wins most on its own domain, at the temperature of the tests."""
    own = own_domain(study)
    found = [(rate, method) for method in trained(study) if (rate := rate_at(study, method, own))]
    if not found:
        return ["No method that trains was judged yet."]
    rate, best = max(found, key=lambda one: float(one[0]["value"]))
    base = next((rate_at(study, one, own) for one in study["methods"] if one["name"] == "reference"), None)
    said = (
        f"{method_name(best)} wins {percent(rate)} against {MET[study['study']]} at temperature "
        f"{study['tested_at']:g}{_half(rate)}"
    )
    beside = f"; the reference wins {percent(base)}" if base else ""
    prompts = listing(f"{domain.get('prompts') or 0:,} of {shown_domain(domain)}" for domain in study["domains"])
    return [
        *filter(None, (_guesses(study), _assumed(study))),
        " ".join(filter(None, [f"{said}{beside}.", _alike(study, best)])),
        f"{count(len(study['seeds']), 'seed')}; intervals resample prompts ({prompts}), not the training. "
        f"{judge_words(study)}",
    ]


def findings(study: Numbers) -> list[str]:
    """Who wins where, who can be told apart, what temperature does, and what the judge is worth."""
    told = [_each(study, method) for method in study["methods"]]
    told += [_apart(study, domain["name"]) for domain in study["domains"]]
    told += [_cooler(study, method) for method in trained(study)]
    told += [_alike(study, method) for method in study["methods"]]
    return [text for text in (*told, _best(study), _length(study), _flips(study), _published(study)) if text]


def said(study: Numbers) -> list[str]:
    """The result as lines for a terminal."""
    rows = [(method_name(method), _parts(study, method)) for method in study["methods"]]
    lines = [f"win rate against {MET[study['study']]}, at temperature {study['tested_at']:g}:"]
    lines += [f"  {name:<24} {'; '.join(parts)}" for name, parts in rows if parts]
    return [*lines, _published(study)]


def own_domain(study: Numbers) -> str:
    return str(next(domain["name"] for domain in study["domains"] if domain["own"]))


def trained(study: Numbers) -> list[Numbers]:
    """Methods that train a policy."""
    return [method for method in study["methods"] if method["name"] not in ("reference", "best_of_n")]


def rate_at(study: Numbers, method: Numbers, domain: str, temperature: float | None = None) -> Numbers | None:
    """A method's win rate on a domain, at the temperature of the tests unless another is given."""
    at = study["tested_at"] if temperature is None else temperature
    cells = (cell for cell in method["cells"] if (cell["domain"], cell["temperature"]) == (domain, at))
    return next((cell["win_rate"]["rate"] for cell in cells if cell["win_rate"]["rate"]["value"] is not None), None)


def percent(numbers: Numbers) -> str:
    """Format a share with its interval."""
    return recorded(numbers, percent=True)


def _guesses(study: Numbers) -> str:
    """Whether a judge that was trained here is right no more often than a coin, as far as can be told."""
    right = _right(study)
    if right is None or (right["low"] is not None and right["low"] > 0.5):
        return ""
    return (
        f"This judge cannot be told from a coin: it agrees with {percent(right)} of the preferences that it has not "
        "seen. The win rates below say nothing about who is better."
    )


def _assumed(study: Numbers) -> str:
    """Say that nobody compared the responses that the methods learned from, where the layout invents the verdicts."""
    layout = study["config"].get("preferences", {}).get("layout")
    if layout not in ASSUMED:
        return ""
    return (
        "There is no human preference in the training data: nobody compared its summaries, and the person's is taken "
        "as preferred to those of the models."
    )


def _right(study: Numbers) -> Numbers | None:
    """How often a judge that was trained here agrees with preferences that it has not seen."""
    found: Numbers | None = ((study["judge"] or {}).get("held_out", {}).get("held_out") or {}).get("accuracy")
    return found


def judge_words(study: Numbers) -> str:
    """Who judges; of a judge that was trained here also how often it is right."""
    judge = study["config"]["judge"]
    if study["judge"] is None:
        name = judge.get("model") or judge.get("reward") or ""
        return f"The judge is {judge['name']}{f' ({name})' if name else ''}."
    right = _right(study)
    said = "The judge is a reward model trained on other prompts of the same data"
    if right is None:
        return f"{said}; nobody knows how often it is right."
    return f"{said}, which agrees with {percent(right)} of the data's preferences that it has not seen."


def _half(rate: Numbers) -> str:
    low, high = rate["low"], rate["high"]
    if low is None or high is None:
        return ""
    return (
        ", more often than not"
        if low > 0.5
        else ", less often than not"
        if high < 0.5
        else ", and whether more often than not stays open"
    )


def _each(study: Numbers, method: Numbers) -> str:
    parts = _parts(study, method)
    return f"{method_name(method)} wins {listing(parts)}, at temperature {study['tested_at']:g}." if parts else ""


def _parts(study: Numbers, method: Numbers) -> list[str]:
    """A method's rate on each domain."""
    rates = ((domain, rate_at(study, method, domain["name"])) for domain in study["domains"])
    return [f"{percent(rate)} on {shown_domain(domain)}" for domain, rate in rates if rate]


def _apart(study: Numbers, domain: str) -> str:
    """Which pairs of methods differ, by Holm's correction over all pairs of the domain."""
    tests = [test for test in study["tests"] if test["domain"] == domain]
    if not tests:
        return ""
    where = f"on {domain}, at temperature {study['tested_at']:g}"
    clear = [test for test in tests if test["p_holm"] < LEVEL]
    family = f"paired by prompt, {count(len(tests), 'test')}, Holm's correction"
    if not clear:
        return f"No two of them can be told apart {where} ({family})."
    return f"Told apart {where} ({family}): {'; '.join(map(_beats, clear))}."


def _beats(test: Numbers) -> str:
    gap = as_estimate(test["difference"])
    one, other = test["one"], test["other"]
    if gap.value < 0:
        one, other, gap = other, one, turned(gap)
    size = estimate(gap, percent=True, sign=True)
    return f"{method_name(one)} above {method_name(other)} ({size}, {p_words(test['p_holm'])})"


def _cooler(study: Numbers, method: Numbers) -> str:
    """Whether a method's rate at the highest temperature is clearly another than at the lowest."""
    low, high = study["temperatures"][0], study["temperatures"][-1]
    own = own_domain(study)
    cold, warm = (rate_at(study, method, own, one) for one in (low, high))
    if low == high or cold is None or warm is None or None in (cold["low"], warm["low"]):
        return ""
    if cold["low"] > warm["high"] or warm["low"] > cold["high"]:
        word = "falls" if cold["value"] > warm["value"] else "rises"
        return (
            f"{method_name(method)} {word} from {percent(cold)} at temperature {low:g} to {percent(warm)} at {high:g}."
        )
    return ""


def _alike(study: Numbers, method: Numbers) -> str:
    """Whether a method says the same whatever it is asked: then its wins say something of the judge alone."""
    here = own_domain(study), study["tested_at"]
    told = next((one["responses"] for one in method["cells"] if (one["domain"], one["temperature"]) == here), None)
    if told is None or told["prompts"] < ENOUGH or told["distinct"] >= FEW * told["prompts"]:
        return ""
    few, many = count(told["distinct"], "text"), count(told["prompts"], "prompt")
    return (
        f"{method_name(method)} says much the same whatever it is asked ({few} for {many}): what it wins says more "
        "about the judge than about the responses."
    )


def _best(study: Numbers) -> str:
    own = own_domain(study)
    parts = [
        f"{method_name(method)} {percent(best['rate'])} at {best['temperature']:g}"
        for method in study["methods"]
        for best in method["best"]
        if best["domain"] == own
    ]
    if len(study["temperatures"]) < 2 or not parts:
        return ""
    return f"At its best temperature on {own}, chosen after the fact, which flatters: {'; '.join(parts)}."


def _length(study: Numbers) -> str:
    """What one who always takes the longer response would say of the same pairs."""
    parts = []
    for method in study["methods"]:
        for cell in method["cells"]:
            if (cell["domain"], cell["temperature"]) == (own_domain(study), study["tested_at"]):
                longest = percent(cell["baselines"]["longest"])
                even = cell["length_controlled"]
                parts.append(f"{method_name(method)} {longest}{f', {percent(even)} at equal lengths' if even else ''}")
    return f"Who always took the longer response would have said: {'; '.join(parts)}." if parts else ""


def _flips(study: Numbers) -> str:
    flips = [
        cell["flipped"]["value"]
        for method in study["methods"]
        for cell in method["cells"]
        if cell["flipped"] is not None and cell["flipped"]["value"] > 0
    ]
    if not flips:
        return ""
    low, high = number(100 * min(flips), 0), number(100 * max(flips), 0)
    span = f"{low}%" if low == high else f"{low}% to {high}%"
    return f"Asked in the other order, the judge named another winner in {span} of the pairs; these count as ties."


def _published(study: Numbers) -> str:
    rates: Sequence[Numbers] = study["published"]["rates"]
    labels = {method["name"]: method["label"] for method in study["methods"]}
    parts = []
    for one in rates:
        at = "at its best temperature" if one["temperature"] is None else f"at temperature {one['temperature']:g}"
        hedge = "about " if one["read"] == "plot" else ""
        label = labels.get(one["method"], one["method"].upper())
        parts.append(f"{label} {hedge}{number(100 * one['rate'], 0)}% {at}")
    return (
        f"For comparison, {rates[0]['source']}: {'; '.join(parts)}; without intervals. That is "
        f"{study['published']['setting']}: other models, data and judge than here, so only the order of the methods "
        "may be compared."
    )
