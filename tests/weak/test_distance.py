"""How far weights moved: by hand, and the same for adapters and what they make when merged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from penchant.models.load import load_policy
from penchant.models.settings import ModelConfig
from penchant.weak.distance import weight_distance


def test_the_distance_is_that_of_all_weights_together(stories: str) -> None:
    policy = load_policy(stories, device="cpu")
    assert weight_distance(policy, stories) == 0
    weights = list(policy.model.parameters())
    length = sum(float(weight.detach().square().sum()) for weight in weights) ** 0.5
    with torch.no_grad():
        weights[3].view(-1)[0] += 0.5
    assert weight_distance(policy, stories) == pytest.approx(0.5 / length, rel=1e-4)


def test_adapters_count_as_the_weights_that_they_make(stories: str, tmp_path: Path) -> None:
    policy = load_policy(ModelConfig(name=stories, device="cpu", lora={"rank": 2}))
    assert weight_distance(policy, stories) == pytest.approx(0, abs=1e-7)
    network: Any = policy.model
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if "lora_B" in name:
                weight.fill_(0.01)
    before = {name: weight.detach().clone() for name, weight in network.named_parameters()}
    found = weight_distance(policy, stories)
    assert all(torch.allclose(before[name], weight, atol=1e-6) for name, weight in network.named_parameters())
    network.merge_and_unload().save_pretrained(tmp_path)
    policy.tokenizer.save_pretrained(tmp_path)
    assert found > 0
    assert weight_distance(load_policy(str(tmp_path), device="cpu"), stories) == pytest.approx(found, rel=1e-4)


def test_half_precision_is_no_movement(stories: str) -> None:
    assert weight_distance(load_policy(ModelConfig(name=stories, dtype="bfloat16", device="cpu")), stories) == 0
