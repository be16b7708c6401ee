"""What a run that is only planned is said to take."""

from __future__ import annotations

import sys

import pytest

import penchant as pt
from penchant.train.run_plan import rollout_plan, shape_of_learner


def test_every_pass_over_the_samples_counts(tiny_model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # by its name in the table of modules: `penchant.train` is the function of that name
    monkeypatch.setattr(sys.modules["penchant.train.run_plan"], "measure_speed", lambda device: 1e9)
    policy = pt.load_policy(tiny_model, device="cpu")
    settings = {"model": tiny_model, "data": "prompts.txt", "reward": "vader", "steps": 5, "max_new_tokens": 10}
    costs = [
        rollout_plan(pt.PPOGT(**settings, updates=updates, prompts_per_step=4), policy, [], {}, []).cost
        for updates in (1, 4)
    ]
    assert costs[0] is not None
    assert costs[1] is not None
    # 5 steps of 4 prompts with 2 samples of 10 tokens; three passes more of 6 operations per weight and token
    operations = shape_of_learner(policy).parameters * 6 * 3 * (5 * 4 * 2 * 10)
    assert costs[1].fastest_s - costs[0].fastest_s == pytest.approx(operations / 0.9e9)
