"""The page of a weak-to-strong study: its numbers, its sentences, hostile text."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from penchant.reports.kit.canvas import WIDEST_PHONE_FIGURE, Picture, style
from penchant.reports.kit.tables import Table
from penchant.studies.weak_to_strong import figures, lines, salience
from penchant.studies.weak_to_strong import page as weak_page
from penchant.studies.weak_to_strong import words as weak_words
from penchant.studies.weak_to_strong.summary import WeakToStrongSummary
from penchant.typed_json import from_json

HOSTILE = '<script>alert(1)</script> \u202egnp & "quotes" </div>'


def read(numbers: dict[str, Any]) -> WeakToStrongSummary:
    return from_json(WeakToStrongSummary, numbers)


def weak_pictures(numbers: dict[str, Any]) -> dict[str, Picture]:
    return weak_page.weak_pictures(read(numbers))


@style()
def flow_svg(numbers: dict[str, Any]) -> str:
    """The drawing of the flow of rows alone, a tenth of the work of all figures."""
    flow = figures.flow_picture(read(numbers))
    assert flow is not None
    return flow.svg


@style()
def curve(numbers: dict[str, Any]) -> Picture | None:
    return figures._training(read(numbers))


def weak_context(numbers: dict[str, Any], pictures: dict[str, Picture]) -> dict[str, Any]:
    return weak_page.weak_context(read(numbers), pictures)


def weak_files(numbers: dict[str, Any]) -> dict[str, str]:
    return weak_page.weak_files(read(numbers))


def _facts(numbers: dict[str, Any]) -> list[tuple[str, str]]:
    return weak_page._facts(read(numbers))


def _main(numbers: dict[str, Any]) -> Table:
    return weak_page._main(read(numbers))


def findings(numbers: dict[str, Any]) -> list[str]:
    return weak_words.findings(read(numbers))


def headline(numbers: dict[str, Any]) -> list[str]:
    return weak_words.headline(read(numbers))


def about(value: float, half: float = 0.02) -> dict[str, Any]:
    return {"value": value, "low": value - half, "high": value + half, "n": 600, "clusters": 200}


def cell(loss: str = "naive", ratio: float | None = 0.5, over: float | None = None, **changes: Any) -> dict[str, Any]:
    pgr = {"value": ratio, "low": None, "high": None, "reason": "no gap: so small"}
    if ratio is not None:
        pgr |= {"low": ratio - 0.05, "high": ratio + 0.05, "reason": ""}
    return {
        "task": "sst2",
        "weak": "TF-IDF",
        "strong": "big",
        "loss": loss,
        "pgr": pgr,
        "warnings": [],
        "supervisor": about(0.7),
        "student": about(0.75),
        "ceiling": about(0.8),
        "gain": about(0.05),
        "gap": about(0.1),
        "over_naive": None if over is None else about(over, 0.01),
        "noise": about(0.78),
        "over_noise": about(-0.03, 0.01),
        "random": about(0.5),
        "agreement": {
            **dict.fromkeys(("overall", "where_right", "fixed", "inherited", "new"), about(0.6)),
            "where_wrong": about(0.7),
        },
        "consistency": None,
        "moved": None,
        "calibration_error": 0.043,
        "reliability": [{"confidence": 0.6, "accuracy": about(0.55)}, {"confidence": 0.9, "accuracy": about(0.8)}],
        "brier": about(0.3, 0.01),
        "curve": [{"after": 1, "accuracy": 0.6}, {"after": 100, "accuracy": 0.75}],
        "curve_from": 0.7,
        "oracle": {"accuracy": 0.78, "after": 1, "last": 0.75, "lost": about(0.02, 0.03)},
        "early": None,
        "over_longer": None,
        "labelled": 100,
        "weak_labels": 100,
        "learned_from": 100,
        **changes,
    }


def strong(label: str, parameters: int, **changes: Any) -> dict[str, Any]:
    own = {"label": label, "family": label, "reader": label, "how": "probed", "layer": 9, "rows": None}
    return {**own, "parameters": parameters, "curve_unit": "steps", **changes}


def made_up(*cells: dict[str, Any]) -> dict[str, Any]:
    """Numbers as the summary writes them."""
    return {
        "study": "weak-to-strong",
        "config": {"l2": 0.03, "steps": 100},
        "l2": {"chosen": {"0.03": 4}, "tried": [], "fits": 0},
        "control": "labels dealt out",
        "seeds": [0, 1],
        "tasks": [
            {
                "task": "sst2",
                "title": "SST-2",
                "source": "sst2/train.txt.gz",
                "classes": ["negative", "positive"],
                "train": 200,
                "test": 300,
                "chance": 0.51,
                "dropped": {"duplicates": 7, "empty": 0},
            }
        ],
        "weak": ["TF-IDF"],
        "chain": [],
        "strong": [strong("big", 135_000_000)],
        "losses": ["naive", "confidence 0.5"],
        "shown": [],
        "texts_first": [],
        "cells": list(cells),
        "failures": [],
        "cost": {"seconds": 60.0},
        "provenance": {"machine": {"cpu": "AMD EPYC", "cores": 2}},
    }


BOTH = (cell(), cell("confidence 0.5", 0.8, over=0.03))


def test_the_page_has_the_numbers(page: Callable[[dict[str, Any]], str], tmp_path: Path) -> None:
    html = page(made_up(*BOTH))
    for words in ("0.50", "[0.45, 0.55]", "SST-2", "7 duplicates", "135", "4.3%", "for new test items and new seeds"):
        assert words in html, words
    names = {path.name for path in (tmp_path / "page-figures").iterdir()}
    # the oracle stops after one look at one step
    assert "1 steps" not in html
    assert "1 step" in html
    drawn = ("pgr", "accuracy", "agreement", "curve", "reliability", "flow")
    assert names == {*(f"{name}.png" for name in drawn), "table.csv", "table.tex"}


@pytest.mark.slow
def test_students_of_several_sizes_are_drawn_against_them(
    page: Callable[[dict[str, Any]], str], tmp_path: Path
) -> None:
    study = made_up(cell(), cell(strong="small"), cell(strong="small", weak="other"), cell(weak="other"))
    study["strong"].append(study["strong"][0] | {"label": "small", "family": "small", "parameters": 5_000_000})
    study["weak"].append("other")
    assert "parameters" in page(study)
    assert "size.png" in {path.name for path in (tmp_path / "page-figures").iterdir()}
    assert figures.sizes_picture(read(study)) == figures.sizes_picture(
        read(study)
    )  # ids in the SVG too: a page is the same twice


@pytest.mark.slow
def test_how_salient_a_task_is_by_layer_and_by_what_is_learned(
    page: Callable[[dict[str, Any]], str], tmp_path: Path
) -> None:
    places = {"big, layer 2": 0.7, "big, layer 9": 0.8, "big, fine-tuned": 0.9, "big, prompted": 0.55}
    study = made_up(*(cell(strong=label, ceiling=about(value)) for label, value in places.items()))
    big = strong("big", 135_000_000)
    layers = [big | {"label": f"big, layer {layer}", "layer": layer} for layer in (2, 9)]
    others = [big | {"label": f"big, {how}", "how": how, "layer": None} for how in ("fine-tuned", "prompted")]
    study["strong"] = [*layers, *others]
    html = page(study)
    assert "layer.png" in {path.name for path in (tmp_path / "page-figures").iterdir()}
    assert "Accuracy against the layer" in html
    said = next(text for text in findings(study) if "salient" in text)
    assert said == (
        "How salient SST-2 is, by the accuracy of students that learn from the truth: probed 80% [78%, 82%] (big, "
        "layer 9, the best of 2), fine-tuned 90% [88%, 92%] (big, fine-tuned) and prompted 55% [53%, 57%] (big, "
        "prompted)."
    )
    assert "layer" not in weak_pictures(made_up(cell()))
    assert not any("salient" in text for text in findings(made_up(cell())))


@pytest.mark.slow
def test_what_models_read_before_is_told(page: Callable[[dict[str, Any]], str]) -> None:
    record = {"task": "sst2", "model": "m", "texts": 200, "pieces": 230, "held_out": 23, "dropped": 0}
    assert "m on sst2: 200 texts in 230 pieces, 23 of these held out" in page(
        made_up(cell()) | {"texts_first": [record]}
    )
    assert "2 too long" in page(made_up(cell()) | {"texts_first": [record | {"dropped": 2}]})


def test_a_ceiling_below_its_supervisor_is_not_called_the_same() -> None:
    below = cell(ratio=None, gap=about(-0.7))
    assert headline(made_up(below, cell(ratio=None, strong="other")))[0] == (
        "No ceiling is clearly above its supervisor: there is no gap to recover anywhere. In 1 of 2 pairs it is "
        "clearly below."
    )


def test_who_learns_nothing_is_not_told_to_change_the_loss() -> None:
    nothing = {"value": None, "low": None, "high": None, "reason": "learns nothing: prompted"}
    assert findings(made_up(cell(pgr=nothing)))[-1].startswith("Next: students that learn")


def test_how_probes_were_shrunk_is_said() -> None:
    assert dict(_facts(made_up(cell())))["Probes"].startswith("l2 0.03; 100 steps")
    study = made_up(cell())
    study["config"] = study["config"] | {"l2": "auto"}
    study["l2"] = {"chosen": {"0.3": 9, "1": 1}, "tried": [0.1, 0.3, 1.0], "fits": 30}
    said = dict(_facts(study))["Probes"]
    assert "l2 chosen among 0.1, 0.3 and 1 by cross-entropy on a fifth of the labels" in said
    assert "0.3 for 9 sets of labels and 1 for 1 set of labels; that took 30 more fits" in said
    study["l2"] = {"chosen": {"0.3": 4}, "tried": [0.1, 0.3, 1.0], "fits": 0}
    assert dict(_facts(study))["Probes"].startswith("l2 0.3, since no set of labels has enough rows to choose by")


def test_related_test_rows_are_said_to_be_drawn_together() -> None:
    study = made_up(cell())
    assert "drawn together" not in weak_context(study, {})["intervals"]
    study["tasks"][0] |= {"groups": 150}
    assert "drawn together" in weak_context(study, {})["intervals"]


def test_a_study_of_version_0_3_keeps_the_description_of_its_control() -> None:
    """It had no such keys, and its students of errors at random learned hard labels."""
    old = {key: value for key, value in made_up(cell()).items() if key not in ("l2", "control")}
    assert "the truth with as many errors as the supervisor makes, at random, as hard labels" in _main(old).caption
    assert "l2 0.03" in dict(_facts(old))["Probes"]
    assert "dealt out to the rows at random" in _main(made_up(cell())).caption


def test_failures_of_one_reason_are_told_once(page: Callable[[dict[str, Any]], str]) -> None:
    failures = [{"stage": f"stage {n}", "reason": "it needs the rows, which failed"} for n in range(9)]
    html = page(made_up(cell()) | {"failures": [{"stage": "rows", "reason": "no network"}, *failures]})
    assert html.count("which failed") == 1
    assert "stage 0 and 8 more" in html
    assert "no network" in html


def test_sentences_go_as_far_as_the_intervals() -> None:
    study = made_up(*BOTH)
    assert headline(study)[0] == (
        "A big student of TF-IDF recovers 0.50 [0.45, 0.55] of the gap, trained the naive way; 0.80 [0.75, 0.85] with "
        "confidence 0.5."
    )
    said = " ".join(findings(study))
    assert "confidence 0.5 is clearly better in 1 of 1 pair of supervisor and student." in said
    assert (
        "Compared with as many random errors, naive students are clearly worse in 1 of 1 pair of supervisor and "
        "student; the largest difference is −3.0% [−4.0%, −2.0%]. Worse: the supervisor's own errors have "
        "a pattern that the student learns."
    ) in said
    assert "say the same in 70% of the rows" in said
    assert "undefined" not in said
    unsure = " ".join(findings(made_up(cell(over_noise=about(0.0)), cell("confidence 0.5", over=0.0))))
    assert "the largest difference is " in unsure
    assert "pattern" not in unsure
    assert "hurt less" not in unsure
    turned = " ".join(findings(made_up(cell(over_noise=about(0.05)), cell(over_noise=about(-0.01), weak="other"))))
    assert "clearly better in 1 and not told apart in 1 of 2 pairs of supervisor and student" in turned
    assert "Better: the supervisor's own errors hurt less than as many on random rows." in turned
    assert "pattern" not in turned
    assert "random" not in " ".join(findings(made_up(cell(over_noise=None))))
    assert "not told apart in 1 of 1 pair" in unsure


def test_other_conditions_are_said_beside_the_naive_student_of_the_same_pair() -> None:
    names = ("errors by class", "errors in long texts", "sees confidence")
    cells = [cell(ratio=0.6), *(cell(name, 0.3, over=-0.06) for name in names)]
    study = made_up(*cells) | {"losses": ["naive", *names], "shown": list(names)}
    said = " ".join(findings(study))
    ratios = "students recover 0.30 [0.25, 0.35] of the gap (median pair), and without it 0.60"
    assert f"With as many errors of the supervisor, dealt out to the rows of one class first, {ratios}" in said
    assert f"dealt out to the rows with the longest texts first, {ratios}" in said
    assert f"Seeing their supervisor's probabilities, {ratios}" in said
    assert "Against the naive way" not in said


def test_the_headline_is_of_the_median_pair_and_not_of_the_widest_gap() -> None:
    ratios = {"a": 0.9, "b": 0.2, "c": -0.1, "d": 0.4}
    wide = {"c": about(0.6)}
    cells = [cell(ratio=value, strong=name, gap=wide.get(name, about(0.1))) for name, value in ratios.items()]
    study = made_up(*cells, cell("confidence 0.5", 0.3, over=0.01, strong="b"), cell(ratio=None, strong="e"))
    first, second = headline(study)
    assert first == (
        "The median of 4 pairs recovers 0.20 [0.15, 0.25] of the gap, trained the naive way; 0.30 [0.25, 0.35] with "
        "confidence 0.5 (supervisor: TF-IDF; student: b)."
    )
    assert (
        "from −0.10 to 0.90, trained the naive way, and 3 of them are clearly above 0. 1 pair without a gap" in second
    )


def test_what_the_ratio_goes_with_is_measured_within_a_supervisor() -> None:
    cells = [
        cell(
            ratio=0.3 + 0.05 * n + 0.2 * (weak == "b"), weak=weak, prior_accuracy=about(0.6 + 0.02 * n), strong=f"s{n}"
        )
        for weak in ("a", "b")
        for n in range(4)
    ]
    (table,) = salience.salience_tables(read(made_up(*cells)))
    assert table.rows[0][0] == "accuracy after a few true labels"
    assert table.rows[0][1].startswith("+0.25")  # 0.05 per 2 points
    assert table.rows[0][2:] == ("8", "2")
    assert len(table.rows) == 1  # ceilings are all the same, and nothing was asked in other words
    assert salience.salience_picture(read(made_up(*cells))) is not None
    assert salience.salience_tables(read(made_up(*cells[:5]))) == []


def test_every_student_has_what_a_good_generalization_is_asked_for() -> None:
    agreement = cell()["agreement"] | {"where_right": about(0.9), "where_wrong": about(0.7, 0.05)}
    asked = cell(agreement=agreement, prior_agreement=about(0.8), prior_accuracy=about(0.75), consistency=about(0.95))
    study = made_up(asked, cell("confidence 0.5", 0.8))
    study["config"]["few_rows"] = 50
    tables = weak_context(study, {})["tables"]
    (table,) = (table for table in tables if "disagrees where it is right" in table.columns)
    assert table.columns[4:] == (
        "disagrees where the supervisor is wrong",
        "disagrees where it is right",
        "agrees with 50 true labels",
        "their accuracy",
        "the same in other words",
    )
    assert table.rows[0][4:] == (
        "30% [25%, 35%]",
        "10% [8%, 12%]",
        "80% [78%, 82%]",
        "75% [73%, 77%]",
        "95% [93%, 97%]",
    )
    assert table.rows[1][6:] == ("–", "–", "–")
    old = weak_context(made_up(cell()), {})["tables"]  # nobody asked for the last three
    assert any(
        table.columns[4:] == ("disagrees where the supervisor is wrong", "disagrees where it is right") for table in old
    )


def test_a_drift_stands_beside_supervisors_of_as_many_rows() -> None:
    drift, control = "label drift 60%", "as many rows as label drift 60%"
    cells = [cell(strong=name) for name in ("a", "b")]
    cells += [
        cell(drift, over=-0.1, strong=name, over_control=about(-0.04, 0.01), supervisor=about(0.6))
        for name in ("a", "b")
    ]
    cells += [cell(control, over=-0.06, strong=name) for name in ("a", "b")]
    study = made_up(*cells)
    study["losses"], study["shown"] = ["naive", drift, control], [drift, control]
    sentences = [text for text in findings(study) if "drift" in text]
    assert sentences == [
        "With label drift 60%, of supervisors that are right in 60% of the test rows, students are clearly worse in 2 "
        "of 2 pairs of supervisor and student, against supervisors of as many rows without drift."
    ]


def test_what_a_prompted_model_knows_stands_beside_the_ratio() -> None:
    cells = [cell(ratio=0.3 + 0.05 * n, strong=f"s{n}", prompted_accuracy=about(0.6 + 0.02 * n)) for n in range(6)]
    study = made_up(*cells)
    study["strong"] = [strong(f"s{n}", 1_000_000) for n in range(6)]
    (table,) = salience.salience_tables(read(study))
    assert [row[0] for row in table.rows] == ["prompted accuracy"]
    assert table.rows[0][1].startswith("+0.25")
    asked = next(t for t in weak_context(study, {})["tables"] if "its model, prompted" in t.columns)
    assert asked.rows[0][asked.columns.index("its model, prompted")] == "60% [58%, 62%]"


def _depths() -> dict[str, Any]:
    """Two supervisors that are probes of layers 2 and 5, and students of layers 5 and 9, each deeper than its own."""
    pairs = ((2, 5), (2, 9), (5, 9))
    study = made_up(*(cell(weak=f"big, layer {weak}", strong=f"big, layer {layer}") for weak, layer in pairs))
    big = strong("big", 135_000_000)
    study["weak"] = ["big, layer 2", "big, layer 5"]
    study["strong"] = [big | {"label": f"big, layer {layer}", "layer": layer} for layer in (5, 9)]
    study["config"] |= {
        "weak": [{"name": "probe", "model": "big", "layer": layer} for layer in (2, 5)],
        "strong": [{"name": "probe", "model": "big", "layer": layer} for layer in (5, 9)],
    }
    return study


@pytest.mark.slow
def test_the_figure_of_accuracies_comes_first() -> None:
    assert next(iter(weak_pictures(_depths()))) == "layer"
    assert next(iter(weak_pictures(made_up(*BOTH)))) == "accuracy"


def test_supervisors_stand_at_their_layers() -> None:
    study = _depths()
    places = lines._layers_of_supervisors(read(study), {"big, layer 5": 5, "big, layer 9": 9})
    assert places == {"big, layer 2": 2.0, "big, layer 5": 5.0}
    study["config"]["weak"][1] = {"name": "tfidf"}
    assert lines._layers_of_supervisors(read(study), {"big, layer 5": 5}) == {"big, layer 2": 2.0}


def test_names_at_an_axis_keep_what_tells_them_apart() -> None:
    names = [f"SmolLM2-135M-Instruct, layer {layer} on 300 rows" for layer in (1, 15)]
    assert figures._shared_ending([*names, names[0]]) == " on 300 rows"
    assert figures._shared_ending(names[:1]) == ""
    assert figures._shared_ending(["a b", "b"]) == ""
    study = made_up(*(cell(weak=name.replace("135M-Instruct", "")) for name in names))
    assert [name.rpartition(" ")[2] for name in figures._names(read(study))] == ["1", "15"]
    # of one model cut after several layers the layer alone: on a phone its name leaves no room for it
    assert figures._shared_beginning(["smollm2-135m, layer 1", "smollm2-135m, layer 15"]) == "smollm2-135m, "
    assert figures._shared_beginning(["smollm2-135m, layer 1", "penchant-5m, layer 3"]) == ""
    assert figures._shared_beginning(["minilm-l6", "penchant-5m"]) == ""


def _sizes(small: float, big: float) -> dict[str, Any]:
    study = made_up(cell(ratio=big), cell(ratio=small, strong="small"))
    study["strong"].append(study["strong"][0] | {"label": "small", "family": "small", "parameters": 5_000_000})
    return study


@pytest.mark.parametrize(
    ("small", "big", "words"),
    [
        (0.6, 0.3, "From the smallest student to the largest PGR clearly falls in 1 of 1 comparison."),
        (0.3, 0.6, "From the smallest student to the largest PGR clearly rises in 1 of 1 comparison."),
        (0.5, 0.52, "PGR neither clearly falls nor clearly rises from the smallest student to the largest."),
    ],
)
def test_inverse_scaling_is_looked_for(small: float, big: float, words: str) -> None:
    assert words in findings(_sizes(small, big))
    assert not any("smallest" in text for text in findings(made_up(cell())))
    study = _sizes(small, big)
    study["cells"][1]["pgr"] = {"value": None, "low": None, "high": None, "reason": "no gap: so small"}
    assert not any("smallest" in text for text in findings(study))  # one ratio has nothing to be compared with


def test_students_that_learn_nothing_are_not_said_to_have_no_gap() -> None:
    prompted = cell(pgr={"value": None, "low": None, "high": None, "reason": "learns nothing: prompted"})
    said = " ".join([*headline(made_up(prompted)), *findings(made_up(prompted))])
    assert "No student learned anything" in said
    assert "no gap" not in said


def test_students_that_are_shown_their_supervisors_label_stand_beside_those_that_are_not() -> None:
    study = made_up(cell(ratio=0.6), cell("shown 100%", 0.05, over=-0.06)) | {
        "losses": ["naive", "shown 100%"],
        "shown": ["shown 100%"],
    }
    said = " ".join(findings(study))
    assert (
        "Shown their supervisor's label in 100% of the rows, students recover 0.05 [0.00, 0.10] of the gap (median "
        "pair), and without it 0.60 [0.55, 0.65]; they are clearly worse in 1 of 1 pair"
    ) in said
    assert "Against the naive way shown" not in said
    study["cells"] = [cell(ratio=None), cell("shown 100%", None, over=-0.06)]
    assert "Shown their" not in " ".join(findings(study))


def test_the_map_and_the_flow_are_drawn_anew_for_a_phone() -> None:
    """No figure of the page scrolls there: each is as wide as a phone, with all of its words."""
    pictures = weak_pictures(made_up(*BOTH))
    for picture in pictures.values():
        assert picture.narrow or picture.width <= WIDEST_PHONE_FIGURE, picture.title
    for words in ("TF-IDF", "naive", "confidence 0.5", "0.50 [0.45, 0.55]", "0.80 [0.75, 0.85]"):
        assert words in pictures["pgr"].narrow
    for words in ("supervisor", "student", "ceiling", "300 rows", "its labels"):
        assert words in pictures["flow"].narrow


@pytest.mark.slow
def test_how_little_it_takes(page: Callable[[dict[str, Any]], str], tmp_path: Path) -> None:
    """A student that saw 25 labels beside one that saw all 100: their ratios, looks and weights."""
    curve = [{"after": 1, "accuracy": 0.71}, {"after": 20, "accuracy": 0.746}, {"after": 100, "accuracy": 0.75}]
    study = made_up(
        cell(moved=0.0125, curve=curve), cell(ratio=0.2, strong="big on 25 rows", curve=None, weak_labels=25)
    )
    study["strong"].append(study["strong"][0] | {"label": "big on 25 rows", "rows": 25})
    html = page(study)
    assert "little.png" in {path.name for path in (tmp_path / "page-figures").iterdir()}
    assert "Performance gap recovered against weak labels" in html
    for words in ("20 steps", "1.25%", ">25<", ">100<", "supervisor&#39;s rows", "nine tenths of the gain after"):
        assert words in html, words
    assert "little" not in weak_pictures(made_up(cell()))


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        ([cell(ratio=None)], "Next: a stronger student"),
        ([cell(ratio=0.9)], "Next: a weaker supervisor"),
        ([cell(ratio=0.3)], "Next: losses that rely less"),
        (
            [cell(pgr={"value": 0.5, "low": 0, "high": 1, "reason": ""}, warnings=["take more seeds"])],
            "Next: narrower intervals; take more seeds.",
        ),
    ],
)
def test_what_to_do_next_follows_from_the_numbers(cells: list[dict[str, Any]], words: str) -> None:
    assert words in findings(made_up(*cells))[-1]


def test_without_a_gap_or_a_student_it_says_so(page: Callable[[dict[str, Any]], str]) -> None:
    html = page(made_up(cell(ratio=None)))
    assert "there is no gap to recover anywhere" in html
    assert "undefined: no gap" in html
    assert "No student was trained yet." in page(made_up())


@pytest.mark.slow
def test_a_figure_of_many_students_goes_across_the_page(page: Callable[[dict[str, Any]], str]) -> None:
    study = made_up(*(cell(strong=f"student {n}") for n in range(9)))
    study["strong"] = [strong(f"student {n}", 1_000_000) for n in range(9)]
    many, few = page(study), page(made_up(*BOTH))
    assert 'class="card across named-above" id="figure-accuracy"' in many
    assert 'class="card named-above" id="figure-accuracy"' in few


def test_models_that_differ_in_more_than_rows_or_layer_have_lines_of_their_own() -> None:
    """Copies whose model learned the texts first, and other learning rates, do not overwrite the others' points."""
    study = made_up(*(cell(strong=name) for name in ("a", "a on 9", "b", "b on 9", "a, layer 2", "b, layer 2")))
    for number in study["cells"][1::2][:2]:
        number["weak_labels"] = 9
    own = {"family": "a", "reader": "a"}
    rows = {"rows": 9, "layer": None, **own}
    study["strong"] = [
        strong("a", 5, **own),
        strong("a on 9", 5, **rows),
        strong("a, layer 2", 5, **own | {"layer": 2}),
    ]
    for each in list(study["strong"]):
        other = {"label": each["label"].replace("a", "b", 1), "family": "b", "reader": "b"}
        study["strong"].append(each | other)
    drawn = weak_pictures(study)
    assert "a of TF-IDF" in drawn["little"].svg
    assert "b of TF-IDF" in drawn["little"].svg
    assert "layer of a" in drawn["layer"].svg


