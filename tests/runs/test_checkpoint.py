"""Weights come back under the names that the network runs with."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, MixtralConfig, PreTrainedModel

from penchant.digests import write_sums
from penchant.errors import InputError
from penchant.runs.checkpoint import load_weights


def mixture(seed: int, layers: int = 2) -> PreTrainedModel:
    torch.manual_seed(seed)
    sizes = {"hidden_size": 16, "intermediate_size": 24, "num_attention_heads": 2, "num_key_value_heads": 1}
    config = MixtralConfig(vocab_size=32, num_hidden_layers=layers, num_local_experts=3, **sizes)
    network: PreTrainedModel = AutoModelForCausalLM.from_config(config)
    return network


def save(network: PreTrainedModel, folder: Path) -> Path:
    network.save_pretrained(folder)
    write_sums(folder)
    return folder


def test_experts_that_are_saved_one_by_one_come_back_bit_for_bit(tmp_path: Path) -> None:
    saved, other = mixture(0), mixture(1)
    folder = save(saved, tmp_path / "model")
    assert {*load_file(folder / "model.safetensors")} != {*saved.state_dict()}  # else this would test nothing
    load_weights(folder, other)
    for name, tensor in saved.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[name]), name


def test_a_mixture_of_another_depth_is_refused(tmp_path: Path) -> None:
    folder = save(mixture(0, layers=3), tmp_path / "model")
    with pytest.raises(InputError, match="holds another model"):
        load_weights(folder, mixture(1))
