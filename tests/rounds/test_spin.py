"""SPIN: one iteration is DPO on its pairs, iterations build on each other, and stop where nothing is left to learn."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

import penchant as pt
from penchant.cli.train import _summary
from penchant.errors import InputError, RunMismatchError
from penchant.judges.settings import Longest
from penchant.metrics.estimates import Estimate, Interval
from penchant.rounds import measure, pipeline, self_play
from penchant.rounds.self_play import _stop_reason, against_real, count_answers
from penchant.rounds.supervisor import Supervisor
from penchant.types import Comparison, PromptGroup, Response

NAMES = ("Ann", "Bob", "Cleo", "Dan", "Eve")
DPO = {"batch_size": 2}
SETTINGS: dict[str, Any] = {
    "learning_rate": 1e-3,
    "epochs": 2,
    "max_new_tokens": 5,
    "stop_likelihood": False,
    "dpo": DPO,
}


@pytest.fixture
def spin(tiny_model: str, tmp_path: Path) -> Callable[..., pt.SPIN]:
    rows = [{"prompt": f"{name} went", "completion": f" to {name[0]}."} for name in NAMES]
    file = tmp_path / "answers.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))

    def config(name: str, **changes: Any) -> pt.SPIN:
        defaults: dict[str, Any] = {
            "model": {"name": tiny_model, "device": "cpu"},
            "data": {"path": str(file), "held_out": 2},
            "rounds": 1,
            "out": str(tmp_path / name),
            **SETTINGS,
        }
        return pt.SPIN(**defaults | changes)

    return config


def weights(folder: Path) -> dict[str, Any]:
    return {name: tensor.tolist() for name, tensor in load_file(folder / "model.safetensors").items()}


def policy(run: pt.RunResult, number: int = 1) -> Path:
    return run.path / f"round-{number}" / "policy"


def test_one_iteration_is_dpo_on_the_same_pairs_to_the_bit(
    spin: Callable[..., pt.SPIN], tiny_model: str, tmp_path: Path
) -> None:
    run = pt.train(spin("spin", beta=0.5))
    pairs = run.path / "round-1" / "pairs.jsonl"
    direct = pt.train(
        pt.DPO(
            model={"name": tiny_model, "device": "cpu"},
            data={"path": str(pairs), "held_out": 0},
            loss={"name": "sigmoid", "beta": 0.5},
            optimizer={"learning_rate": 1e-3},
            epochs=2,
            evaluate={"samples": None},
            out=str(tmp_path / "direct"),
            **DPO,
        )
    )
    assert weights(direct.path / "checkpoint") == weights(policy(run) / "checkpoint")
    start = pt.load_policy(tiny_model, device="cpu")
    for group in pt.load_preferences(pairs):
        (comparison,) = group.comparisons
        real, generated = group.responses[comparison.winner], group.responses[comparison.loser]
        assert (real.text.startswith(" to "), real.finished) == (True, True)
        # a cut answer stays unfinished: no end token is taught or told apart
        assert generated.finished == (generated.token_ids[-1] in start.renderer.end_ids)
        rendered = start.renderer.render(group)
        assert rendered.branches[comparison.loser].ids == generated.token_ids
        assert rendered.branches[comparison.winner].ids[-1] in start.renderer.end_ids
        assert rendered.prompt_ids == start.renderer.prompt_ids(group.prompt)  # one template for both


def test_an_iteration_says_what_it_came_to(spin: Callable[..., pt.SPIN], tiny_model: str) -> None:
    run = pt.train(spin("spin", reward="vader", judge={"name": "longest"}))
    (row,) = run.metrics["rounds"]
    assert row["samples"]["prompts"] == row["samples"]["samples"] == row["pairs_learned"] == 3
    assert row["before"].keys() == {"real_logps", "tokens", "finished", "reward", "win_rate"}
    assert row["after"].keys() == row["before"].keys() | {"kl_start", "kl_last"}
    assert row["after"]["kl_start"] == row["after"]["kl_last"]  # the start is the model before
    assert row["after"]["kl_start"]["value"] > 0
    assert row["accuracy"] == row["policy"]["held_out"]["accuracy"]
    assert row["real_logps_change"]["value"] == pytest.approx(
        row["after"]["real_logps"]["value"] - row["before"]["real_logps"]["value"]
    )
    held = pt.load_demonstrations(run.path / "prompts-held-out.jsonl")
    start = pt.load_policy(tiny_model, device="cpu")
    expected = sum(float(row.sum()) for row in start.score(held)) / 2
    assert row["before"]["real_logps"]["value"] == pytest.approx(expected, rel=1e-5)


def test_an_iteration_begins_with_the_last_ones_model_and_learns_from_its_pairs_too(
    spin: Callable[..., pt.SPIN],
) -> None:
    run = pt.train(spin("spin", rounds=3, beta=[0.1, 5.0], learning_rate=[1e-3, 2e-3], optimizer=["rmsprop", "adamw"]))
    assert [row["pairs_learned"] for row in run.metrics["rounds"]] == [3, 6, 6]
    configs = [json.loads((policy(run, n) / "provenance.json").read_text()) for n in (1, 2, 3)]
    for before, after in pairwise(configs):
        # the reference is the model that generated
        assert after["reference"]["fingerprint"] == after["model"]["fingerprint"] != before["model"]["fingerprint"]
    stages = [spin("spin", rounds=3, beta=[0.1, 5.0], optimizer=["rmsprop", "adamw"]).stage(n) for n in range(3)]
    assert [stage.loss.beta for stage in stages] == [0.1, 5.0, 5.0]
    assert [stage.optimizer.name for stage in stages] == ["rmsprop", "adamw", "adamw"]
    first, last = run.metrics["rounds"][0], run.metrics["rounds"][2]
    assert last["after"]["kl_start"] != last["after"]["kl_last"]
    assert run.metrics["rounds"][1]["before"] == first["after"]
    alone = pt.train(spin("alone", rounds=2, earlier_rounds=0))
    assert [row["pairs_learned"] for row in alone.metrics["rounds"]] == [3, 3]


def test_the_paper_has_its_settings_by_iteration(spin: Callable[..., pt.SPIN]) -> None:
    config = pt.SPIN(model="penchant-0.5m", data="answers.jsonl", out="spin", preset="paper")
    stages = [config.stage(number) for number in range(config.rounds)]
    assert [stage.loss.beta for stage in stages] == [0.1, 0.1, 0.1, 5.0]
    assert [stage.optimizer.learning_rate for stage in stages] == [5e-7, 5e-7, 1e-7, 1e-7]
    assert {(stage.optimizer.name, stage.schedule.name, stage.schedule.warmup_steps) for stage in stages} == {
        ("rmsprop", "linear", 0.1)
    }
    mine = pt.SPIN(
        model="penchant-0.5m", data="a.jsonl", out="spin", preset="paper", rounds=2, beta=1, learning_rate=1e-5,
        dpo={"batch_size": 8},
    )  # fmt: skip
    assert (mine.stage(1).loss.beta, mine.stage(1).batch_size, mine.stage(1).schedule.name) == (1, 8, "linear")
    assert config.replace(out="other").stage(3).loss.beta == 5.0


def test_what_was_stopped_anywhere_ends_with_the_same_bits(
    spin: Callable[..., pt.SPIN], monkeypatch: pytest.MonkeyPatch
) -> None:
    straight = pt.train(spin("straight", rounds=2))
    config = spin("stopped", rounds=2)
    for name, stops in {"groups": range(0, 12, 2), "numbers": range(2), "stage": range(2)}.items():
        original = getattr(pipeline.Round, name)
        for stop_at in stops:
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


# -- where it ends --------------------------------------------------------------------------------------------------


def accuracy(low: float | None, high: float | None) -> dict[str, Any]:
    return {"value": 0.5, "low": low, "high": high}


def test_it_stops_where_nothing_can_be_told_apart(spin: Callable[..., pt.SPIN]) -> None:
    config = spin("stop")
    reason = _stop_reason(config, accuracy(0.475, 0.525), None)
    assert reason == (
        "real and generated answers cannot be told apart: the accuracy on held-out pairs lies in [0.475, 0.525], "
        "within 0.5 +- 0.03"
    )
    # an interval around one half is what few rows have as well
    for low, high in ((0.4, 0.6), (0.46, 0.52), (0.5, 0.54), (None, None)):
        assert _stop_reason(config, accuracy(low, high), None) is None
    assert _stop_reason(config.replace(stop_margin=None), accuracy(0.475, 0.525), None) is None
    assert _stop_reason(config, None, None) is None


def test_it_stops_where_the_real_answers_become_no_likelier(spin: Callable[..., pt.SPIN]) -> None:
    config = spin("stop", stop_likelihood=True)
    fell = Estimate(-0.5, -1.0, 0.25, 10, 10)
    assert _stop_reason(config, None, fell) == (
        "the held-out real answers became no likelier: -0.500 [-1.000, 0.250] nats per answer; the model before this "
        "iteration is the better one by this"
    )
    assert _stop_reason(config, None, replace(fell, value=0.1)) is None
    assert _stop_reason(spin("stop"), None, fell) is None
    # against a model that learns in the wrong direction
    run = pt.train(spin("fallen", rounds=3, stop_likelihood=True, learning_rate=0.3, epochs=5))
    assert run.metrics["status"] == "stopped_early"
    assert run.metrics["stop_reason"].startswith("the held-out real answers became no likelier: -")
    assert len(run.metrics["rounds"]) < 3


def test_a_run_that_the_likelihood_stops_gives_the_model_before(
    spin: Callable[..., pt.SPIN], tiny_model: str, tmp_path: Path
) -> None:
    # the second iteration learns far too fast; the first alone is the control
    settings = {"rounds": 2, "stop_likelihood": True, "stop_margin": None, "learning_rate": [1e-3, 0.3], "epochs": 3}
    run = pt.train(spin("fallen", **settings))
    metrics = run.metrics
    assert [row["real_logps_change"]["value"] > 0 for row in metrics["rounds"]] == [True, False]
    assert (metrics["best_round"], metrics["policy_path"]) == (1, "round-1/policy/checkpoint")
    assert (
        metrics["final"] == pt.train(spin("first", **settings | {"rounds": 1, "learning_rate": 1e-3})).metrics["final"]
    )
    assert metrics["status"] == "stopped_early"
    assert any("the policy of round 1 is better than that of round 2" in line for line in metrics["warnings"])
    assert f"best after round 1: {run.path / 'round-1/policy/checkpoint'}" in _summary(run)
    for name, model in {"path": str(run.path), "result": run}.items():
        assert weights(pt.export(model, out=str(tmp_path / name)).folder) == weights(policy(run, 1) / "checkpoint")
    # nobody asked for it: the last model is the result
    last = pt.train(spin("on", **settings | {"stop_likelihood": False})).metrics
    assert "best_round" not in last
    assert last["policy_path"] == "round-2/policy/checkpoint"


def test_where_no_iteration_is_better_the_start_is_the_result(
    spin: Callable[..., pt.SPIN], tiny_model: str, tmp_path: Path
) -> None:
    run = pt.train(spin("fallen", rounds=2, stop_likelihood=True, learning_rate=0.3, epochs=5))
    assert (run.metrics["best_round"], run.metrics["policy_path"]) == (0, tiny_model)
    assert run.metrics["final"] == run.metrics["first"]
    with pytest.raises(InputError, match=r"made nothing better than the model that it began with"):
        pt.export(str(run.path), out=str(tmp_path / "exported"))


@pytest.mark.parametrize("side", ["train", "held-out"])
def test_it_stops_where_the_model_gives_the_real_answers(
    side: str, spin: Callable[..., pt.SPIN], monkeypatch: pytest.MonkeyPatch
) -> None:
    def answers(current_round: pipeline.Round, *_: Any, **__: Any) -> list[PromptGroup]:
        return [PromptGroup(row.prompt, row.responses) for row in current_round.sides.groups[side]]

    monkeypatch.setattr(self_play if side == "train" else measure, "draw_samples", answers)
    run = pt.train(spin("learned", rounds=3))
    assert run.metrics["status"] == "stopped_early"
    words = {"train": "all 3 answers of the model are the real ones", "held-out": "all answers to held-out prompts are"}
    assert run.metrics["stop_reason"].startswith(words[side])
    assert len(run.metrics["rounds"]) == 1
    assert run.metrics["steps"] == 0


# -- pairs ----------------------------------------------------------------------------------------------------------


def test_real_answers_win_against_generated_ones_that_say_something_else() -> None:
    rows = [PromptGroup("p", [Response("a", count=2), "b"]), PromptGroup("q", ["c"]), PromptGroup("r", ["d"])]
    generated = [
        PromptGroup("p", [Response("x", (1,), False, 3), Response("b", (2,))]),
        PromptGroup("q", [Response("c", (3,), False), Response(" ", (4,))]),
    ]
    first, second = against_real(rows, generated)
    assert first.responses == (Response("a", count=2), Response("b"), Response("x", (1,), False, 3))
    assert first.comparisons == (Comparison(0, 2, weight=6), Comparison(1, 2, weight=3))
    assert second.comparisons == (Comparison(0, 1),)
    assert against_real(rows, [PromptGroup("r", ["d"])]) == []
    assert count_answers(rows, generated) == {
        "prompts": 2, "without_room": 1, "samples": 6, "repeated": 2, "empty": 1, "cut": 4, "as_real": 2,
    }  # fmt: skip


# -- bad input ------------------------------------------------------------------------------------------------------


def test_an_answer_counts_in_the_win_rate_as_often_as_it_was_drawn(tmp_path: Path) -> None:
    answers = [Response("a long answer", count=3), Response("x")]
    samples = [PromptGroup(name, answers) for name in NAMES]
    real = [PromptGroup(name, ["middle"]) for name in NAMES]
    supervisor = Supervisor(None, Longest(), "cpu", tmp_path)
    rate = measure._sample_estimates(samples, real, supervisor)["win_rate"]
    assert isinstance(rate, Interval)
    assert rate.value == pytest.approx(0.75)


def test_bad_settings_and_data_are_named_before_anything_runs(spin: Callable[..., pt.SPIN], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"`beta` has 2 entries for 1 rounds"):
        spin("bad", beta=[0.1, 1])
    with pytest.raises(InputError, match=r"`dpo.optimizer.learning_rate` is set by iteration: use `learning_rate`"):
        spin("bad", dpo={"optimizer": {"learning_rate": 1e-5}})
    with pytest.raises(InputError, match=r"`dpo.loss` is the pipeline's to set"):
        spin("bad", dpo={"loss": "ipo"})
    with pytest.raises(InputError, match="stepz"):
        spin("bad", dpo={"stepz": 3})
    (tmp_path / "texts.jsonl").write_text('{"text": "Ann went home."}\n')
    with pytest.raises(InputError, match=r"texts\.jsonl:1: a text without a prompt leaves the model nothing to answer"):
        pt.train(spin("bad", data=str(tmp_path / "texts.jsonl")))
    (tmp_path / "none.jsonl").write_text("")
    with pytest.raises(InputError, match=r"none\.jsonl: the file is empty"):
        pt.train(spin("bad", data=str(tmp_path / "none.jsonl")))
    assert not (tmp_path / "bad").exists()


def test_demonstrations_that_are_too_long_are_dropped_before_the_split_and_counted(
    spin: Callable[..., pt.SPIN], tmp_path: Path
) -> None:
    rows = [{"prompt": f"{name} went", "completion": f" to {name[0]}."} for name in NAMES]
    long = [{"prompt": f"{number} ran", "completion": " far" * 99} for number in range(4)]  # the context is 160
    file = tmp_path / "long.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in [*long, *rows]))
    data = {"path": str(file), "held_out": 2}
    run = pt.train(spin("dropped", data={**data, "overflow": "drop"}))
    assert run.metrics["rounds"][0]["samples"]["prompts"] == 3
    assert "round 1: 4 of 9 prompts are too long, and were dropped" in run.metrics["warnings"]
    file.write_text("".join(json.dumps(row) + "\n" for row in long))
    with pytest.raises(InputError, match="each of its 4 prompts with answers is too long"):
        pt.train(spin("nothing", data={**data, "overflow": "drop"}))


def test_real_answers_are_measured_with_the_prompts_that_training_cuts(
    spin: Callable[..., pt.SPIN], tmp_path: Path
) -> None:
    rows = [{"prompt": f"{name} went " * 15, "completion": " to town." * 9} for name in NAMES]
    file = tmp_path / "cut.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    run = pt.train(spin("cut", data={"path": str(file), "held_out": 2, "overflow": "truncate_prompt"}))
    assert run.metrics["rounds"][0]["after"]["real_logps"]["value"] < 0


def test_a_folder_of_other_settings_or_demonstrations_is_refused(spin: Callable[..., pt.SPIN], tmp_path: Path) -> None:
    pt.train(spin("taken"))
    with pytest.raises(InputError, match=r"the configuration differs .* in beta"):
        pt.train(spin("taken", beta=1))
    answers = tmp_path / "answers.jsonl"
    answers.write_text(answers.read_text().replace(" to ", " home "))
    with pytest.raises(RunMismatchError, match=r"the prompts \((train|held-out)\).* changed since the run in"):
        pt.train(spin("taken"))


def test_without_held_out_rows_it_trains_and_says_so(spin: Callable[..., pt.SPIN], tmp_path: Path) -> None:
    data = {"path": str(tmp_path / "answers.jsonl"), "held_out": 0}
    run = pt.train(spin("all", data=data, rounds=2, stop_likelihood=True))
    assert [row["accuracy"] for row in run.metrics["rounds"]] == [None, None]
    assert any("no prompts were held out" in warning for warning in run.metrics["warnings"])
