"""`penchant weak train`: a student of weak labels, and what can be said of it without truth."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import penchant as pt
from penchant.cli.main import main
from penchant.errors import InputError, RunMismatchError
from penchant.train import loop
from penchant.weak import train as weak_train_module
from penchant.weak.classifiers import fine_tune
from penchant.weak.classifiers.registry import load_classifier
from weak_files import GOOD


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
    assert "answers two wordings of a row alike" in said
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["status"] == "done"
    page = (tmp_path / "run" / "report.html").read_text()
    assert "Agrees with its supervisor" in page
    assert page.count("<script") == 1  # ours, which saves figures
    assert "l2 0.3, chosen" in page  # by 96 labels: too few to choose
    assert result["l2"] == 0.3
    assert result["agreement"]["held_out"]["value"] > 0.6
    assert len((tmp_path / "run" / "predictions.jsonl").read_text().splitlines()) == 24
    kept = load_classifier(tmp_path / "run" / "classifier")
    texts = [json.loads(line)["text"] for line in Path(files["test"]).read_text().splitlines()]
    right = kept.predict_proba(texts).argmax(-1) == np.arange(60) % 2
    assert right.mean() == pytest.approx(result["test"]["accuracy"]["value"])


def test_both_commands_take_columns_of_other_names(files: dict[str, str], tmp_path: Path) -> None:
    renamed = {}
    for name, path in files.items():
        rows = [json.loads(line) for line in Path(path).read_text().splitlines()]
        renamed[name] = str(tmp_path / f"renamed-{name}.jsonl")
        names = {"text": "review", "label": "sentiment"}
        lines = [json.dumps({names.get(field, field): value for field, value in row.items()}) for row in rows]
        Path(renamed[name]).write_text("\n".join(lines))
    columns, out = "columns={text: review, label: sentiment}", f"out={tmp_path / 'weak.jsonl'}"
    assert main(["weak", "label", f"data={renamed['data']}", f"train={renamed['train']}", columns, out]) == 0
    # the labels have the fields that the command writes, the rows with the truth their own
    arguments = [f"data={tmp_path / 'weak.jsonl'}", f"test={renamed['test']}", columns, "student=tfidf"]
    assert main(["weak", "train", *arguments, f"out={tmp_path / 'run'}"]) == 0
    plain = pt.weak_train(str(tmp_path / "weak.jsonl"), test=files["test"], student="tfidf", out=str(tmp_path / "b"))
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert {**result, "seconds": 0} == {**plain.metrics, "seconds": 0}


def test_rows_with_the_truth_say_how_many_labels_are_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # three labels in ten are wrong at random, and a word tells the class in nine texts of ten
    rng, words = np.random.default_rng(0), ("dull", "fine")
    files = {}
    for name, size, wrong in (("weak", 600, 0.3), ("test", 150, 0.0)):
        classes = rng.integers(0, 2, size)
        shown = np.where(rng.random(size) < 0.1, 1 - classes, classes)
        labels = np.where(rng.random(size) < wrong, 1 - classes, classes)
        rows = [
            json.dumps({"text": f"a {words[word]} film, {name} {number}", "label": words[label]})
            for number, (word, label) in enumerate(zip(shown, labels, strict=True))
        ]
        files[name] = str(tmp_path / f"{name}.jsonl")
        Path(files[name]).write_text("\n".join(rows))
    arguments = [f"data={files['weak']}", "student=tfidf", "templates=[]", "held_out=0.4"]
    assert main(["weak", "train", *arguments, f"test={files['test']}", f"out={tmp_path / 'run'}"]) == 0
    assert "of the weak labels are wrong, if the student errs as on the test rows" in capsys.readouterr().out
    noise = json.loads((tmp_path / "run" / "result.json").read_text())["label_noise"]
    assert noise["low"] < 0.3 < noise["high"]
    assert noise["value"] == pytest.approx(0.3, abs=0.08)
    assert "of the weak labels are wrong" in (tmp_path / "run" / "report.html").read_text()


def test_without_truth_it_says_so(weak: str, tmp_path: Path, stories: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["weak", "train", f"data={weak}", "student.name=tfidf", f"out={tmp_path / 'run'}"]) == 0
    said = capsys.readouterr().out
    assert "no true labels were given: agreement is not accuracy" in said
    assert "test" not in json.loads((tmp_path / "run" / "result.json").read_text())


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
    with pytest.raises(
        InputError, match=r"already holds another run: .* or continue that run with --resume \(resume=True in Python\)$"
    ):
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
    assert page.count("<script") == 1  # ours, which saves figures
    assert "no true labels were given" in page.lower()


@pytest.mark.slow
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
    assert told.rows == 90
    assert set(told.shares) == {"first response", "second response"}
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


def test_lists_of_probabilities_in_an_order_that_nobody_said_are_refused(weak: str, tmp_path: Path) -> None:
    """The classes of the rows to test on are known by name from the others, the order of a list is not."""
    test = tmp_path / "test.jsonl"
    test.write_text("".join(json.dumps({"text": f"another {n}", "probabilities": [0.0, 1.0]}) + "\n" for n in range(9)))
    settings = {"data": weak, "student": {"name": "tfidf"}, "test": str(test), "out": str(tmp_path / "run")}
    with pytest.raises(InputError, match="order of classes nobody said"):
        pt.weak_train(pt.WeakTrain(**settings))
    found = pt.weak_train(pt.WeakTrain(**settings, classes=("bad", "good"))).metrics
    assert found["test"]["rows"] == 9


def _kill(number: int, take_step: Callable[..., Any]) -> Callable[..., Any]:
    """A step of training that is killed at this one."""

    def step(*arguments: Any) -> Any:
        if arguments[-1] == number:
            raise KeyboardInterrupt
        return take_step(*arguments)

    return step


def _interrupt(*_: Any, **__: Any) -> None:
    raise KeyboardInterrupt


@pytest.mark.slow
@pytest.mark.parametrize(
    ("early_stopping", "algorithm"),
    [
        (False, {"name": "supervised"}),
        (True, {"name": "supervised"}),
        (False, {"name": "divide_mix", "warm_up": 1, "weight": 5.0}),
    ],
)
def test_a_killed_student_is_resumed_to_the_same_bits(
    weak: str,
    tmp_path: Path,
    stories: str,
    monkeypatch: pytest.MonkeyPatch,
    *,
    early_stopping: bool,
    algorithm: dict[str, Any],
) -> None:
    training = {"epochs": 2, "batch_size": 16, "learning_rate": 1e-3, "early_stopping": early_stopping}
    student = {"name": "lm", "model": stories, "device": "cpu", "training": training, "algorithm": algorithm}
    configs = [pt.WeakTrain(data=weak, student=student, out=str(tmp_path / name)) for name in ("whole", "killed")]
    whole = pt.weak_train(configs[0])
    monkeypatch.setattr(loop, "CHECKPOINT_EVERY_S", -1.0)
    with monkeypatch.context() as patch:
        patch.setattr(fine_tune, "_step", _kill(7, fine_tune._step))
        with pytest.raises(KeyboardInterrupt):
            pt.weak_train(configs[1])
    assert (tmp_path / "killed" / "training" / "checkpoint").is_dir()
    assert not (tmp_path / "killed" / "result.json").exists()
    resumed = pt.weak_train(configs[1], resume=True)
    assert not (resumed.path / "training").exists()
    assert {**resumed.metrics, "seconds": 0} == {**whole.metrics, "seconds": 0}
    names = ["predictions.jsonl", "classifier/head.safetensors", "classifier/model/model.safetensors"]
    if algorithm["name"] == "divide_mix":
        names += ["classifier/twin-head.safetensors", "classifier/twin/model.safetensors"]
        assert whole.metrics["unlabeled"]["report"]["division"]["count"] > 0
    for name in names:
        assert (resumed.path / name).read_bytes() == (whole.path / name).read_bytes()


def test_a_run_with_other_settings_data_or_model_is_not_resumed(
    weak: str, tmp_path: Path, stories: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Path(shutil.copytree(stories, tmp_path / "model"))
    config = pt.WeakTrain(data=weak, student={"model": str(model)}, out=str(tmp_path / "run"))
    with monkeypatch.context() as patch:
        patch.setattr(weak_train_module, "fit_to_rows", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            pt.weak_train(config)
    with pytest.raises(RunMismatchError, match=r"differs .* in seed: .* penchant weak train --resume out="):
        pt.weak_train(config.replace(seed=1), resume=True)
    with pytest.raises(RunMismatchError, match=r"differs .* in columns"):
        pt.weak_train(config.replace(columns={"label": "probabilities"}), resume=True)
    rows = Path(weak).read_text()
    Path(weak).write_text("".join(rows.splitlines(keepends=True)[::-1]))
    with pytest.raises(RunMismatchError, match="the data changed since the run in"):
        pt.weak_train(config, resume=True)
    Path(weak).write_text(rows)
    settings = model / "config.json"
    settings.write_text(settings.read_text() + "\n")
    with pytest.raises(RunMismatchError, match="the model changed since the run in"):
        pt.weak_train(config, resume=True)


def test_code_of_the_user_that_fails_late_leaves_nothing_behind(
    weak: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail_late(*_: Any, **__: Any) -> None:
        for part in ("training/checkpoint", "classifier/own"):
            (tmp_path / "run" / part).mkdir(parents=True)
        raise InputError("the loss failed")

    monkeypatch.setattr(weak_train_module, "fit_to_rows", fail_late)
    with pytest.raises(InputError, match="the loss failed"):
        pt.weak_train(pt.WeakTrain(data=weak, student={"name": "tfidf"}, out=str(tmp_path / "run")))
    assert not (tmp_path / "run").exists()


def test_a_student_without_checkpoints_starts_again_and_says_so(
    weak: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    config = pt.WeakTrain(data=weak, student={"name": "tfidf"}, out=str(tmp_path / "run"))
    whole = pt.weak_train(config.replace(out=str(tmp_path / "whole")))
    with monkeypatch.context() as patch:
        patch.setattr(weak_train_module, "fit_to_rows", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            pt.weak_train(config)
    assert "continue with penchant weak train --resume out=" in caplog.text
    assert main(["weak", "train", "--resume", f"out={tmp_path / 'run'}"]) == 0
    assert "TF-IDF keeps no checkpoints: it starts from the beginning" in caplog.text
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert {**result, "seconds": 0} == {**whole.metrics, "seconds": 0}
    assert main(["weak", "train", "--resume", f"out={tmp_path / 'run'}"]) == 0
    assert "has come to its end (done): nothing to resume" in caplog.text


def test_rows_of_weight_0_are_left_out_and_counted(
    weak: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [json.loads(line) for line in Path(weak).read_text().splitlines()]
    # a third say the opposite, and count for nothing
    for row in rows[::3]:
        row.update(label="good" if row["label"] == "bad" else "bad", weight=0, probabilities=None)
    weighted, kept = tmp_path / "weighted.jsonl", tmp_path / "kept.jsonl"
    weighted.write_text("".join(json.dumps(row) + "\n" for row in rows))
    kept.write_text("".join(json.dumps(row) + "\n" for row in rows if row.get("weight") != 0))
    runs = [
        pt.weak_train(str(file), student={"name": "tfidf"}, templates=[], out=str(tmp_path / file.stem))
        for file in (weighted, kept)
    ]
    assert runs[0].metrics["rows"] == runs[1].metrics["rows"] | {"without_weight": 40}
    assert runs[0].metrics["agreement"] == runs[1].metrics["agreement"]
    arguments = [f"data={weighted}", "student.name=tfidf", f"out={tmp_path / 'run'}"]
    assert main(["weak", "train", *arguments]) == 0
    assert "left out: 40 rows with a weight of 0" in capsys.readouterr().out
    weighted.write_text("".join(json.dumps(row | {"weight": 0}) + "\n" for row in rows))
    with pytest.raises(InputError, match="all 120 weights are 0"):
        pt.weak_train(str(weighted), student={"name": "tfidf"}, out=str(tmp_path / "none"))


def test_a_class_that_no_row_has_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    labels = tmp_path / "labels.jsonl"
    rows = [{"text": f"a {('dull', 'fine')[n % 2]} film {n}", "label": ("bad", "good")[n % 2]} for n in range(60)]
    labels.write_text("\n".join(map(json.dumps, rows)) + "\n")
    student: dict[str, Any] = {"student": {"name": "tfidf"}, "templates": ()}
    pt.weak_train(data=str(labels), classes=["bad", "good"], out=str(tmp_path / "all"), **student)
    assert "no row to learn from" not in caplog.text
    pt.weak_train(data=str(labels), classes=["bad", "odd", "good"], out=str(tmp_path / "run"), **student)
    assert "no row to learn from has the class odd: the student cannot learn it" in caplog.text
