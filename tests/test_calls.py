"""The commands as functions: the same settings, the same files as the command line."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import penchant as pt
from penchant.calls import _merged, _study_settings
from penchant.cli.main import main
from penchant.studies.win_rates.settings import TldrConfig
from weak_files import write_texts

CLOCKS = re.compile(r"seconds|per_s$|memory|bytes")
GROUPS = [
    pt.PromptGroup(
        f"Film {number}?",
        ["good film", "dull", "fine"],
        [
            pt.Comparison(winner=number % 2, loser=2, annotator="ann"),
            pt.Comparison(winner=2, loser=number % 3 % 2, annotator="bob"),
            pt.Comparison(winner=0, loser=1, annotator="bob"),
            pt.Comparison(winner=number % 2, loser=1 - number % 2, annotator="ann"),
            pt.Comparison(winner=number % 3, loser=(number + 1) % 3, annotator="cleo"),
        ],
    )
    for number in range(8)
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    pt.write_groups(GROUPS, "prefs.jsonl")
    return tmp_path


def numbers(file: Path) -> object:
    """A JSON file without what differs from call to call."""
    content = json.loads(file.read_text())
    return {key: value for key, value in content.items() if key not in ("config", "seconds", "out")}


def read_json_lines(file: str | Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in Path(file).read_text().splitlines()]


def rows(file: Path) -> list[dict[str, object]]:
    """The lines of a file of scores without the name of the file that they come from."""
    return [{key: value for key, value in line.items() if key != "source"} for line in read_json_lines(file)]


def test_agree_and_rank_leave_the_files_of_the_command(folder: Path) -> None:
    assert main(["agree", "prefs.jsonl", "resamples=100", "out=cli"]) == 0
    result = pt.agree("prefs.jsonl", resamples=100, out="python")
    assert numbers(folder / "python" / "agree.json") == numbers(folder / "cli" / "agree.json")
    assert pt.agree(GROUPS, resamples=100, out="rows").metrics["alpha"] == result.metrics["alpha"]
    words = ["by=annotators", "prior=0.5", "resamples=100"]
    assert main(["rank", "prefs.jsonl", *words, "out=cli-rank"]) == 0
    pt.rank("prefs.jsonl", by="annotators", prior=0.5, resamples=100, out="python-rank")
    assert numbers(folder / "python-rank" / "rank.json") == numbers(folder / "cli-rank" / "rank.json")


def test_judge_leaves_the_files_of_the_command(folder: Path) -> None:
    pt.write_groups([group.replace(comparisons=(), responses=group.responses[:1]) for group in GROUPS], "a.jsonl")
    pt.write_groups([group.replace(comparisons=(), responses=group.responses[1:2]) for group in GROUPS], "b.jsonl")
    assert main(["judge", "a.jsonl", "against=b.jsonl", "judge=longest", "out=cli"]) == 0
    results = pt.judge(["a.jsonl"], against="b.jsonl", judge="longest", out="python")
    assert numbers(folder / "python" / "judge.json") == numbers(folder / "cli" / "judge.json")
    assert repr(results) == "JudgeResults(a.jsonl against b.jsonl, 8 prompts)"
    rate = results.methods["a.jsonl"].win_rate.rate
    assert f"<td>a.jsonl</td><td>{rate.text}</td><td><img src=" in results._repr_html_()
    by_function = pt.judge(
        "a.jsonl", against="b.jsonl", judge=lambda question: "a" if len(question.a) > len(question.b) else "b", out="f"
    )
    assert by_function.methods["a.jsonl"].summary.win_rate == results.methods["a.jsonl"].summary.win_rate


def test_score_and_export_leave_the_files_of_the_command(folder: Path, tiny_model: str) -> None:
    assert main(["score", tiny_model, "prefs.jsonl", "out=cli.jsonl"]) == 0
    scored = pt.score(tiny_model, "prefs.jsonl", out="python.jsonl")
    assert (folder / "python.jsonl").read_bytes() == (folder / "cli.jsonl").read_bytes()
    assert scored.summary is not None
    assert repr(scored) == "ScoredFile(python.jsonl, 8 prompts, 24 responses)"
    assert "<td>accuracy</td>" in scored._repr_html_()
    policy = pt.load_policy(tiny_model, device="cpu")
    # a DataFrame compares itself with anything cell by cell, also where a call asks whether it was given
    frame = pd.read_json("prefs.jsonl", lines=True)
    pt.score(policy, frame, out="objects.jsonl")
    assert rows(folder / "objects.jsonl") == rows(folder / "cli.jsonl")
    with pytest.raises(pt.InputError, match=r"out=python.jsonl exists and is not overwritten"):
        pt.score(tiny_model, "prefs.jsonl", out="python.jsonl")
    assert main(["export", tiny_model, "check=false", "out=cli-model"]) == 0
    exported = pt.export(tiny_model, check=False, out="python-model")
    for file in exported.folder.glob("*.safetensors"):
        assert file.read_bytes() == (folder / "cli-model" / file.name).read_bytes()
    of_object = pt.export(policy, check=False, out="object-model")
    weights = [file.name for file in of_object.folder.glob("*.safetensors")]
    assert weights
    assert all((of_object.folder / n).read_bytes() == (folder / "cli-model" / n).read_bytes() for n in weights)


def test_weak_label_and_train_leave_the_files_of_the_command(folder: Path) -> None:
    texts = write_texts(folder / "rows.jsonl", 1000, 60, labels=False)
    labelled = write_texts(folder / "labelled.jsonl", 0, 60)
    assert main(["weak", "label", f"data={texts}", f"train={labelled}", "out=cli.jsonl"]) == 0
    by_file = pt.weak_label(texts, train=labelled, out="python.jsonl")
    by_rows = pt.weak_label(pd.read_json(texts, lines=True), train=read_json_lines(labelled), out="objects.jsonl")
    assert (folder / "python.jsonl").read_bytes() == (folder / "cli.jsonl").read_bytes()
    assert (folder / "objects.jsonl").read_bytes() == (folder / "cli.jsonl").read_bytes()
    assert by_rows.shares == by_file.shares
    with pytest.raises(pt.InputError, match=r"out=python.jsonl exists and is not overwritten"):
        pt.weak_label(texts, train=labelled, out="python.jsonl")
    words = ["student.name=tfidf", "templates=[]"]
    assert main(["weak", "train", "data=cli.jsonl", *words, "out=cli"]) == 0
    run = pt.weak_train(by_file, student={"name": "tfidf"}, templates=[], out="python")
    assert numbers(folder / "python" / "result.json") == numbers(folder / "cli" / "result.json")
    assert (folder / "python" / "predictions.jsonl").read_bytes() == (folder / "cli" / "predictions.jsonl").read_bytes()
    rows = read_json_lines(folder / "cli.jsonl")
    settings = {"student": {"name": "tfidf"}, "templates": [], "out": "objects"}
    assert pt.weak_train(rows, **settings).metrics["agreement"] == run.metrics["agreement"]
    assert pt.weak_train(rows, resume=True, **settings).metrics["status"] == "done"
    with pytest.raises(pt.InputError, match=r"data"):
        pt.weak_train(rows[1:], resume=True, **settings)


def test_evaluate_leaves_the_file_of_the_command(folder: Path) -> None:
    pairs: list[dict[str, object]] = [
        {
            "id": f"{n}",
            "subset": "refusals-dangerous",
            "prompt": f"Ask {n}",
            "chosen": "No." * (n % 3),
            "rejected": "Do it.",
        }
        for n in range(12)
    ]
    lines = [json.dumps(row) for row in pairs]
    (folder / "bench.jsonl").write_text("\n".join(lines) + "\n")
    words = ["benchmark=rewardbench", "path=bench.jsonl", "judge.name=longest"]
    assert main(["evaluate", *words, "out=cli"]) == 0
    evaluation = pt.evaluate(benchmark="rewardbench", path="bench.jsonl", judge="longest", out="python")
    (by_command,), (by_call,) = ((folder / name).glob("*.json") for name in ("cli", "python"))
    assert by_call.name == by_command.name
    clocks = {"seconds", "started", "settings"}
    contents = [{k: v for k, v in json.loads(f.read_text()).items() if k not in clocks} for f in (by_call, by_command)]
    assert contents[0] == contents[1]
    assert repr(evaluation) == "OutsideEvaluation(rewardbench of judge longest, 2 scores)"
    score = evaluation.scores[0]
    row = f"<td>{score.task}</td><td>{score.metric}</td><td></td><td>{score.after.text}</td><td><img src="
    assert row in evaluation._repr_html_()
    by_objects = pt.evaluate(
        benchmark="rewardbench",
        path=pairs,
        judge=lambda question: "a" if len(question.a) > len(question.b) else "b",
        out="objects",
    )
    assert [score.after for score in by_objects.scores] == [score.after for score in evaluation.scores]


LETTERS = """def letters(pairs):
    return [sum(sign.isascii() and sign.isalpha() for sign in text) / max(1, len(text)) for _, text in pairs]
