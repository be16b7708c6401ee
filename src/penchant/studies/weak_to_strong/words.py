"""What a weak-to-strong study says in sentences. Never more than its intervals do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from penchant.metrics.estimates import Estimate
from penchant.metrics.pgr import WIDE
from penchant.reports.kit.text import count, estimate, listing, number, recorded
from penchant.studies.weak_to_strong.summary import Pairing, Ratio, StudentResult, WeakToStrongSummary

CAPTIONS = {
    "pgr": "Performance gap recovered: 0 is the supervisor's accuracy, 1 that of the student trained on the truth.",
    "accuracy": "Accuracy on the test rows of supervisor, student and ceiling, with 95% intervals. The dotted line is "
    "chance: the largest class, or one of a row's options.",
    "size": "Accuracy of supervisor, students and ceiling against the student's size, a row per task and a column for "
    "each of the first two losses, with 95% intervals. A dotted line is a supervisor, and a line of students begins at "
    "its own. Where a size has several students, the one with the highest ceiling.",
    "layer": "Accuracy of supervisor, students and ceiling against the layer that the student reads: one model cut "
    "after several layers is a family of models. A row per task and a column for each of the first two losses, with "
    "95% intervals. A line of students begins at its supervisor, where that reads a layer of this model; else the "
    "supervisor is a dotted line.",
    "agreement": "How often students say on the test rows what their supervisors say, with 95% intervals: full where "
    "the supervisor is right, hollow where it is wrong. A good student is high in the first and low in the second.",
    "reliability": "Accuracy against confidence on the test rows, first task, student and supervisor, all seeds "
    "together. On the dotted line confidence equals accuracy. A student that learns from soft labels is as unsure as "
    "its supervisor.",
    "little": "How little it takes: performance gap recovered by naive students against the number of weak labels that "
    "they see, first task, with 95% intervals. Each has the ceiling of a student that saw the truth of as many rows.",
    "salience": "Performance gap recovered by naive students against what their model knows of the task: the accuracy "
    "of a probe that learned from a few true labels. A marker for each task and supervisor, with 95% intervals; a thin "
    "line joins the students of one.",
    "flow": "Which rows train whom, first task. A supervisor never labels what it learned from, and the truth of what "
    "it labels reaches the ceiling (and the controls) alone.",
    "curve": "Accuracy on the truth over training, and below it agreement with the supervisor's answers on the same "
    "test rows (of two classes), mean over seeds, first task, a fine-tuned student where there is one. Where the upper "
    "curve falls while the lower one rises, the student overfits to the supervisor's errors. Only the truth can tell "
    "where its top is.",
}
CLOSE = 0.75  # of the gap: beyond it there is little left to recover


def legend(study: WeakToStrongSummary) -> list[str]:
    """Return the names of what has a colour, in order."""
    return [*study.losses, "supervisor", "ceiling"]


def ratio(student: StudentResult) -> str:
    """Format a cell's PGR with its interval, or say why there is none."""
    pgr = student.pgr
    if pgr.value is None:
        return f"undefined: {pgr.reason.partition(':')[0]}"
    return recorded(pgr, decimals=2)  # two digits, as the figure has them


def headline(study: WeakToStrongSummary) -> list[str]:
    """Say what the naive way recovers in the median pair, what the others do there, and how far the pairs differ."""
    cells = study.cells
    if not cells:
        return ["No student was trained yet."]
    naive = [student for student in cells if student.loss == study.losses[0] and student.pgr.value is not None]
    # three reasons for no ratio: nothing learns, no ceiling is clearly above, and a gap that is clearly below
    if not naive and not any(student.pgr.reason.startswith("no gap") for student in cells):
        return ["No student learned anything: all of them are prompted without examples."]
    if not naive:
        # said as it is: "no gap" alone would hide that a ceiling is worse than its supervisor
        below = sum(student.recovery.gap.below(0) for student in cells if student.is_naive)
        worse = f" In {below} of {count(len(_pairings(cells)), 'pair')} it is clearly below." if below else ""
        return [f"No ceiling is clearly above its supervisor: there is no gap to recover anywhere.{worse}"]
    # the highest ratio would be chosen by luck, and the widest gap is that of the supervisor that knows least
    median = median_pair(naive)
    others_there = [student for student in cells if student.pairing == median.pairing and student.loss != median.loss]
    pair = f"A {median.strong} student of {median.weak} recovers"
    # a name of a model with its layer and rows is long, and the number is to come first
    subject = f"The median of {number(len(naive), 0)} pairs recovers" if len(naive) > 1 else pair
    sentence = f"{subject} {ratio(median)} of the gap, trained the naive way"
    if other_ratios := [
        f"{ratio(student)} with {student.loss}" for student in others_there if student.pgr.value is not None
    ]:
        sentence += f"; {listing(other_ratios)}"
    if len(naive) > 1:
        sentence += f" (supervisor: {median.weak}; student: {median.strong})"
    return [f"{sentence}.", " ".join(filter(None, (_gap(median), _spread(study, naive), _multiplicity(study))))]


