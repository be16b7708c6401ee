"""From runs to numbers, with runs whose arithmetic is done by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest
from side_by_side.summary import (
    distance,
    equality,
    limit_seconds,
    pairs_per_s,
    span,
    speed,
    step_seconds,
    verdict,
)

RATE = {"trunk_flop": 100.0, "head_flop": 50.0, "trunk_rate": 300.0, "head_rate": 150.0}


def run(ends: list[float], *, peak: float = 100.0, loss: float = 0.6) -> dict[str, Any]:
    """A worker's result whose steps ended at these seconds."""
    numbers = {"loss": loss, "chosen_logps": -10.0, "rejected_logps": -20.0, "grad_norm": 2.0}
    needed = [{"tokens": 10, "positions": 4} for _ in ends]
    return {
        "steps": [{**numbers, "end_s": end} for end in ends],
        "peak_mib": peak,
        "tokens": {"forwarded": 12.0 * len(ends), "needed": needed},
    }


def of_speed(side: str, repeat: int, result: dict[str, Any]) -> dict[str, Any]:
    return {"part": "speed", "side": side, "repeat": repeat, "result": result}


def test_speed_leaves_out_the_warm_up() -> None:
    # the first step ended at 10 s; the two others took 6 s together
    assert step_seconds(run([10, 12, 16])) == 3
    assert pairs_per_s(run([10, 12, 16]), 12) == 4


def test_ratios_are_taken_within_a_repeat() -> None:
    # 2x in a quiet repeat, 4x in a noisy one; a third repeat has no peer yet and counts in no ratio
    runs = [
        of_speed("penchant", 0, run([1, 2], peak=50)),
        of_speed("trl-precomputed", 0, run([1, 3], peak=100)),
        of_speed("penchant", 1, run([1, 11], peak=40)),
        of_speed("trl-precomputed", 1, run([1, 41], peak=160)),
        of_speed("penchant", 2, run([1, 2])),
    ]
    told = speed(runs, 6)
    assert told["trl-precomputed"]["speed_ratio"] == {"median": 3, "low": 2, "high": 4}
    assert told["trl-precomputed"]["memory_ratio"] == {"median": 0.375, "low": 0.25, "high": 0.5}
    assert told["penchant"]["runs"] == 3
    assert told["penchant"]["pairs_per_s"] == {"median": 6, "low": pytest.approx(0.6), "high": 6}
    assert told["penchant"]["forwarded"] == 2  # 12 tokens a step of 6 pairs
    assert "speed_ratio" not in told["penchant"]


def test_no_ratio_without_a_repeat_in_common() -> None:
    runs = [of_speed("penchant", 0, run([1, 2])), of_speed("trl-precomputed", 1, run([1, 2]))]
    assert "speed_ratio" not in speed(runs, 6)["trl-precomputed"]
    assert speed([], 6) == {}


def test_the_limit_is_three_units_of_trunk_and_head() -> None:
    # 3 * 100 * 10 / 300 = 10 s in the trunk, 3 * 50 * 4 / 150 = 4 s in the head
    assert limit_seconds({"tokens": 10, "positions": 4}, RATE) == 14


def test_distance_is_the_share_of_the_limit_in_the_measured_step() -> None:
    runs = [
        of_speed("penchant", 0, run([5, 33])),
        {"part": "rate", "repeat": 0, "result": RATE},
        of_speed("penchant", 1, run([5, 25])),  # its rate was not measured yet
    ]
    told = distance(runs)
    assert told is not None
    assert told["measured_s"] == 28
    assert told["limit_s"] == 14
    assert told["share"] == {"median": 0.5, "low": 0.5, "high": 0.5}
    assert distance(runs[:1]) is None


def test_the_limit_leaves_out_the_warm_up_step() -> None:
    result = run([5, 33])
    result["tokens"]["needed"][0] = {"tokens": 10**9, "positions": 0}
    told = distance([of_speed("penchant", 0, result), {"part": "rate", "repeat": 0, "result": RATE}])
    assert told is not None
    assert told["limit_s"] == 14


def of_equality(mine: dict[str, Any], its: dict[str, Any], gradient: float) -> list[dict[str, Any]]:
    steps = {"penchant": mine["steps"], "trl-precomputed": its["steps"]}
    return [{"part": "equality", "result": {"steps": steps, "gradient": {"gradient_difference": gradient}}}]


@pytest.mark.parametrize(
    ("loss", "gradient", "equal"),
    [(0.60005, 1e-6, True), (0.6002, 1e-6, False), (0.6, 2e-4, False), (math.nan, 1e-6, False), (0.6, math.nan, False)],
)
def test_equality_wants_loss_and_gradient(loss: float, gradient: float, equal: bool) -> None:
    told = equality(of_equality(run([1, 2], loss=loss), run([1, 2]), gradient))
    assert told is not None
    assert told["equal"] is equal
    assert told["steps"] == 2


def test_differences_but_the_loss_are_relative() -> None:
    mine = run([1, 2])
    mine["steps"][1]["chosen_logps"] = -11.0
    told = equality(of_equality(mine, run([1, 2]), 0.0))
    assert told is not None
    assert told["chosen_logps"] == pytest.approx(0.1)
    assert equality([]) is None


def test_verdict_says_by_how_much() -> None:
    assert verdict(6.0, 6.0) == "met"
    assert verdict(4.5, 6.0) == "missed by 25.0 %"
    assert verdict(0.4, 0.4, at_most=True) == "met"
    assert verdict(0.5, 0.4, at_most=True) == "missed by 25.0 %"


def test_span_of_an_even_number() -> None:
    assert span([1, 4, 2, 3]) == {"median": 2.5, "low": 1, "high": 4}
