"""What a study of transfer says in sentences; never more than its intervals support."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from penchant.metrics.estimates import Estimate
from penchant.reports.kit.text import count, estimate, listing, short
from penchant.studies.core.methods import setting_words
from penchant.studies.frontier.words import as_estimate

Numbers = Mapping[str, Any]
NAME = 40  # characters of a domain's name inside a sentence


def method_name(method: Numbers) -> str:
    """A method with its setting."""
    words = setting_words(method["setting"], method.get("value"), method.get("rate"))
    if not words:
        return str(method["label"])
    return f"{method['label']}, {words}"


def shown_domain(domain: Numbers) -> str:
    """A domain's name; the own one says so."""
    name = short(domain["name"], NAME)
    return f"{name} (own)" if domain["own"] and domain["name"] != "own" else name


def headline(study: Numbers) -> list[str]:
    """Of the methods that train, the one that gains most on its own domain: what of it is left on others."""
    gained = [method for method in trained(study) if _gains(method)]
    if not trained(study):
        return ["No method that trains was measured on two domains yet."]
    where = f"at temperature {study['home']:g}"
    if not gained:
        said = f"No method that trains clearly gains on its own domain {where}, so there is nothing to carry over."
    else:
        best = max(gained, key=lambda method: float(method["at_home"]["own"]["value"]))
        home = best["at_home"]
        said = (
            f"{method_name(best)} raises the true reward by {_change(home['own'])} on its own domain and by "
            f"{_change(home['others'])} on the others {where}: {_carried(home)}."
        )
    prompts = listing(f"{domain['prompts'] or 0:,} of {shown_domain(domain)}" for domain in study["domains"])
    seeds = count(len(study["seeds"]), "seed")
    return [said, f"{seeds}; intervals resample prompts ({prompts}), not the training."]


def findings(study: Numbers) -> list[str]:
    """What carries over for each method, who loses least, the worst domain, and what temperature does."""
    each = [
        f"{method_name(method)}: {_change(method['at_home']['own'])} on its own domain, "
        f"{_change(method['at_home']['others'])} on the others; {_carried(method['at_home'])}."
        for method in study["methods"]
        if method["at_home"]
    ]
    return [text for text in (*each, _least(study), *map(_worst(study), trained(study)), _temperature(study)) if text]


def trained(study: Numbers) -> list[Numbers]:
    """Methods that train and were measured on both sides."""
    return [method for method in study["methods"] if method["name"] != "best_of_n" and method["at_home"]]


def _gains(method: Numbers) -> bool:
    own = as_estimate(method["at_home"]["own"])
    return own.low is not None and own.low > 0


def _change(numbers: Numbers) -> str:
    return estimate(as_estimate(numbers), sign=True)


def _carried(home: Numbers) -> str:
    """Whether a gain carries over, by the three intervals."""
    own, others, lost = (as_estimate(home[key]) for key in ("own", "others", "lost"))
    if own.low is None or own.high is None or others.low is None or others.high is None:
        return "without intervals nothing can be said"
    if own.low <= 0:
        return "it does not clearly gain at home, so nothing can carry over"
    less = f"(less by {_change(home['lost'])})"
    if others.high < 0:
        return f"away from home it does harm {less}"
    if others.low <= 0:
        return f"no gain is to be seen away from home {less}"
    if lost.low is not None and lost.low > 0:
        return f"part of the gain carries over {less}"
    if lost.high is not None and lost.high < 0:
        return f"the gain is even larger away from home {less}"
    return f"the gain carries over, as far as these intervals tell {less}"


def _least(study: Numbers) -> str:
    """Among the methods that clearly gain at home, which loses least away from it."""
    ranked = sorted((m for m in trained(study) if _gains(m)), key=lambda m: float(m["at_home"]["lost"]["value"]))
    if len(ranked) < 2:
        return ""
    first = as_estimate(ranked[0]["at_home"]["lost"])
    same = [m for m in ranked[1:] if not _above(as_estimate(m["at_home"]["lost"]), first)]
    said = (
        f"Of the methods that clearly gain at home, {method_name(ranked[0])} loses least on the way to other domains "
        f"({estimate(first, sign=True)})"
    )
    if not same:
        return f"{said}, clearly less than the others."
    names = listing(f"{method_name(m)} ({_change(m['at_home']['lost'])})" for m in same)
    return f"{said}, but {names} cannot be told apart from it (intervals overlap). Who gains little loses little."


def _above(one: Estimate, other: Estimate) -> bool:
    return one.low is not None and other.high is not None and one.low > other.high


def _worst(study: Numbers) -> Any:
    """A sentence on the domains on which a method clearly does harm; empty where there is none."""

    def said(method: Numbers) -> str:
        harmed = [
            f"{short(one['domain'], NAME)} ({_change(one['change'])})"
            for one in method["cells"]
            if one["temperature"] == study["home"] and one["change"]["high"] is not None and one["change"]["high"] < 0
        ]
        return f"{method_name(method)} makes the reward worse on {listing(harmed)}." if harmed else ""

    return said


def _temperature(study: Numbers) -> str:
    """Methods whose gain on other domains is clearly another at the lowest temperature than at the highest."""
    parts = []
    for method in trained(study):
        low, high = method["carried"][0], method["carried"][-1]
        if low is high:
            continue
        cold, warm = as_estimate(low["others"]), as_estimate(high["others"])
        if _above(cold, warm) or _above(warm, cold):
            word = "more" if cold.value > warm.value else "less"
            parts.append(
                f"{method_name(method)} gains {word} at {low['temperature']:g} ({_change(low['others'])}) than at "
                f"{high['temperature']:g} ({_change(high['others'])})"
            )
    if not parts:
        return "Temperature does not change the gain on other domains by more than the intervals hide."
    return f"On other domains {'; '.join(parts)}. Each is against the reference at the same temperature."
