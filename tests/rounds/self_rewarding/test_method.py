"""Self-rewarding rounds: `iterative` where the scorer is given, their own judge otherwise, and what stops them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

import penchant as pt
from fake_endpoint import FakeEndpoint
from penchant.errors import InputError, RunMismatchError
from penchant.judges import length, local_model
from penchant.judges.store import VerdictStore
from penchant.rounds import pipeline
from penchant.rounds.self_rewarding import new_prompts, play
from penchant.rounds.self_rewarding.inputs import read_inputs
from penchant.rounds.self_rewarding.scorers import PointJudge

STAGE = {"batch_size": 2, "optimizer": {"learning_rate": 1e-3}, "evaluate": {"samples": {"n": 1}}}
NAMES = ("Ann", "Bob", "Cleo", "Dan", "Eve", "Finn")
Make = Callable[..., pt.SelfRewarding]


@pytest.fixture
def rewarding(tiny_model: str, tmp_path: Path) -> Make:
    """Settings of a short run whose prompts fit a model with a context of 160."""
    rows = [{"prompt": f"{name} went", "response": " home."} for name in NAMES]
    (tmp_path / "seed.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "question.j2").write_text("{{ prompt }} {{ response }}?")
    (tmp_path / "rubric.j2").write_text("{{ prompt }} {{ response }} {{ highest }}")
    (tmp_path / "verdict.j2").write_text("{{ prompt }} {{ a }} {{ b }}")
    (tmp_path / "more.txt").write_text("".join(f"{name} ran\n" for name in NAMES))
    (tmp_path / "rewards.py").write_text(
        "def codes(pairs):\n    return [float(sum(map(ord, r))) for _, r in pairs]\n\n"
        "def same(pairs):\n    return [3.0 for _ in pairs]\n"
    )
    comparisons = [{"prompt": f"{name} said", "chosen": "yes", "rejected": "no no"} for name in NAMES]
    (tmp_path / "people.jsonl").write_text("".join(json.dumps(row) + "\n" for row in comparisons))

    def config(name: str, **changes: Any) -> pt.SelfRewarding:
        defaults: dict[str, Any] = {
            "model": {"name": tiny_model, "device": "cpu"},
            "data": {"path": str(tmp_path / "seed.jsonl"), "held_out": 1},
            "new_prompts": {"name": "file", "path": str(tmp_path / "more.txt"), "count": 3},
            "judge": {"name": "likelihood", "template": str(tmp_path / "question.j2")},
            "rounds": 1,
            "max_new_tokens": 5,
            "sft": STAGE,
            "dpo": STAGE,
            "out": str(tmp_path / name),
        }
        return pt.SelfRewarding(**defaults | changes)

    return config


def weights(folder: Path) -> dict[str, Any]:
    return {name: tensor.tolist() for name, tensor in load_file(folder / "model.safetensors").items()}


def policy(run: pt.RunResult, number: int = 1) -> dict[str, Any]:
    return weights(run.path / f"round-{number}" / "policy" / "checkpoint")


def test_with_a_reward_from_outside_it_is_iterative_to_the_bit(
    rewarding: Make, tmp_path: Path, tiny_model: str
) -> None:
    reward = f"{tmp_path / 'rewards.py'}:codes"
    prompts = tmp_path / "seed.txt"
    prompts.write_text("".join(f"{name} went\n" for name in NAMES))
    own = rewarding(
        "own",
        data={"path": str(prompts), "held_out": 1},
        judge={"name": "reward", "reward": reward},
        sft=None,
        new_prompts={"name": "file", "path": str(tmp_path / "own" / "prompts-train.jsonl")},
        rounds=2,
    )
    other = pt.Iterative(
        model={"name": tiny_model, "device": "cpu"},
        data={"path": str(prompts), "held_out": 1},
        reward=reward,
        rounds=2,
        temperature=0.7,
        reference="moving",
        max_new_tokens=5,
        dpo={**STAGE, "evaluate": {"samples": {"n": 1, "reward": None}}},
        out=str(tmp_path / "iterative"),
    )
    iterative = pt.train(other)
    # the prompts that `iterative` trains on, as a file
    shutil.copy(iterative.path / "prompts-train.jsonl", tmp_path / "train.jsonl")
    files = {"name": "file", "path": str(tmp_path / "train.jsonl")}
    run = pt.train(own.replace(new_prompts=files, top_p=1.0))
    for number in (1, 2):
        pairs = [folder / f"round-{number}" / "pairs.jsonl" for folder in (run.path, iterative.path)]
        assert pairs[0].read_text() == pairs[1].read_text()
        assert policy(run, number) == policy(iterative, number)
    with_itself = pt.train(rewarding("itself", sft=None, new_prompts=files, rounds=1, top_p=1.0))
    assert policy(with_itself) != policy(iterative)


def test_the_start_learns_the_seed_data_and_the_policy_judges_itself(rewarding: Make, tmp_path: Path) -> None:
    run = pt.train(rewarding("run", rounds=2, comparisons=str(tmp_path / "people.jsonl")))
    rows = run.metrics["rounds"]
    assert [row["prompts"]["new"] for row in rows] == [3, 3]
    prompts = [json.loads((run.path / f"round-{number}" / "prompts.json").read_text())["texts"] for number in (1, 2)]
    assert prompts == [["Ann ran", "Bob ran", "Cleo ran"], ["Dan ran", "Eve ran", "Finn ran"]]
    start = json.loads((run.path / "round-1" / "policy" / "provenance.json").read_text())
    assert start["model"]["name"].endswith("sft/checkpoint")
    for group in pt.load_preferences(run.path / "round-1" / "pairs.jsonl"):
        assert len(group.comparisons) == 1
    # the judge is measured before the first round, and as it comes out of each
    qualities = [rows[0]["judge_before"], rows[0]["judge"], rows[1]["judge"]]
    assert all(quality["comparisons"] == 6 for quality in qualities)
    assert "judge_before" not in rows[1]
    assert rows[0]["lengths"]["tokens"]["value"] <= 5
    assert rows[0]["prompts"]["fresh_2"] > 0
    assert run.metrics["round_seconds"][0]["judging"] > 0


def test_a_moving_reference_is_the_rounds_start_and_a_fixed_one_the_seed_model(rewarding: Make) -> None:
    moving, fixed = rewarding("moving"), rewarding("fixed", reference="fixed")
    assert moving.stage(0).reference is fixed.stage(0).reference is None
    Path(moving.folder(0) / "policy").mkdir(parents=True)
    Path(fixed.folder(0) / "policy").mkdir(parents=True)
    assert moving.stage(1).reference is None
    reference = fixed.stage(1).reference
    assert reference is not None
    assert reference.name == str(fixed.path / "sft" / "checkpoint")
    assert fixed.stage(1).model.name == str(fixed.folder(0) / "policy" / "checkpoint")


class Stopped(Exception):
    pass


PARTS = ("prompts", "draw", "compared", "stage", "end", "quality")
"""The parts of a round, in their order."""


@pytest.mark.slow
def test_what_is_stopped_in_each_part_goes_on_to_the_same_bits(
    rewarding: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second round fails in one part after the other, each time a part later."""
    settings = {"rounds": 2, "sft": None, "comparisons": str(tmp_path / "people.jsonl")}
    straight = pt.train(rewarding("straight", **settings))
    for part in PARTS:
        owner: Any = pipeline.Round if part == "stage" else play.RoundPlay
        original = getattr(owner, part)

        def stop(self: Any, *arguments: Any, original: Any = original) -> Any:
            if self.number == 1:
                raise Stopped
            return original(self, *arguments)

        with monkeypatch.context() as patch:
            patch.setattr(owner, part, stop)
            with pytest.raises(Stopped):
                pt.train(rewarding("again", **settings))
        assert not (tmp_path / "again" / "result.json").exists()
    again = pt.train(rewarding("again", **settings))
    assert again.metrics["rounds"] == straight.metrics["rounds"]
    assert policy(again, 2) == policy(straight, 2)
    finished = (again.path / "round-2" / "pairs.jsonl").stat().st_mtime_ns
    pt.train(rewarding("again", **settings))
    assert (again.path / "round-2" / "pairs.jsonl").stat().st_mtime_ns == finished


