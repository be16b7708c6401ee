"""Reading run directories, whole, damaged and hostile."""

from __future__ import annotations

import json

import pytest

from penchant.errors import InputError
from penchant.runs.read import read_runs
from penchant.types import RunResult


def test_reads_a_whole_run(make_run):
    (run,) = read_runs([make_run(steps=24, prompts=6)])
    assert (run.name, run.method, run.notes, run.non_finite) == ("run", "dpo", (), 0)
    assert [point.step for point in run.train] == list(range(1, 25))
    assert [point.step for point in run.evals] == [0, 12, 24]
    assert run.evals[-1].held_out["accuracy"].clusters == 6
    assert run.evals[-1].policy["kl_nats"].value > 0
    assert run.evals[-1].policy["kl_nats"].reason == "no interval: 6 prompts"
    assert "kl_nats" not in run.evals[-1].reference
    assert len(run.samples) == 3 * 6
    assert run.setting("loss", "beta") == 0.1
    assert run.data("comparisons") == 432


def test_takes_results_strings_and_one_alone(make_run):
    path = make_run(steps=12)
    assert read_runs([RunResult("dpo", path, {})])[0].name == "run"
    assert read_runs(str(path))[0].name == "run"
    assert len(read_runs([path, str(path)])) == 1


def test_names_tell_runs_apart(make_run):
    runs = read_runs([make_run("a/seed0", steps=12), make_run("b/seed0", steps=12)])
    assert [run.name for run in runs] == ["a/seed0", "b/seed0"]


def test_no_run_directory(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"config\.yaml and metrics\.jsonl, found a folder without either"):
        read_runs([tmp_path / "empty"])
    with pytest.raises(InputError, match="nothing there"):
        read_runs([tmp_path / "absent"])
    with pytest.raises(InputError, match="at least one run"):
        read_runs([])


def test_a_killed_run_tells_what_is_missing(make_run):
    path = make_run(steps=24)
    for name in ("result.json", "samples.jsonl", "provenance.json"):
        (path / name).unlink()
    lines = (path / "metrics.jsonl").read_text()
    (path / "metrics.jsonl").write_text(lines[:-40])
    (run,) = read_runs([path])
    assert run.result is None
    assert len(run.train) == 24
    assert run.evals[-1].step == 12  # the last line held the evaluation of step 24
    assert [note.split()[0] for note in run.notes] == ["provenance.json", "The", "samples.jsonl"]
    assert "cut short" in run.notes[1]


def test_result_gives_back_evaluations_that_were_lost(make_run):
    path = make_run(steps=24)
    (path / "metrics.jsonl").unlink()
    (run,) = read_runs([path])
    assert [point.step for point in run.evals] == [0, 24]
    assert "metrics.jsonl is missing" in run.notes[0]


def test_a_run_that_draws_no_samples_lacks_nothing(make_run):
    assert read_runs([make_run(steps=12, samples=False)])[0].notes == ()


def test_only_a_config(tmp_path):
    (tmp_path / "config.yaml").write_text("method: dpo\n")
    (tmp_path / "metrics.jsonl").write_text("")
    (run,) = read_runs([tmp_path])
    assert (run.train, run.evals, run.last_step()) == ((), (), 0)
    assert any("metrics.jsonl is empty" in note for note in run.notes)


def test_numbers_that_are_none(tmp_path):
    rows = [
        '{"kind": "train", "step": 1, "loss": NaN, "margin": null, "grad_norm": 1e999, "accuracy": true}',
        '{"kind": "train", "step": 2, "loss": 0.5, "pairs": 1' + "0" * 400 + "}",
        '{"kind": "eval", "step": 2, "held_out": {"loss": {"value": null}, "accuracy": {"value": 0.5, "low": NaN,'
        ' "high": 0.6, "n": 4}, "margin": 3, "by_annotator": []}, "samples": null}',
        '{"kind": "eval", "step": "two"}',
        "[1, 2]",
        '{"kind": "train", "step": -1}',
        '{"kind": "train", "step": 3, "loss": ' + "[" * 100_000,
        '{"kind": "train", "step": 4, "loss": 0.4}',
    ]
    (tmp_path / "metrics.jsonl").write_text("\n".join(rows) + "\n")
    (run,) = read_runs([tmp_path])
    assert [dict(point.values) for point in run.train] == [
        {"step": 1},
        {"step": 2, "loss": 0.5},
        {"step": 4, "loss": 0.4},
    ]
    assert run.non_finite == 3
    assert list(run.evals[0].held_out) == ["accuracy"]
    assert run.evals[0].held_out["accuracy"].low is None
    assert any("2 lines, the first is line 5" in note for note in run.notes)


def test_a_resumed_run_counts_each_step_once(tmp_path):
    rows = [{"kind": "train", "step": step, "loss": loss} for step, loss in ((1, 0.9), (2, 0.8), (2, 0.7), (3, 0.6))]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (run,) = read_runs([tmp_path])
    assert [(point.step, point.values["loss"]) for point in run.train] == [(1, 0.9), (2, 0.7), (3, 0.6)]


@pytest.mark.parametrize("text", ["a: [", "&a [*a]", "- 1\n- 2", "\x00", "a: !!python/object:os.system {}"])
def test_a_config_that_is_none(tmp_path, text):
    (tmp_path / "config.yaml").write_text(text)
    (run,) = read_runs([tmp_path])
    assert run.method == "unknown method"


def test_line_breaks_inside_texts_break_no_line(make_run):
    path = make_run(steps=12, prompts=1)
    row = {"step": 12, "prompt": "p\u2028q\x85r", "policy": [{"text": "a\x0bb"}], "reference": []}
    (path / "samples.jsonl").write_text(json.dumps(row, ensure_ascii=False) + "\n", encoding="utf-8")
    assert read_runs([path])[0].samples[0].prompt == "p\u2028q\x85r"


def test_a_folder_of_runs_stands_for_its_runs(make_run, tmp_path):
    one, two = make_run("study/a", steps=12), make_run("study/b", steps=12)
    (one.parent / "notes").mkdir()
    assert [run.name for run in read_runs([one.parent])] == ["a", "b"]
    assert two.parent == one.parent