def test_overfitting_is_said_where_its_interval_says_so() -> None:
    unsure, clear = made_up(cell()), made_up(cell(), cell(weak="other"))
    clear["cells"][1]["oracle"] = clear["cells"][1]["oracle"] | {"lost": about(0.03, 0.01)}
    assert not any("overfit" in text for text in findings(unsure))
    said = next(text for text in findings(clear) if "overfit" in text)
    assert "In 1 of 2 naive cells students end clearly below" in said
    assert "by up to 3.0 points [2.0, 4.0]: they overfit" in said


@pytest.mark.slow
def test_gains_are_measured_on_the_rows_that_were_looked_at(page: Callable[[dict[str, Any]], str]) -> None:
    """A supervisor that is better on these rows than on all: what looked like a gain was none."""
    assert "nine tenths" in page(made_up(cell()))
    assert ">100 steps<" in page(made_up(cell()))
    assert ">100 steps<" not in page(made_up(cell(curve_from=0.76, oracle=None)))
    stopped = cell(early=0.74, oracle=None, curve=[{"after": n, "accuracy": a} for n, a in ((5, 0.74), (9, 0.71))])
    assert ">5 steps<" in page(made_up(stopped))  # its weights are those of the look that it kept


def test_where_nobody_looked_there_is_no_curve() -> None:
    looked = cell(strong="small")
    study = made_up(cell(curve=None, oracle=None), looked)
    study["strong"].append(strong("small", 5, curve_unit="epochs"))
    drawn = curve(study)
    assert drawn is not None
    assert "epochs of training" in drawn.svg
    assert curve(made_up(cell(curve=None, oracle=None))) is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, ["with the truth", "with these labels"]),
        ({"learned_from": 20, "weak_labels": 40}, ["with the truth", "of 20", "with 40", "of these labels"]),
        ({"learned_from": 0, "weak_labels": 0}, ["learns nothing"]),
    ],
)
def test_the_flow_says_how_many_rows_teach(changes: dict[str, int], words: list[str]) -> None:
    drawn = flow_svg(made_up(cell(**changes)))
    for word in words:
        assert word in drawn, word
    assert ("learns nothing" in drawn) == (words == ["learns nothing"])
    assert "of 20 to 100" in flow_svg(made_up(cell(), cell(learned_from=20)))


