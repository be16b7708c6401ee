"""What training is estimated to take."""

from __future__ import annotations

import dataclasses

import pytest

from penchant.errors import InputError
from penchant.train.costs import STARTING_S, ModelShape, Work, estimate_cost, measure_speed, model_shape

SHAPE = ModelShape(parameters=1_000_000, trained=1_000_000, layers=2, width=100, vocabulary=1000)
WORK = Work(trained=10_000, scored=5_000, sampled=0, tokens_per_pass=1000)


def test_time_by_hand() -> None:
    # 1e6 weights x (6 x 10,000 trained + 2 x 5,000 scored) = 7e10 operations, at 1e9 per second 70 s of full speed
    cost = estimate_cost(SHAPE, WORK, 1e9)
    assert cost.fastest_s == pytest.approx(STARTING_S[0] + 70 / 0.9)
    assert cost.slowest_s == pytest.approx(STARTING_S[1] + 70 / 0.2)


def test_adapters_cost_less_time_and_memory() -> None:
    adapters = dataclasses.replace(SHAPE, trained=10_000)
    full, lora = estimate_cost(SHAPE, WORK, 1e9), estimate_cost(adapters, WORK, 1e9)
    # 4 instead of 6 per trained token: 5e10 operations
    assert lora.fastest_s == pytest.approx(STARTING_S[0] + 50 / 0.9)
    # gradients, optimizer and the reference's weights are spared: three times 990,000 weights less, but for 10,000
    assert full.memory - lora.memory == pytest.approx(4 * (2 * 990_000 + 1_000_000))


def test_memory_by_hand() -> None:
    # weights, gradients, RMSprop's state and the reference: 4e6
    # activations 1000 x 2 x 100 x 20; logits 2 x 1000 x 1000
    assert estimate_cost(SHAPE, WORK, 1e9).memory == pytest.approx(0.6e9 + 4 * (4e6 + 4e6 + 2e6))
    assert estimate_cost(SHAPE, WORK, 1e9, optimizer="adamw").memory == pytest.approx(0.6e9 + 4 * (5e6 + 4e6 + 2e6))


def test_the_shape_of_a_model_comes_from_its_configuration() -> None:
    shape = model_shape("penchant-0.5m")
    assert (shape.parameters, shape.layers, shape.width, shape.vocabulary) == (529_056, 3, 96, 2048)
    # rank 4 on 3 layers: q, k, v, o are 96 x 96, gate and up 96 x 256, down 256 x 96
    assert model_shape("penchant-0.5m", lora_rank=4).trained == 3 * 4 * (4 * (96 + 96) + 3 * (96 + 256))


def test_a_model_that_is_none_is_named() -> None:
    with pytest.raises(InputError, match=r"penchant-0\.5m"):
        model_shape("penchant-0.5")


def test_speed_is_a_speed() -> None:
    assert 1e7 < measure_speed(size=64, seconds=0.01) < 1e15
