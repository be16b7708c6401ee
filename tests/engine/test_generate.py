"""Sampling: the same sample whatever the batch, exact distributions, ends, and the reuse of prompts."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from penchant.engine.generate import draw
from penchant.engine.pick import pick
from penchant.engine.sampling import Sampling
from penchant.errors import InputError
from penchant.types import PromptGroup, Response

PROMPTS = [
    "Once upon a time",
    "Tom",
    "The big dog ran to the park and",
    "Lily saw a red bird in the tree. It was",
]


def test_a_sample_does_not_depend_on_its_batch(story_policy: Any) -> None:
    settings = Sampling(n=3, max_new_tokens=20, seed=5)
    together = story_policy.draw(PROMPTS, settings)
    for prompt, row in zip(PROMPTS, together, strict=True):
        assert story_policy.draw([prompt], settings)[0] == row
    more = story_policy.draw(PROMPTS, Sampling(n=5, max_new_tokens=20, seed=5))
    assert [row[:3] for row in more] == together
    longer = story_policy.draw(PROMPTS, Sampling(n=3, max_new_tokens=30, seed=5))
    assert all(a.token_ids == b.token_ids[:20] for x, y in zip(together, longer, strict=True)
               for a, b in zip(x, y, strict=True) if not a.finished)  # fmt: skip


def test_seed_prompt_and_index_change_the_draw(story_policy: Any) -> None:
    row = story_policy.draw(PROMPTS[:1], Sampling(n=4, max_new_tokens=16))[0]
    assert len({response.token_ids for response in row}) == 4
    other = story_policy.draw(PROMPTS[:1], Sampling(n=4, max_new_tokens=16, seed=1))[0]
    assert {r.token_ids for r in row}.isdisjoint({r.token_ids for r in other})


def test_greedy_is_what_transformers_generates(story_policy: Any) -> None:
    ids = story_policy.renderer.prompt_ids(PROMPTS[2])
    want = story_policy.model.generate(torch.tensor([ids]), do_sample=False, max_new_tokens=24)[0, len(ids) :]
    (got,) = story_policy.draw([PROMPTS[2]], Sampling(temperature=0, max_new_tokens=24))[0]
    assert list(got.token_ids) == want.tolist()


def test_a_finished_sample_ends_with_the_end_token_and_a_cut_one_does_not(story_policy: Any) -> None:
    ids = [story_policy.renderer.prompt_ids(prompt) for prompt in PROMPTS]
    usual = draw(story_policy.model, ids, Sampling(n=2, max_new_tokens=12), end_ids=frozenset({2}))
    common = max((t for row in usual for tokens, _ in row for t in tokens), key=lambda t: sum(
        t in tokens for row in usual for tokens, _ in row))  # fmt: skip
    drawn = draw(story_policy.model, ids, Sampling(n=2, max_new_tokens=12), end_ids=frozenset({common}))
    flat = [pair for row in drawn for pair in row]
    assert any(finished for _, finished in flat)
    for (tokens, finished), (full, _) in zip(flat, [p for row in usual for p in row], strict=True):
        assert tokens == full[: len(tokens)]  # rows that ended early did not disturb the others
        assert finished == (tokens[-1] == common)
        assert common not in tokens[:-1]
        assert finished or len(tokens) == 12


def test_sampled_frequencies_follow_the_distribution() -> None:
    logits = torch.tensor([[0.0, 1.0, 2.0, -torch.inf]]).expand(20_000, 4)
    uniforms = torch.rand(20_000, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    counts = torch.bincount(pick(logits, uniforms, Sampling(temperature=0.5)), minlength=4) / 20_000
    expected = torch.softmax(torch.tensor([0.0, 2.0, 4.0, -torch.inf]), 0)
    torch.testing.assert_close(counts, expected, atol=0.01, rtol=0)  # three standard deviations are 0.007
    assert counts[3] == 0


@given(st.integers(1, 700), st.sampled_from([0.3, 1.0, 2.5]), st.floats(0, 1, exclude_max=True), st.integers(0, 10_000))
@settings(max_examples=60)
def test_pick_inverts_the_cumulative_distribution(
    vocabulary: int, temperature: float, uniform: float, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = 4 * torch.randn(3, vocabulary, generator=generator)
    logits[:, 1:][torch.rand(3, vocabulary - 1, generator=generator) < 0.5] = -torch.inf
    tokens = pick(logits, torch.full((3,), uniform, dtype=torch.float64), Sampling(temperature=temperature))
    probabilities = (logits.double() / temperature).softmax(-1)
    upper = probabilities.cumsum(-1).gather(1, tokens[:, None]).squeeze(1)
    chosen = probabilities.gather(1, tokens[:, None]).squeeze(1)
    assert (chosen > 0).all()
    assert (upper >= uniform - 1e-6).all()
    assert (upper - chosen <= uniform + 1e-6).all()


@pytest.mark.parametrize("uniform", [0.0, 0.5, 1 - 2**-53])
def test_a_token_without_probability_is_never_picked(uniform: float) -> None:
    logits = torch.full((2, 1000), -torch.inf)
    logits[0, [300, 301, 700]] = 0.0
    logits[1, 999] = 0.0
    tokens = pick(logits, torch.full((2,), uniform, dtype=torch.float64), Sampling())
    assert tokens.tolist() == [{0.0: 300, 0.5: 301}.get(uniform, 700), 999]


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_logits_that_are_not_finite_are_refused(bad: float) -> None:
    logits = torch.zeros(2, 300)
    logits[1, 7] = bad
    with pytest.raises(InputError, match="not finite"):
        pick(logits, torch.tensor([0.5, 0.5], dtype=torch.float64), Sampling())


def test_rare_tokens_of_a_large_vocabulary_keep_their_frequency() -> None:
    # one token has half of the mass, 99,999 share the rest: float32 sums would lose the last of them
    logits = torch.full((1, 100_000), -torch.tensor(99_999.0).log().item())
    logits[0, 0] = 0.0
    uniforms = torch.tensor([0.25, 0.5 + 1e-9, 0.75, 1 - 1e-9], dtype=torch.float64)
    tokens = pick(logits.expand(4, -1), uniforms, Sampling()).tolist()
    assert tokens == pytest.approx([0, 1, 50_000, 99_999], abs=1)


@given(st.integers(1, 6), st.floats(0.05, 1.0), st.integers(0, 10_000))
@settings(max_examples=50)
def test_top_k_and_top_p_by_definition(top_k: int, top_p: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(1, 6, generator=generator)
    uniforms = torch.linspace(0, 1, 501, dtype=torch.float64)[:-1]
    many = logits.expand(500, 6)
    kept = set(pick(many, uniforms, Sampling(top_k=top_k)).tolist())
    assert kept <= set(logits[0].topk(top_k).indices.tolist())
    kept = set(pick(many, uniforms, Sampling(top_p=top_p)).tolist())
    probabilities, order = logits[0].softmax(0).sort(descending=True)
    needed = int((probabilities.cumsum(0) - probabilities < top_p).sum())
    assert kept <= set(order[:needed].tolist())
    assert int(order[0]) in kept


def test_identical_samples_are_stored_once_with_their_count(story_policy: Any) -> None:
    (group,) = story_policy.sample(PROMPTS[:1], Sampling(n=5, temperature=0, max_new_tokens=8))
    assert [response.count for response in group.responses] == [5]
    assert story_policy.generate(PROMPTS[:1], n=5, temperature=0, max_new_tokens=8)[0] == [group.responses[0].text] * 5


def test_a_sample_scores_as_its_own_tokens_and_its_text_continues_the_prompt(story_policy: Any) -> None:
    (group,) = story_policy.sample(PROMPTS[2:3], Sampling(n=4, max_new_tokens=16))
    text_only = PromptGroup(group.prompt, [Response(r.text, finished=r.finished) for r in group.responses])
    rendered, again = story_policy.renderer.render(group), story_policy.renderer.render(text_only)
    assert [b.ids for b in rendered.branches] == [r.token_ids for r in group.responses]
    same = [a.ids == b.ids for a, b in zip(rendered.branches, again.branches, strict=True)]
    assert any(same)  # most draws are the canonical tokenization of their own text


def test_no_room_in_the_context_is_refused(story_policy: Any) -> None:
    with pytest.raises(InputError, match="context of 512"):
        story_policy.generate(["a " * 600], max_new_tokens=8)


@pytest.mark.parametrize("bad", [{"n": 0}, {"temperature": -1}, {"max_new_tokens": 0}, {"top_k": -1}, {"top_p": 0}])
def test_settings_out_of_range_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=next(iter(bad))):
        Sampling(**bad)


def test_the_prompt_is_computed_once_for_its_samples(story_policy: Any) -> None:
    rows: list[int] = []
    hook = story_policy.model.model.register_forward_pre_hook(
        lambda module, args, kwargs: rows.append(tuple(kwargs["input_ids"].shape)), with_kwargs=True
    )
    story_policy.generate(PROMPTS[2:3], n=6, max_new_tokens=3)
    hook.remove()
    length = len(story_policy.renderer.prompt_ids(PROMPTS[2]))
    assert rows == [(1, length), (6, 1), (6, 1)]


def test_progress_moves_before_samples_end_and_ends_at_their_number(story_policy: Any) -> None:
    ids = [story_policy.renderer.prompt_ids(prompt) for prompt in PROMPTS]
    for end in (frozenset[int](), frozenset({story_policy.renderer.prompt_ids(" a")[-1]})):
        counts: list[int] = []
        draw(story_policy.model, ids, Sampling(n=4, max_new_tokens=12), end_ids=end, progress=counts.append)
        # all samples are drawn side by side: a count of finished ones would be one jump where none ends early
        assert sum(counts) == 16
        assert len(counts) >= 12
        assert max(counts) <= (10 if end else 2)
