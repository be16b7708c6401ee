"""KTO: its loss and KL term by hand, where it moves good and bad responses, and what its data may be.

(What every method must keep to is tested in test_methods.py.)
"""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import penchant as pt
from penchant.cli.main import main
from penchant.data.layouts.unpaired import labels_of
from penchant.engine.score import score_rows
from penchant.reports.run.curves import panels
from penchant.reports.run.page import FIGURE_KEYS
from penchant.reports.run.sentences import sentences
from penchant.reports.run.summary import summarize
from penchant.runs.read import read_runs
from penchant.train.mismatched import mismatch
from penchant.train.plan import split_by_prompt

ALL = 10_000  # a batch size that takes all labels in one step


def rows_of(path: Path, kind: str = "") -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return [row for row in rows if not kind or row["kind"] == kind]


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def labelled_file(preference_file: Path, tmp_path: Path) -> Path:
    """The responses of the comparisons as single rows, good if they won; twice each, as each won or lost twice."""
    rows = []
    for row in rows_of(preference_file):
        for number, text in enumerate(row["responses"]):
            rows += 2 * [{"prompt": row["prompt"], "completion": text, "label": number in (0, 2)}]
    return write(tmp_path / "labelled.jsonl", rows)


@pytest.fixture
def train(tiny_model: str, labelled_file: Path, tmp_path: Path) -> Callable[..., pt.RunResult]:
    def run(name: str, data: Path | None = None, **settings: Any) -> pt.RunResult:
        defaults: dict[str, Any] = {
            "model": {"name": tiny_model, "device": "cpu"},
            "data": {"path": str(data or labelled_file), "held_out": 2, **settings.pop("reading", {})},
            "batch_size": 8,
            "epochs": 3,
            "optimizer": {"learning_rate": 3e-3},
            "evaluate": {"samples": None},
            "out": str(tmp_path / name),
        }
        return pt.train(pt.KTO(**defaults | settings))

    return run


def weights(run: pt.RunResult) -> dict[str, torch.Tensor]:
    return load_file(run.path / "checkpoint" / "model.safetensors")


def distance(one: pt.RunResult, other: pt.RunResult) -> float:
    a, b = weights(one), weights(other)
    return max(float((a[name] - b[name]).abs().max()) for name in a)


def test_the_loss_and_its_kl_term_by_hand(
    train: Callable[..., pt.RunResult], tiny_model: str, labelled_file: Path
) -> None:
    """One step on all labels, by a policy that is not its reference, from scores of plain rows."""
    moved = train("moved").path / "checkpoint"
    settings: dict[str, Any] = {"beta": 0.3, "desirable_weight": 1.5, "undesirable_weight": 0.5}
    run = train(
        "run", model={"name": str(moved), "device": "cpu"}, reference=tiny_model, batch_size=ALL, epochs=1, **settings
    )
    policy, reference = (pt.load_policy(name, device="cpu") for name in (moved, tiny_model))
    groups = pt.load_preferences(labelled_file)
    sides = [[groups[place] for place in side] for side in split_by_prompt(groups, 2, 0)]
    rows = mismatch(sides[0], sides[1], policy.renderer, seed=0)
    estimates = []
    for side, mismatched, line in zip(
        sides, rows, (rows_of(run.path / "metrics.jsonl", "train")[0], run.metrics["first"]["held_out"]), strict=True
    ):
        ratios = [mine - theirs for mine, theirs in zip(policy.score(side), reference.score(side), strict=True)]
        pairs = [(row, [0]) for row in mismatched.rendered]
        own, ref = (score_rows(scorer, pairs) for scorer in (policy.scorer, reference.scorer))
        z = float((own - ref).mean())
        total = loss = margin = 0.0
        for group, row in zip(side, ratios, strict=True):
            for label in labels_of(group):
                lead = 0.3 * (float(row[label.response]) - max(z, 0)) * (1 if label.desirable else -1)
                loss += label.weight * (1.5 if label.desirable else 0.5) * float(torch.sigmoid(torch.tensor(-lead)))
                margin += label.weight * lead
                total += label.weight
        found = {name: value["value"] if isinstance(value, dict) else value for name, value in line.items()}
        assert found["loss"] == pytest.approx(loss / total, abs=1e-4)
        assert found["margin"] == pytest.approx(margin / total, abs=1e-4)
        assert found["mismatched_log_ratio"] == pytest.approx(z, abs=1e-3)
        estimates.append(z)
    assert estimates[0] > 1 > -1 > estimates[1]  # one that shifts the loss, one that counts as none


