"""The study end to end: its numbers, a second call, what a failure leaves standing, stops and continuations."""

from __future__ import annotations

import fcntl
import json
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from frontier_presets import preset
from penchant.cli.main import main
from penchant.config import to_yaml
from penchant.digests import read_sums
from penchant.errors import InputError, RunError
from penchant.metrics import Evaluations, best_of_n, limit_line, matched_efficiency
from penchant.studies.core.executor import Workers
from penchant.studies.core.runner import is_complete
from penchant.studies.core.study import StudyResult, run_study
from penchant.studies.frontier.grid import grid
from penchant.studies.frontier.settings import FrontierConfig
from penchant.studies.frontier.summarize import summarize
from penchant.studies.report import report
from penchant.typed_json import to_json


@pytest.fixture(scope="module")
def first(settings: dict[str, Any], workers: Workers, tmp_path_factory: pytest.TempPathFactory) -> StudyResult:
    """One study that several tests look at (none changes it)."""
    out = tmp_path_factory.mktemp("studies") / "first"
    return run_study(FrontierConfig(**settings, out=str(out)), workers=workers)


def numbers_of(study: dict[str, Any]) -> Any:
    """The study's numbers without clocks, memory and addresses."""

    def strip(value: Any) -> Any:
        if isinstance(value, dict):
            clocks = {"cost", "seconds", "peak_memory_bytes", "standing", "provenance", "config"}
            return {name: strip(item) for name, item in value.items() if name not in clocks}
        return [strip(item) for item in value] if isinstance(value, list) else value

    return strip(study)


def test_the_study_has_every_method_and_its_numbers(first: StudyResult) -> None:
    assert not first.failures
    assert not first.interrupted
    study = json.loads((first.path / "study.json").read_text())
    assert study == first.numbers
    assert [method["name"] for method in study["methods"]] == ["dpo", "preferred_ft", "unlikelihood", "best_of_n"]
    by_name = {method["name"]: method for method in study["methods"]}
    assert len(by_name["dpo"]["points"]) == 4  # two betas, two evaluations
    assert {run["status"] for run in study["runs"]} == {"done"}
    for method in study["methods"]:
        assert [row["kl_nats"] for row in method["matched"]] == [0.5, 1, 2, 3]
        for row in method["matched"]:
            assert (row["share"] is None) == row["reason"].startswith("not comparable: ")
        for point in method["points"]:
            assert point["kl_nats"]["value"] >= 0
            assert 0 <= point["reward"]["value"] <= 1
    for name in ("dpo", "preferred_ft", "unlikelihood"):
        cost = by_name[name]["cost"]
        assert cost["samples_drawn"] >= 24  # 6 prompts, 4 samples
        assert cost["trained_tokens"] > 100
        assert 0 < cost["training_seconds"] <= cost["seconds"]
        assert cost["optimizer_steps"] == cost["steps"] > 0
        assert cost["peak_memory_bytes"] > 1e7
    assert study["prompts"] == {"train": 6, "eval": 4}
    assert [len(column["texts"]) for column in study["samples"]["columns"]] == [4] * 5


def test_the_numbers_are_those_of_the_samples(first: StudyResult) -> None:
    study = first.numbers
    (folder,) = (first.path / "stages").glob("reference-*")
    table = np.load(folder / "rewards.npy")
    assert table.shape == (4, 16)
    assert study["reference"]["reward"]["value"] == pytest.approx(table.mean())
    line = limit_line(table)
    np.testing.assert_allclose(study["limit"]["reward"], line.reward, atol=1e-6)
    points = {point["value"]: point["reward"]["value"] for point in study["methods"][-1]["points"]}
    assert points == pytest.approx({n: best_of_n(table)[n - 1] for n in (1, 2, 4)})
    (run,) = (first.path / "runs").glob("preferred-ft-*")
    rows = [json.loads(line) for line in (run / "samples.jsonl").read_text().splitlines()]
    steps = sorted({row["step"] for row in rows} - {0})
    columns = {
        name: np.array(
            [[np.mean([d[name] for d in row["policy"]]) for row in rows if row["step"] == step] for step in steps]
        )
        for name in ("kl_nats", "reward")
    }
    shown = next(method for method in study["methods"] if method["name"] == "preferred_ft")
    assert [point["reward"]["value"] for point in shown["points"]] == pytest.approx(columns["reward"].mean(axis=1))
    expected = matched_efficiency(table, [Evaluations(columns["kl_nats"], columns["reward"])], (0.5, 1, 2, 3))
    assert [row["share"] for row in shown["matched"]] == [one.share and one.share.as_dict() for one in expected]
    evals = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    said = [row["samples"]["policy"]["reward"]["value"] for row in evals if row["kind"] == "eval" and row["step"] > 0]
    assert said == pytest.approx(columns["reward"].mean(axis=1))


