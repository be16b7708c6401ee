"""Defaults inside of defaults, checked copies, and what a configuration is beside its values."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys

import pytest

from config_example import BASE, Method, Optimizer
from penchant.config import Config, load_config
from penchant.errors import InputError
from penchant.losses import IPO, Robust, Sigmoid


def test_a_mapping_changes_the_fields_default_and_an_object_replaces_it() -> None:
    assert Method(**BASE, loss={"nll_weight": 1}).loss == Sigmoid(beta=0.5, nll_weight=1)
    assert Method(**BASE, loss={"name": "sigmoid"}).loss == Sigmoid(beta=0.5)
    assert Method(**BASE, loss=Sigmoid()).loss == Sigmoid(beta=0.1)
    assert Method(**BASE, loss={"name": "robust"}).loss == Robust(beta=0.1)
    assert Method(**BASE, optimizer={"clip": None}).optimizer == Optimizer(learning_rate=1e-6, clip=None)


def test_defaults_inside_defaults_are_kept() -> None:
    class Outer(Config):
        inner: Method = Method(**BASE, optimizer=Optimizer(learning_rate=7.0), loss=IPO(tau=3.0))

    assert Outer(inner={"optimizer": {"clip": 2}}).inner.optimizer == Optimizer(learning_rate=7.0, clip=2.0)
    assert load_config(Outer, None, ["inner.loss.nll_weight=1"]).inner.loss == IPO(tau=3.0, nll_weight=1)
    assert load_config(Outer, None, ["inner.loss=sigmoid"]).inner.loss == Sigmoid(beta=0.5)


def test_replace_checks_and_keeps_the_rest() -> None:
    config = Method(**BASE, loss=IPO(tau=2.0))
    changed = config.replace(evaluate=5)
    assert changed == Method(**BASE, loss=IPO(tau=2.0), evaluate=5)
    assert config.evaluate == 100
    with pytest.raises(InputError, match="`evaluat` is unknown; did you mean `evaluate`"):
        config.replace(evaluat=5)


def test_configs_travel_between_processes() -> None:
    config = Sigmoid(beta=0.3)
    assert pickle.loads(pickle.dumps(config)) == copy.deepcopy(config) == config
    assert {config: 1}[Sigmoid(beta=0.3)] == 1


def test_the_configuration_imports_no_torch() -> None:
    code = "import sys, penchant.config; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
