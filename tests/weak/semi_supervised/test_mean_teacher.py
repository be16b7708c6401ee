"""Mean Teacher: the average of weights and the ramp, by hand."""

from __future__ import annotations

import math

import pytest
import torch
from tests.weak.semi_supervised.conftest import Bench

from penchant.weak.semi_supervised.loop import Steps, train_arms
from penchant.weak.semi_supervised.mean_teacher import average_decay, move_average, ramp_up
from penchant.weak.semi_supervised.settings import MeanTeacher


def test_the_average_is_a_true_mean_at_first() -> None:
    weights, average = [torch.tensor([float(value)]) for value in (4, 8, 3, 1)], [torch.tensor([100.0])]
    for step, weight in enumerate(weights):
        move_average(average, [weight], average_decay(step, 0.9))
    assert float(average[0]) == pytest.approx(4.0)
    move_average(average, [torch.tensor([14.0])], average_decay(99, 0.9))
    assert float(average[0]) == pytest.approx(0.9 * 4 + 0.1 * 14)


def test_the_ramp() -> None:
    assert ramp_up(0, 10) == pytest.approx(math.exp(-5))
    assert ramp_up(5, 10) == pytest.approx(math.exp(-1.25))
    assert ramp_up(10, 10) == ramp_up(11, 10) == ramp_up(0, 0) == 1


def test_the_teacher_that_predicts_is_the_average_of_the_student(bench: Bench) -> None:
    network, seen = bench.heads((0,)), []
    trained = train_arms(
        network,
        MeanTeacher(decay=0.8),
        [bench.arm(0)],
        Steps(7, 8, 1e-2, 0.0),
        watch=lambda step, predictor: seen.append(network.weights.out.detach().clone()),
    )
    expected = seen[0]
    for step, weight in enumerate(seen[1:], start=1):
        decay = min(1 - 1 / (step + 1), 0.8)
        expected = decay * expected + (1 - decay) * weight
    torch.testing.assert_close(trained.network.trained()[2], expected, atol=1e-6, rtol=1e-5)
    assert trained.network is not network
