"""Rewards by name: found or refused with a hint, and held to their contract on every call."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from penchant.errors import InputError, RunError
from penchant.rewards import BUILT_IN, checked_reward, load_reward

PAIRS = [("Once upon a time", "a long tale."), ("Well,", "no.")]

MODULE = '''
import dataclasses

@dataclasses.dataclass
class Config:
    weight: float = 1.0

def length(pairs):
    """Characters of the response."""
    return [Config().weight * len(response) for _, response in pairs]

constant = 3
'''


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a module of the user's in it."""
    (tmp_path / "my_test_rewards.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "my_test_rewards", raising=False)
    return tmp_path


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_built_in_reward_loads_and_scores(name: str) -> None:
    scores = load_reward(name)(PAIRS)
    assert len(scores) == 2
    assert all(isinstance(score, float) for score in scores)


def test_vader_scores_the_response_only() -> None:
    reward = load_reward("vader")
    happy, sad, empty = reward([("Awful!", "I love it, great!"), ("Great!", "I hate it."), ("x", "")])
    assert -1 <= sad < 0 < happy <= 1
    assert empty == 0.0
    assert reward([("Anything else", "I love it, great!")]) == [happy]


def test_vader_by_hand() -> None:
    # "good" has valence 1.9 in the lexicon; compound = s / sqrt(s^2 + 15) = 1.9 / sqrt(18.61) = 0.4404
    assert load_reward("vader")([("", "good")]) == [0.4404]


def test_importing_rewards_loads_no_lexicon_and_no_torch() -> None:
    code = "import sys, penchant.rewards; assert not {'torch', 'vaderSentiment'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_module_of_the_current_folder(folder: Path) -> None:
    path = list(sys.path)
    reward = load_reward("my_test_rewards:length")
    assert reward(PAIRS) == [12.0, 3.0]
    assert reward.__doc__ == "Characters of the response."
    assert sys.path == path


def test_a_file(folder: Path) -> None:
    assert load_reward("my_test_rewards.py:length")(PAIRS) == [12.0, 3.0]
    assert load_reward(f"{folder}/my_test_rewards.py:length")(PAIRS) == [12.0, 3.0]


def test_an_edited_file_is_read_again(folder: Path) -> None:
    file = folder / "edited.py"
    file.write_text("def one(pairs): return [1] * len(pairs)")
    assert load_reward("edited.py:one")(PAIRS) == [1.0, 1.0]
    file.write_text("def one(pairs): return [1 + 1] * len(pairs)")
    assert load_reward("edited.py:one")(PAIRS) == [2.0, 2.0]


def test_a_file_imports_its_neighbours(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inner = folder / "inner"
    inner.mkdir()
    (inner / "neighbour_of_reward.py").write_text("VALUE = 7.0")
    (inner / "reward.py").write_text("from neighbour_of_reward import VALUE\ndef f(p): return [VALUE] * len(p)")
    assert load_reward("inner/reward.py:f")(PAIRS) == [7.0, 7.0]
    monkeypatch.delitem(sys.modules, "neighbour_of_reward")


def test_an_installed_package() -> None:
    assert load_reward("penchant.rewards.vader:vader")(PAIRS) == load_reward("vader")(PAIRS)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("vadar", "unknown; expected vader, module:function, .*did you mean `vader`"),
        ("", "unknown; expected vader"),
        ("my_test_rewards:", "unknown; expected vader"),
        (":length", "unknown; expected vader"),
        ("my_test_rewards:not a name", "unknown; expected vader"),
        ("my_test_reward:length", "no module `my_test_reward` in .*did you mean `my_test_rewards`"),
        ("no_such_thing.at_all:f", "no module `no_such_thing.at_all`"),
        ("my_test_rewards:lenght", "my_test_rewards has no `lenght`; did you mean `length`"),
        ("my_test_rewards:constant", "expected a function, but constant is a int"),
        ("my_test_reward.py:length", r"no file my_test_reward\.py; did you mean `my_test_rewards\.py`"),
        ("nowhere/at_all.py:length", r"no file nowhere/at_all\.py"),
    ],
)
def test_what_is_not_there(folder: Path, spec: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        load_reward(spec)
    assert f"the reward `{spec}`" in str(caught.value)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("import no_such_dependency", "No module named 'no_such_dependency'"),
        ("def f(:", "SyntaxError"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
    ],
)
@pytest.mark.parametrize("ending", ["", ".py"])
def test_a_module_that_fails_says_why(folder: Path, source: str, message: str, ending: str) -> None:
    (folder / "broken_reward.py").write_text(source)
    with pytest.raises(InputError, match=f"cannot be imported: .*{message}") as caught:
        load_reward(f"broken_reward{ending}:f")
    assert caught.value.__cause__ is not None


