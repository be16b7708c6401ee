"""`penchant weak train` with rows without labels: which count, the control beside the student, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import penchant as pt
from penchant.cli.main import main
from penchant.errors import InputError, RunMismatchError
from penchant.weak.classifiers.registry import load_classifier

WORDS = ("dull", "fine")


def _write(path: Path, numbers: range, *, labels: bool) -> str:
    rows: list[dict[str, Any]] = [{"text": f"film {number} was {WORDS[number % 2]}"} for number in numbers]
    for number, row in zip(numbers, rows, strict=True):
        row |= {"label": ("bad", "good")[number % 2]} if labels else {}
    path.write_text("\n".join(map(json.dumps, rows)) + "\n")
    return str(path)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    parts = {"data": range(60), "unlabeled": range(50, 150), "test": range(200, 240)}
    return {name: _write(tmp_path / f"{name}.jsonl", rows, labels=name != "unlabeled") for name, rows in parts.items()}


def _student(encoder: str, **settings: object) -> dict[str, object]:
    return {"name": "mlp", "model": encoder, "steps": 30, "batch_size": 16, "algorithm": "fixmatch", **settings}


def test_it_learns_from_them_and_stands_beside_its_control(
    files: dict[str, str], encoder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = [f"student.{name}={value}" for name, value in _student(encoder).items()]
    named = [f"{name}={path}" for name, path in files.items()]
    assert main(["weak", "train", *named, *settings, f"out={tmp_path / 'run'}"]) == 0
    said = capsys.readouterr().out
    assert "FixMatch learned from 90 rows without labels (10 more have a label)" in said
    assert "its control, the same network on the labels alone" in said
    assert "the difference, row by row, is" in said
    use = json.loads((tmp_path / "run" / "result.json").read_text())["unlabeled"]
    assert (use["algorithm"], use["rows"], use["left_out"]) == ("FixMatch", 90, 10)
    assert sum(use["report"]["class_shares"]) == pytest.approx(1)
    page = (tmp_path / "run" / "report.html").read_text()
    assert "FixMatch learned from 90 rows without labels" in page
    # what the run is, and its gain, stand in the first screen
    assert "mlp, " in page[: page.index("What can be measured")]
    assert "fixmatch" in page[: page.index("What can be measured")]
    assert "The control has" in page[: page.index("What can be measured")]
    # nothing that it saw may be labelled by it later, with or without a label; it saw no row held out
    texts = [json.loads(line)["text"] for line in Path(files["unlabeled"]).read_text().splitlines()]
    assert len(load_classifier(tmp_path / "run" / "classifier").learned_marks) == 48 + 90
    assert load_classifier(tmp_path / "run" / "classifier").predict_proba(texts).shape == (100, 2)


def test_a_fine_tuned_language_model_stands_beside_plain_fine_tuning(
    files: dict[str, str], stories: str, tmp_path: Path
) -> None:
    training = {"epochs": 1, "batch_size": 16, "learning_rate": 1e-3, "early_stopping": True}
    student: dict[str, object] = {
        "name": "lm",
        "model": stories,
        "device": "cpu",
        "training": training,
        "views": {"strong": ["word_dropout"]},
        "algorithm": {"name": "fixmatch", "threshold": {"threshold": 0.5}, "unlabeled_ratio": 1},
    }
    result = pt.weak_train(
        files["data"], student=student, unlabeled=files["unlabeled"], templates=(), out=str(tmp_path / "run")
    )
    use = result.metrics["unlabeled"]
    assert (use["algorithm"], use["rows"], use["left_out"]) == ("FixMatch", 90, 10)
    assert use["report"]["mask_rate"] > 0
    page = (tmp_path / "run" / "report.html").read_text()
    assert "FixMatch learned from 90 rows without labels" in page
    # the control is what plain fine-tuning gives, stopped by the same rows
    control = pt.weak_train(
        files["data"], student={**student, "algorithm": "supervised"}, templates=(), out=str(tmp_path / "control")
    )
    assert use["control_agreement"] == control.metrics["agreement"]["held_out"]


def test_divide_mix_needs_none_and_says_how_it_divided_the_labels(
    files: dict[str, str], encoder: str, tmp_path: Path
) -> None:
    divide = {"name": "divide_mix", "warm_up": 2}
    for name, divides in (("run", True), ("control", False)):
        student = _student(encoder, algorithm={**divide, "divide": divides})
        out = str(tmp_path / name)
        result = pt.weak_train(files["data"], student=student, test=files["test"], templates=(), out=out)
        use = result.metrics["unlabeled"]
        assert use["rows"] == 0
        assert use["report"]["division"]["count"] == 8 * divides  # epochs of 3 steps after 6
        assert "gain" in use
    page, control_page = ((tmp_path / name / "report.html").read_text() for name in ("run", "control"))
    assert "of the labels for right in its last division" in page
    assert "wo networks, MixUp: learned from the labels as they are" in control_page


def test_self_training_stands_beside_its_control_too(files: dict[str, str], tmp_path: Path) -> None:
    student = {"name": "tfidf", "algorithm": {"name": "self_training", "rounds": 1}}
    inputs = {"unlabeled": files["unlabeled"], "test": files["test"], "templates": ()}
    use = pt.weak_train(files["data"], student=student, out=str(tmp_path / "run"), **inputs).metrics["unlabeled"]
    assert (use["algorithm"], use["rows"]) == ("self-training, 1 round", 90)
    assert use["report"]["mask_rate"] == pytest.approx(0.5, abs=0.02)
    assert "gain" in use


def test_confident_learning_writes_the_labels_that_it_holds_to_be_wrong(tmp_path: Path) -> None:
    path = Path(_write(tmp_path / "rows.jsonl", range(100), labels=True))
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for row in rows[:8]:
        row["label"] = "good" if row["label"] == "bad" else "bad"
    path.write_text("\n".join(map(json.dumps, rows)) + "\n")
    student = {"name": "tfidf", "algorithm": "confident_learning"}
    result = pt.weak_train(str(path), student=student, templates=(), out=str(tmp_path / "run"))
    suspects = [json.loads(line) for line in (tmp_path / "run" / "suspects.jsonl").read_text().splitlines()]
    wrong = {row["text"] for row in rows[:8]}
    assert {suspect["text"] for suspect in suspects} <= wrong
    assert len(suspects) == result.metrics["confident"]["suspects"] > 3
    assert all(suspect["label"] != suspect["suggested"] for suspect in suspects)
    page = (tmp_path / "run" / "report.html").read_text()
    assert "labels to be wrong, which were left out" in page
    assert "label good" in page


def test_the_control_is_the_supervised_student_of_the_same_rows(
    files: dict[str, str], encoder: str, tmp_path: Path
) -> None:
    both = {"test": files["test"], "templates": (), "unlabeled": files["unlabeled"]}
    algorithm = pt.weak_train(files["data"], student=_student(encoder), out=str(tmp_path / "a"), **both)
    control = pt.weak_train(
        files["data"], student=_student(encoder, algorithm="supervised"), out=str(tmp_path / "b"), **both
    )
    assert "unlabeled" not in control.metrics
    use = algorithm.metrics["unlabeled"]
    assert use["control_accuracy"] == control.metrics["test"]["accuracy"]
    gain = algorithm.metrics["test"]["accuracy"]["value"] - control.metrics["test"]["accuracy"]["value"]
    assert use["gain"]["value"] == pytest.approx(gain)


def test_rows_of_the_test_among_them_are_refused(files: dict[str, str], encoder: str, tmp_path: Path) -> None:
    with Path(files["unlabeled"]).open("a") as file:
        file.write(json.dumps({"text": "Film 201 was FINE!"}) + "\n")
    out = {"test": files["test"], "out": str(tmp_path / "run")}
    with pytest.raises(
        InputError, match=r"1 of the 40 test rows .* are among the rows without labels \(.*\), or share"
    ):
        pt.weak_train(files["data"], student=_student(encoder), unlabeled=files["unlabeled"], **out)
    assert not (tmp_path / "run").exists()


def test_an_algorithm_without_them_and_a_student_that_has_none(
    files: dict[str, str], encoder: str, tmp_path: Path
) -> None:
    out = str(tmp_path / "run")
    with pytest.raises(InputError, match="learns from rows without labels, and none are given: give `unlabeled`"):
        pt.weak_train(files["data"], student=_student(encoder), out=out)
    with pytest.raises(InputError, match="an estimator of scikit-learn learns from labelled examples alone"):
        pt.weak_train(files["data"], student="tfidf", unlabeled=files["unlabeled"], out=out)
    assert not Path(out).exists()


def test_other_rows_are_another_run(
    files: dict[str, str], encoder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = str(tmp_path / "run")
    config = pt.WeakTrain(data=files["data"], student=_student(encoder), unlabeled=files["unlabeled"], out=out)
    with monkeypatch.context() as patch:
        patch.setattr("penchant.weak.train._measured", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            pt.weak_train(config)
    with Path(files["unlabeled"]).open("a") as file:
        file.write(json.dumps({"text": "one more"}) + "\n")
    with pytest.raises(RunMismatchError, match="the rows without labels"):
        pt.weak_train(config, resume=True)


def _interrupt(*arguments: object) -> None:
    raise KeyboardInterrupt


def test_an_edited_augmentation_is_another_run(
    files: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code = tmp_path / "mine.py"
    code.write_text("def louder(texts, seed):\n    return [text + '!' for text in texts]\n")
    algorithm = {"name": "self_training", "rounds": 1, "noise": ["mine.py:louder"]}
    student = {"name": "tfidf", "algorithm": algorithm}
    config = pt.WeakTrain(data=files["data"], student=student, unlabeled=files["unlabeled"], out=str(tmp_path / "run"))
    with monkeypatch.context() as patch:
        patch.setattr("penchant.weak.train._measured", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            pt.weak_train(config)
    code.write_text(code.read_text().replace("!", "?"))
    with pytest.raises(RunMismatchError, match=r"the augmentation mine.py:louder"):
        pt.weak_train(config, resume=True)
