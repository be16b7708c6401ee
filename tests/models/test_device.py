"""Which attention computes, and where the weights go: what cannot be had is refused by its name."""

from __future__ import annotations

import pytest
import torch

import penchant as pt
from penchant.engine.reference import table_key
from penchant.errors import InputError
from penchant.models.device import check_attention, check_placed
from penchant.models.load import load_policy
from penchant.models.settings import ModelConfig
from penchant.types import PromptGroup

GROUPS = [PromptGroup("Ann went out.", [" She sang.", " It was sad and she fell.", " No."])]


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_another_attention_gives_the_same_scores(tiny_model: str, attention: str) -> None:
    policy = load_policy(ModelConfig(name=tiny_model, device="cpu"))
    other = load_policy(ModelConfig(name=tiny_model, device="cpu", attention=attention))
    assert torch.allclose(policy.score(GROUPS)[0], other.score(GROUPS)[0], atol=1e-4)
    # eager attention knows no trees: each response is forwarded with its prompt
    assert other.scorer.plain == (attention == "eager")
    assert ("eager" in other.scorer.plain_reason) == (attention == "eager")
    # its last digits are others: so are the numbers that are kept of it
    keys = {table_key(model.model, "digest", "float32") for model in (policy, other)}
    assert len(keys) == (2 if attention == "eager" else 1)


@pytest.mark.parametrize("attention", ["flash_attention_2", "flex_attention"])
def test_an_attention_without_its_gpu_is_refused(tiny_model: str, attention: str) -> None:
    with pytest.raises(InputError, match=rf"model\.attention={attention} needs a GPU with CUDA, and .* is on cpu"):
        load_policy(ModelConfig(name=tiny_model, device="cpu", attention=attention))


def test_flash_attention_needs_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    model = ModelConfig(name="any", attention="flash_attention_2")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match="the package flash-attn"):
        check_attention(model, torch.device("cuda"))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    with pytest.raises(InputError, match=r"half precision \(model\.dtype=bfloat16\)"):
        check_attention(model, torch.device("cuda"))
    check_attention(model.replace(dtype="bfloat16"), torch.device("cuda"))


def test_weights_that_accelerate_puts_in_place_are_the_same(tiny_model: str) -> None:
    if torch.cuda.is_available():
        pytest.skip("about a machine without a GPU")
    policy, placed = load_policy(tiny_model), load_policy(ModelConfig(name=tiny_model, device_map="auto"))
    assert torch.equal(policy.score(GROUPS)[0], placed.score(GROUPS)[0])
    assert {parameter.device.type for parameter in placed.model.parameters()} == {"cpu"}


@pytest.mark.parametrize("places", [{"model": 0, "lm_head": 1}, {"model": 0, "lm_head": "cpu"}, {"": "disk"}])
def test_a_model_that_does_not_fit_on_one_device_is_refused(tiny_model: str, places: dict[str, object]) -> None:
    network = load_policy(tiny_model, device="cpu").model
    network.hf_device_map = places  # type: ignore[assignment]
    with pytest.raises(InputError, match=r"model\.device_map=auto spreads the model over"):
        check_placed(network, "auto")
    network.hf_device_map = {"": 0}  # type: ignore[assignment]
    assert check_placed(network, "auto") == torch.device("cuda:0")


def test_two_settings_for_one_place_are_refused() -> None:
    with pytest.raises(pt.InputError, match="both say where the weights go"):
        ModelConfig(name="any", device="cpu", device_map="auto")