def test_labels_of_a_file_are_learned_from_no_rows() -> None:
    """The half of a supervisor that is a file goes unused, and a file does not count among those that learn."""
    study = made_up(cell(learned_from=0, weak_labels=70))
    file = {"name": "labels", "path": "labels.jsonl"}
    study["config"] = study["config"] | {"weak": [file]}
    drawn = flow_svg(study)
    for words in ("unused: the file", "with 70", "of these labels"):
        assert words in drawn, words
    assert "learns nothing" not in drawn
    assert "left out, since the file has its labels" in str(weak_context(study, {}))
    both = made_up(cell(), cell(learned_from=0) | {"weak": "labels of labels.jsonl"})
    both["config"] = both["config"] | {"weak": [{"name": "tfidf"}, file]}
    both["weak"] = [*both["weak"], "labels of labels.jsonl"]
    drawn = flow_svg(both)
    assert "with the truth" in drawn
    assert "of 0 to" not in drawn
    assert "unused" not in drawn


@pytest.mark.slow
def test_the_flow_says_what_happens_before_and_between() -> None:
    study = made_up(cell()) | {"chain": ["small"]}
    assert "texts first" not in flow_svg(study)
    study["config"] = study["config"] | {"generative": {"texts": "train"}}
    drawn = flow_svg(study)
    for words in (
        "labelled anew, in turn, by",
        ">small<",
        "begin with their texts, without labels",
        "nobody learns from them",
    ):
        assert words in drawn, words
    study["config"]["generative"]["texts"] = "all"
    assert "their texts are read before" in flow_svg(study)


