"""A text alone is one prompt, or is refused: it is nowhere read as a list of characters."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import penchant as pt
from penchant.arguments import as_prompts
from penchant.weak.classifiers.tfidf import SklearnClassifier

SETTINGS = {"n": 2, "max_new_tokens": 6, "seed": 3}
TURNS = (pt.Message("user", "Tom went out."),)
GROUP = pt.PromptGroup("Tom went out.", [" He ran.", " He slept."], scores=[1.0, 0.0])


def test_a_bare_prompt_has_its_samples_and_a_list_of_one_has_a_list_of_them(story_policy: pt.Policy) -> None:
    listed = story_policy.generate(["Tom went out."], **SETTINGS)
    alone = story_policy.generate("Tom went out.", **SETTINGS)
    assert [alone] == listed
    assert pt.BestOfN(story_policy, pt.load_reward("vader"), 1).generate("Tom went out.", **SETTINGS) == alone
    sampling = pt.Sampling(**SETTINGS)
    assert story_policy.sample("Tom went out.", sampling) == story_policy.sample(["Tom went out."], sampling)
    assert [[response.text for response in row] for row in story_policy.draw("Tom went out.", sampling)] == listed
    assert story_policy.generate([]) == []


def test_a_conversation_alone_is_one_prompt() -> None:
    assert as_prompts(TURNS) == as_prompts(list(TURNS)) == as_prompts([TURNS]) == as_prompts([list(TURNS)]) == [TURNS]
    assert as_prompts(["a", TURNS]) == ["a", TURNS]
    assert as_prompts(prompt for prompt in "ab") == ["a", "b"]


@pytest.mark.parametrize(
    ("prompts", "message"),
    [
        (["a", 3], r"prompt 1 \(counted from 0\) is a int \(3\), expected a text or a conversation"),
        ([GROUP], r"prompt 0 .* is a PromptGroup .*: give its `prompt`"),
        (3, r"expected prompts, .* got a int \(3\)"),
        (b"bytes", "expected prompts, .* got a bytes"),
    ],
)
def test_what_is_no_prompt_is_refused(story_policy: pt.Policy, prompts: object, message: str) -> None:
    with pytest.raises(pt.InputError, match=message):
        story_policy.generate(prompts)  # type: ignore[call-overload]


@pytest.mark.parametrize("groups", [GROUP, "Tom went out.", ["Tom went out."]])
def test_groups_are_a_list_of_groups(story_policy: pt.Policy, tmp_path: Path, groups: object) -> None:
    calls: list[Callable[[object], object]] = [
        story_policy.score,  # type: ignore[list-item]
        lambda groups: pt.score_groups(groups, pt.load_reward("vader")),  # type: ignore[arg-type]
        pt.compare_by_score,  # type: ignore[list-item]
        pt.best_worst_pairs,  # type: ignore[list-item]
        lambda groups: pt.write_groups(groups, tmp_path / "groups.jsonl"),  # type: ignore[arg-type]
    ]
    for call in calls:
        with pytest.raises(pt.InputError, match=r"expected a (list of )?PromptGroup"):
            call(groups)
    assert not list(tmp_path.iterdir())


def test_arguments_in_the_wrong_order_are_answered() -> None:
    with pytest.raises(
        pt.InputError, match=r"expected the name of a file, got a list .*: write_groups\(groups, path\)"
    ):
        pt.write_groups("groups.jsonl", [GROUP])  # type: ignore[arg-type]


@pytest.mark.parametrize("pairs", ["ab", ("a prompt", "a response"), ["ab", "cd"], [("a", "b", "c")]])
def test_a_reward_takes_pairs_alone(pairs: object) -> None:
    for reward in (pt.load_reward("vader"), pt.load_reward(lambda pairs: [1.0 for _ in pairs])):
        with pytest.raises(pt.InputError, match=r"expected a list of \(prompt, response\) texts"):
            reward(pairs)  # type: ignore[arg-type]


def test_a_classifier_takes_a_list_of_texts() -> None:
    classifier = SklearnClassifier().fit(["a good film", "a bad film"] * 3, [1, 0] * 3)
    with pytest.raises(pt.InputError, match=r"expected a list of examples, got a str \('a good film'\): write"):
        classifier.predict_proba("a good film")
    with pytest.raises(pt.InputError, match="expected a list of examples"):
        SklearnClassifier().fit("ab", [1, 0])
