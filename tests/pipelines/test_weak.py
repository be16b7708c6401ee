"""`penchant weak label` and `penchant weak train`: a file of one's own, and no truth."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import penchant as pt
from penchant.cli import main
from penchant.errors import InputError
from penchant.weak.classifiers import load_classifier

GOOD, BAD = ("fine", "lovely", "warm"), ("dull", "awful", "cold")


def _write(path: Path, start: int, size: int, *, labels: bool = True) -> str:
    rng = np.random.default_rng(start)
    rows = []
    for number in range(start, start + size):
        row: dict[str, Any] = {"text": f"a {rng.choice((BAD, GOOD)[number % 2])} film, number {number}"}
        rows.append(json.dumps(row | ({"label": ("bad", "good")[number % 2]} if labels else {})))
    path.write_text("\n".join(rows) + "\n")
    return str(path)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    sizes = {"train": (0, 40), "data": (100, 120), "test": (300, 60)}
    return {name: _write(tmp_path / f"{name}.jsonl", *of, labels=name != "data") for name, of in sizes.items()}


@pytest.fixture
def weak(files: dict[str, str], tmp_path: Path) -> str:
    out = str(tmp_path / "weak.jsonl")
    pt.weak_label(pt.WeakLabel(data=files["data"], train=files["train"], out=out))
    return out


def test_a_file_is_labelled_and_a_student_learns_from_it(
    files: dict[str, str], tmp_path: Path, stories: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "weak.jsonl"
    assert main(["weak", "label", f"data={files['data']}", f"train={files['train']}", f"out={out}"]) == 0
    assert "120 rows labelled: bad 50%, good 50%" in capsys.readouterr().out
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert len(rows) == 120
    assert set(rows[0]) == {"text", "label", "probabilities"}
    arguments = [f"data={out}", f"student.model={stories}", f"out={tmp_path / 'run'}", f"test={files['test']}"]
    assert main(["weak", "train", *arguments]) == 0
    said = capsys.readouterr().out
    assert "learned from 96 weak labels, 24 held out" in said
    assert "accuracy on 60 rows with the truth" in said
    assert "says the same of a row in other words" in said
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["status"] == "done"
    page = (tmp_path / "run" / "report.html").read_text()
    assert "Agrees with its supervisor" in page
    assert "<script" not in page
    assert result["agreement"]["held_out"]["value"] > 0.6
    assert len((tmp_path / "run" / "predictions.jsonl").read_text().splitlines()) == 24
    kept = load_classifier(tmp_path / "run" / "classifier")
    texts = [json.loads(line)["text"] for line in Path(files["test"]).read_text().splitlines()]
    right = kept.predict_proba(texts).argmax(-1) == np.arange(60) % 2
    assert right.mean() == pytest.approx(result["test"]["accuracy"]["value"])


def test_without_truth_it_says_so(weak: str, tmp_path: Path, stories: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["weak", "train", f"data={weak}", "student.name=tfidf", f"out={tmp_path / 'run'}"]) == 0
    said = capsys.readouterr().out
    assert "there is no truth here: agreement is not accuracy" in said
    assert "test" not in json.loads((tmp_path / "run" / "result.json").read_text())


def test_a_saved_student_labels_in_its_turn(weak: str, files: dict[str, str], tmp_path: Path) -> None:
    run = pt.weak_train(pt.WeakTrain(data=weak, student={"name": "tfidf"}, out=str(tmp_path / "run")))
    again = tmp_path / "again.jsonl"
    saved = str(run.path / "classifier")
    pt.weak_label(pt.WeakLabel(data=files["test"], saved=saved, out=str(again)))
    rows = [json.loads(line) for line in again.read_text().splitlines()]
    assert [row["label"] for row in rows] == ["bad", "good"] * 30


def test_a_saved_student_keeps_the_order_of_its_classes(weak: str, files: dict[str, str], tmp_path: Path) -> None:
    run = pt.weak_train(pt.WeakTrain(data=weak, student={"name": "tfidf"}, out=str(tmp_path / "run")))
    swapped = pt.WeakLabel(
        data=files["test"], saved=str(run.path / "classifier"), classes=("good", "bad"), out=str(tmp_path / "x.jsonl")
    )
    with pytest.raises(InputError, match="in this order"):
        pt.weak_label(swapped)
    with pytest.raises(InputError, match="is the file that is read"):
        pt.weak_label(pt.WeakLabel(data=files["data"], train=files["train"], out=files["data"]))


def test_misfit_tells_learning_by_heart_from_learning(weak: str, tmp_path: Path, stories: str) -> None:
    """Labels that know nothing: a student fits those it saw, and agrees by chance with those it did not."""
    rows = [json.loads(line) for line in Path(weak).read_text().splitlines()]
    rng = np.random.default_rng(0)
    for row in rows:
        label = int(rng.integers(2))
        row["probabilities"] = {"bad": 1.0 - label, "good": float(label)}
    noise = tmp_path / "noise.jsonl"
    noise.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = pt.weak_train(pt.WeakTrain(data=str(noise), student={"model": stories}, out=str(tmp_path / "run"))).metrics
    assert found["agreement"]["learned_from"]["value"] > found["agreement"]["held_out"]["value"] + 0.1
    assert found["misfit"]["held_out"]["value"] > found["misfit"]["learned_from"]["value"] + 0.03


def test_a_supervisor_may_be_prompted_without_any_labels(files: dict[str, str], tmp_path: Path, stories: str) -> None:
    reading = {"name": "words", "words": ["bad", "good"]}
    supervisor = {"name": "lm", "model": stories, "reading": reading, "training": None, "device": "cpu"}
    told = pt.weak_label(
        pt.WeakLabel(
            data=files["data"], supervisor=supervisor, classes=("bad", "good"), out=str(tmp_path / "zero.jsonl")
        )
    )
    assert told["rows"] == 120


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": "TRAIN"}, "40 of the 40 rows to label are among those that the supervisor learns from"),
        ({"out": "weak.csv"}, "written as .jsonl"),
        ({"train": None}, "a supervisor learns from labelled rows"),
        ({"saved": "somewhere"}, "`saved` has learned already"),
        ({"supervisor": {"name": "lm", "model": "m", "training": {"early_stopping": True}}}, "is for students"),
        ({"classes": ("good", "better")}, "'bad' is none of good, better"),
    ],
)
def test_labels_that_cannot_be(files: dict[str, str], tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    settings = {"data": files["data"], "train": files["train"], "out": str(tmp_path / "weak.jsonl"), **changes}
    settings["data"] = settings["data"].replace("TRAIN", files["train"])
    with pytest.raises(InputError, match=message):
        pt.weak_label(pt.WeakLabel(**settings))
    assert not (tmp_path / "weak.jsonl").exists()


def test_students_that_cannot_be(weak: str, files: dict[str, str], tmp_path: Path) -> None:
    def train(**changes: Any) -> None:
        pt.weak_train(
            pt.WeakTrain(**{"data": weak, "student": {"name": "tfidf"}, "out": str(tmp_path / "run"), **changes})
        )

    rows = Path(weak).read_text().splitlines()
    few, one_sided = tmp_path / "few.jsonl", tmp_path / "one.jsonl"
    few.write_text("\n".join(rows[:20]) + "\n")
    flat = [json.dumps(json.loads(row) | {"probabilities": {"bad": 0.9, "good": 0.1}}) for row in rows]
    one_sided.write_text("\n".join(flat) + "\n")
    with pytest.raises(InputError, match="120 of the 120 test rows are among the rows to train on"):
        train(test=weak)
    with pytest.raises(InputError, match="are too few: at least 10"):
        train(data=str(few))
    with pytest.raises(InputError, match="all labels are of one class"):
        train(data=str(one_sided))
    with pytest.raises(InputError, match="an estimator of scikit-learn cannot learn with the loss confidence"):
        train(loss={"name": "confidence"})
    with pytest.raises(InputError, match="no model 'nothing'"):
        train(student={"model": "nothing"})
    assert not (tmp_path / "run").exists()
    train()
    with pytest.raises(InputError, match="already holds another run"):
        train()


def test_the_page_shows_what_they_disagree_on_and_runs_nothing_of_it(tmp_path: Path, stories: str) -> None:
    """A share of the labels is wrong, in rows whose text wants to run."""
    lines = []
    for number in range(200):
        word, wrong = (("awful", "fine")[number % 2], number % 9 == 0)
        text = (
            f"a {word} film, number {number} <script>alert({number})</script>" if wrong else f"a {word} film, {number}"
        )
        lines.append(json.dumps({"text": text, "label": ("bad", "good")[(number + wrong) % 2]}))
    (tmp_path / "weak.jsonl").write_text("\n".join(lines) + "\n")
    out = tmp_path / "run"
    config = pt.WeakTrain(data=str(tmp_path / "weak.jsonl"), student={"name": "tfidf"}, out=str(out), templates=())
    numbers = pt.weak_train(config).metrics
    assert numbers["disagreements"]
    assert [row["student"][1] for row in numbers["disagreements"]] == sorted(
        (row["student"][1] for row in numbers["disagreements"]), reverse=True
    )
    page = (out / "report.html").read_text()
    assert "&lt;script&gt;alert(" in page
    assert "<script" not in page
    assert "there is no truth here" in page.lower()