def test_a_policy_that_writes_its_own_prompts_never_takes_one_twice(
    rewarding: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # a random model ends no line, and writes few words
    monkeypatch.setattr(new_prompts, "read_prompt", lambda response, one_line: (response.text.encode().hex(), False))
    own = {"name": "self_instruct", "count": 4, "shots": 2, "template": "lines", "max_new_tokens": 4, "similarity": 1.0}
    run = pt.train(rewarding("run", rounds=2, new_prompts=own, sft=None))
    texts = [json.loads((run.path / f"round-{number}" / "prompts.json").read_text())["texts"] for number in (1, 2)]
    assert texts[0]
    assert not set(texts[0]) & set(texts[1])
    counts = run.metrics["rounds"][0]["prompts"]
    assert counts["drawn"] == counts["new"] + sum(counts["refused"].values())


def test_a_rubric_that_nobody_can_follow_gives_no_score_and_stops_by_name(rewarding: Make, tmp_path: Path) -> None:
    rubric = {"name": "rubric", "template": str(tmp_path / "rubric.j2"), "draws": 2, "max_new_tokens": 3}
    run = pt.train(rewarding("run", judge=rubric, rounds=2))
    (row,) = run.metrics["rounds"]
    assert run.metrics["status"] == "stopped_early"
    assert "answers has a score that can be read, mostly since it names no score" in run.metrics["stop_reason"]
    assert "judge=likelihood" in run.metrics["stop_reason"]
    assert row["draws"]["unread"] == row["draws"]["draws"] > 0
    assert row["scores"]["scored"] == 0
    assert not (run.path / "round-1" / "policy").exists()
    again = pt.train(rewarding("run", judge=rubric, rounds=2))
    assert again.metrics["stop_reason"] == run.metrics["stop_reason"]


def test_a_model_behind_an_address_judges_by_the_rubric(
    rewarding: Make, tmp_path: Path, endpoint: FakeEndpoint
) -> None:
    """It is the control: the same rubric and rounds, and another judge."""
    lock_step = iter(range(10_000))
    endpoint.behave = lambda *_: f"I add up.\nScore: {next(lock_step) % 6}"
    client = {"model": "large", "base_url": endpoint.url}
    rubric = {"name": "rubric", "template": str(tmp_path / "rubric.j2"), "draws": 2, "endpoint": client}
    run = pt.train(rewarding("run", judge=rubric, comparisons=str(tmp_path / "people.jsonl")))
    (row,) = run.metrics["rounds"]
    assert row["pairs_learned"] > 0
    assert row["draws"]["draws"] == 2 * row["scores"]["scored"]
    request = endpoint.calls[0]
    assert (request["temperature"], request["max_tokens"], request["model"]) == (0.7, 256, "large")
    assert "response_format" not in request
    calls = len(endpoint.calls)
    pt.train(rewarding("run", judge=rubric, comparisons=str(tmp_path / "people.jsonl")))
    assert len(endpoint.calls) == calls  # what was paid for is not asked again


def test_an_endpoints_answers_are_kept_one_by_one(
    rewarding: Make, tmp_path: Path, endpoint: FakeEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = {"model": "large", "base_url": endpoint.url, "concurrency": 1}
    rubric = {"name": "rubric", "template": str(tmp_path / "rubric.j2"), "draws": 2, "endpoint": client}

    def score(_: int, request: dict[str, Any]) -> str:
        return f"Score: {len(request['messages'][0]['content']) % 6}"

    endpoint.behave = score
    whole = pt.train(rewarding("whole", judge=rubric))
    texts = [request["messages"][0]["content"] for request in endpoint.calls]
    endpoint.calls.clear()
    keep, kept = VerdictStore.keep, iter(range(5))

    def keep_five(*arguments: Any) -> None:
        if next(kept, None) is None:
            raise KeyboardInterrupt
        keep(*arguments)

    monkeypatch.setattr(VerdictStore, "keep", keep_five)
    with pytest.raises(KeyboardInterrupt):
        pt.train(rewarding("killed", judge=rubric))
    monkeypatch.setattr(VerdictStore, "keep", keep)
    again = pt.train(rewarding("killed", judge=rubric))
    # the sixth call was answered and not kept; no other one was paid for twice
    assert len(endpoint.calls) == len(texts) + 1
    assert policy(again) == policy(whole)


def test_calls_that_fail_are_draws_less(rewarding: Make, tmp_path: Path, endpoint: FakeEndpoint) -> None:
    endpoint.behave = lambda number, _: 500 if number % 2 else f"Score: {number % 5}"
    client = {"model": "large", "base_url": endpoint.url, "attempts": 1, "concurrency": 1}
    rubric = {"name": "rubric", "template": str(tmp_path / "rubric.j2"), "draws": 2, "endpoint": client}
    run = pt.train(rewarding("run", judge=rubric))
    (row,) = run.metrics["rounds"]
    assert row["draws"]["draws"] == row["scores"]["scored"] > 0


def test_a_judge_that_always_says_the_same_is_named_and_stops(
    rewarding: Make, tmp_path: Path, endpoint: FakeEndpoint
) -> None:
    endpoint.behave = lambda *_: "Score: 3"
    client = {"model": "large", "base_url": endpoint.url}
    rubric = {"name": "rubric", "template": str(tmp_path / "rubric.j2"), "draws": 1, "endpoint": client}
    run = pt.train(rewarding("run", judge=rubric, rounds=3))
    assert "the judge always says the same: it gives each of" in run.metrics["stop_reason"]
    assert len(run.metrics["rounds"]) == 1


@pytest.mark.parametrize("kind", ["reward", "judge"])
def test_a_supervisor_from_outside_that_always_says_the_same_skips_the_round_as_iterative_does(
    kind: str, rewarding: Make, tmp_path: Path, tiny_model: str
) -> None:
    reward, judge = f"{tmp_path / 'rewards.py'}:same", {"name": "custom", "factory": TIED}
    outside = {"reward": reward} if kind == "reward" else {"judge": judge}
    run = pt.train(rewarding("own", judge={"name": kind, **outside}, sft=None, rounds=2))
    other = pt.train(
        pt.Iterative(
            model={"name": tiny_model, "device": "cpu"},
            data={"path": str(tmp_path / "more.txt"), "held_out": 1},
            rounds=2,
            max_new_tokens=5,
            dpo=STAGE,
            out=str(tmp_path / "iterative"),
            **outside,
        )
    )
    for metrics in (run.metrics, other.metrics):
        assert [bool(row["skipped"]) for row in metrics["rounds"]] == [True, True]
        assert (metrics["status"], metrics["steps"]) == ("done", 0)
        assert "stop_reason" not in metrics
    words = {"reward": "it gives each of", "judge": "it prefers no answer to another"}
    assert f"the judge always says the same: {words[kind]}" in run.metrics["rounds"][0]["skipped"]


def test_a_policy_that_names_the_first_answer_whatever_it_reads_stops(
    rewarding: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_model, "higher", lambda *_: "a")
    verdicts = {"name": "verdicts", "template": str(tmp_path / "verdict.j2")}
    run = pt.train(rewarding("run", judge=verdicts))
    assert "the judge always says the same: each of its" in run.metrics["stop_reason"]
    assert "verdicts names the first answer" in run.metrics["stop_reason"]
    assert not (tmp_path / "run" / "round-1" / "policy").exists()


TIED = "tied_judge:Tied"


@pytest.fixture(autouse=True)
def _tied_judge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tied_judge.py").write_text(
        "from penchant.types import Verdict\n\n\nclass Tied:\n    identity = 'tied'\n\n"
        "    def judge_many(self, questions, done):\n"
        "        for index, _ in enumerate(questions):\n            done(index, Verdict('tie'))\n"
    )
    monkeypatch.chdir(tmp_path)


def test_equal_answers_skip_the_round_and_say_so(rewarding: Make) -> None:
    run = pt.train(rewarding("run", temperature=0))
    (row,) = run.metrics["rounds"]
    assert "say the same" in row["skipped"]
    assert any("no pair has a difference" in sentence for sentence in run.metrics["warnings"])
    assert run.metrics["status"] == "done"


def test_prompts_that_are_all_known_end_the_rounds(rewarding: Make, tmp_path: Path) -> None:
    few = {"name": "file", "path": str(tmp_path / "more.txt"), "count": 6}
    run = pt.train(rewarding("run", rounds=3, new_prompts=few))
    assert "the file has no further prompt" in run.metrics["stop_reason"]
    assert run.metrics["rounds"][0]["pairs_learned"] > 0
    assert len(run.metrics["rounds"]) == 2


def test_no_seed_data_is_answered_with_what_to_give(rewarding: Make, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"`data` is missing: self_rewarding begins with seed data.*or sft=null"):
        pt.SelfRewarding(model="penchant-0.5m", out="x")
    with pytest.raises(InputError, match=r"self_rewarding begins with seed data: rows with a prompt and a good"):
        pt.train(rewarding("run", data=str(tmp_path / "more.txt")))
    assert not (tmp_path / "run").exists()


def test_demonstrations_are_no_comparisons_and_the_message_says_what_is(rewarding: Make, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="`comparisons` are rows of two responses of which people preferred one"):
        pt.train(rewarding("run", comparisons=str(tmp_path / "seed.jsonl")))


def test_a_question_without_room_stops_with_its_reason(rewarding: Make, tmp_path: Path) -> None:
    (tmp_path / "question.j2").write_text("{{ prompt }} {{ response }}" + 300 * "?")
    run = pt.train(rewarding("run"))
    assert "since it leaves no room in the model's context" in run.metrics["stop_reason"]


def test_texts_that_are_no_prompts_stop_with_their_counts(rewarding: Make) -> None:
    own = {"name": "self_instruct", "count": 2, "shots": 2, "template": "lines", "max_new_tokens": 1, "draws": 1}
    run = pt.train(rewarding("run", new_prompts=own, sft=None))
    assert "none of the 2 texts that were drawn is a new prompt" in run.metrics["stop_reason"]
    assert "give prompts of a file" in run.metrics["stop_reason"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"meta": {}}, "`meta` compares the judgements that `judge=rubric` writes"),
        ({"meta": {}, "judge": {"name": "rubric", "draws": 1}}, "set `judge.draws` to 2 or more"),
        ({"judge": {"name": "rubric", "lowest": 5}}, "`lowest` must be below `highest`"),
        ({"meta": {}, "judge": {"name": "rubric", "model": "penchant-0.5m"}}, "this judge comes from outside"),
        ({"judge": {"name": "rubric", "model": "m", "endpoint": {"model": "m"}}}, "leave one of them out"),
        ({"judge_data": "people.jsonl", "sft": None}, "leave `sft=null` out"),
        ({"judge_data": "people.jsonl", "judge": "reward"}, "this judge comes from outside"),
        ({"dpo": {"reference": "x"}}, "`dpo.reference` is the pipeline's to set"),
        ({"sft": {"epochz": 1}}, "epochz"),
        ({"samples_per_prompt": 1}, "at least 2"),
    ],
)
def test_settings_that_do_not_fit_are_refused(rewarding: Make, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        rewarding("bad", **changes)


def test_a_changed_file_is_refused(rewarding: Make, tmp_path: Path) -> None:
    settings = {"comparisons": str(tmp_path / "people.jsonl")}
    pt.train(rewarding("run", **settings))
    people = tmp_path / "people.jsonl"
    people.write_text(people.read_text().replace("yes", "yea"))
    with pytest.raises(RunMismatchError, match="the comparisons by people changed"):
        pt.train(rewarding("run", **settings))
    question = tmp_path / "question.j2"
    question.write_text("{{ prompt }} {{ response }}!")
    people.write_text(people.read_text().replace("yea", "yes"))
    with pytest.raises(RunMismatchError, match="the templates changed"):
        pt.train(rewarding("run", **settings))


def test_the_judge_is_taught_by_comparisons_in_the_words_that_it_is_asked_with(rewarding: Make, tmp_path: Path) -> None:
    config = rewarding("run", judge_data=str(tmp_path / "people.jsonl"))
    run = pt.train(config)
    rows = [json.loads(line) for line in (run.path / "taught.jsonl").read_text().splitlines()]
    taught = {row["prompt"]: row["responses"][0] for row in rows}
    assert taught["Ann said yes?\n"] == "Yes"
    assert taught["Ann said no no?\n"] == "No"
    assert len(rows) == 5 + 2 * 6
    asked: list[str] = []
    judge = PointJudge(lambda pairs: [asked.append(f"{p} {r}?\n") or 0.0 for p, r in pairs])  # type: ignore[func-returns-value]
    judge.compare([pt.PromptGroup("Ann said", ["yes"])])
    assert asked[0] in taught


def test_no_prompt_that_measures_the_judge_teaches_it(rewarding: Make, tmp_path: Path) -> None:
    people = str(tmp_path / "people.jsonl")
    with pytest.raises(InputError, match="each of its 6 prompts is one of `comparisons`"):
        pt.train(rewarding("same", judge_data=people, comparisons=people))
    rows = [{"prompt": f"{name} said", "chosen": "yes", "rejected": "no"} for name in ("Ann", "Gus", "Hal")]
    (tmp_path / "judge.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    inputs = read_inputs(rewarding("own", judge_data=str(tmp_path / "judge.jsonl"), comparisons=people))
    assert len(inputs.judge_rows) == 2 * 2
    assert not any("Ann" in str(row.prompt) for row in inputs.judge_rows)
    assert inputs.warnings[0].startswith("1 of 3 prompts of `judge_data` are left out")
    (tmp_path / "same.jsonl").write_text((tmp_path / "seed.jsonl").read_text().replace("went", "said"))
    run = pt.train(rewarding("seed", data={"path": str(tmp_path / "same.jsonl"), "held_out": 1}, comparisons=people))
    assert any("the start learns answers to 5 prompts of `comparisons`" in line for line in run.metrics["warnings"])


def test_rows_of_a_prompt_file_that_cannot_be_used_are_said(rewarding: Make, tmp_path: Path) -> None:
    def turn(role: str, text: str) -> dict[str, str]:
        return {"role": role, "content": text}

    talk = [turn("user", "Why?"), turn("assistant", "So."), turn("user", "And?")]
    rows = [[turn("system", "Be brief."), turn("user", "Who?")], talk, [turn("user", "When?")]]
    (tmp_path / "talk.jsonl").write_text("".join(json.dumps({"prompt": row}) + "\n" for row in rows))
    own = {"name": "file", "path": str(tmp_path / "talk.jsonl")}
    run = pt.train(rewarding("talk", new_prompts=own, sft=None))
    assert "round 1: 1 prompts of `new_prompts` have a system turn, which is not used" in "\n".join(
        run.metrics["warnings"]
    )
    assert "round 1: 1 prompts of the file have several turns, and are not used" in run.metrics["warnings"]
    assert run.metrics["rounds"][0]["prompts"]["refused"]["several_turns"] == 1


def test_prompts_of_a_file_that_are_nearly_those_of_comparisons_are_counted(rewarding: Make, tmp_path: Path) -> None:
    stem = "the old dog ran over the green hill with"
    rows = [{"prompt": f"{stem} {name}", "chosen": "yes", "rejected": "no no"} for name in NAMES]
    (tmp_path / "near.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "prompts.txt").write_text(f"{stem} Zoe\nWho is there?\n{stem} Ann\n")
    own = {"name": "file", "path": str(tmp_path / "prompts.txt")}
    settings: dict[str, Any] = {"new_prompts": own, "sft": None, "max_new_tokens": 3}
    run = pt.train(rewarding("near", comparisons=str(tmp_path / "near.jsonl"), **settings))
    prompts = run.metrics["rounds"][0]["prompts"]
    # an equal one is not used, and a near one is
    assert (prompts["refused"]["held_out"], prompts["new"], prompts["near_comparisons"]) == (1, 2, 1)
    sentence = "round 1: 1 of 2 prompts of the file are nearly prompts of `comparisons`, which measure the judge"
    assert any(line.startswith(sentence) for line in run.metrics["warnings"])
    # the control: comparisons of other prompts
    other = pt.train(rewarding("other", comparisons=str(tmp_path / "people.jsonl"), **settings))
    assert other.metrics["rounds"][0]["prompts"]["near_comparisons"] == 0
    assert not any("nearly prompts" in line for line in other.metrics["warnings"])


def test_a_reward_that_reads_columns_is_refused_before_anything_is_trained(rewarding: Make) -> None:
    config = rewarding("columns", judge={"name": "reward", "reward": "number"})
    with pytest.raises(InputError, match="asks for the column 'answer' of the rows, and `self_rewarding`"):
        pt.train(config)
    assert not config.path.exists()


def test_the_start_reads_the_seed_data_as_told(rewarding: Make, tmp_path: Path) -> None:
    rows = {"path": str(tmp_path / "seed.jsonl"), "max_length": 40, "overflow": "drop", "thoughts": "mask"}
    stage = rewarding("run", data=rows).seed_stage()
    assert (stage.data.max_length, stage.data.overflow, stage.data.thoughts) == (40, "drop", "mask")


def test_another_judge_from_outside_is_refused_where_rounds_go_on(
    rewarding: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = rewarding("run", judge={"name": "judge", "judge": {"name": "longest"}})
    before = read_inputs(config).digests(config)["the judge"]
    monkeypatch.setattr(length.LongestJudge, "identity", "longest/2")
    assert read_inputs(config).digests(config)["the judge"] != before


def test_judgements_are_judged_and_learned_from(
    rewarding: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A random model names no score, so its words are read as one: the number of their letters."""
    from penchant.rewards import rubric
    from penchant.rewards.score_words import ScoreReading

    monkeypatch.setattr(rubric, "read_score", lambda text, low, high: ScoreReading(float(sum(map(ord, text)) % 6)))
    settings = {"name": "rubric", "template": str(tmp_path / "rubric.j2"), "draws": 3, "max_new_tokens": 3}
    meta = {"template": str(tmp_path / "verdict.j2")}
    run = pt.train(rewarding("meta", judge=settings, meta=meta))
    plain = pt.train(rewarding("plain", judge=settings))
    (row,) = run.metrics["rounds"]
    assert row["judgement_pairs"] > 0
    assert row["pairs_learned"] == row["judgement_pairs"] + plain.metrics["rounds"][0]["pairs_learned"]
    assert policy(run) != policy(plain)
    rubrics = {group.prompt for group in pt.load_preferences(run.path / "round-1" / "judgement-pairs.jsonl")}
    assert all(str(prompt).endswith("5\n") for prompt in rubrics)