def test_an_exception_of_the_function_is_kept() -> None:
    def fails(pairs: object) -> list[float]:
        raise KeyError("lexicon")

    with pytest.raises(InputError, match="`fails` failed on 2 pairs: KeyError: 'lexicon'") as caught:
        checked_reward(fails)(PAIRS)
    assert isinstance(caught.value.__cause__, KeyError)


@pytest.mark.parametrize("error", [RunError("nobody there"), InputError("no such word")])
def test_a_message_for_the_user_comes_through_as_it_is(error: Exception) -> None:
    def fails(pairs: object) -> list[float]:
        raise error

    with pytest.raises(type(error)) as caught:
        checked_reward(fails)(PAIRS)
    assert caught.value is error


@pytest.mark.parametrize(
    "results",
    [[1, 2], (1.0, 2.0), np.array([1, 2]), np.array([1, 2], dtype=np.float32), torch.tensor([1.0, 2.0])],
)
def test_what_counts_as_a_list_of_numbers(results: object) -> None:
    scores = checked_reward(lambda pairs: results)(PAIRS)
    assert scores == [1.0, 2.0]
    assert all(type(score) is float for score in scores)


def test_truth_values_are_numbers() -> None:
    assert checked_reward(lambda pairs: [True, np.bool_(False)])(PAIRS) == [1.0, 0.0]


@pytest.mark.parametrize(
    ("results", "message"),
    [
        (None, "returned None, expected a list of numbers"),
        (1.0, "returned 1.0, expected a list of numbers"),
        ("ab", "returned 'ab', expected a list of numbers"),
        ({0: 1.0, 1: 2.0}, "expected a list of numbers"),
        ({1.0, 2.0}, "expected a list of numbers"),
        (np.array(1.0), "expected a list of numbers"),
        ([], "returned 0 numbers for 2"),
        ([1.0], "returned 1 numbers for 2"),
        ([1.0, 2.0, 3.0], "returned 3 numbers for 2"),
        ([1.0, float("nan")], "returned nan for pair 1 .*prompt is 'Well,', its response 'no.'"),
        ([10**400, 1.0], r"returned 10+\.\.\. for pair 0"),
        ([float("-inf"), 1.0], "returned -inf for pair 0 .*prompt is 'Once upon a time'"),
        ([1.0, "2"], "returned '2' for pair 1"),
        ([None, 1.0], "returned None for pair 0"),
        ([1.0, 2j], "returned 2j for pair 1"),
        (np.array([[1.0], [2.0]]), r"returned array\(\[1.\]\) for pair 0"),
    ],
)
def test_what_does_not(results: object, message: str) -> None:
    with pytest.raises(InputError, match=f"the reward `mine` {'' if message[0] == 'r' else '.*'}{message}"):
        checked_reward(lambda pairs: results, "mine")(PAIRS)


def test_no_pairs_no_call() -> None:
    def never(pairs: object) -> list[float]:
        raise AssertionError

    assert checked_reward(never)([]) == []


def test_checking_twice_is_checking_once() -> None:
    reward: Callable[..., list[float]] = load_reward("vader")
    assert checked_reward(reward) is reward
