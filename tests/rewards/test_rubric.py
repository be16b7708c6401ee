"""A model as a reward: draws are averaged, what cannot be read is no score, and words are scored by likelihood."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from penchant.engine.sampling import Sampling
from penchant.errors import InputError
from penchant.models.load import load_policy
from penchant.rewards.rubric import (
    QUESTIONS,
    RUBRICS,
    TOO_LONG,
    Judgement,
    LikelihoodReward,
    RubricReward,
    likelihood_question,
    rubric_question,
)
from penchant.types import Prompt, PromptGroup, Response


class Scripted:
    """A writer that gives each prompt the answers of a list, whichever prompt it is."""

    def __init__(self, *answers: str, context: int = 10_000) -> None:
        self.answers, self.context, self.prompts = answers, context, list[Prompt]()

    def has_room(self, prompt: Prompt, tokens: int, *, source: str = "") -> bool:
        return len(str(prompt)) + tokens <= self.context

    def draw(self, prompts: Sequence[Prompt], sampling: Sampling) -> list[list[Response]]:
        self.prompts += prompts
        return [[Response(answer) for answer in self.answers[: sampling.n]] for _ in prompts]


def rubric(writer: Scripted, draws: int = 3) -> RubricReward:
    return RubricReward(writer, RUBRICS.load("additive"), Sampling(draws, max_new_tokens=50))


def judge(reward: RubricReward, *pairs: tuple[str, str]) -> list[Judgement]:
    return [reward.read(group.responses) for group in reward.write(pairs)]


def test_draws_are_averaged_and_unread_ones_are_left_out() -> None:
    reward = rubric(Scripted("Score: 4", "no idea", "Score: 1"))
    (judgement,) = judge(reward, ("Why?", "Because."))
    assert judgement.score == 2.5
    assert judgement.draws == (4.0, None, 1.0)
    assert judgement.reasons == ("it names no score",)


def test_equal_judgements_count_as_often_as_they_were_drawn() -> None:
    reward = rubric(Scripted("Score: 4", "Score: 4", "Score: 1"))
    (group,) = reward.write([("Why?", "Because.")])
    assert [response.count for response in group.responses] == [2, 1]
    assert reward.read(group.responses).score == 3


def test_no_score_is_none_and_never_a_low_one() -> None:
    reward = rubric(Scripted("Score: 9", "hm", ""))
    assert reward([("Why?", "Because."), ("Who?", "I.")]) == [None, None]


def test_the_model_is_asked_with_both_texts_and_the_ends_of_the_scale() -> None:
    writer = Scripted("3")
    rubric(writer, 1)([("Why {{ 7 * 7 }}?", "Because {% raw %}.")])
    (question,) = writer.prompts
    assert "Why {{ 7 * 7 }}?" in str(question)
    assert "Because {% raw %}." in str(question)
    assert "from 0 to 5" in " ".join(str(question).split())


def test_a_response_without_room_has_no_score_and_the_others_keep_theirs() -> None:
    reward = rubric(Scripted("Score: 2", context=2_000), 1)
    short, long = judge(reward, ("Why?", "Because."), ("Why?", "b" * 3_000))
    assert short.score == 2
    assert (long.score, long.reasons) == (None, (TOO_LONG,))


def test_a_rubric_of_ones_own_must_show_prompt_and_response(tmp_path: Path) -> None:
    file = tmp_path / "own.j2"
    file.write_text("{{ prompt }}")
    with pytest.raises(InputError, match=r"has no response: write \{\{ prompt \}\} and \{\{ response \}\}"):
        RUBRICS.load(str(file))
    file.write_text("{{ response }} to {{ prompt }}, up to {{ highest }}")
    assert (
        RubricReward(Scripted(), RUBRICS.load(str(file)), Sampling(), highest=7).question("p", "r")
        == "r to p, up to 7\n"
    )


def test_a_policy_writes_and_the_same_seed_gives_the_same_scores(tiny_model: str) -> None:
    policy = load_policy(tiny_model, device="cpu")
    template = RUBRICS.load("additive")
    short = type(template)("own", "{{ prompt }}{{ response }}")
    reward = RubricReward(policy, short, Sampling(2, max_new_tokens=4, seed=3))
    pairs = [("a", "b"), ("c", "d")]
    assert reward.write(pairs) == [group for pair in pairs for group in reward.write([pair])]


def test_likelihood_is_that_of_the_two_words(tiny_model: str) -> None:
    policy = load_policy(tiny_model, device="cpu")
    template = type(RUBRICS.load("additive"))("own", "{{ prompt }}{{ response }}?")
    reward = LikelihoodReward(policy, template)
    yes, no = policy.score([PromptGroup("ab?\n", [Response("Yes", finished=False), Response("No", finished=False)])])[0]
    short, long = reward([("a", "b"), ("a", "b" * 500)])
    assert short == pytest.approx(float(yes - no))
    assert long is None
    turned = LikelihoodReward(policy, template, ("No", "Yes"))
    assert turned([("a", "b")])[0] == pytest.approx(float(no - yes))


def test_the_question_of_ours_names_both_words() -> None:
    text = QUESTIONS.load("yes_no").fill(prompt="Why?", response="Because.")
    assert '"Yes"' in text
    assert '"No"' in text


def test_words_that_begin_with_a_space_go_on_with_the_line() -> None:
    template = type(RUBRICS.load("additive"))("own", "{{ prompt }}{{ response }} It is")
    assert likelihood_question(template, ("a", "b"), (" good", " bad")) == "ab It is"
    assert likelihood_question(template, ("a", "b"), ("good", "bad")) == "ab It is\n"


def test_a_nul_that_a_model_drew_does_not_reach_the_question() -> None:
    template = type(RUBRICS.load("additive"))("own", "{{ prompt }}{{ response }}")
    assert rubric_question(template, ("a", "b\0"), 0, 5) == "ab\ufffd\n"
    assert likelihood_question(template, ("a\0", "b"), (" x", " y")) == "a\ufffdb"
