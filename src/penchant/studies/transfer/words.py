"""What a study of transfer says in sentences; never more than its intervals support."""

from __future__ import annotations

from penchant.metrics.estimates import Estimate
from penchant.reports.kit.text import count, estimate, listing, short
from penchant.studies.core.methods import swept_name
from penchant.studies.transfer.summary import Carried, Domain, MethodSummary, TransferSummary

NAME = 40  # characters of a domain's name inside a sentence


def domain_name(domain: Domain) -> str:
    """Return a domain's name; the own one says so."""
    name = short(domain.name, NAME)
    return f"{name} (own)" if domain.own and domain.name != "own" else name


def headline(study: TransferSummary) -> list[str]:
    """Of the methods that train, the one that gains most on its own domain: what of it is left on others."""
    gained = _gaining(study)
    if not study.trained:
        return ["No method that trains was measured on two domains yet."]
    where = f"at temperature {study.home:g}"
    if not gained:
        said = f"No method that trains clearly gains on its own domain {where}, so there is nothing to carry over."
    else:
        best, home = max(gained, key=lambda pair: pair[1].own.value)
        said = (
            f"{swept_name(best)} raises the true reward by {_change(home.own)} on its own domain and by "
            f"{_change(home.others)} on the others {where}: {_carried(home)}."
        )
    prompts = listing(f"{domain.prompts or 0:,} of {domain_name(domain)}" for domain in study.domains)
    seeds = count(len(study.seeds), "seed")
    return [said, f"{seeds}; intervals resample prompts ({prompts}), not the training."]


def findings(study: TransferSummary) -> list[str]:
    """What carries over for each method, who loses least, the worst domain, and what temperature does."""
    each = [
        f"{swept_name(method)}: {_change(home.own)} on its own domain, "
        f"{_change(home.others)} on the others; {_carried(home)}."
        for method in study.methods
        if (home := method.at_home)
    ]
    harmed = [_harmed(study, method) for method, _ in study.trained]
    return [text for text in (*each, _least(study), *harmed, _temperature(study)) if text]


def _gaining(study: TransferSummary) -> list[tuple[MethodSummary, Carried]]:
    """Return the methods that clearly gain on their own domain."""
    return [(method, home) for method, home in study.trained if home.own.above(0)]


def _change(change: Estimate) -> str:
    return estimate(change, sign=True)


def _carried(home: Carried) -> str:
    """Say whether a gain carries over, by the three intervals."""
    if not home.own.has_interval or not home.others.has_interval:
        return "without intervals nothing can be said"
    if not home.own.above(0):
        return "it does not clearly gain at home, so nothing can carry over"
    less = f"(less by {_change(home.lost)})"
    if home.others.below(0):
        return f"away from home it does harm {less}"
    if not home.others.above(0):
        return f"no gain is to be seen away from home {less}"
    if home.lost.above(0):
        return f"part of the gain carries over {less}"
    if home.lost.below(0):
        return f"the gain is even larger away from home {less}"
    return f"the gain carries over, as far as these intervals tell {less}"


def _least(study: TransferSummary) -> str:
    """Among the methods that clearly gain at home, which loses least away from it."""
    ranked = sorted(_gaining(study), key=lambda pair: pair[1].lost.value)
    if len(ranked) < 2:
        return ""
    best, first = ranked[0][0], ranked[0][1].lost
    same = [(method, home.lost) for method, home in ranked[1:] if not home.lost.above(first)]
    said = (
        f"Of the methods that clearly gain at home, {swept_name(best)} loses least on the way to other domains "
        f"({estimate(first, sign=True)})"
    )
    if not same:
        return f"{said}, clearly less than the others."
    names = listing(f"{swept_name(method)} ({_change(lost)})" for method, lost in same)
    return f"{said}, but {names} cannot be told apart from it (intervals overlap). Who gains little loses little."


def _harmed(study: TransferSummary, method: MethodSummary) -> str:
    """Name the domains on which a method clearly does harm; empty where there is none."""
    harmed = [
        f"{short(cell.domain, NAME)} ({_change(cell.change)})"
        for cell in method.cells
        if cell.temperature == study.home and cell.change.below(0)
    ]
    return f"{swept_name(method)} makes the reward worse on {listing(harmed)}." if harmed else ""


def _temperature(study: TransferSummary) -> str:
    """Methods whose gain on other domains is clearly another at the lowest temperature than at the highest."""
    parts = []
    for method, _ in study.trained:
        low, high = method.carried[0], method.carried[-1]
        if low is high:
            continue
        cold, warm = low.others, high.others
        if cold.above(warm) or warm.above(cold):
            word = "more" if cold.value > warm.value else "less"
            parts.append(
                f"{swept_name(method)} gains {word} at {low.temperature:g} ({_change(low.others)}) than at "
                f"{high.temperature:g} ({_change(high.others)})"
            )
    if not parts:
        return "Temperature does not change the gain on other domains by more than the intervals hide."
    return f"On other domains {'; '.join(parts)}. Each is against the reference at the same temperature."