def test_before_the_first_step_it_is_half_and_nobody_leads(train: Callable[..., pt.RunResult]) -> None:
    run = train("run", batch_size=ALL, epochs=1)
    (line,) = rows_of(run.path / "metrics.jsonl", "train")
    held = run.metrics["first"]["held_out"]
    assert (line["loss"], held["loss"]["value"]) == pytest.approx((0.5, 0.5), abs=1e-6)
    assert line["label_accuracy"] == held["label_accuracy"]["value"] == 0.5
    assert line["desirable_share"] == held["desirable_share"]["value"] == 0.5
    assert line["labels"] == 40  # of 10 prompts; the two same labels of a response are one of weight 2
    assert run.metrics["data"]["desirable"] == run.metrics["data"]["undesirable"] == 48
    assert held["label_accuracy"]["n"] == 8
    weighted = train("weighted", batch_size=ALL, epochs=1, desirable_weight=3.0)
    assert weighted.metrics["first"]["held_out"]["loss"]["value"] == pytest.approx((3 * 0.5 + 0.5) / 2, abs=1e-6)


def turned(path: Path, into: Path) -> Path:
    return write(into, [row | {"label": not row["label"]} for row in rows_of(path)])


def test_the_good_go_up_and_the_bad_go_down_and_with_the_labels_they_turn_around(
    train: Callable[..., pt.RunResult], tiny_model: str, labelled_file: Path, tmp_path: Path
) -> None:
    right, wrong = train("right"), train("wrong", data=turned(labelled_file, tmp_path / "turned.jsonl"))
    groups = pt.load_preferences(labelled_file)
    start = pt.load_policy(tiny_model, device="cpu").score(groups)

    def moved(run: pt.RunResult) -> tuple[float, float]:
        """By how much the responses that are labelled good, and those labelled bad, became likelier, in nats."""
        scores = pt.load_policy(run.path / "checkpoint", device="cpu").score(groups)
        gains = torch.stack([mine - theirs for mine, theirs in zip(scores, start, strict=True)])
        return float(gains[:, [0, 2]].mean()), float(gains[:, [1, 3]].mean())

    good, bad = moved(right)
    assert good > 1 > -1 > bad
    good, bad = moved(wrong)
    assert good < -1 < 1 < bad
    final = right.metrics["final"]["held_out"]
    assert final["desirable_log_ratio"]["value"] > 1
    assert final["undesirable_log_ratio"]["value"] < -1
    assert final["label_accuracy"]["value"] > 0.9
    last = rows_of(right.path / "metrics.jsonl", "train")[-1]
    assert last["desirable_log_ratio"] > 1 > -1 > last["undesirable_log_ratio"]


def test_only_the_last_block_may_train(train: Callable[..., pt.RunResult], tiny_model: str) -> None:
    """The training rows start from kept states, the mismatched ones run through the whole model as it is."""
    model = {"name": tiny_model, "device": "cpu", "train_top": 1}
    run = train("run", model=model)
    start, end = load_file(Path(tiny_model) / "model.safetensors"), weights(run)
    changed = {name for name in start if not torch.equal(start[name], end[name])}
    assert changed
    assert not [name for name in changed if "layers.0" in name or "embed" in name]
    lines = rows_of(run.path / "metrics.jsonl", "train")
    assert lines[0]["loss"] == pytest.approx(0.5, abs=1e-5)
    assert lines[0]["mismatched_log_ratio"] == pytest.approx(0, abs=1e-4)
    assert lines[-1]["label_accuracy"] > 0.8
    assert abs(lines[-1]["mismatched_log_ratio"]) > 0.01


