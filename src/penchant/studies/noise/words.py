"""What a study of wrong labels says in sentences; never more than its intervals support."""

from __future__ import annotations

from penchant.reports.kit.text import count, estimate, listing, number, value_only
from penchant.studies.noise.summary import LearnerSummary, NoisePoint, NoiseSummary

SEEN = 0.95  # of the comparisons that were seen: then a policy knows them by heart; the page prints what was measured


def headline(study: NoiseSummary) -> list[str]:
    """What the largest share does to DPO and who differs from it there, and what the intervals know nothing of."""
    dpo = study.method("dpo")
    if dpo is None or not dpo.points:
        return ["DPO was not judged yet."]
    first, last = dpo.points[0], dpo.points[-1]
    said = [
        f"DPO puts the better response first in {estimate(first.accuracy, percent=True)} of unseen "
        f"comparisons with {_share(first)} of its labels {wrong(study)}, and in "
        f"{estimate(last.accuracy, percent=True)} with {_share(last)}."
    ]
    prompts = count(study.prompts.eval or 0, "unseen prompt")
    seeds = count(len(study.seeds), "seed")
    return [*said, f"{seeds}; intervals resample the {prompts}, not the training."]


def findings(study: NoiseSummary) -> list[str]:
    """Each relative against DPO at the largest share, the first share that costs something, and overfitting."""
    several = [method for method in study.methods if len(method.points) > 1]
    costs = {method.label: _first_cost(method, wrong(study)) for method in several}
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
    same: list[str] = []
    for method in study.methods:
        point = method.at(share)
        if point is None or point.above_dpo is None:  # DPO itself, or nothing to pair with
            continue
        gap = point.above_dpo
        names = above if gap.above(0) else below if gap.below(0) else same
        names.append(method.label)
    parts = [f"{listing(names)} {word} it" for names, word in ((above, "above"), (below, "below")) if names]
    if same:
        parts.append(f"{listing(same)} not to be told apart from it")
    where = f"{number(100 * share, 0)}% {wrong(study)}"
    said = f"At {where} DPO has {value_only(base, percent=True)}: {'; '.join(parts)} (by paired differences on the same"
    return f"{said} comparisons)." if parts else ""


def wrong(study: NoiseSummary) -> str:
    """What was done to wrong labels: `flipped`, or `drawn at random`."""
    return "drawn at random" if study.config.get("labels") == "random" else "flipped"


def _first_cost(method: LearnerSummary, done: str) -> str:
    """The smallest share at which a learner is clearly worse than with the first, paired; empty if there is none."""
    points = method.points
    clean = points[0].accuracy
    for point in points[1:]:
        if point.above_first is not None and point.above_first.below(0):
            return (
                f"{method.label} is clearly worse with {_share(point)} {done} already: "
                f"{value_only(clean, percent=True)} to {estimate(point.accuracy, percent=True)}."
            )
    return ""


def _overfitting(study: NoiseSummary) -> str:
    few = study.few
    if not few or not few.points:
        return ""
    points = few.points
    measured = [(point.seen_accuracy, point.epoch) for point in points if point.seen_accuracy is not None]
    known = next(((accuracy, epoch) for accuracy, epoch in measured if accuracy >= SEEN), None)
    last, gap = points[-1], few.fall
    heart = "how many of them it has right was not measured"
    if measured:
        accuracy, epoch = known or max(measured, key=lambda pair: pair[0])
        times = f"after seeing them {count(round(epoch), 'time')}{'' if known else ', at most'}"
        heart = f"it has {number(100 * accuracy, 0)}% of them right {times}"
    then = f"its true reward ends at {estimate(last.reward)}"
    if gap is not None:
        best = max(points, key=lambda point: point.reward.value)
        clearly = "" if gap.below(0) else "not clearly "
        then += (
            f", {clearly}below its best after {number(best.epoch, 0)} times (a change of {estimate(gap)} since: the "
            "best is chosen on one half of the prompts, the change measured on the other)"
        )
        then += ": it overfits" if gap.below(0) else ""
    return f"The comparisons of {count(few.prompts, 'prompt')}, {few.epochs} times over: {heart}; {then}."


def _share(point: NoisePoint) -> str:
    return f"{number(100 * point.share, 0)}%" if point.share else "none"