"""
STUDY: dict[str, Any] = {
    "max_new_tokens": 4,
    "evaluation": {"times": 1, "samples": 1, "reference_samples": 16},
    "batch_size": 8,
    "dpo": {"beta": [0.1]},
    "best_of_n": {"n": [1, 2]},
    **dict.fromkeys(("kto", "preferred_ft", "unlikelihood", "ppo", "ppo_gt")),
}


def study_numbers(folder: Path) -> object:
    """What a study measured, without clocks and the names of what it was given."""
    content = json.loads((folder / "study.json").read_text())
    without = ("config", "provenance", "cost", "sources")

    def stripped(value: object) -> object:
        if isinstance(value, dict):
            return {k: stripped(v) for k, v in value.items() if k not in without and not CLOCKS.search(k)}
        if isinstance(value, str):  # addresses of stages hold the names of what they were given
            return re.sub("[0-9a-f]{12}", "", value)
        return [stripped(item) for item in value] if isinstance(value, list) else value

    return stripped(content)


@pytest.mark.slow
def test_a_study_leaves_the_files_of_the_command_also_of_objects(folder: Path, tiny_model: str) -> None:
    prompts, others = (f"{name} went." for name in "ABCDEFGH"), ("Ida came.", "Joe won.", "Kim left.", "Lea ran.")
    rows = [{"prompt": prompt} for prompt in prompts]
    (folder / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "others.jsonl").write_text("".join(json.dumps({"prompt": prompt}) + "\n" for prompt in others))
    (folder / "rewards.py").write_text(LETTERS)
    settings = {
        **STUDY,
        "model": {"name": tiny_model, "device": "cpu"},
        "prompts": "prompts.jsonl",
        "eval_prompts": "others.jsonl",
        "reward": "rewards.py:letters",
    }
    (folder / "study.yaml").write_text(json.dumps(settings))
    assert main(["study", "frontier", "study.yaml", "out=cli"]) == 0
    result = pt.study("frontier", **settings, out="python")
    assert not result.failures
    assert study_numbers(folder / "python") == study_numbers(folder / "cli")
    assert {path.name for path in (folder / "python" / "stages").iterdir()} == {
        path.name for path in (folder / "cli" / "stages").iterdir()
    }
    assert (folder / "python" / "report.html").exists()
    assert "<img src=" in result._repr_html_()

    def letters(pairs):  # type: ignore[no-untyped-def]
        return [sum(sign.isascii() and sign.isalpha() for sign in text) / max(1, len(text)) for _, text in pairs]

    objects = {
        "model": pt.load_policy(tiny_model, device="cpu"),
        "prompts": rows,
        "eval_prompts": pd.DataFrame({"prompt": others}),
        "reward": letters,
    }
    assert not pt.study("frontier", **{**settings, **objects}, out="objects").failures
    assert study_numbers(folder / "objects") == study_numbers(folder / "cli")


def test_a_wrong_setting_is_answered_as_on_the_command_line(folder: Path) -> None:
    with pytest.raises(pt.InputError, match="`agianst` is unknown; did you mean `against`"):
        pt.judge("a.jsonl", agianst="chosen", judge="longest")


def test_settings_of_a_study_are_those_of_the_command() -> None:
    preset = _study_settings("frontier", "demo", {"out": "x", "prompts": {"limit": 3}})
    assert preset.method == "frontier"
    assert preset.out == "x"
    # a setting of another study takes the command over, as on the command line
    assert type(_study_settings("tldr", "paper", {})) is TldrConfig
    with pytest.raises(pt.InputError, match=r"there is no study 'frontir': expected .*; did you mean frontier"):
        pt.study("frontir")
    with pytest.raises(pt.InputError, match="there is no preset 'dmeo'"):
        pt.study("frontier", preset="dmeo")
    assert _merged({"a": {"b": 1, "c": 2}}, {"a": {"b": 3}, "d": 4}) == {"a": {"b": 3, "c": 2}, "d": 4}
