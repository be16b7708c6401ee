"""The page of a study of annotators. Reads its numbers and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.ticker import FixedLocator, FuncFormatter

from penchant.models.builtin import described
from penchant.reports.kit.canvas import MUTED, Picture, blank, error_arms, export, run_style, style
from penchant.reports.kit.render import figure_context
from penchant.reports.kit.study_page import cell, shared_context, shared_facts
from penchant.reports.kit.tables import Table
from penchant.reports.kit.text import DASH, count, estimate, listing, number, short
from penchant.studies.core.definition import StudyPage
from penchant.studies.frontier.words import as_estimate

TITLE = "The annotator who was left out"
Numbers = Mapping[str, Any]
BASELINES = {"others": "The other annotators", "longer": "Longer wins"}
APART = 0.11
NAME = 40  # characters of an annotator's name inside a sentence


def annotators_pictures(study: Numbers) -> dict[str, Any]:
    """The figures by key."""
    return {"agreement": _picture(study)}


def annotators_context(study: Numbers, pictures: Mapping[str, Any]) -> dict[str, Any]:
    """What the template takes."""
    caption = (
        "Share of the left-out annotator's decided comparisons on held-out prompts in which each says the "
        "same; another annotator's tie counts half. The dotted line is guessing."
    )
    return {
        "title": TITLE,
        "headline": headline(study),
        **shared_context(
            study["config"], study["provenance"], [(one["stage"], one["reason"]) for one in study["failures"]]
        ),
        "section": "Agreement with an annotator whom nobody learned from",
        "methods": list(_judges(study).values()),
        "figures": [figure_context(key, picture, caption) for key, picture in pictures.items()],
        "findings": findings(study),
        "tables": [_table(study), _differences(study)],
        "legend_tables": [],
        "facts": _facts(study),
    }


def headline(study: Numbers) -> list[str]:
    """Each learner's agreement over all annotators, beside that of the others and of length."""
    everyone = study["all"]
    learned = [judge for judge in study["judges"] if everyone["agreement"][judge["name"]]]
    if not learned:
        return ["No model was judged yet."]
    said = listing(f"{judge['label']} {_percent(everyone['agreement'][judge['name']])}" for judge in learned)
    beside = listing(
        f"{_lower(label)} {_percent(everyone['agreement'][name])}"
        for name, label in BASELINES.items()
        if everyone["agreement"][name]
    )
    size = f"{count(everyone['comparisons'], 'comparison')} on {count(everyone['prompts'], 'held-out prompt')}"
    seeds = count(len(study["seeds"]), "seed")
    return [
        f"Agreement with the annotator left out, all in turn: {said}; beside it {beside}.",
        f"{size}, {seeds}; intervals resample prompts, not the training.",
    ]


def findings(study: Numbers) -> list[str]:
    """Each learner against chance, against length and against people, on the same comparisons."""
    said = []
    for judge in study["judges"]:
        agreement = study["all"]["agreement"][judge["name"]]
        if agreement is None:
            continue
        e = as_estimate(agreement)
        if e.low is not None and e.high is not None and e.low <= 0.5 <= e.high:
            said.append(f"{judge['label']} cannot be told apart from guessing ({_percent(agreement)}).")
        said += [_against(judge["label"], gap) for gap in study["all"]["differences"] if gap["one"] == judge["name"]]
    return said + [text for row in study["rows"] if (text := _length_alone(row))]


def _against(label: str, gap: Numbers) -> str:
    e = as_estimate(gap["difference"])
    what = "the other annotators agree" if gap["other"] == "others" else "the rule that the longer response wins does"
    size = f"{estimate(e, percent=True, sign=True).replace('%', '')} percentage points on the same comparisons"
    if e.low is not None and e.low > 0:
        return f"{label} agrees more than {what} ({size})."
    if e.high is not None and e.high < 0:
        return f"{label} agrees less than {what} ({size})."
    return f"{label} agrees neither clearly more nor less than {what} ({size})."


def _length_alone(row: Numbers) -> str:
    longer = row["agreement"]["longer"]
    e = as_estimate(longer)
    if e.low is None or e.low <= 0.5:
        return ""
    return f"Whoever prefers the longer response agrees with {short(row['annotator'], NAME)} in {_percent(longer)}."


def _percent(numbers: Numbers) -> str:
    return estimate(as_estimate(numbers), percent=True)


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def _judges(study: Numbers) -> dict[str, str]:
    return {judge["name"]: judge["label"] for judge in study["judges"]} | BASELINES


def _table(study: Numbers) -> Table:
    judges = _judges(study)
    rows = [
        (
            name,
            number(row["comparisons"], 0),
            DASH if trained_on is None else number(trained_on, 0),
            *(cell(row["agreement"][judge], percent=True) for judge in judges),
        )
        for name, row, trained_on in (
            *((row["annotator"], row, row["trained_on"]) for row in study["rows"]),
            ("all in turn", study["all"], None),
        )
    ]
    heads = ("left out", "judged on", "trained on", *judges.values())
    return Table("Agreement with the annotator left out.", heads, tuple(rows))


def _differences(study: Numbers) -> Table:
    labels = _judges(study)
    rows = [
        (name, labels[gap["one"]], _lower(labels[gap["other"]]), cell(gap["difference"], percent=True, sign=True))
        for name, row in (*((row["annotator"], row) for row in study["rows"]), ("all in turn", study["all"]))
        for gap in row["differences"]
    ]
    return Table("Differences on the same comparisons.", ("left out", "learner", "less", "difference"), tuple(rows))


def _picture(study: Numbers) -> Picture:
    judges = _judges(study)
    rows = [*study["rows"], {**study["all"], "annotator": "all in turn"}]
    with style():
        figure, axes = blank(7.0, 3.9)
        axes.axhline(0.5, color=MUTED, linewidth=0.9, linestyle=(0, (1, 2)))
        for index, name in enumerate(judges):
            found = [(place, row["agreement"][name]) for place, row in enumerate(rows) if row["agreement"][name]]
            if found:
                color, _, marker = run_style(index)
                x = [place + APART * (index - (len(judges) - 1) / 2) for place, _ in found]
                agreements = [agreement for _, agreement in found]
                y = [agreement["value"] for agreement in agreements]
                axes.errorbar(
                    x, y, yerr=error_arms(agreements), color=color, marker=marker, markersize=5, linestyle="none"
                )
        axes.xaxis.set_major_locator(FixedLocator(range(len(rows))))
        axes.set_xticklabels([f" {short(row['annotator'], 18)}" for row in rows])
        axes.set_xlim(-0.6, len(rows) - 0.4)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{number(100 * value, 0)}%"))
        axes.set_xlabel("annotator left out", loc="right")
        return export(figure, "Agreement with the annotator left out", list(judges.values()))


def _facts(study: Numbers) -> list[tuple[str, str]]:
    config = study["config"]
    missing = [
        f"{count(study[key], noun)} {why}"
        for key, noun, why in (
            ("skipped_rows", "row", "that cannot be used"),
            ("too_long", "prompt", "that the model has no room for"),
        )
        if study[key]
    ]
    data = str(config["data"]["path"]) + (f", without {listing(missing)}" if missing else "")
    return [
        ("Model", described(str(config["model"]["name"]))),
        ("Data", data),
        *shared_facts(study["seeds"], study["provenance"], study["cost"]["seconds"]),
    ]


PAGE = StudyPage(
    expected=frozenset({"rows", "all", "judges", "failures"}),
    pictures=annotators_pictures,
    context=annotators_context,
)
