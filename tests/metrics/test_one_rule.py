"""One rule for every measure that has an interval over prompts: few of them, and prompts that all say the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from penchant.metrics import cluster_mean, paired_difference
from penchant.metrics.agreement import agreement_between, krippendorff_alpha, pair_agreement
from penchant.metrics.association import within_correlation
from penchant.metrics.calibration import reliability
from penchant.metrics.imitation import consistency
from penchant.metrics.length_controlled import length_controlled
from penchant.metrics.strengths import bradley_terry, plackett_luce
from penchant.metrics.win_rate import win_rate
from penchant.reports.kit.text import recorded

PROMPTS = [1, 2, 6, 9, 10, 30]
EXACT = "exact"  # a share of one answer per prompt has an interval of any number of prompts
Found = Any  # an Estimate, a Coefficient, or None


def _differing(prompts: int) -> tuple[np.ndarray, np.ndarray]:
    """0 or 1 of two answers to each prompt, and the prompt of each; both kinds of answers among them."""
    rng = np.random.default_rng(prompts)
    answers = rng.integers(0, 2, 2 * prompts)
    answers[:2] = 0, 1
    return answers, np.repeat(np.arange(prompts), 2)


def _strengths(prompts: int, same: bool, *, ranked: bool) -> list[Found]:
    """Three rankings of each prompt: the same three, or others."""
    rng = np.random.default_rng(prompts)
    orders = [(0, 1, 2), (2, 1, 0), (1, 0, 2)]
    chosen = [orders[each % 3 if same or each < 3 else int(rng.integers(3))] for each in range(3 * prompts)]
    labels = np.repeat(np.arange(prompts), 3)
    if ranked:
        return list(plackett_luce(chosen, labels, items=3, resamples=30).values)
    winners, losers = [one[0] for one in chosen], [one[1] for one in chosen]
    return list(bradley_terry(winners, losers, None, labels, items=3, prior=0.5, resamples=30).values)


def _single(prompts: int, same: bool) -> np.ndarray:
    return np.ones(prompts) if same else (np.arange(prompts) % 2).astype(float)


def _twice(prompts: int, same: bool) -> tuple[np.ndarray, np.ndarray]:
    answers, labels = _differing(prompts)
    return (np.ones_like(answers) if same else answers), labels


MEASURES: dict[str, tuple[Callable[[int, bool], Any], str]] = {
    "share, one answer": (lambda n, same: cluster_mean(_single(n, same), range(n)), EXACT),
    "share, two answers": (lambda n, same: cluster_mean(*_twice(n, same)), ""),
    "mean": (lambda n, same: cluster_mean(_twice(n, same)[0] * 2.5, _twice(n, same)[1], share=False), ""),
    "difference": (lambda n, same: paired_difference(*_pair(n, same), np.repeat(np.arange(n), 2)), ""),
    "win rate": (lambda n, same: win_rate(["ab"[int(w)] for w in _twice(n, same)[0]], _twice(n, same)[1]).rate, ""),
    "at equal lengths": (lambda n, same: _at_equal_lengths(*_twice(n, same)), ""),
    "kappa": (lambda n, same: pair_agreement(*_raters(n, same), _twice(n, same)[1], resamples=50).kappa, ""),
    "alpha": (lambda n, same: krippendorff_alpha(_raters(n, same), _twice(n, same)[1], resamples=50), ""),
    "raw agreement": (lambda n, same: agreement_between(_raters(n, same), None, _twice(n, same)[1]), ""),
    "consistency": (lambda n, same: consistency(_raters(n, same), _twice(n, same)[1]), ""),
    "accuracy of a bin": (lambda n, same: reliability([0.5] * 2 * n, *_twice(n, same))[0].accuracy, ""),
    "correlation": (lambda n, same: _correlation(*_differing(n), same), ""),
    "Bradley-Terry": (lambda n, same: _strengths(n, same, ranked=False), ""),
    "Plackett-Luce": (lambda n, same: _strengths(n, same, ranked=True), ""),
}


def _pair(prompts: int, same: bool) -> tuple[np.ndarray, np.ndarray]:
    answers = _differing(prompts)[0]
    return answers, (answers if same else 1 - answers)


def _raters(prompts: int, same: bool) -> list[list[int]]:
    answers = _differing(prompts)[0]
    other = answers.copy()
    other[::3] = 1 - other[::3]
    return [answers.tolist(), (answers if same else other).tolist()]


def _at_equal_lengths(won: np.ndarray, labels: np.ndarray) -> Found:
    return length_controlled(won, np.sin(np.arange(len(won))), labels, resamples=50)


def _correlation(answers: np.ndarray, labels: np.ndarray, same: bool) -> Found:
    x = np.sin(np.arange(len(labels)) * 1.7)
    return within_correlation(x, 2 * x if same else x + answers, labels, resamples=50)


@pytest.mark.parametrize("same", [False, True], ids=["differing", "same"])
@pytest.mark.parametrize("prompts", PROMPTS)
@pytest.mark.parametrize("name", MEASURES)
def test_few_prompts_have_an_exact_interval_or_a_reason(name: str, prompts: int, same: bool) -> None:
    measure, kind = MEASURES[name]
    found = measure(prompts, same)
    for each in found if isinstance(found, list) else [found]:
        if each.value is None:
            assert each.reason
            assert "undefined" in recorded(each.as_dict())
            continue
        assert each.clusters == prompts
        shown = recorded(each.as_dict(), percent=True, decimals=0)
        if each.low is None or each.high is None:
            unit = "prompt" if prompts == 1 else "prompts"
            few, alike = f"no interval: {prompts} {unit}", f"no interval: all {prompts} {unit} say the same"
            assert each.reason in (few, alike) or "resamples" in each.reason
            assert (each.reason == few) == (prompts < 10)
            assert each.reason in shown
        else:
            assert each.low < each.high  # never [100%, 100%]
            assert each.low - 1e-12 <= each.value <= each.high + 1e-12
            assert prompts >= 10 or kind == EXACT or same
            low, high = shown.partition("[")[2].rstrip("]").split(", ")
            assert low != high
