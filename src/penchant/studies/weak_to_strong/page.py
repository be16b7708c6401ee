"""Draw the page of a weak-to-strong study from its summary alone."""

from __future__ import annotations

from collections.abc import Mapping

from penchant.metrics.catalogue import metric
from penchant.models.builtin import ORIGINS, described
from penchant.reports.kit.canvas import Picture
from penchant.reports.kit.render import MOST_FACT, figure_context
from penchant.reports.kit.study_page import shared_context, shared_facts
from penchant.reports.kit.tables import Table, csv_text
from penchant.reports.kit.text import DASH, count, listing, number, percent, recorded, short
from penchant.studies.core.definition import StudyPage
from penchant.studies.weak_to_strong.figures import weak_pictures
from penchant.studies.weak_to_strong.flow import labels_of_files
from penchant.studies.weak_to_strong.generalization import generalization_table
from penchant.studies.weak_to_strong.salience import salience_tables
from penchant.studies.weak_to_strong.summary import StrongModel, StudentResult, WeakToStrongSummary
from penchant.studies.weak_to_strong.words import CAPTIONS, findings, headline, legend, ratio

TITLE = "From weak to strong: how much of the gap is recovered"
INTERVALS = (
    "Intervals are 95%, for new test items and new seeds together, paired across supervisor, student and ceiling; "
    "those of shares among the supervisor's right or wrong answers are for new items only."
)
GROUPED = "Test rows that belong together, such as those of one question, are drawn together."
__all__ = ["weak_context", "weak_files", "weak_pictures"]
HEADS = ("task", "supervisor", "student", "loss")


def weak_context(study: WeakToStrongSummary, pictures: Mapping[str, Picture]) -> dict[str, object]:
    """Return what the template is filled with."""
    return {
        "title": TITLE,
        "headline": headline(study),
        **shared_context(study.config, study.provenance, [failure.pair for failure in study.failures]),
        "intervals": f"{INTERVALS} {GROUPED}" if any(task.groups for task in study.tasks) else INTERVALS,
        "section": "Supervisor, student and ceiling",
        "methods": legend(study),
        "figures": [figure_context(key, picture, CAPTIONS[key]) for key, picture in pictures.items()],
        "findings": findings(study),
        "tables": [
            _main(study),
            generalization_table(study, HEADS, lambda student: _names(study, student)),
            _agreement(study),
            _few_labels(study),
            *salience_tables(study),
            *_stopping(study),
            _rows(study),
        ],
        # the legend's marks are of losses, and a row here is a supervisor and a student as well
        "legend_tables": [],
        "facts": _facts(study),
        "about": _leading_lines(study),
    }


def _leading_lines(study: WeakToStrongSummary) -> list[tuple[str, str]]:
    """Return what is learned, from whom and by whom, for the page's first lines."""
    # The legend would not do: it names supervisor and ceiling too, which are no methods.
    lines = [
        ("Task", listing(task.title for task in study.tasks)),
        ("Supervisors", "; ".join(study.weak)),
        ("Students", "; ".join(model.label for model in study.strong)),
        ("Losses", "; ".join(study.losses)),
    ]
    return [(label, short(text, MOST_FACT)) for label, text in lines if text]


def weak_files(study: WeakToStrongSummary) -> dict[str, str]:
    """Return the main table for a spreadsheet and for a paper, by file name."""
    table = _main(study)
    lines = [" & ".join(map(_tex, row)) + r" \\" for row in (table.columns, *table.rows)]
    columns = "l" * len(HEADS) + "r" * (len(table.columns) - len(HEADS))
    body = "\n".join([lines[0], r"\midrule", *lines[1:]])
    # with the rules of the package booktabs, which the paper has to load
    latex = f"\\begin{{tabular}}{{{columns}}}\n\\toprule\n{body}\n\\bottomrule\n\\end{{tabular}}\n"
    return {"table.csv": csv_text(table), "table.tex": latex}


def _tex(text: str) -> str:
    # one letter at a time, or a replaced backslash would be replaced again
    special = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "−": "$-$", "–": "--"}
    return "".join(special.get(letter, f"\\{letter}" if letter in "&%$#_{}" else letter) for letter in text)


