"""Say in sentences what learning several kinds together does, never more than the intervals support."""

from __future__ import annotations

from penchant.metrics.estimates import Estimate
from penchant.reports.kit.text import count, estimate, listing, value_only
from penchant.studies.kinds.grid import TOGETHER
from penchant.studies.kinds.summary import KindResult, KindsSummary


def headline(study: KindsSummary) -> list[str]:
    """Say for which kinds what is preferred rose, alone and together."""
    learned = [kind for kind in study.kinds if kind.by(kind.name) and kind.by(TOGETHER)]
    if not learned:
        return ["Nothing was learned yet."]
    alone = [kind.name for kind in learned if _gain(kind, kind.name).above(0)]
    together = [kind.name for kind in learned if _gain(kind, TOGETHER).above(0)]
    names = listing([kind.name for kind in learned])
    if alone == together == [kind.name for kind in learned]:
        first = f"What is preferred rises for {names}, learned alone and learned together."
    else:
        first = (
            f"What is preferred clearly rises for {listing(alone) or 'no kind'} learned alone, and for "
            f"{listing(together) or 'no kind'} learned together (of {names})."
        )
    return [first, _lost(learned), f"{count(len(study.seeds), 'seed')}; intervals draw seeds and prompts."]


def _gain(kind: KindResult, learned: str) -> Estimate:
    result = kind.by(learned)
    assert result is not None
    return result.gain


def _lost(kinds: list[KindResult]) -> str:
    """Say which kinds learn less or more together than alone."""
    less = [kind.name for kind in kinds if kind.interference is not None and kind.interference.below(0)]
    more = [kind.name for kind in kinds if kind.interference is not None and kind.interference.above(0)]
    parts = [f"less of it for {listing(less)}"] if less else []
    parts += [f"more of it for {listing(more)}"] if more else []
    if not parts:
        return "Learned together, no kind differs clearly from what it is learned alone, with as many steps of its own."
    return f"Learned together there is {listing(parts)} than learned alone, with as many steps of its own."


def findings(study: KindsSummary) -> list[str]:
    """Return one sentence per kind and claim."""
    sentences = []
    for kind in study.kinds:
        alone, together = kind.by(kind.name), kind.by(TOGETHER)
        for label, result in (("alone", alone), ("together", together)):
            if result is None:
                continue
            kept = ""
            if result.kept is not None and kind.before_kept is not None and result.kept_change is not None:
                kept = (
                    f" `{kind.kept}` goes from {value_only(kind.before_kept)} to {value_only(result.kept)} "
                    f"({estimate(result.kept_change, sign=True)})."
                )
            sentences.append(
                f"{kind.name}, learned {label}: `{kind.reward}` goes from {value_only(kind.before)} to "
                f"{value_only(result.reward)} ({estimate(result.gain, sign=True)}) at {estimate(result.kl_nats)} nats "
                f"of KL per response.{kept}"
            )
        if kind.interference is not None:
            sentences.append(
                f"{kind.name}: together less alone is {estimate(kind.interference, sign=True)} of `{kind.reward}`, "
                "paired."
            )
    return sentences
