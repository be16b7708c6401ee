"""What a weak-to-strong study says in sentences. Never more than its intervals do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from penchant.metrics.estimates import Estimate
from penchant.metrics.pgr import WIDE
from penchant.reports.kit.text import count, estimate, listing, number, recorded
from penchant.studies.frontier.words import as_estimate

Numbers = Mapping[str, Any]
CAPTIONS = {
    "pgr": "Performance gap recovered: 0 is the supervisor's accuracy, 1 that of the student trained on the truth.",
    "accuracy": "Accuracy on the test rows of supervisor, student and ceiling, with 95% intervals. The dotted line is "
    "chance: the largest class, or one of a row's options.",
    "size": "Accuracy of naive students against their size, first task, with 95% intervals; dotted lines are their "
    "supervisors; of several, each has a dash. Where a size has several students, the one with the highest ceiling.",
    "layer": "How salient the task is by layer: accuracy of naive students that are probes of each, and of the "
    "ceiling, first task, with 95% intervals; dotted lines are their supervisors.",
    "agreement": "How often students say on the test rows what their supervisors say, with 95% intervals: full where "
    "the supervisor is right, hollow where it is wrong. A good student is high in the first and low in the second.",
    "reliability": "Accuracy against confidence on the test rows, first task, student and supervisor, all seeds "
    "together; on the dotted line confidence is earned. A student that learns from soft labels is as unsure as its "
    "supervisor.",
    "little": "How little it takes: performance gap recovered by naive students against the number of weak labels that "
    "they see, first task, with 95% intervals. Each has the ceiling of a student that saw the truth of as many rows.",
    "flow": "Which rows train whom, first task. A supervisor never labels what it learned from, and the truth of what "
    "it labels reaches the ceiling (and the controls) alone.",
    "curve": "Accuracy on the truth over training, mean over seeds, first task and the first student that was looked "
    "at. A curve that falls at its end overfits to the supervisor's errors; who would stop at its top needs the truth.",
}
CLOSE = 0.75  # of the gap: beyond it there is little left to recover


def legend(study: Numbers) -> list[str]:
    """What has a colour, in order."""
    return [*study["losses"], "supervisor", "ceiling"]


def ratio(one: Numbers) -> str:
    """A cell's PGR with its interval, or why there is none."""
    found = one["pgr"]
    if found["value"] is None:
        return f"undefined: {found['reason'].partition(':')[0]}"
    return recorded(found, decimals=2)  # two digits, as the figure has them


def headline(study: Numbers) -> list[str]:
    """What the naive way recovers, and the best of the others, in the first cell that has a gap."""
    cells = study["cells"]
    if not cells:
        return ["No student was trained yet."]
    naive = [one for one in cells if one["loss"] == study["losses"][0] and one["pgr"]["value"] is not None]
    if not naive and not any(one["pgr"]["reason"].startswith("no gap") for one in cells):
        return ["No student learned anything: all of them are prompted without examples."]
    if not naive:
        below = sum((one["gap"]["high"] or 0) < 0 for one in cells if one["over_naive"] is None)
        worse = f" In {below} of {count(len(_pairs(cells)), 'pair')} it is clearly below." if below else ""
        return [f"No ceiling is clearly above its supervisor: there is no gap to recover anywhere.{worse}"]
    first = max(naive, key=lambda one: one["gap"]["value"])
    beside = [one for one in cells if place(one) == place(first) and one["loss"] != first["loss"]]
    said = f"A {first['strong']} student of {first['weak']} recovers {ratio(first)} of the gap, trained the naive way"
    if others := [f"{ratio(one)} with {one['loss']}" for one in beside if one["pgr"]["value"] is not None]:
        said += f"; {listing(others)}"
    return [f"{said}.", f"{_gap(first)} {_multiplicity(study)}"]


def _pairs(cells: Sequence[Numbers]) -> set[tuple[str, str, str]]:
    return set(map(place, cells))


def _gap(one: Numbers) -> str:
    shown = [estimate(as_estimate(one[key]), percent=True) for key in ("supervisor", "ceiling")]
    return f"The gap there goes from {shown[0]} to {shown[1]}, the widest of this study."


def _multiplicity(study: Numbers) -> str:
    ratios = sum(one["pgr"]["value"] is not None for one in study["cells"])
    if ratios < 2:
        return ""
    return f"Of {number(ratios, 0)} intervals about {number(ratios / 20, 1)} miss their value by chance."


