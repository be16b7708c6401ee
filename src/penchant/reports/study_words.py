"""What a study says in sentences: who leads and by how much, what collapsed, what it took. Never more than was seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from penchant.metrics.intervals import Estimate
from penchant.reports.words import count, duration, estimate, listing, number, value_only

Numbers = Mapping[str, Any]

BEST_OF_N = "best_of_n"
ENDED = ("done", "stopped_early", "runaway")  # of a run's status: then its last point is its end
SHOWN = {"target_nats": "target KL"}
FELL = 0.5  # of the gain at its best, lost by the end: then a run collapsed


def as_estimate(numbers: Numbers) -> Estimate:
    """An estimate from its JSON."""
    return Estimate.from_dict(numbers)


def headline(study: Numbers) -> list[str]:
    """Who leads among the methods that train, against the next, and what the intervals know nothing of."""
    ranked = sorted(trained(study), key=lambda method: -method["efficiency"]["value"])
    if not ranked:
        return ["No method that trains was evaluated yet."]
    leader = ranked[0]
    said = [
        f"{leader['label']} reaches {estimate(as_estimate(leader['efficiency']), percent=True)} of the gain in reward "
        f"that is possible between {kl_range(study)} of KL"
        + (", the most of all methods that train." if len(ranked) > 1 else ".")
    ]
    if len(ranked) > 1:
        said.append(_against(study, leader, ranked[1], "next"))
    return [*said, _seeds(study), *_unfinished(study)]


def kl_range(study: Numbers) -> str:
    """Between which KLs efficiency counts: `0.5 and 3 nats`."""
    return f"{study['limit']['from_kl']:g} and {study['limit']['to_kl']:.3g} nats"


def _unfinished(study: Numbers) -> list[str]:
    """What this comparison lacks, where runs did not come to their end."""
    left = {method["label"]: method["runs"].get("unfinished", 0) for method in trained(study)}
    runs = [f"{count(number, 'run')} of {label}" for label, number in left.items() if number]
    return [f"Unfinished, and in none of these numbers: {listing(runs)}."] if runs else []


def _against(study: Numbers, one: Numbers, other: Numbers, which: str = "") -> str:
    """One method against another by their paired difference, in words that its interval supports."""
    gap = difference(study, one["name"], other["name"])
    name = f"{other['label']}, the {which}," if which else other["label"]
    reaches = f"{name} reaches {value_only(as_estimate(other['efficiency']), percent=True)}"
    if gap is None or gap.low is None or gap.high is None:
        return f"{reaches}."
    if gap.low > 0:
        return f"{reaches}; {one['label']} lies above it by {_points(gap)} on the same prompts."
    if gap.high < 0:
        return f"{reaches} and lies above {one['label']} by {_points(turned(gap))} on the same prompts."
    return f"{reaches}; the two cannot be told apart here (a difference of {_points(gap)} on the same prompts)."


def _points(gap: Estimate) -> str:
    return f"{estimate(gap, percent=True).replace('%', '')} percentage points"


def turned(e: Estimate) -> Estimate:
    low, high = (None if end is None else -end for end in (e.high, e.low))
    return Estimate(-e.value, low, high, e.n, e.clusters, e.reason)


def _seeds(study: Numbers) -> str:
    seeds = len(study["seeds"])
    prompts = count(study["prompts"]["eval"], "evaluation prompt")
    if seeds == 1:
        return f"One seed: the intervals resample the {prompts} and say nothing of how another seed would have trained."
    spread = [method["seed_deviation"] for method in trained(study) if method["seed_deviation"] is not None]
    worst = f" (at most {number(100 * max(spread), 1)} percentage points of efficiency)" if spread else ""
    return (
        f"{count(seeds, 'seed')}, averaged: the intervals resample the {prompts}; the spread over seeds stands "
        f"beside them{worst}."
    )


def trained(study: Numbers) -> list[Numbers]:
    """The methods that train."""
    return [method for method in study["methods"] if method["name"] != BEST_OF_N]


def named(study: Numbers, name: str) -> Numbers | None:
    """A method by its name, None where the study has it not."""
    return next((method for method in study["methods"] if method["name"] == name), None)


def difference(study: Numbers, one: str, other: str) -> Estimate | None:
    """By how much one method's efficiency is above the other's, None where that was not computed."""
    for row in study["differences"]:
        if (row["one"], row["other"]) == (one, other):
            return as_estimate(row["difference"])
        if (row["other"], row["one"]) == (one, other):
            return turned(as_estimate(row["difference"]))
    return None


def findings(study: Numbers) -> list[str]:
    """What else the plot shows, a sentence or two each."""
    found = [_dpo_and_ppo(study, name) for name in ("ppo", "ppo_gt")]
    return [
        text
        for text in (*found, *_below(study), _ground_truth(study), _best_of_n(study), *_collapses(study), _took(study))
        if text
    ]


def _dpo_and_ppo(study: Numbers, name: str) -> str:
    dpo, ppo = named(study, "dpo"), named(study, name)
    if dpo is None or ppo is None:
        return ""
    size = f"DPO's curve has {count(len(dpo['points']), 'point')}, {ppo['label']}'s {len(ppo['points'])}"
    what = "the learned reward" if name == "ppo" else "the true reward itself, which DPO never sees"
    return f"DPO against {ppo['label']} (which maximises {what}): {_against(study, dpo, ppo)} {size}."


def _ground_truth(study: Numbers) -> str:
    ppo = named(study, "ppo_gt")
    if ppo is None or not ppo.get("peak"):
        return ""
    return (
        f"PPO-GT's best single policy between {kl_range(study)} reaches "
        f"{estimate(as_estimate(ppo['peak']), percent=True)} of the gain that is possible at its KL (chosen on one "
        "half of the prompts, measured on the other)."
    )


def _best_of_n(study: Numbers) -> str:
    best = named(study, BEST_OF_N)
    if best is None:
        return ""
    return (
        f"Best-of-N by the true reward reaches {estimate(as_estimate(best['efficiency']), percent=True)}, drawn at the "
        "upper bound of its KL; it trains nothing, and pays N samples for every answer."
    )


def _collapses(study: Numbers) -> list[str]:
    said, calm = [], []
    for method in trained(study):
        fallen = [run for run in study["runs"] if run["method"] == method["name"] and collapsed(study, run)]
        if fallen:
            said.append(_collapse(study, method, fallen))
        elif any(run["points"] and run["status"] in ENDED for run in study["runs"] if run["method"] == method["name"]):
            calm.append(method["label"])
        if method["runs"]["runaway"]:
            said.append(f"{count(method['runs']['runaway'], 'run')} of {method['label']} ended early: the KL ran away.")
    if calm:
        said.append(
            f"No run of {listing(calm)} clearly lost half of its gain again or clearly ended below the reference."
        )
    return said


def _below(study: Numbers) -> list[str]:
    """Methods that only lost; their curve is the reference, whose reward costs no KL."""
    base = study["reference"]["reward"]["value"]
    names = [
        method["label"]
        for method in trained(study)
        if method["points"] and all(point["reward"]["value"] < base for point in method["points"])
    ]
    if not names:
        return []
    which = "each of them" if len(names) > 1 else "it"
    return [
        f"Every point of {listing(names)} lies below the reference: the efficiency of {which} is 0 by construction."
    ]


def collapsed(study: Numbers, run: Numbers) -> bool:
    """Whether a run that came to its end is clearly below the reference there, or lost most of what it had gained."""
    if not run["points"] or run["status"] not in ENDED:
        return False
    base, last = study["reference"]["reward"], run["points"][-1]["reward"]
    best = max((point["reward"] for point in run["points"]), key=lambda reward: reward["value"])
    below = last["high"] is not None and base["low"] is not None and last["high"] < base["low"]
    apart = last["high"] is not None and best["low"] is not None and last["high"] < best["low"]
    gained = best["value"] - base["value"]
    return bool(below or (apart and gained > 0 and best["value"] - last["value"] > FELL * gained))


def _collapse(study: Numbers, method: Numbers, fallen: Sequence[Numbers]) -> str:
    worst = min(fallen, key=lambda run: run["points"][-1]["reward"]["value"])
    last = worst["points"][-1]
    where = listing(dict.fromkeys(words for run in fallen if (words := setting_words(method["setting"], run))))
    repeats = last["repetition"]
    loops = f", and {number(100 * repeats, 0)}% of 4-grams repeat" if repeats is not None and repeats > 0.1 else ""
    return (
        f"{method['label']} collapsed{f' at {where}' if where else ''}: the worst run ends at a reward of "
        f"{estimate(as_estimate(last['reward']))} and {number(last['kl_nats']['value'])} nats (the reference has "
        f"{value_only(as_estimate(study['reference']['reward']))}){loops}."
    )


def setting_words(setting: str | None, row: Numbers) -> str:
    """`beta 0.1`, and where a method has several learning rates `beta 0.1, rate 0.0001`; nothing where it has neither.

    Args:
        row: of a run, a point or a column, with `value` and `rate`.
    """
    words = []
    if setting and row.get("value") is not None:
        words.append(f"{SHOWN.get(setting, setting)} {row['value']:g}")
    if row.get("rate") is not None:
        words.append(f"rate {row['rate']:g}")
    return ", ".join(words)


def _took(study: Numbers) -> str:
    """Cost of the cheapest and the dearest method, a run."""
    costs = [(method["cost"]["training_seconds"], method) for method in trained(study) if method["cost"]]
    if len(costs) < 2:
        return ""
    (least, cheap), (most, dear) = (pick(costs, key=lambda one: one[0]) for pick in (min, max))
    if least <= 0 or cheap is dear:
        return ""
    return (
        f"A run of {cheap['label']} trained {duration(least)}, one of {dear['label']} {duration(most)}, evaluations "
        f"not counted; {cheap['label']} saw {number(cheap['cost']['samples_drawn'], 0)} samples in all, "
        f"{dear['label']} {number(dear['cost']['samples_drawn'], 0)}."
    )


def caption(study: Numbers) -> str:
    """How to read the plot."""
    limit, reference = study["limit"], study["reference"]
    return (
        "Each small mark is an evaluation, thin lines join those of one setting; bold is what a method reaches with "
        f"its whole sweep, with 95% intervals. The limit is estimated from {count(reference['samples'], 'sample')} "
        f"of the reference for each prompt and is trusted up to {number(limit['trusted_kl'])} nats (solid); "
        "beyond, it is too low (dashed), and methods may cross it."
    )