def test_a_step_with_labels_of_one_side_says_nothing_of_the_other(train: Callable[..., pt.RunResult]) -> None:
    run = train("run", batch_size=1, epochs=1)
    for line in rows_of(run.path / "metrics.jsonl", "train"):
        good = line["desirable_share"] == 1
        assert ("desirable_log_ratio" in line, "undesirable_log_ratio" in line) == (good, not good)


def test_comparisons_are_two_labels_each(
    train: Callable[..., pt.RunResult], preference_file: Path, labelled_file: Path
) -> None:
    settings = {"optimizer": {"learning_rate": 1e-3, "eps": 1e-3}}
    single, compared = train("single", **settings), train("compared", data=preference_file, **settings)
    assert distance(single, compared) < 1e-6


def test_the_result_does_not_depend_on_the_micro_batches(train: Callable[..., pt.RunResult]) -> None:
    settings = {"optimizer": {"learning_rate": 1e-3, "eps": 1e-3}}
    plain, small = train("plain", **settings), train("small", tokens_per_batch=40, **settings)
    for one, other in zip(*(rows_of(run.path / "metrics.jsonl", "train") for run in (plain, small)), strict=True):
        assert one.keys() == other.keys()
        for name in one.keys() - {"kind", "seconds", "tokens_per_s"}:
            assert one[name] == pytest.approx(other[name], rel=1e-3, abs=1e-4), name
    assert distance(plain, small) < 1e-5


@pytest.mark.parametrize(
    "change",
    [
        {"beta": 0.5},
        {"desirable_weight": 2.0},
        {"undesirable_weight": 2.0},
        {"reference": "OTHER"},
        {"seed": 1, "reading": {"held_out": 0}},
        {"reading": {"held_out": 3}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_setting_changes_something(
    train: Callable[..., pt.RunResult], tiny_model: str, tmp_path: Path, change: dict[str, Any]
) -> None:
    if "reference" in change:
        change = {"reference": str(train("other", epochs=1).path / "checkpoint")}
    reading = {"held_out": 0} if "seed" in change else {}
    runs = [train("start", epochs=1, reading=reading), train("changed", epochs=1, **change)]
    losses = [[line["loss"] for line in rows_of(run.path / "metrics.jsonl", "train")] for run in runs]
    assert losses[0] != losses[1]


def test_where_most_labels_are_good_the_weights_that_balance_them_are_named(
    train: Callable[..., pt.RunResult], labelled_file: Path, tmp_path: Path
) -> None:
    rows = rows_of(labelled_file)
    few = write(tmp_path / "few.jsonl", [row for row in rows if row["label"] or "sad" in row["completion"]])
    run = train("run", data=few, epochs=1)
    (said,) = [text for text in run.metrics["warnings"] if "good and" in text]
    assert "48 good and 24 bad labels weigh 2 to 1" in said
    assert "desirable_weight between 0.5 and 0.667" in said
    balanced = train("balanced", data=few, epochs=1, desirable_weight=0.6)
    assert not [text for text in balanced.metrics["warnings"] if "good and" in text]


def test_labels_that_contradict_each_other_are_counted_or_refused(
    train: Callable[..., pt.RunResult], labelled_file: Path, tmp_path: Path
) -> None:
    rows = rows_of(labelled_file)
    mixed = write(tmp_path / "mixed.jsonl", [*rows, *(row | {"label": not row["label"]} for row in rows[:6])])
    run = train("run", data=mixed, epochs=1)
    assert run.metrics["data"]["labelled_both"] == 3
    assert any("3 responses are labelled both good and bad; both labels are kept" in w for w in run.metrics["warnings"])
    with pytest.raises(pt.InputError, match=r"3 responses are labelled both good and bad\. Decide which holds"):
        train("strict", data=mixed, reading={"contradictions": "error"})
    assert not (tmp_path / "strict").exists()


GOOD = {"prompt": "Who?", "completion": " Me.", "label": True}
BAD = {"prompt": "Who is it?", "completion": " Them.", "label": False}


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([GOOD, BAD | {"label": "bad"}], ["rows.jsonl:2", "'label'", "true (good) or false (bad)", "'bad'"]),
        ([GOOD, {"prompt": "Who?", "completion": " You."}], ["rows.jsonl:2", "'label' or 'kto_tag' is missing"]),
        ([GOOD, GOOD | {"prompt": "Then who?"}], ["all 2 labels are good", "add bad ones", "sft"]),
        ([BAD, BAD | {"prompt": "Then who?"}], ["all 2 labels are bad", "add good ones"]),
        ([GOOD, GOOD | {"completion": " You.", "label": False}], ["only one prompt"]),
        ([{"prompt": "Who?", "responses": ["a", "b"], "scores": [0.1, 7]}], ["rows.jsonl:1", "score 7", "no label"]),
        ([{"prompt": "Who?", "responses": ["a", "b"]}], ["holds no labels"]),
        ([{"prompt": "Who?", "completion": "a"}], ["demonstrations"]),
    ],
)
def test_bad_labels_are_named_before_anything_is_written(
    tiny_model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], rows: list[dict[str, Any]], words: list[str]
) -> None:
    data, out = write(tmp_path / "rows.jsonl", rows), tmp_path / "run"
    assert main(["train", "kto", f"model={tiny_model}", "model.device=cpu", f"data={data}", f"out={out}"]) == 2
    said = capsys.readouterr().err
    for word in words:
        assert word in said, said
    assert "Traceback" not in said
    assert not out.exists()