def findings(study: Numbers) -> list[str]:
    """Losses against the naive way, undefined ratios, the controls, size, and what to do next."""
    cells = study["cells"]
    said = [_against_naive(study, loss) for loss in study["losses"][1:] if loss not in study["shown"]]
    said += [_imitation(study, shown) for shown in study["shown"]]
    said += [_control(cells), _wrong(cells), _chain(study), _oracle(cells)]
    said += [_saliency(study), _size(study), _undefined(cells)]
    said += _next(study)
    return [text for text in said if text]


def place(one: Numbers) -> tuple[str, str, str]:
    """A cell's task, supervisor and student."""
    return one["task"], one["weak"], one["strong"]


def _against_naive(study: Numbers, loss: str) -> str:
    gains = [as_estimate(one["over_naive"]) for one in study["cells"] if one["loss"] == loss and one["over_naive"]]
    if not gains:
        return ""
    return f"Against the naive way {loss} is {_told_apart(gains)}."


def _imitation(study: Numbers, shown: str) -> str:
    """What becomes of students whose features predict the supervisor's errors; supervisor and ceiling are the same."""
    pairs = [
        (one, naive)
        for one in study["cells"]
        if one["loss"] == shown and one["pgr"]["value"] is not None
        for naive in study["cells"]
        if place(naive) == place(one) and naive["loss"] == study["losses"][0]
    ]
    if not pairs:
        return ""
    widest, naive = max(pairs, key=lambda pair: pair[0]["gap"]["value"])
    share = shown.removeprefix("shown ")
    return (
        f"Shown their supervisor's label in {share} of the rows, students recover {ratio(widest)} of the widest gap, "
        f"and without it {ratio(naive)}; they are {_told_apart([as_estimate(one['over_naive']) for one, _ in pairs])}."
    )


def _control(cells: Sequence[Numbers]) -> str:
    """Whether the same errors on other rows, at random, are easier to learn through than the supervisor's."""
    gains = [as_estimate(one["over_noise"]) for one in cells if one["over_naive"] is None and one["over_noise"]]
    if not gains:
        return ""
    most = estimate(max(gains, key=lambda gain: abs(gain.value)), percent=True, sign=True)
    text = (
        f"Against as many errors at random naive students are {_told_apart(gains)}; the largest difference is {most}."
    )
    if any(gain.high is not None and gain.high < 0 for gain in gains):
        text += " Worse: the supervisor's own errors have a pattern that the student learns."
    if any(gain.low is not None and gain.low > 0 for gain in gains):
        text += " Better: the supervisor's own errors hurt less than as many on random rows."
    return text


def _wrong(cells: Sequence[Numbers]) -> str:
    known = [one["agreement"]["where_wrong"] for one in cells if one["agreement"]["where_wrong"]]
    if not known:
        return ""
    shares = [each["value"] for each in known]
    low, high = (f"{number(100 * share, 0)}%" for share in (min(shares), max(shares)))
    spread = low if low == high else f"{low} to {high}"
    return (
        f"Where the supervisor is wrong its students say the same in {spread} of the rows: that is what they imitate."
    )


def _chain(study: Numbers) -> str:
    """Whether labels that went through a chain of students are better than as much training without it."""
    gains = [as_estimate(one["over_longer"]) for one in study["cells"] if one["over_longer"]]
    if not gains:
        return ""
    return (
        f"Labels that went through {listing(study['chain'])} made students {_told_apart(gains)}, against as much "
        "training without a chain."
    )


def _told_apart(gains: Sequence[Estimate]) -> str:
    """In how many cells a difference is clear, and which way."""
    better = sum(e.low is not None and e.low > 0 for e in gains)
    worse = sum(e.high is not None and e.high < 0 for e in gains)
    return (
        f"clearly better in {better}, clearly worse in {worse} and not told apart in {len(gains) - better - worse} of "
        f"{count(len(gains), 'cell')}"
    )


