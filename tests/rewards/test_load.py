"""Rewards by name: found or refused with a hint, and held to their contract on every call."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
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


@pytest.mark.parametrize("spec", ["inner/reward.py:f", "inner.reward:f"])
@pytest.mark.parametrize(
    "source",
    [
        "from neighbour_of_reward import VALUE\ndef f(p): return [VALUE] * len(p)",
        "import neighbour_of_reward as other\ndef f(p): return [other.VALUE] * len(p)",
        "def f(p):\n    import neighbour_of_reward\n    return [neighbour_of_reward.VALUE] * len(p)",
    ],
)
def test_a_file_imports_its_neighbours_and_nobody_else_does(folder: Path, spec: str, source: str) -> None:
    inner = folder / "inner"
    inner.mkdir()
    (inner / "neighbour_of_reward.py").write_text("import second_neighbour\nVALUE = second_neighbour.VALUE")
    (inner / "second_neighbour.py").write_text("import neighbour_of_reward\nVALUE = 7.0")
    (inner / "reward.py").write_text(source)
    path = list(sys.path)
    assert load_reward(spec)(PAIRS) == [7.0, 7.0]
    assert sys.path == path
    with pytest.raises(ModuleNotFoundError):
        import neighbour_of_reward  # type: ignore[import-not-found]  # noqa: F401
    (inner / "second_neighbour.py").write_text("VALUE = 8.0 + 0")
    assert load_reward(spec)(PAIRS) == [8.0, 8.0]  # an edited neighbour counts too


def test_two_folders_have_each_their_own_neighbour(folder: Path) -> None:
    for name, value in (("one", 1.0), ("two", 2.0)):
        (folder / name).mkdir()
        (folder / name / "helpers_of_mine.py").write_text(f"VALUE = {value}")
        (folder / name / "reward.py").write_text("import helpers_of_mine as h\ndef f(p): return [h.VALUE] * len(p)")
    one, two = load_reward("one/reward.py:f"), load_reward("two/reward.py:f")
    assert (one(PAIRS), two(PAIRS)) == ([1.0, 1.0], [2.0, 2.0])


@pytest.mark.parametrize("spec", ["pack/reward.py:f", "pack.reward:f"])
def test_a_package_of_the_current_folder_keeps_its_relative_imports(folder: Path, spec: str) -> None:
    (folder / "pack" / "inner").mkdir(parents=True)
    (folder / "pack" / "__init__.py").write_text("from . import helpers")
    (folder / "pack" / "helpers.py").write_text("from .inner.deep import VALUE")
    (folder / "pack" / "inner" / "__init__.py").write_text("")
    (folder / "pack" / "inner" / "deep.py").write_text("VALUE = 3.0")
    (folder / "pack" / "reward.py").write_text("from .helpers import VALUE\ndef f(p): return [VALUE] * len(p)")
    assert load_reward(spec)(PAIRS) == [3.0, 3.0]
    (folder / "outside.py").write_text(
        "from pack.helpers import VALUE\nfrom pack import reward\ndef f(p): return [VALUE + reward.VALUE] * len(p)"
    )
    assert load_reward("outside:f")(PAIRS) == [6.0, 6.0]


def test_a_file_never_stands_for_an_installed_module(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("select", "pydantic"):
        (folder / f"{name}.py").write_text("raise AssertionError('a file of the current folder ran')")
    (folder / "mine.py").write_text("import select, pydantic\ndef f(p): return [float(hasattr(select, 'select'))] * 2")
    assert load_reward("mine:f")(PAIRS) == [1.0, 1.0]
    assert "pydantic.py is not what `import pydantic` gives" in caplog.text


@pytest.mark.parametrize(
    ("start", "entries", "arguments"),
    [
        (
            ["-m", "penchant.cli"],
            "",
            [
                "judge",
                "responses=[rows.jsonl]",
                "against=rows.jsonl",
                "judge={name: reward, reward: 'score:f'}",
                "out=out.jsonl",
            ],
        ),
        # which takes a fourth of the time
        ([str(Path(sys.executable).with_name("penchant"))], ":", ["data", "convert", "rows.jsonl", "out=out.jsonl"]),
    ],
)
def test_programs_run_no_file_of_the_current_folder(
    tmp_path: Path, start: list[str], entries: str, arguments: list[str]
) -> None:
    trap = "import pathlib\npathlib.Path(__file__).with_suffix('.ran').touch()\nraise SystemExit(0)\n"
    for name in ("select", "typing", "argparse", "yaml", "torch", "torchvision", "vaderSentiment", "sitecustomise"):
        (tmp_path / f"{name}.py").write_text(trap)
    (tmp_path / "score.py").write_text("import select\ndef f(pairs): return [len(text) for _, text in pairs]\n")
    (tmp_path / "rows.jsonl").write_text('{"prompt": "a", "chosen": "bb", "rejected": "b"}\n')
    environment = {**os.environ, "PYTHONPATH": os.environ.get("PYTHONPATH", "") + entries}
    done = subprocess.run(
        [sys.executable, *start, *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert not list(tmp_path.glob("*.ran")), done.stderr
    assert (done.returncode, (tmp_path / "out.jsonl").exists()) == (0, True), done.stderr


@pytest.mark.parametrize("source", ["import sys\nsys.exit(0)", "quit()", "raise SystemExit"])
def test_a_module_that_ends_the_program_is_an_error(folder: Path, source: str) -> None:
    (folder / "leaves.py").write_text(source)
    with pytest.raises(InputError, match=r"`leaves:f`.* cannot be imported: it ended the program"):
        load_reward("leaves:f")


@pytest.mark.parametrize("call", ["sys.exit(0)", "sys.exit()", "exit(1)", "sys.exit('done')"])
def test_a_function_that_ends_the_program_is_an_error(folder: Path, call: str) -> None:
    (folder / "leaves.py").write_text(f"import sys\ndef f(pairs): {call}")
    with pytest.raises(InputError, match="`leaves:f` failed on 2 pairs: it ended the program"):
        load_reward("leaves:f")(PAIRS)


def test_ctrl_c_in_a_reward_stays_what_it_is(folder: Path) -> None:
    (folder / "leaves.py").write_text("def f(pairs): raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        load_reward("leaves:f")(PAIRS)


def test_an_installed_package() -> None:
    assert load_reward("penchant.rewards.vader:vader")(PAIRS) == load_reward("vader")(PAIRS)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("vadar", "unknown; expected vader, .*module:function, .*did you mean `vader`"),
        ("vadar", "classifier:MODEL, http://address, or the folder of a reward model"),
        ("classifer:x", "unknown; expected .*did you mean `classifier:`"),
        ("classifer:org/name:POSITIVE", "unknown; expected .*did you mean `classifier:`"),
        ("..:x", "unknown; expected vader"),
        ("./my_test_rewards:length", "unknown; expected .*path/to/file.py:function"),
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


@pytest.mark.parametrize("kind", ["ValueError", "ModuleNotFoundError"])
def test_escape_codes_in_the_words_of_an_exception_are_shown(folder: Path, kind: str) -> None:
    source = f"raise {kind}('\\x1b[31mred')"
    (folder / "colours.py").write_text(f"def f(pairs):\n    {source}")
    with pytest.raises(InputError, match=r"Error: ␛\[31mred \(colours.py, line 2\)") as caught:
        load_reward("colours.py:f")(PAIRS)
    assert "\x1b" not in str(caught.value)
    (folder / "colours.py").write_text(f"{source}\nf = 1 + 1")
    with pytest.raises(InputError, match=r"cannot be imported: .*␛\[31mred"):
        load_reward("colours.py:f")


def test_escape_codes_in_what_it_returns_are_shown() -> None:
    class Colour:
        def __repr__(self) -> str:
            return "\x1b[31m1.0"

    with pytest.raises(InputError, match=r"returned ␛\[31m1.0, expected a list of numbers"):
        checked_reward(lambda pairs: Colour(), "mine")(PAIRS)  # type: ignore[arg-type, return-value]


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
        (
            torch.zeros(2, device="meta"),
            r"returned a Tensor on the device `meta` whose numbers cannot be read .*return a list of floats",
        ),
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


def test_a_reward_that_has_to_be_awaited_is_refused() -> None:
    async def later(pairs):  # type: ignore[no-untyped-def]
        return [1.0 for _ in pairs]

    class Later:
        async def __call__(self, pairs):  # type: ignore[no-untyped-def]
            return [1.0 for _ in pairs]

    for reward in (later, Later(), partial(later)):
        with pytest.raises(InputError, match="it is `async`, so that a call does nothing: write `def`"):
            checked_reward(reward)
        with pytest.raises(InputError, match="it is `async`"):
            load_reward(reward)
