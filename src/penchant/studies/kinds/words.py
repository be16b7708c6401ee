"""Say in sentences what learning several kinds together does, never more than the intervals support."""

from __future__ import annotations

from penchant.metrics.estimates import Estimate
from penchant.reports.kit.text import count, estimate, listing, value_only
from penchant.studies.kinds.grid import TOGETHER
from penchant.studies.kinds.summary import KindResult, KindsSummary


def headline(study: KindsSummary) -> list[str]:
    """Say for which kinds what is preferred rose, alone and together."""
    both_ways = [kind for kind in study.kinds if kind.by(kind.name) and kind.by(TOGETHER)]
    if not both_ways:
        return ["Nothing was learned yet."]
    # named only where the interval lies above 0
    single = [kind.name for kind in both_ways if _gain(kind, kind.name).above(0)]
    together = [kind.name for kind in both_ways if _gain(kind, TOGETHER).above(0)]
    names = listing([kind.name for kind in both_ways])
    if single == together == [kind.name for kind in both_ways]:
        first = f"What is preferred rises for {names}, learned alone and learned together."
    else:
        first = (
            f"What is preferred clearly rises for {listing(single) or 'no kind'} learned alone, and for "
            f"{listing(together) or 'no kind'} learned together (of {names})."
        )
    return [first, _interference(both_ways), f"{count(len(study.seeds), 'seed')}; intervals draw seeds and prompts."]


def _gain(kind: KindResult, learner: str) -> Estimate:
    result = kind.by(learner)
    assert result is not None
    return result.gain


def _interference(kinds: list[KindResult]) -> str:
    """Say which kinds learn less or more together than alone."""
    less = [kind.name for kind in kinds if kind.interference is not None and kind.interference.below(0)]
    gaining = [kind.name for kind in kinds if kind.interference is not None and kind.interference.above(0)]
    parts = [f"less of it for {listing(less)}"] if less else []
    parts += [f"more of it for {listing(gaining)}"] if gaining else []
    # no difference that can be seen is not the same as none, and so the sentence says
    if not parts:
        return "Learned together, no kind differs clearly from what it is learned alone, with as many steps of its own."
    return f"Learned together there is {listing(parts)} than learned alone, with as many steps of its own."


def findings(study: KindsSummary) -> list[str]:
    """Return one sentence per kind and claim."""
    sentences = []
    for kind in study.kinds:
        single, together = kind.by(kind.name), kind.by(TOGETHER)
        for label, result in (("alone", single), ("together", together)):
            if result is None:
                continue
            guard = ""
            if result.guard is not None and kind.before_guard is not None and result.guard_change is not None:
                guard = (
                    f" `{kind.guard}` goes from {value_only(kind.before_guard)} to {value_only(result.guard)} "
                    f"({estimate(result.guard_change, sign=True)})."
                )
            sentences.append(
                f"{kind.name}, learned {label}: `{kind.reward}` goes from {value_only(kind.before)} to "
                f"{value_only(result.reward)} ({estimate(result.gain, sign=True)}) at {estimate(result.kl_nats)} nats "
                f"of KL per response.{guard}"
            )
        if kind.interference is not None:
            sentences.append(
                f"{kind.name}: together less alone is {estimate(kind.interference, sign=True)} of `{kind.reward}`, "
                "paired."
            )
    return sentences