def _oracle(cells: Sequence[Numbers]) -> str:
    """What overfitting to weak labels costs the naive students."""
    lost = [as_estimate(one["oracle"]["lost"]) for one in cells if one["over_naive"] is None and one["oracle"]]
    clear = [one for one in lost if one.low is not None and one.low > 0]
    if not clear:
        return ""
    most = max(clear, key=lambda one: one.value)
    points = replace(most, value=100 * most.value, low=100 * (most.low or 0), high=100 * (most.high or 0))
    value, _, ends = estimate(points, decimals=1).partition(" ")
    return (
        f"In {len(clear)} of {count(len(lost), 'naive cell')} students end clearly below the best accuracy on their "
        f"way, by up to {value} points {ends}: they overfit to weak labels. Only an oracle could stop them "
        "there."
    )


def _saliency(study: Numbers) -> str:
    """How well students do with the truth of the first task, by what they learn: a prompt's examples or nothing, a
    probe, their weights."""
    task = study["cells"][0]["task"] if study["cells"] else None
    ceilings = {one["strong"]: one["ceiling"] for one in study["cells"] if one["task"] == task}
    found: dict[str, list[tuple[float, str]]] = {}
    for one in study["strong"]:
        if one["label"] in ceilings:
            found.setdefault(one["how"], []).append((ceilings[one["label"]]["value"], one["label"]))
    if len(found) < 2 and all(len(of) < 2 for of in found.values()):
        return ""
    told = []
    for how, of in found.items():
        best = f"{estimate(as_estimate(ceilings[max(of)[1]]), percent=True)} ({max(of)[1]}"
        told.append(f"{how} {best}, the best of {len(of)})" if len(of) > 1 else f"{how} {best})")
    return (
        f"How salient {_title(study, task)} is, by the accuracy of students that learn from the truth: {listing(told)}."
    )


def _title(study: Numbers, task: str | None) -> str:
    return next((str(one["title"]) for one in study["tasks"] if one["task"] == task), str(task))


def _size(study: Numbers) -> str:
    """Whether the ratio falls with the student's size."""
    sizes = {one["label"]: one["parameters"] for one in study["strong"] if one["parameters"]}
    naive = [one for one in study["cells"] if one["over_naive"] is None and one["pgr"]["value"] is not None]
    if len(sizes) < 2:
        return ""
    falls = rises = compared = 0
    for key in {(one["task"], one["weak"]) for one in naive}:
        own = [one for one in naive if (one["task"], one["weak"]) == key and one["strong"] in sizes]
        if len(own) < 2:
            continue
        small, large = (pick(own, key=lambda one: sizes[one["strong"]]) for pick in (min, max))
        compared += sizes[small["strong"]] < sizes[large["strong"]]
        falls += large["pgr"]["high"] < small["pgr"]["low"]
        rises += large["pgr"]["low"] > small["pgr"]["high"]
    if not compared:
        return ""
    if not falls and not rises:
        return "PGR neither clearly falls nor clearly rises from the smallest student to the largest."
    return f"From the smallest student to the largest PGR clearly falls {falls} and clearly rises {rises} times."


def _undefined(cells: Sequence[Numbers]) -> str:
    places = _pairs([one for one in cells if one["pgr"]["reason"].startswith("no gap")])
    if not places:
        return ""
    return (
        f"PGR is undefined for {count(len(places), 'pair')} of supervisor and student: the ceiling is not clearly "
        "above the supervisor."
    )


def _next(study: Numbers) -> list[str]:
    """The experiment that would tell most, by rule."""
    cells = [one for one in study["cells"] if one["over_naive"] is None]
    defined = [one for one in cells if one["pgr"]["value"] is not None]
    if all(one["pgr"]["reason"].startswith("learns nothing") for one in cells):
        return ["Next: students that learn, a probe or a fine-tuned model."] if cells else []
    if any(one["pgr"]["reason"].startswith("no gap") for one in cells) and not defined:
        return [
            "Next: a stronger student, a better layer, or a supervisor with fewer `rows`; here is no gap to recover."
        ]
    wide = [one for one in defined if one["pgr"]["high"] - one["pgr"]["low"] > 2 * WIDE]
    if wide:
        hint = next((warning for one in wide for warning in one["warnings"]), "")
        return [f"Next: narrower intervals; {hint}." if hint else "Next: more seeds and more test rows."]
    if defined and all(one["pgr"]["value"] > CLOSE for one in defined):
        return ["Next: a weaker supervisor or a harder task, since little of the gap is left to recover here."]
    return ["Next: losses that listen less to the supervisor, such as a larger `alpha` of confidence, at these seeds."]