def test_the_flow_of_rows_is_drawn_with_its_numbers_and_names() -> None:
    study = made_up(cell(labelled=120))
    study["weak"] = ["TF-IDF", *(f"supervisor {n}" for n in range(1, 5))]
    drawn = flow_svg(study)
    for words in (
        "200 rows to train on",
        ">80 rows<",
        ">120 rows<",
        ">300 rows<",
        "supervisor 1",
        "and 3 more",
        ">big<",
    ):
        assert words in drawn, words
    assert "supervisor 2" not in drawn


def test_hostile_text_does_nothing(page: Callable[[dict[str, Any]], str]) -> None:
    numbers = json.loads(json.dumps(made_up(*BOTH)).replace('"TF-IDF"', json.dumps(HOSTILE)))
    numbers["failures"] = [{"stage": HOSTILE, "reason": HOSTILE}]
    html = page(numbers)
    assert html.count("<script") == 1  # ours, which saves figures
    assert "\u202e" not in html


def test_tables_for_papers_and_spreadsheets_hold_special_characters() -> None:
    files = weak_files(made_up(cell(weak="=cmd()", strong="50%_of $x$")))
    rows = list(csv.reader(files["table.csv"].splitlines()))
    assert rows[1][:4] == ["SST-2", "'=cmd()", "50%_of $x$", "naive"]
    assert r"50\%\_of \$x\$" in files["table.tex"]
    assert files["table.tex"].count(r"\\") == 2