def median_pair(naive: Sequence[StudentResult]) -> StudentResult:
    """Return the student with the median PGR; of an even number the lower of the two in the middle.

    Args:
        naive: students with a ratio, one or more.
    """
    # a pair that was measured, and no mean of two: it has an interval of its own
    ordered = sorted(naive, key=lambda student: student.pgr.value or 0.0)
    return ordered[(len(ordered) - 1) // 2]


def _spread(study: WeakToStrongSummary, naive: Sequence[StudentResult]) -> str:
    """Say between which ratios the pairs lie, in how many the ratio is clear, and how many pairs have none."""
    if len(naive) < 2:
        return ""
    low, high = (pick(naive, key=lambda student: student.pgr.value or 0.0) for pick in (min, max))
    clear = sum(student.pgr.low is not None and student.pgr.low > 0 for student in naive)
    sentence = (
        f"The pairs go from {number(low.pgr.value or 0.0, 2)} to {number(high.pgr.value or 0.0, 2)}, trained the naive "
        f"way, and {number(clear, 0)} of them are clearly above 0."
    )
    undefined = len(_pairings(study.cells)) - len(naive)
    return sentence + (f" {count(undefined, 'pair')} without a gap to recover left out." if undefined else "")


def _pairings(cells: Sequence[StudentResult]) -> set[Pairing]:
    return {student.pairing for student in cells}


def _gap(student: StudentResult) -> str:
    ends = [estimate(accuracy, percent=True) for accuracy in (student.recovery.supervisor, student.recovery.ceiling)]
    return f"That gap goes from the supervisor's accuracy of {ends[0]} to the ceiling's {ends[1]}."


def _multiplicity(study: WeakToStrongSummary) -> str:
    ratios = sum(student.pgr.value is not None for student in study.cells)
    # intervals are 95%: one in twenty misses
    if ratios < 2:
        return ""
    return f"Of {number(ratios, 0)} intervals about {number(ratios / 20, 1)} miss their value by chance."


def findings(study: WeakToStrongSummary) -> list[str]:
    """Report losses against the naive way, undefined ratios, the controls, size, and what to do next."""
    cells = study.cells
    # students that see their supervisor's label are an experiment of their own, no loss to recommend
    sentences = [_against_naive(study, loss) for loss in study.losses[1:] if loss not in study.leaked]
    sentences += [_imitation(study, loss) for loss in study.leaked if "label drift" not in loss]
    sentences += [_drift(study, loss) for loss in study.leaked if loss.startswith("label drift")]
    sentences += [_control(cells), _wrong(cells), _chain(study), _oracle(cells)]
    sentences += [_saliency(study), _size(study), _undefined(cells)]
    sentences += _next(study)
    return [text for text in sentences if text]


def _against_naive(study: WeakToStrongSummary, loss: str) -> str:
    gains = [student.over_naive for student in study.cells if student.loss == loss and student.over_naive]
    if not gains:
        return ""
    return f"Against the naive way {loss} is {_told_apart(gains)}."


def _imitation(study: WeakToStrongSummary, loss: str) -> str:
    """Say what becomes of students whose features predict the supervisor's errors; the gap is the same."""
    pairs = [
        (student, naive)
        for student in study.cells
        if student.loss == loss and student.pgr.value is not None
        for naive in study.cells
        if naive.pairing == student.pairing and naive.loss == study.losses[0]
    ]
    if not pairs:
        return ""
    gains = [student.over_naive for student, _ in pairs if student.over_naive]
    # the pair of the headline, where it has such a student
    median = median_pair([naive for _, naive in pairs if naive.pgr.value is not None] or [naive for _, naive in pairs])
    leaked, naive = next(pair for pair in pairs if pair[1] is median)
    return (
        f"{_condition(loss)}, students recover {ratio(leaked)} of the gap (median pair), and without it "
        f"{ratio(naive)}; they are {_told_apart(gains)}."
    )


def _drift(study: WeakToStrongSummary, loss: str) -> str:
    """Say what becomes of students whose supervisor learned before the classes drifted, beside as many rows without."""
    students = [student for student in study.cells if student.loss == loss]
    gains = [student.over_control for student in students if student.over_control]
    if not gains:
        return ""
    # the drift makes a weaker supervisor, which says what its students lost
    supervisors = [student.recovery.supervisor.value for student in students]
    low, high = (f"{number(100 * share, 0)}%" for share in (min(supervisors), max(supervisors)))
    return (
        f"With {loss}, of supervisors that are right in {low if low == high else f'{low} to {high}'} of the test rows, "
        f"students are {_told_apart(gains)}, against supervisors of as many rows without drift."
    )


def _condition(name: str) -> str:
    """Return the condition under which students learn, as a sentence on them begins."""
    if name.startswith("shown "):
        return f"Shown their supervisor's label in {name.removeprefix('shown ')} of the rows"
    if name == "sees confidence":
        return "Seeing their supervisor's probabilities"
    rows = {"errors by class": "of one class", "errors by topic": "of one topic"}.get(name, "with the longest texts")
    return f"With as many errors of the supervisor, dealt out to the rows {rows} first"


def _control(cells: Sequence[StudentResult]) -> str:
    """Say whether the same errors on other rows, at random, are easier to learn through than the supervisor's."""
    gains = [student.comparisons.over_noise for student in cells if student.is_naive and student.comparisons.over_noise]
    if not gains:
        return ""
    largest = estimate(max(gains, key=lambda gain: abs(gain.value)), percent=True, sign=True)
    text = (
        f"Compared with as many random errors, naive students are {_told_apart(gains)}; the largest difference is "
        f"{largest}."
    )
    if any(gain.below(0) for gain in gains):
        text += " Worse: the supervisor's own errors have a pattern that the student learns."
    if any(gain.above(0) for gain in gains):
        text += " Better: the supervisor's own errors hurt less than as many on random rows."
    return text


def _wrong(cells: Sequence[StudentResult]) -> str:
    agreements = [student.agreement.where_wrong for student in cells if student.agreement.where_wrong]
    if not agreements:
        return ""
    shares = [share.value for share in agreements]
    low, high = (f"{number(100 * share, 0)}%" for share in (min(shares), max(shares)))
    spread = low if low == high else f"{low} to {high}"
    return (
        f"Where the supervisor is wrong its students say the same in {spread} of the rows: that is what they imitate."
    )


def _chain(study: WeakToStrongSummary) -> str:
    """Say whether labels that went through a chain of students are better than as much training without it."""
    gains = [student.over_longer for student in study.cells if student.over_longer]
    if not gains:
        return ""
    return (
        f"Labels that went through {listing(study.chain)} made students {_told_apart(gains)}, against as much "
        "training without a chain."
    )


def _told_apart(gains: Sequence[Estimate]) -> str:
    """Say in how many cells a difference is clear, and in which direction."""
    better = sum(gain.above(0) for gain in gains)
    worse = sum(gain.below(0) for gain in gains)
    verdicts = {"clearly better": better, "clearly worse": worse, "not told apart": len(gains) - better - worse}
    # "clearly worse in 0" is not said: what is left out did not happen
    verdict_counts = listing(
        f"{verdict} in {number_of_pairs}" for verdict, number_of_pairs in verdicts.items() if number_of_pairs
    )
    return f"{verdict_counts} of {count(len(gains), 'pair')} of supervisor and student"


def _oracle(cells: Sequence[StudentResult]) -> str:
    """Say what overfitting to weak labels costs the naive students."""
    losses = [student.training.oracle.cost for student in cells if student.is_naive and student.training.oracle]
    clear = [loss for loss in losses if loss.above(0)]  # their intervals are wide, so only clear ones are told
    if not clear:
        return ""
    largest = max(clear, key=lambda loss: loss.value)
    # a difference of shares, told in points
    points = replace(largest, value=100 * largest.value, low=100 * (largest.low or 0), high=100 * (largest.high or 0))
    value, _, ends = estimate(points, decimals=1).partition(" ")
    return (
        f"In {len(clear)} of {count(len(losses), 'naive cell')} students end clearly below the best accuracy on their "
        f"way, by up to {value} points {ends}: they overfit to weak labels. Only an oracle could stop them "
        "there."
    )


def _saliency(study: WeakToStrongSummary) -> str:
    """Say how well students do with the truth of the first task, by what they learn.

    That is nothing but a prompt's examples, a probe, or their weights.
    """
    task = study.cells[0].task if study.cells else None
    # the ceiling learned the truth, so it says how much of a task a model can express
    ceilings = {student.strong: student.recovery.ceiling for student in study.cells if student.task == task}
    by_kind: dict[str, list[tuple[float, str]]] = {}
    for model in study.strong:
        if model.label in ceilings:
            by_kind.setdefault(model.learning, []).append((ceilings[model.label].value, model.label))
    if len(by_kind) < 2 and all(len(models) < 2 for models in by_kind.values()):
        return ""
    parts = []
    for kind, models in by_kind.items():
        best = f"{kind} {estimate(ceilings[max(models)[1]], percent=True)} ({max(models)[1]}"
        parts.append(f"{best}, the best of {len(models)})" if len(models) > 1 else f"{best})")
    return (
        f"How salient {_title(study, task)} is, by the accuracy of students that learn from the truth: "
        f"{listing(parts)}."
    )


def _title(study: WeakToStrongSummary, task: str | None) -> str:
    return next((facts.title for facts in study.tasks if facts.task == task), str(task))


def _size(study: WeakToStrongSummary) -> str:
    """Say whether the ratio falls with the student's size."""
    sizes = {model.label: model.parameters for model in study.strong if model.parameters}
    naive = [student for student in study.cells if student.is_naive and student.pgr.value is not None]
    if len(sizes) < 2:
        return ""
    falls = rises = compared = 0
    # within one task and supervisor, or size would be confounded with both
    for key in {(student.task, student.weak) for student in naive}:
        of_supervisor = [
            student for student in naive if (student.task, student.weak) == key and student.strong in sizes
        ]
        if len(of_supervisor) < 2:
            continue
        small, large = (pick(of_supervisor, key=lambda student: sizes[student.strong]) for pick in (min, max))
        # two students of one size say nothing of size
        compared += sizes[small.strong] < sizes[large.strong]
        # both ways: in the paper's chess PGR falls as students grow
        falls += large.pgr.below(small.pgr)
        rises += large.pgr.above(small.pgr)
    if not compared:
        return ""
    if not falls and not rises:
        return "PGR neither clearly falls nor clearly rises from the smallest student to the largest."
    # a count of zero would be read as a finding
    directions = listing(f"clearly {verb} in {times}" for verb, times in (("falls", falls), ("rises", rises)) if times)
    return f"From the smallest student to the largest PGR {directions} of {count(compared, 'comparison')}."


def _undefined(cells: Sequence[StudentResult]) -> str:
    pairs = _pairings([student for student in cells if student.pgr.reason.startswith("no gap")])
    if not pairs:
        return ""
    return (
        f"PGR is undefined for {count(len(pairs), 'pair')} of supervisor and student: the ceiling is not clearly "
        "above the supervisor."
    )


def _next(study: WeakToStrongSummary) -> list[str]:
    """Suggest the experiment that would tell most, by rule."""
    cells = [student for student in study.cells if student.is_naive]
    defined = [student for student in cells if student.pgr.value is not None]
    if all(student.pgr.reason.startswith("learns nothing") for student in cells):
        return ["Next: students that learn, a probe or a fine-tuned model."] if cells else []
    if any(student.pgr.reason.startswith("no gap") for student in cells) and not defined:
        return [
            "Next: a stronger student, a better layer, or a supervisor with fewer `rows`; here is no gap to recover."
        ]
    # in this order: without a ratio, with one that says little, with one that is near 1
    wide = [student for student in defined if _width(student.pgr) > 2 * WIDE]
    if wide:
        advice = next((warning for student in wide for warning in student.recovery.warnings), "")
        return [f"Next: narrower intervals; {advice}." if advice else "Next: more seeds and more test rows."]
    if defined and all((student.pgr.value or 0.0) > CLOSE for student in defined):
        return ["Next: a weaker supervisor or a harder task, since little of the gap is left to recover here."]
    return ["Next: losses that rely less on the supervisor, such as a larger `alpha` of confidence, at these seeds."]


def _width(ratio: Ratio) -> float:
    return 0.0 if ratio.low is None or ratio.high is None else ratio.high - ratio.low
