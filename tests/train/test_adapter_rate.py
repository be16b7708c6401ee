"""Adapters have a default learning rate of their own, wherever the settings come from."""

from __future__ import annotations

from pathlib import Path

import pytest

import penchant as pt
from penchant.config import load_config, to_yaml
from penchant.methods import METHODS
from penchant.train.settings import RMSprop

DATA = "data=x.jsonl"


def rate(*overrides: str, method: str = "dpo") -> float:
    return load_config(
        METHODS[method], None, ["model=m", *([] if method.startswith("ppo") else [DATA]), *overrides]
    ).optimizer.learning_rate  # type: ignore[attr-defined, no-any-return]


@pytest.mark.parametrize("method", ["dpo", "kto", "sft", "reward_model"])
def test_ten_times_the_default_of_all_weights(method: str) -> None:
    assert rate(method=method) == 1e-6
    assert rate("model.lora.rank=8", method=method) == 1e-5
    assert rate("model.lora={}", "optimizer=adamw", method=method) == 1e-5
    assert rate("model.lora={}", "optimizer.eps=1e-6", method=method) == 1e-5


def test_a_rate_that_is_given_stays() -> None:
    assert rate("model.lora={}", "optimizer.learning_rate=1e-6") == 1e-6
    assert rate("model.lora={}", "optimizer={name: adamw, learning_rate: 3e-4}") == 3e-4


def test_python_yaml_and_command_line_agree(tmp_path: Path) -> None:
    config = pt.DPO(model={"name": "m", "lora": {}}, data="x.jsonl")
    assert config.optimizer.learning_rate == 1e-5
    assert pt.DPO(model={"name": "m", "lora": {}}, data="x.jsonl", optimizer=RMSprop()) == config
    file = tmp_path / "config.yaml"
    file.write_text("model: {name: m, lora: {}}\ndata: x.jsonl\n")
    assert load_config(pt.DPO, file) == config
    file.write_text(to_yaml(config))
    assert load_config(pt.DPO, file) == config


def test_what_an_earlier_run_recorded_stays(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    recorded = to_yaml(pt.DPO(model={"name": "m", "lora": {}}, data="x.jsonl", optimizer={"learning_rate": 1e-6}))
    file.write_text(recorded)
    assert load_config(pt.DPO, file).optimizer.learning_rate == 1e-6


def test_all_weights_keep_their_rate_when_adapters_are_added_or_left_out() -> None:
    full = pt.DPO(model="m", data="x.jsonl")
    assert full.replace(model={"name": "m", "lora": {}}).optimizer.learning_rate == 1e-5
    adapters = pt.DPO(model={"name": "m", "lora": {}}, data="x.jsonl")
    assert adapters.replace(model="m") == full
    # again and again: the rate does not grow with each change
    again = adapters.replace(model="m").replace(model={"name": "m", "lora": {}}).replace(epochs=2).replace(epochs=1)
    assert again == adapters
    assert RMSprop().learning_rate == 1e-6


@pytest.mark.parametrize("optimizer", ["adamw", {"eps": 1e-6}, {"name": "adamw"}, RMSprop(eps=1e-6)])
def test_the_rate_follows_the_model_where_other_settings_of_the_optimizer_are_given(optimizer: object) -> None:
    full = pt.DPO(model="m", data="x.jsonl", optimizer=optimizer)
    adapters = full.replace(model={"name": "m", "lora": {}})
    assert (full.optimizer.learning_rate, adapters.optimizer.learning_rate) == (1e-6, 1e-5)
    assert adapters.replace(model="m") == full


def test_a_rate_that_was_given_stays_when_the_model_is_replaced() -> None:
    given = pt.DPO(model={"name": "m", "lora": {}}, data="x.jsonl", optimizer={"learning_rate": 1e-5})
    assert given.replace(model="m").optimizer.learning_rate == 1e-5
