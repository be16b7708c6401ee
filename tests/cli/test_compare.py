"""`penchant compare`: settings first, numbers with intervals, and a row for every folder that was given."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from html import escape
from pathlib import Path

import pytest

import penchant as pt
from penchant.cli.main import main
from penchant.files import locked_folder
from penchant.metrics.estimates import Estimate
from penchant.reports.run.across import best
from penchant.reports.run.run_comparison import compare_runs
from penchant.reports.run.summary import summarize
from penchant.reports.run.versus import _verdict, differences_from, state
from penchant.runs.read import read_runs
from synthetic_runs import write_run


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three runs: two that differ in beta and gain, and one on other prompts."""
    folder = tmp_path_factory.mktemp("runs")
    write_run(folder / "plain", steps=24, prompts=24, seed=1)
    write_run(folder / "strong", steps=24, prompts=24, seed=2, beta=0.5, gain=3.0)
    write_run(folder / "few", steps=24, prompts=8, seed=3)
    return folder


@pytest.fixture
def runs(written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of them that a test may change, as the current folder."""
    shutil.copytree(written, tmp_path / "runs")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "runs"


def test_settings_come_first_then_numbers_then_differences(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "runs/plain", "runs/strong"]) == 0
    text = capsys.readouterr().out
    places = [text.index(title) for title in ("Settings in which", "At the last evaluation", "Each run minus plain")]
    assert places == sorted(places)
    assert any(line.split() == ["loss.beta", "0.1", "0.5"] for line in text.splitlines())


def test_samples_of_the_same_prompts_are_paired_and_others_are_not(runs: Path) -> None:
    plain, strong, few = (summarize(run) for run in read_runs([runs / "plain", runs / "strong", runs / "few"]))
    by_key = {key: (difference, reason) for key, difference, reason in differences_from(strong, plain)}
    difference, reason = by_key["reward"]
    assert reason == ""
    rewards = [strong.policy("reward"), plain.policy("reward")]
    assert rewards[0] is not None
    assert rewards[1] is not None
    assert difference.value == pytest.approx(rewards[0].value - rewards[1].value)
    assert by_key["accuracy"][1] == "runs keep the mean alone"
    reasons = {key: reason for key, _, reason in differences_from(few, plain)}
    assert reasons["reward"] == "8 of 24 prompts are shared"
    assert all(reasons.values())
    without_texts = replace(strong, run=replace(strong.run, samples=()))
    assert {key: reason for key, _, reason in differences_from(without_texts, plain)}["reward"] == (
        "the samples of one run are not there"
    )


def test_a_verdict_is_given_only_where_the_interval_excludes_zero() -> None:
    assert _verdict(Estimate(1.0, 0.5, 1.5, 9, 9)) == "yes, higher"
    assert _verdict(Estimate(-1.0, -1.5, -0.5, 9, 9)) == "yes, lower"
    assert _verdict(Estimate(1.0, -0.1, 2.1, 9, 9)) == "not shown"
    assert _verdict(Estimate(1.0, None, None, 3, 3, "no interval: 3 prompts")) == "–"


def test_losses_of_other_settings_are_not_compared(runs: Path) -> None:
    plain, strong = (summarize(run) for run in read_runs([runs / "plain", runs / "strong"]))
    assert "loss" not in [key for key, _, _ in differences_from(strong, plain)]
    assert "loss" in [key for key, _, _ in differences_from(plain, plain)]


def test_numbers_that_mean_another_thing_have_no_difference(runs: Path) -> None:
    def change(file: str, old: str, new: str) -> None:
        path = runs / "strong" / file
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))

    def keys() -> set[str]:
        plain, strong = (summarize(run) for run in read_runs([runs / "plain", runs / "strong"]))
        return {key for key, _, _ in differences_from(strong, plain)}

    change("config.yaml", "beta: 0.5", "beta: 0.1")
    assert keys() == {"reward", "kl_nats", "tokens", "accuracy", "loss"}
    fingerprints = '"fingerprint": "ab12cd34"', '"fingerprint": "00000000"'
    change("provenance.json", *fingerprints)  # a loss compares with the reference, and so does the KL
    assert keys() == {"reward", "tokens", "accuracy"}
    change("provenance.json", *fingerprints[::-1])
    change("config.yaml", "method: dpo", "method: kto")
    assert keys() == {"reward", "kl_nats", "tokens", "accuracy"}
    change("config.yaml", "seed:", "evaluate: {samples: {reward: vader}}\nseed:")
    assert keys() == {"kl_nats", "tokens", "accuracy"}
    change("provenance.json", '"reference": {"name": "smollm2-135m", "fingerprint": "ab12cd34"}',
           '"reference": {"name": "smollm2-135m", "fingerprint": "00000000"}')  # fmt: skip
    assert keys() == {"tokens", "accuracy"}


def test_no_run_leads_by_a_reward_that_the_other_does_not_have(runs: Path) -> None:
    config = runs / "strong" / "config.yaml"
    config.write_text(config.read_text() + "evaluate: {samples: {reward: vader}}\n")
    summaries = [summarize(run) for run in read_runs([runs / "plain", runs / "strong"])]
    assert best(summaries, "reward") == ""
    assert best(summaries[:1], "reward")
    config.write_text(config.read_text().replace("beta: 0.5", "beta: 0.1").replace("method: dpo", "method: kto"))
    summaries = [summarize(run) for run in read_runs([runs / "plain", runs / "strong"])]
    assert best(summaries, "loss") == ""
    assert best(summaries, "accuracy")


def test_a_run_that_was_not_evaluated_since_its_start_has_no_difference(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # as a kill after step 24 leaves it: lines of training, and the evaluation of the start
    metrics = runs / "strong" / "metrics.jsonl"
    lines = [json.loads(line) for line in metrics.read_text().splitlines()]
    kept = [line for line in lines if line["kind"] == "train" or line["step"] == 0]
    metrics.write_text("".join(json.dumps(line) + "\n" for line in kept))
    (runs / "strong" / "result.json").unlink()
    _, numbers, minus = compare_runs(["runs/plain", "runs/strong", "runs/few"]).tables
    place = numbers.columns.index("Measured at step")
    assert [(row[0], row[place]) for row in numbers.rows] == [("plain", "24"), ("strong", "0"), ("few", "24")]
    of_strong = [row for row in minus.rows if row[0] == "strong"]
    assert of_strong == [("strong", "all", "–", "strong not evaluated since the start", "–")]
    assert len(minus.rows) > 1
    # where the first is the one that was killed, no other has a difference either
    assert main(["compare", "runs/strong", "runs/plain"]) == 0
    text = capsys.readouterr().out.split("Each run minus")[1]
    assert text.count("strong not evaluated since the start") == 1
    assert "yes," not in text


def test_runs_that_ended_need_no_column_for_the_step_of_their_numbers(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", "runs/plain", "runs/strong"]) == 0
    assert "Measured at step" not in capsys.readouterr().out


def test_runs_that_failed_run_or_were_stopped_have_a_row(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (runs / "few" / "result.json").unlink()
    (runs / "strong" / "result.json").unlink()
    (runs / "strong" / "metrics.jsonl").write_text("")
    (runs / "nothing").mkdir()
    assert main(["compare", *(f"runs/{name}" for name in ("plain", "few", "strong", "nothing"))]) == 1
    text = capsys.readouterr().out
    assert "stopped after step 24 without a result" in text
    assert "failed before the first step" in text
    assert "runs/nothing is no run directory" in text
    with locked_folder(runs / "few"):
        (run,) = read_runs([runs / "few"])
        assert state(run) == "running"
    assert state(run) == "stopped after step 24 without a result"


def test_the_page_has_the_tables_and_names_what_was_not_read(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (runs / "broken").mkdir()
    assert main(["compare", "runs/plain", "runs/strong", "runs/broken", "out=compare.html"]) == 1
    page = Path("compare.html").read_text()
    places = [page.index(title) for title in ("Settings in which", "At the last evaluation", "Each run minus plain")]
    assert places == sorted(places)
    assert "What was not read" in page
    assert "runs/broken" in page


def test_another_run_may_be_the_one_to_compare_with(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "runs/plain", "runs/strong", "against=runs/strong/"]) == 0
    assert "Each run minus strong" in capsys.readouterr().out


def test_equal_settings_are_said_to_be_equal(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(runs / "plain", runs / "again")
    assert main(["compare", "runs/plain", "runs/again"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("The settings of these runs are the same.")
    assert "yes" not in text.partition("Each run minus")[2]


def test_names_that_are_refused(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "runs/plain", "out=compare.txt"]) == 2
    assert "ends in .html" in capsys.readouterr().err
    assert main(["compare", "runs/missing"]) == 2
    assert "runs/missing" in capsys.readouterr().err


def test_a_run_of_other_numbers_is_no_obstacle(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = json.loads((runs / "few" / "result.json").read_text())
    (runs / "few" / "result.json").write_text(json.dumps({**result, "status": None, "first": 3, "final": []}))
    assert main(["compare", "runs/plain", "runs/few"]) == 0
    assert "ended" in capsys.readouterr().out


def test_the_call_compares_as_the_command_does(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "runs/plain", "runs/strong", "against=runs/strong"]) == 0
    printed = capsys.readouterr().out
    compared = pt.compare(pt.load_run("runs/plain"), "runs/strong", against="runs/strong")
    assert repr(compared) == "RunComparison(strong, plain)"
    # a terminal shows the tables by `print`, and a session the short form
    assert str(compared) == printed.rstrip("\n")
    first, second = pt.load_run("runs/strong"), "runs/plain"
    assert str(pt.compare([first, second])) == str(pt.compare((first, second))) == str(pt.compare(first, second))
    with pytest.raises(pt.InputError, match="expected a run directory or the result of a run, got a dict"):
        pt.compare([first, {}])  # type: ignore[list-item]
    assert [table.caption for table in compared.tables] == [
        line for line in printed.splitlines() if line in {table.caption for table in compared.tables}
    ]
    cells = [cell for table in compared.tables for row in table.rows for cell in row]
    assert cells
    assert all(cell in printed for cell in cells)
    assert all(escape(cell) in compared._repr_html_() for cell in cells)