def _main(study: WeakToStrongSummary) -> Table:
    rows = [
        (
            *_names(study, student),
            *(
                recorded(accuracy, percent=True)
                for accuracy in (student.recovery.supervisor, student.recovery.student, student.recovery.ceiling)
            ),
            ratio(student),
            recorded(student.over_naive, percent=True, sign=True),
            # of the naive student, so every loss of a supervisor and student stands beside the same control
            recorded(student.comparisons.noise, percent=True),
        )
        for student in study.cells
    ]
    heads = (
        *HEADS,
        "supervisor's accuracy",
        "student's",
        "ceiling",
        metric("pgr").column,
        "more than naive",
        "errors at random",
    )
    caption = (
        f"Accuracy on the test rows. The last column is the control: the same student, naive, on {_control(study)}."
    )
    return Table(caption, heads, tuple(rows))


def _control(study: WeakToStrongSummary) -> str:
    """Return what the students of errors at random learned from."""
    if study.control is None:  # version 0.3 did not write it
        return "the truth with as many errors as the supervisor makes, at random, as hard labels"
    return (
        "the supervisor's labels dealt out to the rows at random, so that there are as many errors, each as sure, but "
        "on other rows"
    )


def _agreement(study: WeakToStrongSummary) -> Table:
    keys = ("overall", "fixed", "inherited", "new")
    rows = [
        (
            *_names(study, student),
            *(recorded(getattr(student.agreement, key), percent=True) for key in keys),
            number(100 * student.calibration.calibration_error, 1) + "%",
            recorded(student.brier),
        )
        for student in study.cells
    ]
    heads = (
        *HEADS,
        "agree",
        "fixed",
        "inherited",
        "new",
        metric("calibration_error").column,
        metric("brier").column,
    )
    caption = (
        "Agreement of student and supervisor on the test rows. Errors of the supervisor that the student fixed or "
        "inherited, and errors of its own (new), as shares of all rows."
    )
    return Table(caption, heads, tuple(rows))


def _few_labels(study: WeakToStrongSummary) -> Table:
    """Return the table of labels, steps and change of the weights that naive students needed."""
    models = {model.label: model for model in study.strong}
    rows = [
        (
            *_names(study, student),
            number(student.learned_from, 0),
            number(student.weak_labels, 0),
            ratio(student),
            DASH if (after := _most_of(student)) is None else _format_duration(after, models[student.strong]),
            DASH if student.weight_distance is None else number(100 * student.weight_distance, 2) + "%",
        )
        for student in study.cells
        # a row per supervisor and student and not per loss: all losses have the same numbers of labels
        if student.is_naive
    ]
    caption = (
        "How little it takes, naive students: true labels that the supervisor learned from or was shown, weak labels "
        "of other rows that the student learned from, the first look at which they had nine tenths of what they gained "
        "over their supervisor in the end, on the same rows, and how far fine-tuning moved the weights, relative to "
        "their length (means over seeds; a probe moves none)."
    )
    heads = (
        *HEADS,
        "supervisor's rows",
        "weak labels",
        metric("pgr").column,
        "nine tenths of the gain after",
        "weights moved by",
    )
    return Table(caption, heads, tuple(rows))


def _most_of(student: StudentResult) -> float | None:
    """Return the first look with nine tenths of the final gain; None where nothing was gained, or nobody looked."""
    training = student.training
    if not training.curve or training.curve_from is None:
        return None
    gains = [(look.after, look.accuracy - training.curve_from) for look in training.curve]
    # A student that stopped early has the weights of the look that it kept, not those of the last student.
    final = gains[-1][1] if training.early is None else training.early - training.curve_from
    return next((float(after) for after, gain in gains if gain >= 0.9 * final), None) if final > 0 else None


def _format_duration(looks: float, model: StrongModel) -> str:
    """Format how long a student trained: `1 step`, `2.5 epochs`."""
    unit = model.curve_unit.removesuffix("s") if looks == 1 else model.curve_unit
    return f"{looks:g} {unit}"


def _stopping(study: WeakToStrongSummary) -> list[Table]:
    """Return where training might have stopped; no table where nobody looked."""
    # probes count steps, fine-tuned models epochs
    models = {model.label: model for model in study.strong}
    rows = []
    for student in study.cells:
        oracle, early = student.training.oracle, student.training.early
        if oracle is not None:
            best = _format_duration(oracle.after, models[student.strong])
            stopped = percent(early, 1)
            rows.append((*_names(study, student), percent(oracle.last, 1), stopped, percent(oracle.accuracy, 1), best))
    if not rows:
        return []
    heads = (*HEADS, "at the end", "stopped by weak labels", "stopped by an oracle", "that is after")
    caption = (
        "Accuracy on the truth at the end of training, where the loss on weak labels that were kept back was lowest, "
        "and at its best, which takes the truth to know and is no result. Means over seeds; fine-tuned students were "
        "looked at on the first 200 test rows."
    )
    return [Table(caption, heads, tuple(rows))]


