"""What a page says in its first lines."""

from __future__ import annotations

from penchant.reports.run.about import leading_lines, page_title
from penchant.runs.read import read_runs


def test_the_title_says_what_the_run_is(make_run):
    runs = read_runs([make_run("film-b01", steps=12, prompts=3)])
    assert page_title(runs) == "DPO of smollm2-135m on prefs.jsonl"
    assert leading_lines(runs) == [
        ("Task", "prefer what the comparisons prefer"),
        ("Method", "DPO (sigmoid loss)"),
        ("Model", "smollm2-135m"),
        ("Data", "prefs.jsonl"),
        ("Run", "film-b01"),
    ]


def test_several_runs_name_what_differs(make_run):
    runs = read_runs([make_run("a", steps=12, prompts=3), make_run("b", method="sft", samples=False, steps=12)])
    assert page_title(runs) == "2 runs compared: DPO and SFT"
    assert dict(leading_lines(runs))["Method"] == "DPO (sigmoid loss) and SFT"


def test_a_run_without_files_is_named_by_its_method(tmp_path):
    (tmp_path / "begun").mkdir()
    (tmp_path / "begun" / "config.yaml").write_text(
        "method: ppo\nmodel: /models/tiny\nreward: vader\ndata: {path: org/set}\n"
    )
    (run,) = read_runs([tmp_path / "begun"])
    assert page_title([run]) == "PPO of tiny on org/set"
    assert dict(leading_lines([run]))["Reward"] == "vader"
