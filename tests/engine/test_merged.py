"""Merged adapters: the same numbers, the base's own bits afterwards, whatever happens meanwhile."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import penchant as pt
from penchant.engine.merged import merged_adapters
from penchant.engine.reference import fingerprint


@pytest.fixture
def policy(tiny_model: str) -> pt.Policy:
    policy = pt.load_policy(tiny_model, device="cpu", lora=pt.LoRA(rank=4))
    torch.manual_seed(0)
    with torch.no_grad():
        for name, weight in policy.model.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.1)
    return policy


def test_the_numbers_are_those_of_the_adapters_and_the_bits_those_of_the_base(policy: pt.Policy) -> None:
    ids = torch.tensor([[65, 66, 67]])
    before = fingerprint(policy.model), {n: w.clone() for n, w in policy.model.state_dict().items()}
    with torch.no_grad():
        apart = policy.model(ids).logits
        with merged_adapters(policy.model):
            assert torch.allclose(policy.model(ids).logits, apart, atol=1e-4)
            assert fingerprint(policy.model) != before[0]
        with policy.model.disable_adapter(), merged_adapters(policy.model):  # type: ignore[operator]
            assert (policy.model(ids).logits - apart).abs().max() > 1e-2
        assert policy.model(ids).logits.equal(apart)
    after = policy.model.state_dict()
    assert all(after[name].equal(weight) for name, weight in before[1].items())


def test_an_error_inside_leaves_the_base_as_it_was(policy: pt.Policy) -> None:
    before = fingerprint(policy.model)
    with pytest.raises(RuntimeError, match="inside"), merged_adapters(policy.model):
        raise RuntimeError("inside")
    assert fingerprint(policy.model) == before
    assert not any(getattr(layer, "merged", False) for layer in policy.model.modules())


def test_a_policy_without_adapters_is_left_alone(tiny_model: str, tmp_path: Path) -> None:
    policy = pt.load_policy(tiny_model, device="cpu")
    with merged_adapters(policy.model):
        assert policy.generate(["Ann"], max_new_tokens=3)


def test_samples_come_from_the_adapted_policy(policy: pt.Policy, tiny_model: str) -> None:
    sampling = pt.Sampling(n=8, max_new_tokens=6)
    adapted = policy.draw(["Ann went"], sampling)
    assert adapted != pt.load_policy(tiny_model, device="cpu").draw(["Ann went"], sampling)
    with policy.model.disable_adapter():  # type: ignore[operator]
        assert policy.draw(["Ann went"], sampling) == pt.load_policy(tiny_model, device="cpu").draw(
            ["Ann went"], sampling
        )


def test_an_adapter_on_a_tied_head_does_not_change_what_goes_in(stories: str) -> None:
    """The head is the embeddings: merged there, an adapter would change both."""
    policy = pt.load_policy(stories, device="cpu", lora=pt.LoRA(rank=2, targets=["q_proj", "lm_head"]))
    assert policy.model.config.tie_word_embeddings  # type: ignore[union-attr]
    torch.manual_seed(0)
    with torch.no_grad():
        for name, weight in policy.model.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.1)
        ids = torch.tensor([[65, 66, 67]])
        policy.model.eval()
        apart = policy.model(ids).logits
        with merged_adapters(policy.model):
            assert torch.allclose(policy.model(ids).logits, apart, atol=1e-3)
