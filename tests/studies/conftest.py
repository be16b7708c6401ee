"""A study of seconds: a random model of 20,000 parameters learns to write letters."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from penchant.studies.core import executor
from penchant.studies.core.executor import Workers
from penchant.studies.frontier.settings import FrontierConfig

REWARD = '''"""How much of a response is letters."""


def letters(pairs):
    return [sum(sign.isascii() and sign.isalpha() for sign in text) / max(1, len(text)) for _, text in pairs]
'''
TRAIN = ("Ann went out.", "Bob sang.", "Cleo fell.", "Dan ran home.", "Eve is here.", "Finn sat.")
EVAL = ("Gus came.", "Hal saw it.", "Ida left.", "Joe won.")


class FastPython:
    """Stands for `sys` where a server of workers is started; the process that it forks from starts when one is."""

    def __init__(self, request: pytest.FixtureRequest) -> None:
        self.request = request

    @property
    def executable(self) -> str:
        return str(self.request.getfixturevalue("program_folder") / "penchant")


@pytest.fixture(scope="module", autouse=True)
def start_workers_fast(request: pytest.FixtureRequest) -> Iterator[None]:
    """Every server of workers is a fork of a process that has torch, also those that `main(["study", ...])` starts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(executor, "sys", FastPython(request))
        yield


@pytest.fixture(scope="session")
def workers() -> Iterator[Workers]:
    """One server for all studies of the tests: its imports take longer than they do."""
    with Workers() as shared:
        yield shared


@pytest.fixture(scope="session")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the prompts and the reward."""
    folder = tmp_path_factory.mktemp("inputs")
    (folder / "train.txt").write_text("\n".join(TRAIN) + "\n")
    (folder / "eval.txt").write_text("\n".join(EVAL) + "\n")
    (folder / "letters.py").write_text(REWARD)
    return folder


@pytest.fixture(scope="session")
def settings(tiny_model: str, inputs: Path) -> dict[str, Any]:
    """The study's settings as plain values."""
    return {
        "model": {"name": tiny_model, "device": "cpu"},
        "prompts": str(inputs / "train.txt"),
        "eval_prompts": str(inputs / "eval.txt"),
        "reward": f"{inputs / 'letters.py'}:letters",
        "max_new_tokens": 6,
        "evaluation": {"times": 2, "samples": 2, "reference_samples": 16},
        "batch_size": 8,
        "dpo": {"beta": [0.1, 1], "learning_rate": 3e-3},
        "kto": None,
        "preferred_ft": {"learning_rate": 3e-3},
        "unlikelihood": {"alpha": [0.5], "learning_rate": 3e-3},
        "ppo": None,
        "ppo_gt": None,
        "best_of_n": {"n": [1, 2, 4]},
    }


@pytest.fixture
def study(settings: dict[str, Any], tmp_path: Path) -> Callable[..., FrontierConfig]:
    """`study(dpo=None)` is the configuration with changes, in a folder of the test's own."""

    def make(**changes: Any) -> FrontierConfig:
        return FrontierConfig(**{**settings, "out": str(tmp_path / "study"), **changes})

    return make