def test_the_comparisons_are_all_pairs_by_the_true_reward(first: StudyResult) -> None:
    (folder,) = (first.path / "stages").glob("comparisons-*")
    rows = [json.loads(line) for line in (folder / "comparisons.jsonl").read_text().splitlines()]
    assert len(rows) == 6
    for row in rows:
        assert len(row["responses"]) == 4
        assert len(row["comparisons"]) == 6
        for comparison in row["comparisons"]:
            winner, loser = (row["scores"][comparison[side]] for side in ("winner", "loser"))
            assert winner == loser if comparison.get("tie") else winner > loser
    facts = json.loads((folder / "stage.json").read_text())
    assert facts["comparisons"] + facts["ties"] == 36
    assert facts["samples_drawn"] == 24


def test_a_second_call_runs_nothing_and_changes_nothing(
    first: StudyResult, settings: dict[str, Any], workers: Workers
) -> None:
    before = {
        path: path.stat().st_mtime_ns for path in first.path.rglob("*") if path.name not in (".lock", "study.yaml")
    }
    again = run_study(FrontierConfig(**settings, out=str(first.path)), workers=workers)
    assert again.ran == 0
    assert again.numbers == first.numbers
    after = {
        path: path.stat().st_mtime_ns for path in first.path.rglob("*") if path.name not in (".lock", "study.yaml")
    }
    assert {path: time for path, time in after.items() if not path.is_dir()} == {
        path: time for path, time in before.items() if not path.is_dir()
    }


