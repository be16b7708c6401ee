"""`penchant weak label`: a file of one's own, labelled by what learned, was saved or is prompted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import penchant as pt
from penchant.cli.main import main
from penchant.errors import InputError
from penchant.weak.classifiers.tfidf import SklearnClassifier
from weak_files import write_pairs


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


def test_a_supervisor_may_be_prompted_without_any_labels(files: dict[str, str], tmp_path: Path, stories: str) -> None:
    reading = {"name": "words", "words": ["bad", "good"]}
    supervisor = {"name": "lm", "model": stories, "reading": reading, "training": None, "device": "cpu"}
    told = pt.weak_label(
        pt.WeakLabel(
            data=files["data"], supervisor=supervisor, classes=("bad", "good"), out=str(tmp_path / "zero.jsonl")
        )
    )
    assert told.rows == 120


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": "TRAIN"}, "40 of the 40 rows to label .* are among the rows that the supervisor learns from"),
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


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "name a model, such as `supervisor.name=probe"),
        ({"classes": ("a", "b"), "supervisor": {"name": "probe", "model": "m"}}, "leave `classes` out"),
        ({"supervisor": {"name": "probe", "model": "STORIES"}, "data": "TRAIN"}, "30 of the 30 rows to label"),
        ({"supervisor": {"name": "probe", "model": "STORIES"}, "train": "FEW"}, "4 rows to learn from are too few"),
    ],
)
def test_labels_of_comparisons_that_cannot_be(
    pairs: dict[str, str], tmp_path: Path, stories: str, changes: dict[str, Any], message: str
) -> None:
    places = {"TRAIN": pairs["train"], "FEW": write_pairs(tmp_path / "few.jsonl", 0, 4)}
    settings: dict[str, Any] = {"data": pairs["data"], "train": pairs["train"], **changes}
    settings |= {key: places[settings[key]] for key in ("data", "train") if settings[key] in places}
    if "STORIES" in str(settings.get("supervisor")):
        settings["supervisor"] = {"name": "probe", "model": stories}
    with pytest.raises(InputError, match=message):
        pt.weak_label(pt.WeakLabel(task="comparisons", out=str(tmp_path / "weak.jsonl"), **settings))
    assert not (tmp_path / "weak.jsonl").exists()


def test_a_saved_student_does_not_label_what_it_learned_from(weak: str, files: dict[str, str], tmp_path: Path) -> None:
    run = pt.weak_train(pt.WeakTrain(data=weak, student={"name": "tfidf"}, out=str(tmp_path / "run")))
    settings = {"saved": str(run.path / "classifier"), "out": str(tmp_path / "again.jsonl")}
    with pytest.raises(InputError, match=r"96 of the 120 rows to label .* that the supervisor learns from"):
        pt.weak_label(pt.WeakLabel(data=files["data"], **settings))
    unseen = {json.loads(line)["text"] for line in (run.path / "predictions.jsonl").read_text().splitlines()}
    rows = [line for line in Path(files["data"]).read_text().splitlines() if json.loads(line)["text"] in unseen]
    held = tmp_path / "held.jsonl"
    held.write_text("\n".join(rows) + "\n")
    assert pt.weak_label(pt.WeakLabel(data=str(held), **settings)).rows == 24


def test_a_classifier_saved_in_python_does_not_label_what_it_learned_from(
    files: dict[str, str], tmp_path: Path
) -> None:
    texts = [json.loads(line)["text"] for line in Path(files["data"]).read_text().splitlines()]
    labels = [n % 2 for n in range(20)]
    SklearnClassifier(names=["bad", "good"]).fit([t.upper() for t in texts[:20]], labels).save(tmp_path / "own")
    settings = {"saved": str(tmp_path / "own"), "out": str(tmp_path / "again.jsonl")}
    with pytest.raises(InputError, match=r"20 of the 120 rows to label .* that the supervisor learns from"):
        pt.weak_label(pt.WeakLabel(data=files["data"], **settings))
    assert pt.weak_label(pt.WeakLabel(data=files["test"], **settings)).rows == 60


def test_an_engine_labels_moves_without_any_labels(tmp_path: Path, stockfish: str) -> None:
    """A queen that can be taken, or a step aside."""
    prompt = (
        "____k___/________/________/___q____/____P___/________/________/____K___ w - -\nLast move: a7a6\nBest move:"
    )
    row = {"prompt": prompt, "chosen": " e1e2", "rejected": " e4d5"}  # wrong: labels are not looked at
    data, out = tmp_path / "moves.jsonl", tmp_path / "out.jsonl"
    data.write_text(json.dumps(row) + "\n")
    settings = ["supervisor.name=engine", "supervisor.depth=4", f"data={data}", f"out={out}"]
    assert main(["weak", "label", "task=comparisons", *settings]) == 0
    (labelled,) = map(json.loads, out.read_text().splitlines())
    weights = {labelled["responses"][one["winner"]]: one["weight"] for one in labelled["comparisons"]}
    assert weights[" e4d5"] > 0.9
    assert main(["weak", "label", *settings]) == 2


def test_a_supervisor_of_three_rows_is_refused(files: dict[str, str], tmp_path: Path) -> None:
    few = tmp_path / "few.jsonl"
    few.write_text("".join(line + "\n" for line in Path(files["train"]).read_text().splitlines()[:3]))
    with pytest.raises(InputError, match="3 rows to learn from are too few: at least 10"):
        pt.weak_label(pt.WeakLabel(data=files["data"], train=str(few), out=str(tmp_path / "weak.jsonl")))