def _rows(study: WeakToStrongSummary) -> Table:
    """Return the table of the tasks' rows."""
    rows = [
        (
            task.title,
            ", ".join(task.classes) or "options of each row's own",
            number(task.train, 0),
            number(task.test, 0),
            percent(task.chance, 1),
            "; ".join(f"{number(size, 0)} {reason}" for reason, size in task.dropped.items() if size) or DASH,
            task.source,
        )
        for task in study.tasks
    ]
    heads = ("task", "classes", "rows to train", "rows to test", "chance", "left out", "source")
    # labels of a file were there before, and their half goes unused
    teaches = (
        "is left out, since the file has its labels"
        if labels_of_files(study) >= set(study.weak)
        else "is the supervisor's to learn from"
    )
    caption = (
        "Rows. Chance is the share of the largest class, or that of one option among a row's own. Of the rows to train "
        f"on, by each seed one random half {teaches}; the supervisor labels the other half, and student, ceiling and "
        "controls learn from that. The same test rows for all."
    )
    return Table(caption, heads, tuple(rows))


def _names(study: WeakToStrongSummary, student: StudentResult) -> tuple[str, ...]:
    titles = {task.task: task.title for task in study.tasks}
    return titles.get(student.task, student.task), student.weak, student.strong, student.loss


def _facts(study: WeakToStrongSummary) -> list[tuple[str, str]]:
    strong = [
        model.label + (f" ({number(model.parameters / 1e6, 1)} million parameters)" if model.parameters else "")
        for model in study.strong
    ]
    config = study.config
    return [
        ("Supervisors", "; ".join(study.weak)),
        ("Students", "; ".join(strong)),
        ("Losses", "; ".join(study.losses)),
        (
            "Probes",
            f"{_shrinkage(study)}; {count(config['steps'], 'step')}; standardized activations: a language "
            "model's at the last token, an encoder's on average over tokens",
        ),
        *_texts_first(study),
        *_origins(study),
        *shared_facts(study.seeds, study.provenance, study.cost.seconds),
    ]


def _origins(study: WeakToStrongSummary) -> list[tuple[str, str]]:
    """Return the origins of the study's built-in models whose names leave them open."""
    # labels are made of models' names
    labels = " ".join([*study.weak, *(model.label for model in study.strong)])
    origins = [described(name) for name in ORIGINS if name in labels]
    return [("Models", "; ".join(origins))] if origins else []


def _shrinkage(study: WeakToStrongSummary) -> str:
    """Return how the probes' l2 was fixed, what was chosen, and how many fits that took."""
    if study.config["l2"] != "auto":
        return f"l2 {study.config['l2']:g}"
    chosen, candidates = study.l2.chosen, study.l2.candidates
    if not chosen:
        return "l2 auto"
    counts = listing(
        [f"{value} for {count(size, 'set of labels', 'sets of labels')}" for value, size in chosen.items()]
    )
    if not study.l2.fits:  # every set had too few rows, so nothing was chosen
        return f"l2 {listing(list(chosen))}, since no set of labels has enough rows to choose by"
    return (
        f"l2 chosen among {listing([f'{value:g}' for value in candidates])} by cross-entropy on a fifth of the labels "
        f"that a probe learns from (of students the weak ones), seed by seed: {counts}; that took "
        f"{count(study.l2.fits, 'more fit')}"
    )


def _texts_first(study: WeakToStrongSummary) -> list[tuple[str, str]]:
    """Return what models read before they learned from labels."""
    facts = [
        f"{short(model.model, 40)} on {model.task}: {number(model.texts, 0)} texts in "
        f"{number(model.pieces, 0)} pieces, {number(model.held_out, 0)} of these held out"
        + (f", {number(model.dropped, 0)} too long" if model.dropped else "")
        for model in study.texts_first
    ]
    return [("Texts first", "; ".join(facts))] if facts else []


PAGE = StudyPage(pictures=weak_pictures, context=weak_context, files=weak_files)
