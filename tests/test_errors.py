"""Errors as a notebook shows them."""

from __future__ import annotations

import json

import pytest

import penchant as pt
from penchant import errors
from penchant.errors import InputError

CELL = """
import penchant as pt

def broken(pairs):
    return [1 / 0 for _ in pairs]

def run(pt, group):
    pt.score_groups([group], pt.load_reward(broken))
run(pt, pt.PromptGroup("Hi", [pt.Response(" a"), pt.Response(" b")]))
"""


def test_a_notebook_shows_the_users_lines_and_the_message_alone() -> None:
    code = compile(CELL, "/tmp/ipykernel_1/2.py", "exec")
    with pytest.raises(pt.PenchantError) as raised:
        exec(code, {"__name__": "__main__"})
    *lines, message, hint = raised.value._render_traceback_()
    assert message == f"{type(raised.value).__name__}: {raised.value}"
    assert "traceback.print_exc()" in hint
    places = [line.partition(":")[0] for line in lines if "ipykernel" in line]
    # the line that failed in the user's function, and those that called us
    assert list(dict.fromkeys(places)) == [f"/tmp/ipykernel_1/2.py, line {number}" for number in (5, 9, 8)]
    assert not any("src/penchant/" in line for line in lines)


def test_an_error_that_was_never_raised_has_its_message() -> None:
    assert InputError("what is wrong")._render_traceback_()[0] == "InputError: what is wrong"


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("/home/ann/lib/python/mine.py", True),
        ("/home/ann/lib/python3/analysis/cell.py", True),
        ("/home/ann/my-packages/mine.py", True),
        ("/tmp/ipykernel_1/2.py", True),
        (json.__file__, False),
        (pt.__file__, False),
        (pytest.__file__, False),
        ("/usr/lib/python3/dist-packages/numpy/core.py", False),
        ("<frozen importlib._bootstrap>", False),
    ],
)
def test_users_code_is_told_by_the_folders_of_python_and_packages(file: str, expected: bool) -> None:
    assert errors._is_users(file) is expected
