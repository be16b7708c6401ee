"""What a study of transfer says in sentences; never more than its intervals support."""

from __future__ import annotations

from penchant.metrics.estimates import Estimate
from penchant.reports.kit.text import NAME, count, estimate, listing, short
from penchant.studies.core.domains import domain_name
from penchant.studies.core.methods import swept_name
from penchant.studies.transfer.summary import CarryOver, MethodSummary, TransferSummary


def headline(study: TransferSummary) -> list[str]:
    """Name the trained method that gains most on its own domain, and what of the gain is left on others."""
    gaining = _gaining(study)
    if not study.trained:
        return ["No method that trains was measured on two domains yet."]
    where = f"at temperature {study.headline_temperature:g}"
    # no method is named for its mean alone: what is not clearly there at home cannot carry over
    if not gaining:
        sentence = f"No method that trains clearly gains on its own domain {where}, so there is nothing to carry over."
    else:
        best, carry_over = max(gaining, key=lambda pair: pair[1].own_change.value)
        sentence = (
            f"{swept_name(best)} raises the true reward by {_change(carry_over.own_change)} on its own domain and by "
            f"{_change(carry_over.other_change)} on the others {where}: {_describe_carry_over(carry_over)}."
        )
    prompts = listing(f"{domain.prompts or 0:,} of {domain_name(domain)}" for domain in study.domains)
    seeds = count(len(study.seeds), "seed")
    return [sentence, f"{seeds}; intervals resample prompts ({prompts}), not the training."]


def findings(study: TransferSummary) -> list[str]:
    """Say what carries over for each method, who loses least, the worst domain, and what temperature does."""
    method_sentences = [
        f"{swept_name(method)}: {_change(carry_over.own_change)} on its own domain, "
        f"{_change(carry_over.other_change)} on the others; {_describe_carry_over(carry_over)}."
        for method in study.methods
        if (carry_over := method.at_home)
    ]
    harmed = [_harmed(study, method) for method, _ in study.trained]
    return [text for text in (*method_sentences, _least_loss(study), *harmed, _temperature(study)) if text]


def _gaining(study: TransferSummary) -> list[tuple[MethodSummary, CarryOver]]:
    """Return the methods that clearly gain on their own domain."""
    return [(method, carry_over) for method, carry_over in study.trained if carry_over.own_change.above(0)]


def _change(change: Estimate) -> str:
    return estimate(change, sign=True)


def _describe_carry_over(carry_over: CarryOver) -> str:
    """Say whether a gain carries over, by the three intervals."""
    if not carry_over.own_change.has_interval or not carry_over.other_change.has_interval:
        return "without intervals nothing can be said"
    # asked before the other domains: without a gain at home there is nothing whose share could be told
    if not carry_over.own_change.above(0):
        return "it does not clearly gain on its own domain, so nothing can carry over"
    less = f"(less by {_change(carry_over.loss)})"
    if carry_over.other_change.below(0):
        return f"it does harm on other domains {less}"
    if not carry_over.other_change.above(0):
        return f"no gain shows on other domains {less}"
    if carry_over.loss.above(0):
        return f"part of the gain carries over {less}"
    if carry_over.loss.below(0):
        return f"the gain is even larger on other domains {less}"
    return f"the gain carries over, as far as these intervals tell {less}"


def _least_loss(study: TransferSummary) -> str:
    """Name the method that loses least on other domains, among those that clearly gain on their own."""
    # of those that clearly gain on their own domain, for who gains little has little to lose
    ranked = sorted(_gaining(study), key=lambda pair: pair[1].loss.value)
    if len(ranked) < 2:
        return ""
    best, first = ranked[0][0], ranked[0][1].loss
    # whole intervals apart: the summary holds no paired difference of two methods' losses
    indistinct = [(method, carry_over.loss) for method, carry_over in ranked[1:] if not carry_over.loss.above(first)]
    sentence = (
        f"Of the methods that clearly gain on their own domain, {swept_name(best)} loses least on other domains "
        f"({estimate(first, sign=True)})"
    )
    if not indistinct:
        return f"{sentence}, clearly less than the others."
    names = listing(f"{swept_name(method)} ({_change(loss)})" for method, loss in indistinct)
    caveat = "A method that gains little has little to lose."
    return f"{sentence}, but {names} cannot be told apart from it (intervals overlap). {caveat}"


def _harmed(study: TransferSummary, method: MethodSummary) -> str:
    """Name the domains on which a method clearly does harm; empty where there is none."""
    harmed = [
        f"{short(cell.domain, NAME)} ({_change(cell.change)})"
        for cell in method.cells
        if cell.temperature == study.headline_temperature and cell.change.below(0)
    ]
    return f"{swept_name(method)} makes the reward worse on {listing(harmed)}." if harmed else ""


def _temperature(study: TransferSummary) -> str:
    """Name the methods whose gain on other domains clearly differs from the lowest to the highest temperature."""
    parts = []
    for method, _ in study.trained:
        # they ascend, so these are the lowest and the highest temperature
        low, high = method.carry_overs[0], method.carry_overs[-1]
        if low is high:
            continue
        # the ends alone: every pair of temperatures would be many comparisons
        cold, warm = low.other_change, high.other_change
        if cold.above(warm) or warm.above(cold):
            word = "more" if cold.value > warm.value else "less"
            parts.append(
                f"{swept_name(method)} gains {word} at {low.temperature:g} ({_change(low.other_change)}) than at "
                f"{high.temperature:g} ({_change(high.other_change)})"
            )
    if not parts:
        return "Temperature does not change the gain on other domains by more than the intervals hide."
    return f"On other domains {'; '.join(parts)}. Each is against the reference at the same temperature."
