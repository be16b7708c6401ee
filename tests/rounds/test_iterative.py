"""Iterative preference learning: one round is offline DPO, rounds draw anew, and what cannot be compared is said."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

import penchant as pt
from penchant.errors import InputError, RunMismatchError
from penchant.export.source import open_source
from penchant.judges.compare.sources import responses
from penchant.models.in_memory import model_source
from penchant.models.locate import locate
from penchant.rounds import pairs, pipeline
from penchant.train.inputs.run_models import find_run

DPO = {"batch_size": 2, "epochs": 2, "optimizer": {"learning_rate": 1e-3}, "evaluate": {"samples": {"n": 1}}}


@pytest.fixture
def iterative(tiny_model: str, tmp_path: Path) -> Callable[..., pt.Iterative]:
    (tmp_path / "rewards.py").write_text(
        "def codes(pairs):\n    return [float(sum(map(ord, r))) for _, r in pairs]\n\n"
        "def same(pairs):\n    return [1.0 for _ in pairs]\n"
    )
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("".join(f"{name} went\n" for name in ("Ann", "Bob", "Cleo", "Dan", "Eve")))

    def config(name: str, **changes: Any) -> pt.Iterative:
        defaults: dict[str, Any] = {
            "model": {"name": tiny_model, "device": "cpu"},
            "data": {"path": str(prompts), "held_out": 1},
            "reward": f"{tmp_path / 'rewards.py'}:codes",
            "rounds": 1,
            "max_new_tokens": 5,
            "dpo": DPO,
            "out": str(tmp_path / name),
        }
        return pt.Iterative(**defaults | changes)

    return config


def weights(folder: Path) -> dict[str, Any]:
    return {name: tensor.tolist() for name, tensor in load_file(folder / "model.safetensors").items()}


def policy(run: pt.RunResult, number: int = 1) -> Path:
    return run.path / f"round-{number}" / "policy"


def test_one_round_is_offline_dpo_on_the_same_pairs_to_the_bit(
    iterative: Callable[..., pt.Iterative], tiny_model: str, tmp_path: Path
) -> None:
    run = pt.train(iterative("rounds"))
    pairs = run.path / "round-1" / "pairs.jsonl"
    for group in pt.load_preferences(pairs):
        (comparison,) = group.comparisons
        scores = [sum(map(ord, response.text)) for response in group.responses]
        assert scores[comparison.winner] == max(scores) > min(scores) == scores[comparison.loser]
    model, data = {"name": tiny_model, "device": "cpu"}, {"path": str(pairs), "held_out": 0}
    offline = pt.train(
        pt.DPO(**{**DPO, "evaluate": {"samples": None}}, model=model, data=data, out=str(tmp_path / "offline"))
    )
    assert weights(offline.path / "checkpoint") == weights(policy(run) / "checkpoint")
    row = run.metrics["rounds"][0]
    assert row["samples"]["prompts"] == 4
    assert row["samples"]["samples"] == 16
    assert row["samples"]["pairs"] == row["pairs_learned"] == len(pt.load_preferences(pairs))
    assert {"reward", "kl_nats"} <= set(row["policy"]["samples"]["policy"])
    assert not any("held out" in warning for warning in run.metrics["warnings"])


def test_a_fixed_reference_stays_the_start_and_a_moving_one_does_not(iterative: Callable[..., pt.Iterative]) -> None:
    runs = {name: pt.train(iterative(name, rounds=2, reference=name)) for name in ("fixed", "moving")}
    records = {name: json.loads((policy(run, 2) / "provenance.json").read_text()) for name, run in runs.items()}
    start = json.loads((policy(runs["fixed"]) / "provenance.json").read_text())["model"]["fingerprint"]
    assert records["fixed"]["reference"]["fingerprint"] == start != records["fixed"]["model"]["fingerprint"]
    assert records["moving"]["reference"]["fingerprint"] == records["moving"]["model"]["fingerprint"] != start
    # a moving reference says how far the start is
    rows = runs["moving"].metrics["rounds"]
    assert rows[0]["after"]["kl_start"] == rows[0]["after"]["kl_last"]
    assert rows[1]["after"]["kl_start"]["value"] > rows[1]["after"]["kl_last"]["value"] > 0
    assert "after" not in runs["fixed"].metrics["rounds"][0]
    assert weights(policy(runs["fixed"]) / "checkpoint") == weights(policy(runs["moving"]) / "checkpoint")
    assert weights(policy(runs["fixed"], 2) / "checkpoint") != weights(policy(runs["moving"], 2) / "checkpoint")


def test_rounds_draw_anew_and_may_learn_from_earlier_ones_too(iterative: Callable[..., pt.Iterative]) -> None:
    run = pt.train(iterative("rounds", rounds=2, earlier_rounds=1, pairs="all", samples_per_prompt=3))
    drawn = [pt.load_preferences(run.path / f"round-{n}" / "compared.jsonl", ties="half") for n in (1, 2)]
    texts = [{response.text for group in groups for response in group.responses} for groups in drawn]
    assert texts[0] != texts[1]
    first, second = run.metrics["rounds"]
    assert first["pairs_learned"] == first["samples"]["pairs"]
    assert second["pairs_learned"] == first["samples"]["pairs"] + second["samples"]["pairs"]
    learned = pt.load_preferences(run.path / "round-2" / "pairs.jsonl")
    assert {response.text for group in learned for response in group.responses} <= texts[0] | texts[1]


def test_a_judge_that_reads_the_reward_compares_as_the_reward_does(
    iterative: Callable[..., pt.Iterative], tmp_path: Path
) -> None:
    judge = {"name": "reward", "reward": f"{tmp_path / 'rewards.py'}:codes"}
    for rule in ("best_worst", "all"):
        scored = pt.train(iterative(f"scored-{rule}", pairs=rule))
        judged = pt.train(iterative(f"judged-{rule}", pairs=rule, reward=None, judge=judge))
        rows = [run.metrics["rounds"][0]["samples"] for run in (scored, judged)]
        assert rows[0] == rows[1]
        lines = [
            {
                (group.prompt, group.responses[c.winner].text, group.responses[c.loser].text)
                for group in pt.load_preferences(run.path / "round-1" / "pairs.jsonl")
                for c in group.comparisons
            }
            for run in (scored, judged)
        ]
        assert lines[0] == lines[1]
    assert (judged.path / "judgments.sqlite").exists()


def test_a_round_without_a_difference_is_skipped_and_said(
    iterative: Callable[..., pt.Iterative], tmp_path: Path
) -> None:
    run = pt.train(iterative("same", rounds=2, reward=f"{tmp_path / 'rewards.py'}:same"))
    assert run.metrics["status"] == "done"
    assert run.metrics["steps"] == 0
    assert [row["samples"]["pairs"] for row in run.metrics["rounds"]] == [0, 0]
    assert "have samples of which none is better" in run.metrics["rounds"][0]["skipped"]
    assert run.metrics["warnings"][1].startswith("round 2: no pair has a difference")
    assert not policy(run).exists()


def test_samples_that_are_all_the_same_are_said(iterative: Callable[..., pt.Iterative]) -> None:
    run = pt.train(iterative("cold", temperature=1e-6, samples_per_prompt=2))
    row = run.metrics["rounds"][0]
    assert row["samples"]["same_prompts"] == row["samples"]["prompts"] == 4
    assert row["samples"]["repeated"] == 4
    assert row["skipped"] == "all 8 samples of 4 prompts say the same as the others of their prompt"


def test_samples_that_were_all_cut_and_left_out_are_said(iterative: Callable[..., pt.Iterative]) -> None:
    run = pt.train(iterative("cut", cut_samples="drop", max_new_tokens=1))
    (row,) = run.metrics["rounds"]
    assert row["samples"]["pairs"] == 0
    assert row["samples"]["cut"] > 0
    assert f"{row['samples']['cut']} of 16 samples were cut and left out" in row["skipped"]


def test_a_round_may_learn_from_an_earlier_one_that_left_nothing(
    iterative: Callable[..., pt.Iterative], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = iter([False, True])

    def without_cut(groups: Sequence[pt.PromptGroup]) -> list[pt.PromptGroup]:
        return list(groups) if next(kept) else [pt.PromptGroup(group.prompt, []) for group in groups]

    monkeypatch.setattr(pairs, "without_cut_samples", without_cut)
    run = pt.train(iterative("empty", rounds=2, earlier_rounds=1, cut_samples="drop"))
    assert "skipped" in run.metrics["rounds"][0]
    assert run.metrics["rounds"][1]["pairs_learned"] > 0


def test_prompts_without_room_are_said_and_none_with_room_is_refused(
    iterative: Callable[..., pt.Iterative], tmp_path: Path
) -> None:
    prompts = tmp_path / "long.txt"
    prompts.write_text("far " * 50 + "\nAnn went\nBob went\n")  # the context is 160
    run = pt.train(iterative("some", data={"path": str(prompts), "held_out": 0}))
    assert "round 1: 1 of 3 prompts leave no room for a sample, and were left out" in run.metrics["warnings"]
    with pytest.raises(InputError, match=r"none of 3 prompts leaves room for max_new_tokens=158 .* 160 tokens"):
        pt.train(iterative("none", max_new_tokens=158, data={"path": str(prompts), "held_out": 0}))


def test_the_stages_read_thoughts_as_the_rounds_do(iterative: Callable[..., pt.Iterative]) -> None:
    config = iterative("thoughts")
    assert config.stage(0).data.thoughts == "score"
    assert config.replace(data=config.data.replace(thoughts="mask")).stage(0).data.thoughts == "mask"


def test_what_was_stopped_anywhere_ends_with_the_same_bits(
    iterative: Callable[..., pt.Iterative], monkeypatch: pytest.MonkeyPatch
) -> None:
    straight = pt.train(iterative("straight", rounds=2, earlier_rounds=1))
    config = iterative("stopped", rounds=2, earlier_rounds=1)
    for name in ("groups", "numbers", "stage"):  # before and after each of these, in each round
        original = getattr(pipeline.Round, name)
        for stop_at in range(3):
            calls = iter(range(100))

            def stopping(*arguments: Any, original: Any = original, calls: Any = calls, stop_at: int = stop_at) -> Any:
                if next(calls) == stop_at:
                    raise KeyboardInterrupt
                return original(*arguments)

            with monkeypatch.context() as patch:
                patch.setattr(pipeline.Round, name, stopping)
                try:
                    pt.train(config)
                except KeyboardInterrupt:
                    continue
    again = pt.train(config)
    assert again.metrics["rounds"] == straight.metrics["rounds"]
    for number in (1, 2):
        assert weights(policy(again, number) / "checkpoint") == weights(policy(straight, number) / "checkpoint")


def test_a_folder_of_other_settings_prompts_or_rewards_is_refused(
    iterative: Callable[..., pt.Iterative], tmp_path: Path
) -> None:
    pt.train(iterative("taken"))
    with pytest.raises(InputError, match=r"the configuration differs .* in pairs"):
        pt.train(iterative("taken", pairs="all"))
    rewards = tmp_path / "rewards.py"
    rewards.write_text(rewards.read_text().replace("float(sum", "-float(sum"))
    with pytest.raises(RunMismatchError, match="the reward changed since the run in"):
        pt.train(iterative("taken"))


def test_bad_settings_are_named_before_anything_runs(iterative: Callable[..., pt.Iterative], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"set `reward` .* or `judge` .*, and not both"):
        iterative("bad", reward=None)
    with pytest.raises(InputError, match=r"set `reward` .* or `judge` .*, and not both"):
        iterative("bad", judge={"name": "longest"})
    with pytest.raises(InputError, match=r"`dpo.reference` is the pipeline's to set"):
        iterative("bad", dpo={"reference": "penchant-0.5m"})
    with pytest.raises(InputError, match="stepz"):
        iterative("bad", dpo={"stepz": 3})
    with pytest.raises(InputError, match=r"use `cut_samples: drop`"):
        iterative("bad", reward=None, judge={"name": "longest"}, cut_penalty=1)
    (tmp_path / "empty.txt").write_text("\n\n")
    with pytest.raises(InputError, match=r"empty\.txt"):
        pt.train(iterative("bad", data=str(tmp_path / "empty.txt")))
    with pytest.raises(InputError, match="nowhere"):
        pt.train(iterative("bad", reward="nowhere"))
    assert not (tmp_path / "bad").exists()


def test_the_folder_of_rounds_stands_for_the_last_policy_wherever_a_model_can(
    iterative: Callable[..., pt.Iterative], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = pt.train(iterative("rounds", rounds=2))
    last = policy(run, 2) / "checkpoint"
    assert locate(str(run.path)) == str(last.resolve())
    assert model_source(run) == str(last)
    assert open_source(str(run.path)).weights == str(last)
    found = find_run(str(run.path))
    assert found is not None
    assert (found.path, found.folder) == (last.parent, last)
    texts = responses(str(run.path))
    assert texts == responses(str(last.parent))
    assert "come to" not in caplog.text
    # a round that trained nothing made no policy, so the one before stands
    shutil.rmtree(last.parent)
    assert locate(str(run.path)) == str((policy(run, 1) / "checkpoint").resolve())
    (run.path / "result.json").unlink()
    assert find_run(str(run.path)) is not None
    assert "did not come to their end" in caplog.text
    # the weights of a round that has just begun are not there yet, and no others stand for them
    last.parent.mkdir()
    (last.parent / "config.yaml").write_text("method: dpo\n")
    with pytest.raises(InputError, match="has no checkpoint yet"):
        find_run(str(run.path))