@pytest.mark.slow
def test_a_killed_run_ends_with_the_same_bits(
    penchant: Callable[..., Any], tiny_model: str, labelled_file: Path, tmp_path: Path
) -> None:
    settings = (f"model={tiny_model}", "model.device=cpu", f"data={labelled_file}", "data.held_out=1", "batch_size=3",
                "model.lora={}", "model.lora.dropout=0.2", "optimizer.learning_rate=1e-3", "checkpoint_every=2",
                "evaluate.every_steps=5", "evaluate.samples=null")  # fmt: skip
    assert main(["train", "kto", *settings, f"out={tmp_path / 'straight'}"]) == 0
    killed, end = penchant("train", "kto", *settings, "out=killed"), time.monotonic() + 60
    metrics = tmp_path / "killed" / "metrics.jsonl"
    while not (metrics.exists() and metrics.read_text().count('"train"') >= 5):
        assert time.monotonic() < end
        time.sleep(0.001)
    killed.kill(signal.SIGKILL)
    killed.wait()
    resumed = penchant("train", "kto", "--resume", "out=killed")
    assert resumed.wait() == 0, resumed.stderr
    assert "resuming after step" in resumed.stderr
    lines = [rows_of(tmp_path / name / "metrics.jsonl") for name in ("straight", "killed")]
    for one, other in zip(*lines, strict=True):
        for clock in ("seconds", "tokens_per_s"):
            one.pop(clock, None), other.pop(clock, None)
        assert one == other
    assert len([line for line in lines[0] if line["kind"] == "train"]) == 15
    (first,), (second,) = (
        (tmp_path / name / "checkpoint").glob("*model.safetensors") for name in ("straight", "killed")
    )
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.slow
def test_the_report_speaks_of_labels(train: Callable[..., pt.RunResult], tmp_path: Path) -> None:
    samples = {"samples": {"max_new_tokens": 5, "reward": "vader"}}
    runs = [train(name, evaluate=samples, beta=beta).path for name, beta in (("a", 0.1), ("b", 0.5))]
    page = pt.report(runs[:1], tmp_path / "one.html").read_text()
    for words in ("Label accuracy", "held-out labels", "Log-ratio to the reference", "48 good labels", "are good"):
        assert words in page, words
    assert "chosen response" not in page
    both = read_runs(runs)
    assert {"label_accuracy", "log_ratios.good", "log_ratios.bad"} <= set(panels(both)) & set(FIGURE_KEYS)
    told = sentences([summarize(run) for run in both])
    assert "At the last evaluation" in told["log_ratios.good"]
    assert "nats" in told["log_ratios.bad"]
