"""`penchant score`: its numbers against `transformers` and against the evaluation of training, and its resume."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import penchant as pt
from penchant.cli.main import main
from penchant.train.evaluation import file_scores

Rows = list[dict[str, Any]]
PAIRS = [
    {"prompt": f"Question {number}?", "chosen": f" Yes, {number} of them.", "rejected": " No"[: 2 + number % 2]}
    for number in range(1, 11)
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("scores")
    (made / "prefs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in PAIRS))
    return made


def config(model: str, folder: Path, out: str) -> dict[str, Any]:
    return {
        "model": {"name": model, "device": "cpu"},
        "data": {"path": str(folder / "prefs.jsonl"), "held_out": 4},
        "seed": 3,
        "max_steps": 2,
        "batch_size": 2,
        "optimizer": {"learning_rate": 1e-3},
        "out": str(folder / out),
    }


@pytest.fixture(scope="module")
def dpo_run(tiny_model: str, folder: Path) -> Path:
    settings = config(tiny_model, folder, "dpo")
    return pt.train(pt.DPO(**settings, loss={"name": "sigmoid", "beta": 0.3}, evaluate={"samples": None})).path


@pytest.fixture
def score(capsys: pytest.CaptureFixture[str], folder: Path, tmp_path: Path) -> Callable[..., tuple[int, str, Rows]]:
    def call(model: str | Path, *settings: str, out: str = "scores.jsonl") -> tuple[int, str, Rows]:
        file = tmp_path / out
        code = main(["score", str(model), str(folder / "prefs.jsonl"), f"out={file}", "device=cpu", *settings])
        text = "".join(capsys.readouterr())
        return code, text, [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    return call


def direct_logps(model: str, prompt: str, response: str) -> list[float]:
    """Log-probability of each token of the response and its end, by `transformers` alone."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer, network = AutoTokenizer.from_pretrained(model), AutoModelForCausalLM.from_pretrained(model)
    before, whole = (tokenizer(text, add_special_tokens=True)["input_ids"] for text in (prompt, prompt + response))
    ids = torch.tensor([[*whole, tokenizer.eos_token_id]])
    with torch.no_grad():
        logps = torch.log_softmax(network(ids).logits.float(), dim=-1)[0]
    return [float(logps[place - 1, ids[0, place]]) for place in range(len(before), ids.shape[1])]


def test_numbers_are_those_of_the_plain_forward(score: Callable[..., tuple[int, str, Rows]], tiny_model: str) -> None:
    code, _, rows = score(tiny_model, "tokens=true")
    assert code == 0
    assert len(rows) == len(PAIRS)
    for row, pair in zip(rows[:3], PAIRS, strict=False):
        for number, side in enumerate(("chosen", "rejected")):
            expected = direct_logps(tiny_model, pair["prompt"], pair[side])
            assert row["token_logps"][number] == pytest.approx(expected, abs=1e-4)
            assert row["logps"][number] == pytest.approx(sum(expected), abs=1e-3)
            assert row["tokens"][number] == len(expected) == len(row["token_ids"][number])
            assert row["mean_logps"][number] == pytest.approx(sum(expected) / len(expected), abs=1e-4)
            assert row["token_texts"][number][-1] == "</s>"
        assert row["margins"] == [row["logps"][0] - row["logps"][1]]
    assert "implicit_rewards" not in rows[0]


def test_the_file_is_read_as_our_own(
    score: Callable[..., tuple[int, str, Rows]], tiny_model: str, folder: Path, tmp_path: Path
) -> None:
    score(tiny_model, "tokens=true", out="plain.jsonl")
    assert pt.load_preferences(tmp_path / "plain.jsonl") == pt.load_preferences(folder / "prefs.jsonl")


def test_a_run_scores_as_its_own_evaluation(score: Callable[..., tuple[int, str, Rows]], dpo_run: Path) -> None:
    code, text, rows = score(dpo_run, "side=held_out")  # of 4 prompts by the run's seed, beta by its loss
    assert code == 0
    final = json.loads((dpo_run / "result.json").read_text())["final"]["held_out"]
    assert len(rows) == final["margin"]["n"] == 4
    margins = [margin for row in rows for margin in row["margins"]]
    assert sum(margins) / 4 == pytest.approx(final["margin"]["value"], abs=1e-6)
    assert sum(row["logps"][0] for row in rows) / 4 == pytest.approx(final["chosen_logps"]["value"], abs=1e-5)
    assert sum(margin > 0 for margin in margins) / 4 == final["accuracy"]["value"]
    for row in rows:
        for logp, reference, reward in zip(row["logps"], row["reference_logps"], row["implicit_rewards"], strict=True):
            assert reward == pytest.approx(0.3 * (logp - reference), abs=1e-5)
    assert "beta=0.3 times log-ratios" in text
    assert "accuracy by log-probability alone" in text
    assert len(score(dpo_run, out="all.jsonl")[2]) == 10
    assert len(score(dpo_run, "side=train", "held_out=1", out="train.jsonl")[2]) == 9


