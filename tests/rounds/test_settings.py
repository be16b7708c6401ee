"""Settings of `train dpo` that are given to the rounds themselves are answered with where they belong."""

from __future__ import annotations

from typing import Any

import pytest

import penchant as pt

BASE: dict[str, Any] = {"model": "m", "data": "d", "out": "o"}


@pytest.mark.parametrize(
    ("config", "settings", "meant"),
    [
        (pt.Iterative, {"lr": 1e-4, "reward": "vader"}, "dpo.optimizer.learning_rate"),
        (pt.Iterative, {"learning_rate": 1e-4, "reward": "vader"}, "dpo.optimizer.learning_rate"),
        (pt.Iterative, {"num_train_epochs": 2, "reward": "vader"}, "dpo.epochs"),
        (pt.Iterative, {"loss": "ipo", "reward": "vader"}, "dpo.loss"),
        (pt.SelfRewarding, {"batch_size": 4}, "dpo.batch_size"),
        (pt.SPIN, {"batch_size": 4}, "dpo.batch_size"),
        # of its own, so a name of another program means these
        (pt.SPIN, {"lr": 1e-4}, "learning_rate"),
        (pt.SPIN, {"num_train_epochs": 2}, "epochs"),
    ],
)
def test_a_setting_of_the_stage_is_named_where_it_belongs(config: Any, settings: dict[str, Any], meant: str) -> None:
    with pytest.raises(pt.InputError, match=f"`{next(iter(settings))}` is unknown; did you mean `{meant}`?"):
        config(**BASE, **settings)


def test_the_settings_that_are_named_are_settings_of_the_stage() -> None:
    rounds = pt.Iterative(
        **BASE,
        reward="vader",
        dpo={"optimizer": {"learning_rate": 1e-4}, "epochs": 2, "batch_size": 4, "loss": {"name": "ipo"}, "clip": 1.0},
    )
    assert rounds.stage(0).optimizer.learning_rate == 1e-4
