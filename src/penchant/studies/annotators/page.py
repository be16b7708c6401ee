"""The page of a study of annotators. Reads its numbers and nothing else."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.ticker import FixedLocator

from penchant.models.builtin import described
from penchant.reports.kit.canvas import MUTED, Picture, blank, draw_points, export, percent_axis, style
from penchant.reports.kit.render import figure_context
from penchant.reports.kit.study_page import shared_context, shared_facts
from penchant.reports.kit.tables import Table
from penchant.reports.kit.text import DASH, NAME, count, estimate, format_share, listing, number, recorded, short
from penchant.studies.annotators.summary import AnnotatorRow, AnnotatorsSummary, PairedDifference
from penchant.studies.core.definition import StudyPage

TITLE = "Agreement with an annotator that no model learned from"
# how far people agree with the one left out, and a rule that has learned nothing
BASELINES = {"others": "The other annotators", "longer": "Longer wins"}
CHANCE = 0.5  # a comparison has two sides
JUDGE_OFFSET = 0.11  # between judges of one annotator, so that intervals do not lie on each other


def annotators_pictures(study: AnnotatorsSummary) -> dict[str, Picture]:
    """Return the figures by key."""
    return {"agreement": _picture(study)}


def annotators_context(study: AnnotatorsSummary, pictures: Mapping[str, Picture]) -> dict[str, object]:
    """Return what the template takes."""
    caption = (
        "Share of the left-out annotator's decided comparisons on held-out prompts in which each says the "
        "same; another annotator's tie counts half. The dotted line is chance."
    )
    return {
        "title": TITLE,
        "headline": headline(study),
        **shared_context(study.config, study.provenance, [failure.pair for failure in study.failures]),
        "section": "Agreement by annotator",
        "methods": list(_judges(study).values()),
        "figures": [figure_context(key, picture, caption) for key, picture in pictures.items()],
        "findings": findings(study),
        "tables": [_table(study), _differences(study)],
        "legend_tables": [],
        "facts": _facts(study),
    }


def headline(study: AnnotatorsSummary) -> list[str]:
    """State each learner's agreement over all annotators, beside that of the others and of length."""
    overall = study.all
    shares = [(judge.label, share) for judge in study.judges if (share := overall.agreement[judge.name])]
    if not shares:
        return ["No model was judged yet."]
    learner_text = listing(f"{label} {format_share(share)}" for label, share in shares)
    baselines = [(label, share) for name, label in BASELINES.items() if (share := overall.agreement[name])]
    baseline_text = listing(f"{_lower(label)} {format_share(share)}" for label, share in baselines)
    size = f"{count(overall.comparisons, 'comparison')} on {count(overall.prompts, 'held-out prompt')}"
    seeds = count(len(study.seeds), "seed")
    return [
        f"Agreement with the annotator left out, each in turn: {learner_text}. For comparison: {baseline_text}.",
        f"{size}, {seeds}; intervals resample prompts, not the training.",
    ]


def findings(study: AnnotatorsSummary) -> list[str]:
    """Compare each learner with chance, with length and with people, on the same comparisons."""
    sentences = []
    for judge in study.judges:
        agreement = study.all.agreement[judge.name]
        if agreement is None:
            continue
        # without an interval nothing can be said, not even that it guesses
        if agreement.has_interval and not agreement.above(CHANCE) and not agreement.below(CHANCE):
            sentences.append(f"{judge.label} cannot be told apart from guessing ({format_share(agreement)}).")
        sentences += [
            _describe_difference(judge.label, gap) for gap in study.all.differences if gap.learner == judge.name
        ]
    return sentences + [text for row in study.rows if (text := _length_alone(row))]


def _describe_difference(label: str, gap: PairedDifference) -> str:
    difference = gap.difference
    opponent = "the other annotators do" if gap.baseline == "others" else "a rule that picks the longer response"
    # in points: "5% more" of a share would read as a ratio
    size = f"{estimate(difference, percent=True, sign=True).replace('%', '')} percentage points on the same comparisons"
    if difference.above(0):
        return f"{label} agrees more than {opponent} ({size})."
    if difference.below(0):
        return f"{label} agrees less than {opponent} ({size})."
    # also where there is no interval: then nothing is clear
    return f"{label} agrees neither clearly more nor less than {opponent} ({size})."


def _length_alone(row: AnnotatorRow) -> str:
    # what a model has to beat here: it may agree by preferring long responses alone
    share = row.measured.agreement["longer"]
    if share is None or not share.above(CHANCE):
        return ""
    return f"A rule that picks the longer response agrees with {short(row.annotator, NAME)} in {format_share(share)}."


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def _judges(study: AnnotatorsSummary) -> dict[str, str]:
    return {judge.name: judge.label for judge in study.judges} | BASELINES


def _table(study: AnnotatorsSummary) -> Table:
    judges = _judges(study)
    # the last row is of all in turn, whose runs learned from different comparisons
    trained_on = [*(row.trained_on for row in study.rows), None]
    rows = [
        (
            name,
            number(agreement.comparisons, 0),
            DASH if trained_count is None else number(trained_count, 0),
            *(recorded(agreement.agreement[judge], percent=True) for judge in judges),
        )
        for (name, agreement), trained_count in zip(study.named_rows(), trained_on, strict=True)
    ]
    heads = ("left out", "judged on", "trained on", *judges.values())
    return Table("Agreement with the annotator left out.", heads, tuple(rows))


def _differences(study: AnnotatorsSummary) -> Table:
    labels = _judges(study)
    rows = [
        (name, labels[gap.learner], _lower(labels[gap.baseline]), recorded(gap.difference, percent=True, sign=True))
        for name, agreement in study.named_rows()
        for gap in agreement.differences
    ]
    return Table("Differences on the same comparisons.", ("left out", "learner", "minus", "difference"), tuple(rows))


def _picture(study: AnnotatorsSummary) -> Picture:
    judges = _judges(study)
    rows = list(study.named_rows())
    with style():
        figure, axes = blank(7.0, 3.9)
        axes.axhline(CHANCE, color=MUTED, linewidth=0.9, linestyle=(0, (1, 2)))
        for index, name in enumerate(judges):
            points = [(row, share) for row, (_, agreement) in enumerate(rows) if (share := agreement.agreement[name])]
            if points:
                x = [row + JUDGE_OFFSET * (index - (len(judges) - 1) / 2) for row, _ in points]
                draw_points(axes, x, [share for _, share in points], index)
        axes.xaxis.set_major_locator(FixedLocator(range(len(rows))))
        axes.set_xticklabels([f" {short(annotator, 18)}" for annotator, _ in rows])
        axes.set_xlim(-0.6, len(rows) - 0.4)
        percent_axis(axes.yaxis)
        axes.set_xlabel("annotator left out", loc="right")
        return export(figure, "Agreement with the annotator left out", list(judges.values()))


def _facts(study: AnnotatorsSummary) -> list[tuple[str, str]]:
    config = study.config
    missing = [
        f"{count(total, noun)} {reason}"
        for total, noun, reason in (
            (study.skipped_rows, "row", "that cannot be used"),
            (study.too_long, "prompt", "that the model has no room for"),
        )
        if total
    ]
    data = str(config["data"]["path"]) + (f", without {listing(missing)}" if missing else "")
    return [
        ("Task", "predict the choices of an annotator that the model did not learn from"),
        ("Model", described(str(config["model"]["name"]))),
        ("Data", data),
        *shared_facts(study.seeds, study.provenance, study.cost.seconds),
    ]


PAGE = StudyPage(pictures=annotators_pictures, context=annotators_context)