@pytest.mark.slow
def test_adapters_with_added_tokens_score_as_their_own_evaluation(
    score: Callable[..., tuple[int, str, Rows]], tiny_model: str, folder: Path
) -> None:
    """The reference is the base with the rows of the added tokens, as when the run began."""
    settings = config(tiny_model, folder, "adapters")
    settings["model"]["lora"] = {"rank": 2}
    settings["data"]["template"] = "chatml"
    run = pt.train(pt.DPO(**settings, evaluate={"samples": None})).path
    code, _, rows = score(run, "side=held_out")
    assert code == 0
    final = json.loads((run / "result.json").read_text())["final"]["held_out"]
    margins = [margin for row in rows for margin in row["margins"]]
    assert sum(margins) / len(margins) == pytest.approx(final["margin"]["value"], abs=1e-5)
    assert any(margins)


def test_the_reference_can_be_named_or_left_out(
    score: Callable[..., tuple[int, str, Rows]], dpo_run: Path, tiny_model: str
) -> None:
    _, _, own = score(dpo_run, "beta=2")
    _, text, named = score(dpo_run / "checkpoint", f"reference={tiny_model}", "beta=2", out="named.jsonl")
    assert named == own
    assert f"log-ratios to {tiny_model}" in text
    assert "reference_logps" not in score(dpo_run, "reference=null", out="without.jsonl")[2][0]


def test_a_reference_with_other_weights_is_refused(
    score: Callable[..., tuple[int, str, Rows]], dpo_run: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(dpo_run, run)
    record = json.loads((run / "provenance.json").read_text())
    record["reference"]["fingerprint"] = "0" * 32
    (run / "provenance.json").write_text(json.dumps(record))
    code, text, _ = score(run)
    assert code == 2
    assert "has other weights than when the run" in text
    assert "reference=MODEL" in text


def test_scores_that_are_not_finite_are_refused_by_the_row(
    score: Callable[..., tuple[int, str, Rows]], tiny_model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = file_scores.score

    def spoil(*arguments: Any, **names: Any) -> list[torch.Tensor]:
        scores = plain(*arguments, **names)
        scores[2][1] = torch.nan
        return scores

    monkeypatch.setattr(file_scores, "score", spoil)
    code, text, rows = score(tiny_model)
    assert (code, rows) == (2, [])
    assert "prefs.jsonl:3: the scores of" in text
    assert "are not finite" in text


def test_a_reward_model_gives_rewards(
    score: Callable[..., tuple[int, str, Rows]], tiny_model: str, folder: Path
) -> None:
    run = pt.train(pt.RewardModel(**config(tiny_model, folder, "reward"))).path
    code, text, rows = score(run)
    assert code == 0
    expected = pt.load_reward_model(run, device="cpu").score(pt.load_preferences(folder / "prefs.jsonl"))
    for row, values in zip(rows, expected, strict=True):
        assert row["rewards"] == pytest.approx(values.tolist(), abs=1e-6)
        assert row["margins"] == [row["rewards"][0] - row["rewards"][1]]
    assert "by rewards" in text
    code, text, _ = score(run, "tokens=true", out="tokens.jsonl")
    assert code == 2
    assert "is a reward model" in text
    assert "leave out tokens" in text
    code, text, _ = score(run, "template_args={shout: true}", out="shout.jsonl")
    assert code == 2
    assert "shout" in text  # told to the template, which has no such argument


def test_a_stopped_command_goes_on_to_the_same_bytes(
    score: Callable[..., tuple[int, str, Rows]],
    dpo_run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(file_scores, "CHUNK", 4)
    score(dpo_run, out="whole.jsonl")
    calls: list[int] = []
    plain = file_scores.Scoring.score_rows

    def stop_in_the_second(*arguments: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return plain(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(file_scores.Scoring, "score_rows", stop_in_the_second)
        code, text, rows = score(dpo_run)
    assert code == 130
    assert rows == []
    assert "--resume" in text
    assert score(dpo_run)[0] == 2  # what was done is not thrown away
    code, text, _ = score(dpo_run, "beta=7", "--resume")
    assert code == 2
    assert "beta changed since" in text
    code, _, rows = score(dpo_run, "--resume")
    assert code == 0
    assert len(rows) == 10
    assert (tmp_path / "scores.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    assert score(dpo_run, "--resume")[0] == 0  # nothing is left to do
