"""What a study of wrong labels says in sentences; never more than its intervals support."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from penchant.metrics.estimates import Estimate
from penchant.reports.kit.text import count, estimate, listing, number, value_only
from penchant.studies.frontier.words import as_estimate

Numbers = Mapping[str, Any]
SEEN = 0.95  # of the comparisons that were seen: then a policy knows them by heart; the page prints what was measured


def headline(study: Numbers) -> list[str]:
    """What the largest share does to DPO and who differs from it there, and what the intervals know nothing of."""
    dpo = _named(study, "dpo")
    if dpo is None or not dpo["points"]:
        return ["DPO was not judged yet."]
    first, last = dpo["points"][0], dpo["points"][-1]
    said = [
        f"DPO puts the better response first in {estimate(as_estimate(first['accuracy']), percent=True)} of unseen "
        f"comparisons with {_share(first)} of its labels {wrong(study)}, and in "
        f"{estimate(as_estimate(last['accuracy']), percent=True)} with {_share(last)}."
    ]
    prompts = count(study["prompts"]["eval"] or 0, "unseen prompt")
    seeds = count(len(study["seeds"]), "seed")
    return [*said, f"{seeds}; intervals resample the {prompts}, not the training."]


def findings(study: Numbers) -> list[str]:
    """Each relative against DPO at the largest share, the first share that costs something, and overfitting."""
    several = [method for method in study["methods"] if len(method["points"]) > 1]
    costs = {method["label"]: _first_cost(method, wrong(study)) for method in several}
    unhurt = [label for label, text in costs.items() if not text]
    calm = f"{listing(unhurt)}: no loss that these intervals could show." if unhurt else ""
    return [text for text in (_relatives(study), *costs.values(), calm, _overfitting(study)) if text]


def _relatives(study: Numbers) -> str:
    dpo = _named(study, "dpo")
    if dpo is None or not dpo["points"]:
        return ""
    share = dpo["points"][-1]["share"]
    base = as_estimate(dpo["points"][-1]["accuracy"])
    above: list[str] = []
    below: list[str] = []
    same: list[str] = []
    for method in study["methods"]:
        point = _at(method, share)
        if point is None or not point.get("above_dpo"):  # DPO itself, or nothing to pair with
            continue
        gap = as_estimate(point["above_dpo"])
        names = above if _over_zero(gap) else below if _under_zero(gap) else same
        names.append(method["label"])
    parts = [f"{listing(names)} {word} it" for names, word in ((above, "above"), (below, "below")) if names]
    if same:
        parts.append(f"{listing(same)} not to be told apart from it")
    where = f"{number(100 * share, 0)}% {wrong(study)}"
    said = f"At {where} DPO has {value_only(base, percent=True)}: {'; '.join(parts)} (by paired differences on the same"
    return f"{said} comparisons)." if parts else ""


def _over_zero(gap: Estimate) -> bool:
    return gap.low is not None and gap.low > 0


def _under_zero(gap: Estimate) -> bool:
    return gap.high is not None and gap.high < 0


def wrong(study: Numbers) -> str:
    """What was done to wrong labels: `flipped`, or `drawn at random`."""
    return "drawn at random" if study["config"].get("labels") == "random" else "flipped"


def _first_cost(method: Numbers, done: str) -> str:
    """The smallest share at which a learner is clearly worse than with the first, paired; empty if there is none."""
    points = method["points"]
    clean = as_estimate(points[0]["accuracy"])
    for point in points[1:]:
        e = as_estimate(point["accuracy"])
        if point.get("above_first") and _under_zero(as_estimate(point["above_first"])):
            return (
                f"{method['label']} is clearly worse with {_share(point)} {done} already: "
                f"{value_only(clean, percent=True)} to {estimate(e, percent=True)}."
            )
    return ""


def _overfitting(study: Numbers) -> str:
    few = study["few"]
    if not few or not few["points"]:
        return ""
    points = few["points"]
    known = next((p for p in points if p["seen_accuracy"] is not None and p["seen_accuracy"] >= SEEN), None)
    last, fall = points[-1], few.get("fall")
    most = max((p for p in points if p["seen_accuracy"] is not None), key=lambda p: p["seen_accuracy"], default=None)
    shown = known or most
    times = "" if shown is None else f"after seeing them {count(round(shown['epoch']), 'time')}"
    heart = (
        "how many of them it has right was not measured"
        if shown is None
        else f"it has {number(100 * shown['seen_accuracy'], 0)}% of them right {times}{'' if known else ', at most'}"
    )
    then = f"its true reward ends at {estimate(as_estimate(last['reward']))}"
    if fall:
        best = max(points, key=lambda point: point["reward"]["value"])
        gap = as_estimate(fall)
        clearly = "" if _under_zero(gap) else "not clearly "
        then += (
            f", {clearly}below its best after {number(best['epoch'], 0)} times (a change of {estimate(gap)} since: the "
            "best is chosen on one half of the prompts, the change measured on the other)"
        )
        then += ": it overfits" if _under_zero(gap) else ""
    return f"The comparisons of {count(few['prompts'], 'prompt')}, {few['epochs']} times over: {heart}; {then}."


def _named(study: Numbers, name: str) -> Numbers | None:
    return next((method for method in study["methods"] if method["name"] == name), None)


def _at(method: Numbers, share: float) -> Numbers | None:
    return next((point for point in method["points"] if point["share"] == share), None)


def _share(point: Numbers) -> str:
    return f"{number(100 * point['share'], 0)}%" if point["share"] else "none"
