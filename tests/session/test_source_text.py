"""The source of functions and classes as texts that stand alone."""

from __future__ import annotations

import functools
import json
from typing import Any

import pytest

from penchant.session.source_text import Unreadable, source_text

FACTOR = 3
WORDS = ["good", "fine"]


def helper(x):  # type: ignore[no-untyped-def]
    return x * FACTOR


def uses_helper(x, more=len(WORDS)):  # type: ignore[no-untyped-def]  # noqa: B008 - a default is read where it stands
    """A docstring with a "quote"."""
    return helper(x) + more + json.loads("1")


def even(n):  # type: ignore[no-untyped-def]
    return n == 0 or odd(n - 1)


def odd(n):  # type: ignore[no-untyped-def]
    return n > 0 and even(n - 1)


@functools.lru_cache(maxsize=2)
def decorated(x):  # type: ignore[no-untyped-def]
    return x + FACTOR


class Counter:
    start = FACTOR

    def count(self, things):  # type: ignore[no-untyped-def]
        return self.start + len(things)

    @classmethod
    def load(cls, folder):  # type: ignore[no-untyped-def]
        return cls()


def run(name: str, value: object) -> Any:
    """What a file with the text gives under the name."""
    namespace: dict[str, Any] = {}
    exec(source_text(name, value).text, namespace)
    return namespace[name]


def test_a_function_stands_alone_with_its_imports_constants_and_helpers() -> None:
    text = source_text("uses_helper", uses_helper)
    assert text.missing == {}
    assert text.imports == {"json": "import json as json"}
    assert text.constants == {"WORDS": "WORDS = ['good', 'fine']", "FACTOR": "FACTOR = 3"}
    assert list(text.definitions) == ["helper", "uses_helper"]
    assert run("uses_helper", uses_helper)(2) == uses_helper(2) == 9


def test_functions_that_call_each_other_and_classes_and_decorators_stand_alone() -> None:
    assert run("even", even)(4)
    assert not run("even", even)(3)
    assert run("Counter", Counter)().count([1, 2]) == 5
    assert run("decorated", decorated.__wrapped__)(1) == 4


def test_a_closure_is_written_with_the_values_that_it_holds() -> None:
    def make(beta: float):  # type: ignore[no-untyped-def]
        def scaled(x):  # type: ignore[no-untyped-def]
            return beta * x

        return scaled

    assert run("scaled", make(0.5))(4) == 2.0
    assert source_text("scaled", make(0.5)).text != source_text("scaled", make(0.25)).text


def test_a_lambda_is_written_by_itself_and_two_in_a_line_cannot_be_told_apart() -> None:
    pairs = {"key": lambda x: x + FACTOR}
    assert source_text("lambda_", pairs["key"]).definitions == {"lambda_": "lambda_ = lambda x: x + FACTOR"}
    assert run("lambda_", pairs["key"])(1) == 4
    first, _ = (lambda x: x), (lambda y: y)
    with pytest.raises(Unreadable):
        source_text("lambda_", first)


def test_what_the_session_alone_has_is_named_and_stands_in_the_text() -> None:
    handle = object()

    def reads(x):  # type: ignore[no-untyped-def]
        return handle, x

    text = source_text("reads", reads)
    assert text.missing == {"handle": "a object"}
    assert "# not here, for only the session has it: handle, a object" in text.text


def test_code_without_source_is_none() -> None:
    namespace: dict[str, Any] = {}
    exec("def f(x): return x", namespace)
    for value in (namespace["f"], len, functools.partial(len), 3, type("Made", (), {})):
        with pytest.raises(Unreadable):
            source_text("f", value)
