"""Say in sentences what wrong labels do, never more than the intervals support."""

from __future__ import annotations

from penchant.reports.kit.text import count, estimate, format_share, listing, number, percent, value_only
from penchant.studies.noise.summary import LearnerSummary, NoisePoint, NoiseSummary

# Of the comparisons that were seen: then a policy knows them by heart. The page prints what was measured, not this.
SEEN = 0.95


def headline(study: NoiseSummary) -> list[str]:
    """Say what the largest share of wrong labels does to DPO, and what the intervals leave out."""
    dpo = study.method("dpo")
    if dpo is None or not dpo.points:
        return ["DPO was not judged yet."]
    # DPO stands for all here; the others are compared with it below.
    first, last = dpo.points[0], dpo.points[-1]
    sentences = [
        f"DPO puts the better response first in {format_share(first.accuracy)} of unseen "
        f"comparisons with {_share(first)} of its labels {wrong(study)}, and in "
        f"{format_share(last.accuracy)} with {_share(last)} {wrong(study)}."
    ]
    prompts = count(study.prompts.eval or 0, "unseen prompt")
    seeds = count(len(study.seeds), "seed")
    return [*sentences, f"{seeds}; intervals resample the {prompts}, not the training."]


def findings(study: NoiseSummary) -> list[str]:
    """Compare the other losses with DPO at the largest share; name the first harmful share, and overfitting."""
    # With one share there is nothing that more wrong labels could have cost.
    swept_methods = [method for method in study.methods if len(method.points) > 1]
    costs = {method.label: _first_cost(method, wrong(study)) for method in swept_methods}
    unhurt = [label for label, text in costs.items() if not text]
    calm = f"{listing(unhurt)}: no loss that these intervals could show." if unhurt else ""
    return [text for text in (_relatives(study), *costs.values(), calm, _overfitting(study)) if text]


def _relatives(study: NoiseSummary) -> str:
    dpo = study.method("dpo")
    if dpo is None or not dpo.points:
        return ""
    share = dpo.points[-1].share
    base = dpo.points[-1].accuracy
    above: list[str] = []
    below: list[str] = []
    indistinguishable: list[str] = []
    for method in study.methods:
        point = method.point_at(share)
        if point is None or point.above_dpo is None:  # DPO itself, or nothing to pair with
            continue
        gap = point.above_dpo
        names = above if gap.above(0) else below if gap.below(0) else indistinguishable
        names.append(method.label)
    groups = ((above, "above it"), (below, "below it"), (indistinguishable, "not to be told apart from it"))
    parts = [f"{listing(names)} {'is' if len(names) == 1 else 'are'} {where}" for names, where in groups if names]
    opening = f"At {percent(share)} {wrong(study)}, DPO has an accuracy of {value_only(base, percent=True)}."
    return f"{opening} {listing(parts)}, by paired differences on the same comparisons." if parts else ""


def wrong(study: NoiseSummary) -> str:
    """Return what was done to wrong labels: `flipped`, or `drawn at random`."""
    return "drawn at random" if study.config.get("labels") == "random" else "flipped"


def _first_cost(method: LearnerSummary, done: str) -> str:
    """Name the smallest share at which a learner is clearly worse than with the first, paired; empty without one."""
    points = method.points
    clean = points[0].accuracy
    for point in points[1:]:
        # Paired with the same learner at the first share: what an easy or hard seed adds to both falls out.
        if point.above_first is not None and point.above_first.below(0):
            return (
                f"{method.label} is clearly worse from {_share(point)} {done} on: "
                f"{value_only(clean, percent=True)} to {format_share(point.accuracy)}."
            )
    return ""


def _overfitting(study: NoiseSummary) -> str:
    summary = study.few
    if not summary or not summary.points:
        return ""
    points = summary.points
    measured = [(point.seen_accuracy, point.epoch) for point in points if point.seen_accuracy is not None]
    memorized = next(((accuracy, epoch) for accuracy, epoch in measured if accuracy >= SEEN), None)
    last, gap = points[-1], summary.fall
    heart = "its accuracy on them was not measured"
    if measured:
        accuracy, epoch = memorized or max(measured, key=lambda pair: pair[0])
        times = f"after seeing them {count(round(epoch), 'time')}{'' if memorized else ', at most'}"
        heart = f"it has {percent(accuracy)} of them right {times}"
    outcome = f"its true reward ends at {estimate(last.reward)}"
    if gap is not None:
        best = max(points, key=lambda point: point.reward.value)
        # The best evaluation is above the last by luck too; `fall` is measured on prompts that did not choose it.
        clearly = "" if gap.below(0) else "not clearly "
        outcome += (
            f", {clearly}below its best after {number(best.epoch, 0)} times (a change of {estimate(gap)} since: the "
            "best is chosen on one half of the prompts, the change measured on the other)"
        )
        outcome += ": it overfits" if gap.below(0) else ""
    return f"The comparisons of {count(summary.prompts, 'prompt')}, {summary.epochs} times over: {heart}; {outcome}."


def _share(point: NoisePoint) -> str:
    return percent(point.share) if point.share else "none"
