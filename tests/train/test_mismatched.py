"""Prompts with responses of others: never their own, fixed by the seed, and scored as any row is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from hypothesis import given, settings
from hypothesis import strategies as st

import penchant as pt
from penchant.errors import InputError
from penchant.train.mismatched import Mismatched, mismatch, step_kl

PROMPTS = ("Tom went out.", "Lily sang.", "It was cold.", "A cat sat.", "We ran.")


def groups_of(prompts: tuple[str, ...]) -> list[pt.PromptGroup]:
    """Two responses each, which name their prompt."""
    return [
        pt.PromptGroup(prompt, [f" {prompt} {n}" for n in "ab"], source=f"row {i}") for i, prompt in enumerate(prompts)
    ]


def pairs(policy: pt.Policy, rows: Mismatched) -> list[tuple[str, str]]:
    """(prompt, response) texts of the mismatched rows."""
    decode = policy.tokenizer.decode
    texts = [(decode(row.prompt_ids, True), decode(row.branches[0].ids, True)) for row in rows.rendered]
    return [(prompt.strip(), response.strip()) for prompt, response in texts]


@settings(deadline=None, derandomize=True, max_examples=25)
@given(st.lists(st.sampled_from(PROMPTS), min_size=2, max_size=7).filter(lambda p: len(set(p)) > 1), st.integers(0, 99))
def test_no_prompt_meets_its_own_response(stories_policy: pt.Policy, prompts: list[str], seed: int) -> None:
    rows, _ = mismatch(groups_of(tuple(prompts)), [], stories_policy.renderer, seed=seed)
    found = pairs(stories_policy, rows)
    assert [prompt for prompt, _ in found] == prompts
    assert all(not response.startswith(prompt) for prompt, response in found)
    if len(set(prompts)) == len(prompts):  # every prompt gives once: a derangement
        assert sorted(response[:-2] for _, response in found) == sorted(prompts)


@pytest.fixture(scope="module")
def stories_policy(stories: str) -> pt.Policy:
    return pt.load_policy(stories, template="plain", device="cpu")


def test_held_out_prompts_meet_responses_of_the_training_side_and_the_seed_decides(stories_policy: pt.Policy) -> None:
    trained, held = groups_of(PROMPTS[:3]), groups_of(PROMPTS[3:])
    drawn = [
        [pairs(stories_policy, side) for side in mismatch(trained, held, stories_policy.renderer, seed=seed)]
        for seed in (0, 0, 1, 2, 3)
    ]
    assert drawn[0] == drawn[1]
    assert len({str(sides) for sides in drawn}) > 2
    for sides in drawn:
        for _, response in (pair for side in sides for pair in side):
            assert response.startswith(PROMPTS[:3])


def test_one_prompt_alone_is_refused(stories_policy: pt.Policy) -> None:
    with pytest.raises(InputError, match="only one prompt to train on: add prompts, or hold out fewer"):
        mismatch(groups_of(PROMPTS[:1] * 3), groups_of(PROMPTS[1:]), stories_policy.renderer, seed=0)


def test_a_prompt_too_long_for_its_new_response_is_cut(stories_policy: pt.Policy) -> None:
    trained = [pt.PromptGroup("Tom went out. " * 5, [" He."]), pt.PromptGroup("Lily", [" sang a long song. And then?"])]
    longest = max(max(stories_policy.renderer.render(group).lengths) for group in trained)
    renderer = replace(stories_policy.renderer, max_length=longest)
    rows, _ = mismatch(trained, [], renderer, seed=0)
    assert [row.truncated for row in rows.rendered] == [True, False]
    assert max(rows.rendered[0].lengths) == longest


def test_the_log_ratio_by_hand_whatever_the_budget(stories_policy: pt.Policy) -> None:
    policy: Any = stories_policy
    rows, _ = mismatch(groups_of(PROMPTS), [], policy.renderer, seed=0)
    groups = [pt.PromptGroup(prompt, [f" {response}"]) for prompt, response in pairs(policy, rows)]
    scores = torch.cat(policy.score(groups))
    known = rows.with_reference(lambda some: [torch.full((1,), -2.0) for _ in some], [0, 1, 3])
    assert known.reference is not None
    assert known.reference.isnan().tolist() == [False, False, True, False, True]
    for budget in (16, 1024):
        torch.testing.assert_close(
            known.log_ratios(policy.scorer, [3, 0], budget=budget), scores[[3, 0]] + 2, atol=1e-3, rtol=0
        )
        kl = step_kl(known, policy.scorer, [3, 0, 1], Accelerator(cpu=True), budget=budget)
        assert kl == pytest.approx(float((scores[[3, 0, 1]] + 2).mean()), abs=1e-3)
    assert known.log_ratios(policy.scorer, [], budget=16).tolist() == []
