"""What the page of a study of win rates says, and when it warns."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from penchant.studies.win_rates import words
from penchant.studies.win_rates.published import SETTING, published
from penchant.studies.win_rates.summary import WinRateSummary
from penchant.typed_json import from_json, to_json


def headline(study: dict[str, Any]) -> list[str]:
    return words.headline(from_json(WinRateSummary, study))


def findings(study: dict[str, Any]) -> list[str]:
    return words.findings(from_json(WinRateSummary, study))


def terminal_lines(study: dict[str, Any]) -> list[str]:
    return words.terminal_lines(from_json(WinRateSummary, study))


PARTS = ("rate", "high", "wins", "ties", "losses", "unparseable")


def estimate(value: float, low: float, high: float) -> dict[str, Any]:
    return {"value": value, "low": low, "high": high, "n": 40, "clusters": 40}


def method(name: str, label: str, rate: tuple[float, float, float], distinct: int = 40) -> dict[str, Any]:
    def cell(temperature: float, found: tuple[float, float, float]) -> dict[str, Any]:
        return {
            "domain": "posts", "temperature": temperature, "win_rate": dict.fromkeys(PARTS, estimate(*found)),
            "first_place": None, "tokens": 0, "seconds": 0, "warnings": [],
            "length_controlled": None, "flipped": None, "baselines": {"longest": estimate(0.4, 0.3, 0.5)},
            "responses": {"n": 120, "prompts": 40, "distinct": distinct},
        }  # fmt: skip

    best = {"domain": "posts", "temperature": 0.0, "rate": estimate(*rate)}
    return {
        "name": name, "label": label, "setting": None, "value": None, "rate": None, "seeds": 1,
        "cells": [cell(0.0, rate), cell(1.0, (0.2, 0.1, 0.3))], "best": [best],
    }  # fmt: skip


@pytest.fixture
def study() -> dict[str, Any]:
    methods = [method("reference", "Reference", (0.4, 0.3, 0.5)), method("dpo", "DPO", (0.7, 0.6, 0.8))]
    test = {
        "domain": "posts", "temperature": 0.0, "one": methods[0], "other": methods[1],
        "difference": estimate(-0.3, -0.4, -0.2), "p": 0.0002, "p_holm": 0.0004,
    }  # fmt: skip
    return {
        "study": "tldr", "config": {"judge": {"name": "trained"}}, "tested_at": 0.0, "temperatures": [0.0, 1.0],
        "seeds": [0], "domains": [{"name": "posts", "own": True, "prompts": 40}], "methods": methods, "tests": [test],
        "judge": {"data": {}, "held_out": {"held_out": {"accuracy": estimate(0.8, 0.7, 0.9)}}}, 
        "published": to_json(published("tldr")), "examples": [], "failures": [], "trained_on": {},
        "cost": {"seconds": 1, "verdicts": 2, "judge_tokens": 0, "judge_seconds": 0},
        "provenance": {},
    }  # fmt: skip


def test_who_wins_is_said_as_far_as_the_interval_goes(study: dict[str, Any]) -> None:
    first = headline(study)[0]
    assert first.startswith("DPO wins 70% [60%, 80%] against the summary of the data at temperature 0, more often than")
    assert "the reference wins 40% [30%, 50%]" in first
    study["methods"][1]["cells"][0]["win_rate"]["rate"] = estimate(0.55, 0.45, 0.65)
    assert "not clearly more or less often than not" in headline(study)[0]
    study["methods"][1]["cells"][0]["win_rate"]["rate"] = estimate(0.2, 0.1, 0.3)
    assert "less often than not" in headline(study)[0]


def test_preferences_that_nobody_stated_are_called_so(study: dict[str, Any]) -> None:
    study["config"]["preferences"] = {"path": "posts.csv", "layout": "trl"}
    assert not any("no human preference" in sentence for sentence in headline(study))
    study["config"]["preferences"]["layout"] = "instructgpt-summaries"
    assert headline(study)[0].startswith("There is no human preference in the training data: nobody compared")


def test_a_judge_that_guesses_comes_first(study: dict[str, Any]) -> None:
    assert not any("coin" in sentence for sentence in headline(study))
    study["judge"]["held_out"]["held_out"]["accuracy"] = estimate(0.53, 0.34, 0.72)
    assert headline(study)[0].startswith("This judge is not clearly better than a coin: it agrees with 53% [34%, 72%]")
    study["judge"] = None  # another judge: nobody measured it here
    study["config"]["judge"] = {"name": "endpoint", "model": "m"}
    assert "The judge is endpoint (m)." in headline(study)[-1]


def test_differences_are_told_with_the_winner_first(study: dict[str, Any]) -> None:
    told = " ".join(findings(study))
    assert "DPO above Reference (+30% [+20%, +40%], p < 0.001)" in told
    assert "DPO falls from 70% [60%, 80%] at temperature 0 to 20% [10%, 30%] at 1" in told
    study["tests"][0]["p_holm"] = 0.3
    assert "No two of them can be told apart on posts" in " ".join(findings(study))


def test_who_says_the_same_whatever_it_is_asked_is_named(study: dict[str, Any]) -> None:
    assert not any("much the same" in sentence for sentence in findings(study))
    same = deepcopy(study)
    same["methods"][1] = method("dpo", "DPO", (0.7, 0.6, 0.8), distinct=3)
    (sentence,) = [sentence for sentence in findings(same) if "much the same" in sentence]
    assert sentence in headline(same)[0]
    assert sentence.startswith("DPO gives much the same response to every prompt (3 texts for 40 prompts)")


@pytest.mark.parametrize("kind", SETTING)
def test_published_numbers_are_marked_as_theirs(study: dict[str, Any], kind: str) -> None:
    study |= {"study": kind, "published": to_json(published(kind))}
    line = terminal_lines(study)[-1]
    assert line.startswith("For comparison, Rafailov et al. 2023")
    assert "other models, data and judge than here" in line
    assert ("about 60%" in line) == (kind == "dialogue")