def test_other_code_of_the_summary_makes_the_numbers_anew(
    first: StudyResult, settings: dict[str, Any], workers: Workers, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(first.path, copy)
    config = FrontierConfig(**settings, out=str(copy))
    old = run_study(config, workers=workers).numbers
    changed = {**old, "methods": []}
    (copy / "SHA256SUMS").unlink()  # whoever edits the numbers takes their digest away
    (copy / "study.json").write_text(json.dumps(changed))
    assert run_study(config, workers=workers).numbers == changed  # as long as the code is the same, it is kept
    (copy / "study.json").write_text(json.dumps({**changed, "code": "of another version"}))
    again = run_study(config, workers=workers)
    assert again.ran == 0
    assert again.numbers == old
    assert old["cost"]["jobs"] == first.numbers["cost"]["jobs"] == 1  # of the call that ran something


@pytest.mark.slow
def test_what_is_missing_or_damaged_is_run_again_to_the_same_numbers(
    first: StudyResult, settings: dict[str, Any], workers: Workers, tmp_path: Path
) -> None:
    """A copy elsewhere, in which one run is gone, one has lost its end, and one was cut in the middle of a file."""
    copy = tmp_path / "copy"
    shutil.copytree(first.path, copy)
    gone, ended, cut = (
        next((copy / "runs").glob(f"{name}-*")) for name in ("dpo-beta-1", "preferred-ft", "unlikelihood")
    )
    shutil.rmtree(gone)
    (ended / "result.json").unlink()
    text = (cut / "samples.jsonl").read_text()
    (cut / "samples.jsonl").write_text(text[: len(text) // 2])
    again = run_study(FrontierConfig(**settings, out=str(copy)), workers=workers)
    assert again.ran == 3
    assert numbers_of(again.numbers) == numbers_of(first.numbers)


def test_the_sums_of_every_stage_are_checked(
    first: StudyResult, settings: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """In a study that is complete: a stage of which any file was changed is no longer there."""
    copy = tmp_path / "copy"
    shutil.copytree(first.path, copy)
    tasks = grid(FrontierConfig(**settings, out=str(copy))).stages()
    assert all(is_complete(task, copy) for task in tasks)
    checked = 0
    for task in tasks:
        for name in read_sums(copy / task.path) or ():
            file = copy / task.path / name
            content = file.read_bytes()
            file.write_bytes(bytes([content[0] ^ 1]) + content[1:])
            caplog.clear()
            assert not is_complete(task, copy)
            assert f"{file} is damaged" in caplog.text
            file.write_bytes(content)
            checked += 1
    assert checked > 3 * len(tasks)


def test_damaged_numbers_of_a_study_are_made_anew(
    first: StudyResult, settings: dict[str, Any], workers: Workers, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(first.path, copy)
    file = copy / "study.json"
    text = file.read_text()
    file.write_text(text.replace('"train": 6', '"train": 7'))
    assert file.read_text() != text
    with pytest.raises(InputError, match=r"study\.json is damaged"):
        report([copy], tmp_path / "page.html")
    again = run_study(FrontierConfig(**settings, out=str(copy)), workers=workers)
    assert again.ran == 0
    assert again.numbers["prompts"] == {"train": 6, "eval": 4}
    assert json.loads(file.read_text())["prompts"] == {"train": 6, "eval": 4}


def test_a_run_without_its_model_is_run_anew_and_leftovers_are_swept(
    first: StudyResult, settings: dict[str, Any], workers: Workers, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(first.path, copy)
    (run,) = (copy / "runs").glob("preferred-ft-*")
    shutil.rmtree(run / "checkpoint")
    left = copy / "stages" / ".reference-0123456789ab.4321.new"
    left.mkdir()
    (left / "samples.jsonl").write_text("{}")
    again = run_study(FrontierConfig(**settings, out=str(copy)), workers=workers)
    assert again.ran == 1
    assert (run / "checkpoint" / "model.safetensors").exists()
    assert not left.exists()
    assert numbers_of(again.numbers) == numbers_of(first.numbers)


@pytest.mark.slow
def test_only_a_damaged_run_is_thrown_away(
    study: Callable[..., FrontierConfig], workers: Workers, caplog: pytest.LogCaptureFixture
) -> None:
    """Of two runs without an end, one is in another process's hands, the other's configuration was changed."""
    config = study(dpo={"beta": [1], "learning_rate": 3e-3}, unlikelihood=None)
    before = run_study(config, workers=workers)
    held, other = (next((before.path / "runs").glob(f"{name}-*")) for name in ("dpo-beta-1", "preferred-ft"))
    for run in (held, other):
        (run / "result.json").unlink()
    (other / "config.yaml").write_text(
        re.sub(r"^seed: .*", "seed: 77", (other / "config.yaml").read_text(), flags=re.MULTILINE)
    )
    weights = (held / "checkpoint" / "model.safetensors").read_bytes()
    with (held / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        again = run_study(config, workers=workers)
    ((stage, reason),) = again.failures
    assert stage == "dpo-beta-1-seed-0"
    assert "another process is working" in reason
    assert (held / "checkpoint" / "model.safetensors").read_bytes() == weights
    assert f"{other / 'config.yaml'} is damaged" in caplog.text
    last = run_study(config, workers=workers)
    assert last.ran == 1
    assert numbers_of(last.numbers) == numbers_of(before.numbers)


def test_a_larger_sweep_runs_only_what_is_new(
    first: StudyResult, settings: dict[str, Any], workers: Workers, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(first.path, copy)
    config = FrontierConfig(**{**settings, "dpo": {"beta": [0.1, 0.3, 1], "learning_rate": 3e-3}}, out=str(copy))
    again = run_study(config, workers=workers)
    assert again.ran == 1
    assert len(again.numbers["methods"][0]["points"]) == 6


@pytest.mark.slow
def test_each_learning_rate_is_a_setting_of_its_own(
    study: Callable[..., FrontierConfig], workers: Workers, tmp_path: Path
) -> None:
    dpo = {"beta": [0.1], "learning_rate": [3e-4, 3e-3]}
    result = run_study(study(preferred_ft=None, unlikelihood=None, dpo=dpo), workers=workers)
    method = result.numbers["methods"][0]
    assert [(one["value"], one["rate"]) for one in method["by_value"]] == [(0.1, 3e-4), (0.1, 3e-3)]
    assert {point["rate"] for point in method["points"]} == {3e-4, 3e-3}
    assert all(point["seeds"] == 1 for point in method["points"])
    text = report([result.path], tmp_path / "page.html").read_text()
    assert "DPO (beta 0.1, rate 0.0003)" in text
    assert "DPO 0.0003 / 0.003" in text


@pytest.mark.slow
def test_two_at_once_give_the_numbers_of_one_after_the_other(
    study: Callable[..., FrontierConfig], first: StudyResult, workers: Workers
) -> None:
    assert numbers_of(run_study(study(), workers=workers, jobs=2).numbers) == numbers_of(first.numbers)


@pytest.mark.slow
def test_seeds_have_data_of_their_own_and_are_averaged(study: Callable[..., FrontierConfig], workers: Workers) -> None:
    result = run_study(study(dpo=None, unlikelihood=None, seeds=[0, 1]), workers=workers)
    (method, _) = result.numbers["methods"]
    assert [one["seed"] for one in method["by_seed"]] == [0, 1]
    assert {point["seeds"] for point in method["points"]} == {2}
    runs = {run["seed"]: run["points"][-1]["reward"]["value"] for run in result.numbers["runs"]}
    assert method["points"][-1]["reward"]["value"] == pytest.approx((runs[0] + runs[1]) / 2)
    comparisons = grid(study(seeds=[0, 1])).method_runs.comparisons
    one, other = (result.path / comparisons[seed].path for seed in (0, 1))
    assert (one / "comparisons.jsonl").read_bytes() != (other / "comparisons.jsonl").read_bytes()


PPO = {"target_nats": [1], "learning_rate": 1e-3, "steps": 2, "prompts_per_step": 3, "samples_per_prompt": 2}


@pytest.mark.slow
def test_ppo_learns_a_reward_and_ppo_gt_has_the_true_one(
    study: Callable[..., FrontierConfig], workers: Workers
) -> None:
    changes = {"dpo": None, "preferred_ft": None, "unlikelihood": None, "reward_model": {"learning_rate": 1e-3}}
    result = run_study(study(**changes, ppo=PPO, ppo_gt=PPO), workers=workers)
    assert not result.failures
    ppo, ppo_gt, _ = result.numbers["methods"]
    assert (ppo["name"], ppo_gt["name"]) == ("ppo", "ppo_gt")
    assert ppo["points"] != ppo_gt["points"]
    assert ppo_gt["cost"]["samples_drawn"] == 2 * 3 * 2
    assert ppo_gt["cost"]["optimizer_steps"] == 2 * 2 * 3  # rounds, passes, minibatches (of a prompt each)
    assert ppo["cost"]["samples_drawn"] == 2 * 3 * 2 + 24  # and those that its reward model learned from
    assert ppo["cost"]["preparation_seconds"] > ppo_gt["cost"]["preparation_seconds"] == 0
    (model,) = result.numbers["reward_models"]
    assert 0 <= model["accuracy"]["value"] <= 1
    assert model["accuracy"]["clusters"] <= 4  # of the prompts that are measured on
    (learner,) = (result.path / "stages").glob("reward-model-seed-0-*/config.yaml")
    assert "held_out: 0" in learner.read_text()  # it learns from all that the others learn from
    (run,) = (result.path / "runs").glob("ppo-target*")
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert all("true_reward" in row for row in rows if row["kind"] == "train")


@pytest.mark.slow
def test_the_paper_s_preset_starts_and_ends_with_stand_ins_for_what_the_hub_has(
    settings: dict[str, Any], workers: Workers, tmp_path: Path
) -> None:
    """SFT, prefixes, comparisons, reward model and all methods, by the preset's settings but for names and sizes."""
    reviews = tmp_path / "reviews.jsonl"
    texts = [f"{name} thinks that the film is {word}" for name in ("Ann", "Bob", "Cleo") for word in ("good", "bad")]
    reviews.write_text("".join(json.dumps({"text": text, "label": 1}) + "\n" for text in texts))
    unseen = tmp_path / "unseen.jsonl"
    unseen.write_text("".join(json.dumps({"text": f"{text}ly made", "label": 0}) + "\n" for text in texts[::-1]))
    budget = ["steps=2", "prompts_per_step=2", "samples_per_prompt=2", "target_nats=[3]"]
    config = preset(
        "paper",
        [
            f"model={settings['model']['name']}", "model.device=cpu", f"prompts.path={reviews}", "prompts.limit=6",
            f"eval_prompts.path={unseen}", "eval_prompts.split=train", "eval_prompts.limit=6",
            f"reward={settings['reward']}", f"sft.data.path={reviews}", "sft.data.max_length=null", "seeds=[0]",
            "max_new_tokens=5", "evaluation.times=1", "evaluation.samples=2", "evaluation.reference_samples=16",
            "dpo.beta=[0.1]", "kto={beta: [0.1]}", "unlikelihood.alpha=[1]", "best_of_n.n=[1, 4, 16]",
            f"out={tmp_path / 'paper'}",
            *(f"{method}.{setting}" for method in ("ppo", "ppo_gt") for setting in budget),
        ],
    )  # fmt: skip
    result = run_study(config, workers=workers)
    assert not result.failures
    assert len(result.numbers["methods"]) == 7
    assert all(len(method["points"]) >= 1 for method in result.numbers["methods"])
    assert [path.name.split("-")[0] for path in sorted((result.path / "stages").iterdir())] == [
        "comparisons", "prompts", "reference", "reward", "reward", "sft", "unseen",
    ]  # fmt: skip
    assert result.numbers["samples"]["columns"][0]["texts"][0]["text"]
    assert run_study(config, workers=workers).ran == 0


def test_what_is_unfinished_is_listed_and_in_no_mean(
    first: StudyResult, settings: dict[str, Any], tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(first.path, copy)
    (cut,) = (copy / "runs").glob("dpo-beta-1-*")
    result = json.loads((cut / "result.json").read_text())
    (cut / "result.json").write_text(json.dumps({**result, "status": "interrupted", "training_seconds": 1e6}))
    config = FrontierConfig(**settings, out=str(copy))
    numbers = to_json(summarize(config, grid(config), copy, {}))
    (failure,) = numbers["failures"]
    assert failure["stage"] == "dpo-beta-1-seed-0"
    assert failure["reason"].endswith("(interrupted)")
    dpo = numbers["methods"][0]
    assert dpo["runs"] == {"all": 2, "failed": 0, "runaway": 0, "unfinished": 1}
    assert {point["value"] for point in dpo["points"]} == {0.1}
    assert dpo["cost"]["training_seconds"] < 1e4


# -- failures -----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_run_that_fails_is_recorded_and_the_rest_stands(
    study: Callable[..., FrontierConfig], workers: Workers
) -> None:
    config = study(unlikelihood={"alpha": [0.5], "learning_rate": 1e30}, clip=1e9)
    result = run_study(config, workers=workers)
    ((stage, reason),) = result.failures
    assert stage == "unlikelihood-alpha-0.5-seed-0"
    assert "not finite" in reason
    status = {run["method"]: run["status"] for run in result.numbers["runs"]}
    assert status == {"dpo": "done", "preferred_ft": "done", "unlikelihood": "failed"}
    assert result.numbers["failures"] == [{"stage": stage, "reason": reason}]
    assert len(list((result.path / "failed").iterdir())) == 1
    again = run_study(config, workers=workers)  # it is tried again, and only it
    assert again.ran == 1
    assert again.failures[0][0] == stage


def test_what_needs_a_failed_stage_fails_with_its_reason(
    study: Callable[..., FrontierConfig], workers: Workers, tmp_path: Path
) -> None:
    code = tmp_path / "broken.py"
    code.write_text("def broken(pairs):\n    raise ValueError('no reward today')\n")
    result = run_study(study(reward=f"{code}:broken"), workers=workers)
    assert result.numbers == {}
    assert {stage for stage, _ in result.failures} >= {"reference", "comparisons-seed-0", "dpo-beta-1-seed-0"}
    reasons = dict(result.failures)
    assert "no reward today" in reasons["reference"]
    assert all("no reward today" in reason or reason.endswith(", which failed") for reason in reasons.values())
    assert reasons["dpo-beta-1-seed-0"].startswith("it needs ")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, which is always full")
def test_a_failure_that_cannot_be_recorded_stops_with_what_to_do_and_keeps_what_is_done(
    study: Callable[..., FrontierConfig], workers: Workers, tmp_path: Path
) -> None:
    code = tmp_path / "broken.py"
    code.write_text("def broken(pairs):\n    raise ValueError('no reward today')\n")
    config = study(reward=f"{code}:broken", dpo=None, preferred_ft=None, unlikelihood=None, ppo_gt=PPO)
    failed = Path(str(config.out)) / "failed"
    failed.parent.mkdir(parents=True)
    (failed.parent / "study.yaml").write_text(to_yaml(config))
    failed.write_text("no folder")
    with pytest.raises(RunError, match=r"cannot write .*failed.*What is done stays: make room"):
        run_study(config, workers=workers)
    failed.unlink()
    assert list((failed.parent / "stages").glob("prompts-*/stage.json"))
    again = run_study(config, workers=workers)
    assert "no reward today" in dict(again.failures)["reference"]


@pytest.mark.slow
def test_a_process_that_dies_takes_nothing_with_it(
    study: Callable[..., FrontierConfig], workers: Workers, tmp_path: Path
) -> None:
    code = tmp_path / "deadly.py"
    code.write_text("import os\n\n\ndef deadly(pairs):\n    os.kill(os.getpid(), 9)\n")
    result = run_study(study(reward=f"{code}:deadly", dpo=None, unlikelihood=None), workers=workers)
    assert dict(result.failures)["reference"].startswith("its process was killed by signal 9")
    fine = run_study(study(dpo=None, unlikelihood=None), workers=workers)
    assert not fine.failures


def test_bad_folders_are_refused(study: Callable[..., FrontierConfig], workers: Workers, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file; a study needs a folder"):
        run_study(study(out=str(tmp_path / "file")), workers=workers)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="something else than a study"):
        run_study(study(out=str(tmp_path / "other")), workers=workers)
    assert [path.name for path in (tmp_path / "other").iterdir()] == ["notes.txt"]


@pytest.mark.slow
def test_prompts_that_were_trained_on_are_not_measured(
    study: Callable[..., FrontierConfig], workers: Workers, inputs: Path, tmp_path: Path
) -> None:
    both = tmp_path / "both.txt"
    both.write_text((inputs / "train.txt").read_text() + "New here.\n")
    config = study(eval_prompts=str(both), dpo=None, unlikelihood=None)
    assert run_study(config, workers=workers).numbers["prompts"] == {"train": 6, "eval": 1}
    known = run_study(study(eval_prompts=str(inputs / "train.txt"), dpo=None, unlikelihood=None), workers=workers)
    assert "every one of the 6 eval_prompts" in known.failures[0][1]


def test_texts_become_prefixes(study: Callable[..., FrontierConfig], workers: Workers, tmp_path: Path) -> None:
    reviews = tmp_path / "reviews.jsonl"
    texts = [f"{place:02} is what they gave the film" for place in range(16)]
    reviews.write_text(
        "".join(json.dumps({"text": text, "label": place // 8}) + "\n" for place, text in enumerate(texts))
    )
    source = {"path": str(reviews), "prefix_tokens": [2, 8], "limit": 8}
    result = run_study(
        study(prompts=source, dpo=None, preferred_ft=None, unlikelihood=None, ppo_gt=None), workers=workers
    )
    (folder,) = (result.path / "stages").glob("prompts-*")
    prompts = [json.loads(line)["prompt"] for line in (folder / "train.jsonl").read_text().splitlines()]
    places = [int(prompt[:2]) for prompt in prompts]
    assert len(set(places)) == 8
    assert 2 <= sum(place < 8 for place in places) <= 6  # of both labels, though the file is sorted by them
    for prompt, place in zip(prompts, places, strict=True):
        assert texts[place].startswith(prompt)
        assert 2 <= len(prompt) <= 8  # a byte is a token here


# -- the command line ---------------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.slow
def test_ctrl_c_and_again_continues(
    study: Callable[..., FrontierConfig], first: StudyResult, workers: Workers, tmp_path: Path, capfd: Any
) -> None:
    """The command is stopped as soon as its first stage is done, and a second call ends with the same numbers."""
    config = study()
    (tmp_path / "study.yaml").write_text(to_yaml(config))
    command = [sys.executable, "-m", "penchant.cli", "study", "frontier", str(tmp_path / "study.yaml")]
    process = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        # whoever started the tests in the background has them ignore Ctrl-C, and so would the command
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    stages = Path(str(config.out)) / "stages"
    while process.poll() is None and not (stages.is_dir() and any(stages.glob("[!.]*"))):
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stdout + stderr
    assert "continue with the same command" in stdout
    result = run_study(config, workers=workers)
    assert 0 < result.ran < len(grid(config).stages())
    assert numbers_of(result.numbers) == numbers_of(first.numbers)


def test_the_command_runs_and_reports(
    first: StudyResult, settings: dict[str, Any], tmp_path: Path, capsys: Any
) -> None:
    config = tmp_path / "study.yaml"
    config.write_text(to_yaml(FrontierConfig(**settings)))
    page = tmp_path / "page.html"
    command = ["study", "frontier", str(config), "-o", str(first.path), "--report", str(page)]
    assert main(command) == 0
    said = capsys.readouterr().out
    assert "DPO" in said
    assert "0 stages run" in said
    assert "At no KL have all methods that train evaluations on both sides" in said  # of these few steps
    assert page.exists()
    assert main(["report", str(first.path), "-o", str(tmp_path / "again.html")]) == 0
    assert "every method on one plot" in (tmp_path / "again.html").read_text()


def test_a_study_of_no_model_is_refused_before_it_begins(settings: dict[str, Any], tmp_path: Path, capsys: Any) -> None:
    out, common = tmp_path / "noise", [f"{name}={settings[name]}" for name in ("prompts", "eval_prompts")]
    command = ["study", "noise", *common, "model=no-such-model", "seeds=[0]", "-o", str(out)]
    assert main(command) == 2
    assert "no model 'no-such-model'" in capsys.readouterr().err
    assert not out.exists()


def test_help_and_mistakes_need_no_torch() -> None:
    """All in one process, whose start takes longer than they do."""
    check = (
        "import json, sys\nfrom penchant.cli.main import main\n"
        "for arguments in json.loads(sys.argv[1]):\n"
        "    print('----', flush=True)\n"
        "    try:\n        main(arguments)\n    except SystemExit as end:\n        print('code', end.code)\n"
        "    sys.stdout.flush()\n"
        "assert 'torch' not in sys.modules and 'numpy' not in sys.modules\n"
    )
    orders = (
        ("study", "frontier", "--help-all"),
        ("study", "noise", "--help-all"),
        ("study", "frontier", "x.yaml", "--preset", "demo"),
        ("study", "frontier", "--preset", "demo", "dpo.betta=[1]"),
        ("study", "frontier", "--preset", "demo", "--jobs", "0"),
    )
    command = [sys.executable, "-c", check, json.dumps(orders)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True)
    shown, noise, both, unknown, jobs = done.stdout.split("----\n")[1:]
    assert "ready to run: demo, small, medium, paper" in shown
    assert "dpo.beta: a list (each a number above 0)" in shown
    assert "seeds" in shown
    assert "shares: a list (each a number at least 0 and below 0.5)" in noise
    assert "a preset is a configuration" in both
    assert "`dpo.betta`" in unknown
    assert "--jobs counts from 1" in jobs
