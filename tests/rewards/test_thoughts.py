"""Judges and rewards see the answer of a response; its thoughts only where somebody asks for them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from penchant.config import load_config
from penchant.data.options import RenderOptions
from penchant.data.write import write_groups
from penchant.errors import InputError
from penchant.judges import Question, make_judge
from penchant.judges.compare.runs import judge
from penchant.judges.compare.settings import JudgeConfig
from penchant.judges.settings import People
from penchant.methods import RewardModel, train
from penchant.models.reward import LearnedReward, load_reward_model, new_reward
from penchant.models.settings import ModelConfig
from penchant.rewards import load_reward, score_groups
from penchant.rewards.content import reward_content
from penchant.rewards.names import check_reward
from penchant.runs.input_digests import reward_digest
from penchant.session.objects import code_name
from penchant.types import Comparison, PromptGroup, Response, ToolCall

APART = Response("Yes.", reasoning="Hm, let me see.")
INSIDE = Response("<think>\nHm, let me see.\n</think>\n\nYes.")
PLAIN = Response("Yes.")
CALL = Response("", tool_calls=(ToolCall("add", '{"a": 1}'),))
CUT = Response("<think>\nHm, let me", finished=False)
GROUP = PromptGroup("Is it?", [APART, INSIDE, PLAIN, CALL, CUT])


@pytest.fixture
def seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A reward of the user's that writes down what it is shown."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(
        "import json\n"
        "def length(pairs):\n"
        "    open('seen.json', 'w').write(json.dumps([response for _, response in pairs]))\n"
        "    return [float(len(response)) for _, response in pairs]\n"
    )
    return tmp_path / "seen.json"


def test_a_reward_sees_the_answer(seen: Path) -> None:
    score_groups([GROUP], load_reward("mine.py:length"))
    assert json.loads(seen.read_text()) == ["Yes.", "Yes.", "Yes.", '{"name": "add", "arguments": {"a": 1}}', ""]


def test_a_reward_sees_thoughts_where_it_is_asked_for(seen: Path) -> None:
    (group,) = score_groups([GROUP], load_reward("thoughts:mine.py:length"))
    thoughtful = "<think>\nHm, let me see.\n</think>\n\nYes."
    call = '{"name": "add", "arguments": {"a": 1}}'
    assert json.loads(seen.read_text()) == [thoughtful, thoughtful, "Yes.", call, "<think>\nHm, let me"]
    assert group.scores == tuple(map(float, (38, 38, 4, len(call), 18)))


def test_it_is_another_reward(seen: Path) -> None:
    check_reward("thoughts:mine.py:length")
    assert reward_content("thoughts:vader") != reward_content("vader")
    assert reward_digest("thoughts:mine.py:length") != reward_digest("mine.py:length")


def test_a_text_without_think_marks_is_shown_as_it_is(seen: Path) -> None:
    texts = [" Yes. ", "I </b> think so.", "<p>think</p>", "", "Say <think> to think."]
    score_groups([PromptGroup("Is it?", texts)], load_reward("mine.py:length"))
    assert json.loads(seen.read_text()) == texts


def test_a_reward_model_reads_what_it_was_trained_on(tiny_model: str, tmp_path: Path) -> None:
    for thoughts in ("drop", "score"):
        options = RenderOptions("plain", thoughts=thoughts)
        new_reward(ModelConfig(name=tiny_model, device="cpu"), options).save(tmp_path / thoughts)
        head = load_reward_model(tmp_path / thoughts, device="cpu")
        shake(head)
        head.save(tmp_path / thoughts)
    answers = load_reward_model(tmp_path / "drop", device="cpu")
    both = load_reward_model(tmp_path / "score", device="cpu")
    (with_thoughts,) = score_groups([PromptGroup("Is it?", [INSIDE, PLAIN])], both)
    (without,) = score_groups([PromptGroup("Is it?", [APART, INSIDE, PLAIN, CUT])], answers)
    assert without.scores is not None
    assert with_thoughts.scores is not None
    assert without.scores[:2] == pytest.approx([without.scores[2]] * 2, abs=1e-4)
    assert with_thoughts.scores[0] != with_thoughts.scores[1]
    # as texts, as a judge gives them
    assert answers([("Is it?", INSIDE.text)]) == answers([("Is it?", "Yes.")])
    asked = load_reward(f"thoughts:{tmp_path / 'drop'}", device="cpu")
    assert asked([("Is it?", INSIDE.text)]) != asked([("Is it?", "Yes.")])
    # in settings they are told apart, too
    assert code_name(asked) == f"thoughts:{tmp_path / 'drop'}"
    assert code_name(load_reward(f"{tmp_path / 'drop'}", device="cpu")) == f"{tmp_path / 'drop'}"
    ensemble = load_reward(f"thoughts:{tmp_path / 'drop'},{tmp_path / 'score'}", device="cpu")
    assert code_name(ensemble) == f"thoughts:{tmp_path / 'drop'},{tmp_path / 'score'}"
    assert code_name(load_reward_model(tmp_path / "drop", device="cpu", thoughts="score")) == code_name(asked)
    # what a name cannot hold is refused, and a saved copy holds it
    for arguments in ({"thoughts": "drop"}, {"template": "chatml"}, {"thoughts": "drop", "template": "chatml"}):
        loaded = load_reward_model(tmp_path / "score", device="cpu", **arguments)  # type: ignore[arg-type]
        with pytest.raises(InputError, match=rf"was loaded with {'.*'.join(arguments)}=.*save it .* that folder"):
            code_name(loaded)
    # a saved copy does not hold this one: nobody is sent to save it
    loaded = load_reward_model(tmp_path / "score", device="cpu", overflow="truncate_prompt")
    with pytest.raises(InputError, match=r"was loaded with overflow='truncate_prompt', .*: score the rows by itself"):
        code_name(loaded)
    again = load_reward_model(tmp_path / "score", device="cpu", thoughts="drop")
    again.save(tmp_path / "saved")
    assert load_reward_model(tmp_path / "saved", device="cpu").renderer.thoughts == "drop"
    same = load_reward_model(tmp_path / "score", device="cpu", thoughts="score", template="plain")
    assert code_name(same) == str(tmp_path / "score")


def shake(reward: LearnedReward) -> None:
    import torch

    torch.manual_seed(0)
    with torch.no_grad():
        for weight in reward.head:
            weight.copy_(torch.randn_like(weight))


def test_drawn_thoughts_are_left_out_of_what_a_reward_model_reads(tiny_model: str, tmp_path: Path) -> None:
    reward = new_reward(ModelConfig(name=tiny_model, device="cpu"), RenderOptions("plain", thoughts="drop"))
    shake(reward)
    ids = tuple(reward.tokenizer(INSIDE.text)["input_ids"])
    drawn = Response(INSIDE.text, (*ids, reward.tokenizer.eos_token_id))
    (scored,) = score_groups([PromptGroup("Is it?", [drawn, PLAIN])], reward, tokenizer=reward.tokenizer)
    assert scored.scores is not None
    assert scored.scores[0] == pytest.approx(scored.scores[1])


def test_a_trained_reward_model_remembers_what_it_reads(
    tiny_model: str, preference_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    base = (f"model={tiny_model}", "model.device=cpu", f"data={preference_file}", "data.held_out=2", "max_steps=1")
    for name, changes, expected in (("answers", (), "drop"), ("all", ("data.thoughts=score",), "score")):
        run = train(load_config(RewardModel, None, (*base, *changes, f"out={name}")))
        assert json.loads((run.path / "checkpoint" / "reward.json").read_text())["thoughts"] == expected
        assert load_reward_model(run.path, device="cpu").renderer.thoughts == expected


def test_judges_see_the_answers_unless_asked(seen: Path, tmp_path: Path) -> None:
    write_groups([PromptGroup("Is it?", [INSIDE])], tmp_path / "a.jsonl")
    write_groups([PromptGroup("Is it?", [Response("<think>No?</think>No, never.")])], tmp_path / "b.jsonl")
    settings = {"responses": ("a.jsonl",), "against": "b.jsonl", "judge": {"name": "longest"}, "baselines": False}
    shown = judge(JudgeConfig(**settings, out="answers"))
    (example,) = shown.examples["a.jsonl"]
    assert (example.a, example.b, example.outcome) == ("Yes.", "No, never.", "b")
    shown = judge(JudgeConfig(**settings, thoughts=True, out="all"))
    (example,) = shown.examples["a.jsonl"]
    assert (example.a, example.outcome) == (INSIDE.text, "a")


def test_votes_of_people_are_found_with_thoughts_and_without(tmp_path: Path) -> None:
    group = PromptGroup("Is it?", [INSIDE, "No."], comparisons=[Comparison(winner=0, loser=1)])
    write_groups([group], tmp_path / "votes.jsonl")
    people = make_judge(People(paths=(str(tmp_path / "votes.jsonl"),)))
    winners = {}
    people.judge_many(
        [Question("Is it?", "Yes.", "No."), Question("Is it?", "No.", INSIDE.text)],
        lambda index, verdict: winners.update({index: verdict.winner}),
    )
    assert winners == {0: "a", 1: "b"}
