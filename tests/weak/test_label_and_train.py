"""`penchant weak label` and `penchant weak train`: a file of one's own, and no truth."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import penchant as pt
from penchant.cli.main import main
from penchant.errors import InputError
from penchant.weak.classifiers.registry import load_classifier
from penchant.weak.classifiers.tfidf import SklearnClassifier
from penchant.weak.command_rows import split_rows
from penchant.weak.rows import read_labelled

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
    assert "l2 0.3, chosen" in page  # by 96 labels: too few to choose
    assert result["l2"] == 0.3
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
    with pytest.raises(InputError, match=r"120 of the 120 test rows .* are among the rows to train on"):
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
    with pytest.raises(InputError, match=r"already holds another run: choose another directory or delete it$"):
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


def _write_pairs(path: Path, start: int, size: int, *, labels: bool = True) -> str:
    """Of two answers the one with a good word is preferred; the longer one is not."""
    rng = np.random.default_rng(start)
    rows: list[dict[str, Any]] = []
    for number in range(start, start + size):
        better, worse = f"A {rng.choice(GOOD)} one.", f"A really {rng.choice(BAD)} one."
        prompt = [{"role": "user", "content": f"Film {number}?"}]
        pair = [better, worse] if number % 2 else [worse, better]
        rows.append({"prompt": prompt, "chosen": better, "rejected": worse} if labels else
                    {"prompt": prompt, "responses": pair})  # fmt: skip
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@pytest.fixture
def pairs(tmp_path: Path) -> dict[str, str]:
    sizes = {"train": (0, 30), "data": (100, 90), "test": (300, 40)}
    return {name: _write_pairs(tmp_path / f"{name}.jsonl", *of, labels=name != "data") for name, of in sizes.items()}


def test_reward_models_label_comparisons_and_learn_from_them(
    pairs: dict[str, str], tmp_path: Path, stories: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """From the command line: a probe labels pairs, a reward model learns, and labels in its turn."""
    out, run = tmp_path / "weak.jsonl", tmp_path / "run"
    supervisor = [f"supervisor.model={stories}", "supervisor.layer=3"]  # a probe, as a student's model alone is
    named = [f"data={pairs['data']}", f"train={pairs['train']}", f"out={out}"]
    assert main(["weak", "label", "task=comparisons", *named, *supervisor]) == 0
    assert "90 rows labelled: the longer response is preferred in" in capsys.readouterr().out
    row = json.loads(out.read_text().splitlines()[0])
    assert set(row) >= {"prompt", "responses", "comparisons"}
    assert sum(one["weight"] for one in row["comparisons"]) == pytest.approx(1)
    student = ["student.name=lm", f"student.model={stories}", "student.device=cpu", "student.training.epochs=6"]
    rates = ["student.training.learning_rate=2e-3", "student.training.head_learning_rate=1e-2"]
    named = [f"data={out}", f"out={run}", f"test={pairs['test']}"]
    assert main(["weak", "train", "task=comparisons", *named, *student, *rates]) == 0
    said = capsys.readouterr().out
    assert "prefers the longer response in" in said
    assert "accuracy on 40 rows with the truth" in said
    result = json.loads((run / "result.json").read_text())
    assert result["test"]["accuracy"]["value"] > 0.9
    assert result["longer"]["student"]["value"] < 0.2
    assert "consistency" in result
    page = (run / "report.html").read_text()
    assert "which of two responses is preferred" in page
    assert len(pt.load_preferences(run / "predictions.jsonl", contradictions="keep")) == result["rows"]["held_out"]
    again = tmp_path / "again.jsonl"
    saved = f"saved={run / 'classifier'}"
    assert main(["weak", "label", "task=comparisons", f"data={pairs['test']}", saved, f"out={again}"]) == 0
    groups = pt.load_preferences(again, contradictions="keep")
    first = [max(group.comparisons, key=lambda one: one.weight) for group in groups]
    won = [group.responses[best.winner].text for group, best in zip(groups, first, strict=True)]
    assert np.mean([any(word in text for word in GOOD) for text in won]) == result["test"]["accuracy"]["value"]
    with pytest.raises(InputError, match="compares responses, which is not the task 'classes'"):
        pt.weak_label(pt.WeakLabel(data=pairs["test"], saved=str(run / "classifier"), out=str(tmp_path / "x.jsonl")))


def test_comparisons_may_be_labelled_by_a_prompted_model_and_learned_in_python(
    pairs: dict[str, str], tmp_path: Path, stories: str
) -> None:
    supervisor = {"name": "lm", "model": stories, "reading": {"name": "words"}, "training": None, "device": "cpu"}
    out = str(tmp_path / "zero.jsonl")
    told = pt.weak_label(pt.WeakLabel(task="comparisons", data=pairs["data"], supervisor=supervisor, out=out))
    assert told["rows"] == 90
    assert set(told["shares"]) == {"first response", "second response"}
    config = pt.WeakTrain(task="comparisons", data=out, student={"model": stories}, out=str(tmp_path / "run"))
    found = pt.weak_train(config).metrics
    assert found["rows"]["learned_from"] + found["rows"]["held_out"] == 90
    assert "test" not in found


def test_ties_teach_and_are_not_counted(pairs: dict[str, str], tmp_path: Path, stories: str) -> None:
    rows = [json.loads(line) for line in Path(pairs["test"]).read_text().splitlines()]
    tied = [
        {"prompt": row["prompt"], "responses": [row["chosen"], row["rejected"]],
         "comparisons": [{"winner": 0, "loser": 1, "tie": number < 4}]}
        for number, row in enumerate(rows)
    ]  # fmt: skip
    test = tmp_path / "tied.jsonl"
    test.write_text("".join(json.dumps(row) + "\n" for row in tied))
    config = pt.WeakTrain(
        task="comparisons", data=pairs["train"] , test=str(test), held_out=0.5, student={"model": stories, "layer": 3},
        out=str(tmp_path / "run"), templates=(),
    )  # fmt: skip
    found = pt.weak_train(config).metrics["test"]
    assert (found["rows"], found["undecided"]) == (36, 4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"student": {"name": "tfidf"}}, "name a model, such as `student.name=probe"),
        ({"classes": ("a", "b")}, "its two responses: leave `classes` out"),
        ({"test": "DATA"}, "30 of the 30 test rows .* or share a group or prompt"),
        ({"held_out": 0.05}, "are too few: at least 10 of each"),
    ],
)
def test_students_of_comparisons_that_cannot_be(
    pairs: dict[str, str], tmp_path: Path, stories: str, changes: dict[str, Any], message: str
) -> None:
    settings = {"data": pairs["train"], "student": {"model": stories}, "out": str(tmp_path / "run"), **changes}
    if settings.get("test") == "DATA":
        settings["test"] = pairs["train"]
    with pytest.raises(InputError, match=message):
        pt.weak_train(pt.WeakTrain(task="comparisons", **settings))
    assert not (tmp_path / "run").exists()


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
    places = {"TRAIN": pairs["train"], "FEW": _write_pairs(tmp_path / "few.jsonl", 0, 4)}
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
    assert pt.weak_label(pt.WeakLabel(data=str(held), **settings))["rows"] == 24


def test_a_classifier_saved_in_python_does_not_label_what_it_learned_from(
    files: dict[str, str], tmp_path: Path
) -> None:
    texts = [json.loads(line)["text"] for line in Path(files["data"]).read_text().splitlines()]
    labels = [n % 2 for n in range(20)]
    SklearnClassifier(names=["bad", "good"]).fit([t.upper() for t in texts[:20]], labels).save(tmp_path / "own")
    settings = {"saved": str(tmp_path / "own"), "out": str(tmp_path / "again.jsonl")}
    with pytest.raises(InputError, match=r"20 of the 120 rows to label .* that the supervisor learns from"):
        pt.weak_label(pt.WeakLabel(data=files["data"], **settings))
    assert pt.weak_label(pt.WeakLabel(data=files["test"], **settings))["rows"] == 60


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


def test_lists_of_probabilities_in_an_order_that_nobody_said_are_refused(weak: str, tmp_path: Path) -> None:
    """The classes of the rows to test on are known by name from the others, the order of a list is not."""
    test = tmp_path / "test.jsonl"
    test.write_text("".join(json.dumps({"text": f"another {n}", "probabilities": [0.0, 1.0]}) + "\n" for n in range(9)))
    settings = {"data": weak, "student": {"name": "tfidf"}, "test": str(test), "out": str(tmp_path / "run")}
    with pytest.raises(InputError, match="order of classes nobody said"):
        pt.weak_train(pt.WeakTrain(**settings))
    found = pt.weak_train(pt.WeakTrain(**settings, classes=("bad", "good"))).metrics
    assert found["test"]["rows"] == 9


def test_rows_that_share_a_text_or_a_group_stay_together(tmp_path: Path) -> None:
    """Also where one links two others: the first and the second by text, the second and the third by group."""
    rows = [{"text": f"film {n}", "label": n % 2, "group": f"g{n}"} for n in range(30)]
    rows += [{"text": f"FILM {n}", "label": n % 2, "group": f"h{n}"} for n in range(30)]
    rows += [{"text": f"another {n}", "label": n % 2, "group": f"h{n}"} for n in range(30)]
    file = tmp_path / "rows.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    for seed in range(3):
        learned, held = (set(places) for places in split_rows(read_labelled(str(file)), 0.3, seed))
        assert learned | held == set(range(90))
        assert {place % 30 for place in learned}.isdisjoint({place % 30 for place in held})
