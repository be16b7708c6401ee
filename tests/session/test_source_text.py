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
    assert text.constants == {"FACTOR": "FACTOR = 3"}
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


def test_lambdas_are_written_by_themselves_also_two_in_a_line() -> None:
    pairs = {"key": lambda x: x + FACTOR}
    assert source_text("lambda_", pairs["key"]).definitions == {"lambda_": "lambda_ = lambda x: x + FACTOR"}
    assert run("lambda_", pairs["key"])(1) == 4
    first, second = (lambda x: x + 1), (lambda x: lambda y: x * y)
    assert source_text("f", first).definitions == {"f": "f = lambda x: x + 1"}
    assert source_text("f", second).definitions == {"f": "f = lambda x: lambda y: x * y"}
    assert run("f", second(3))(2) == 6
    # two with the same columns: the code does not say which
    namespace: dict[str, Any] = {}
    exec(compile("f = lambda x: x", __file__, "exec"), namespace)
    with pytest.raises(Unreadable):
        source_text("f", namespace["f"])


def test_a_default_is_written_as_the_value_that_it_has() -> None:
    scaled = [lambda x, k=k: k * x for k in (2, 3)]  # type: ignore[misc]
    assert [run("f", function)(4) for function in scaled] == [8, 12]
    handle = object()

    def by_name(x, *, how=json.loads, to=handle):  # type: ignore[no-untyped-def]
        return how(x), to

    text = source_text("by_name", by_name)
    assert "how=json.loads" in text.definitions["by_name"]
    # a name that is still the same object stays a name
    assert text.missing == {"handle": "a default that is a object"}


def negated(function):  # type: ignore[no-untyped-def]
    @functools.wraps(function)
    def wrapper(*arguments):  # type: ignore[no-untyped-def]
        return -function(*arguments)

    return wrapper


def hidden(function):  # type: ignore[no-untyped-def]
    def wrapper(*arguments):  # type: ignore[no-untyped-def]
        return 10 * function(*arguments)

    return wrapper


@negated
def by_decorator(x):  # type: ignore[no-untyped-def]
    return x + FACTOR


@hidden
def without_wraps(x):  # type: ignore[no-untyped-def]
    return x + FACTOR


def test_decorated_functions_are_what_their_decorators_made_of_them() -> None:
    by_hand, twice = negated(helper), negated(negated(helper))
    assert run("by_decorator", by_decorator)(1) == -4
    assert run("wrapper", without_wraps)(1) == 40
    assert [run("helper", function)(2) for function in (helper, by_hand)] == [6, -6]
    assert source_text("helper", twice).missing == {"function": "two values of this name"}
    texts = {source_text("helper", function).text for function in (helper, by_hand, twice)}
    assert len(texts) == 3
    # what only a call wraps, and in no function, cannot be read off any source
    with pytest.raises(Unreadable):
        source_text("helper", functools.lru_cache(helper))


def test_helpers_under_other_names_and_one_name_of_two_values() -> None:
    renamed = helper

    def calls(x):  # type: ignore[no-untyped-def]
        return renamed(x)

    assert run("calls", calls)(2) == 6

    def make(beta, inner=None):  # type: ignore[no-untyped-def]
        def f(x):  # type: ignore[no-untyped-def]
            return beta * (inner(x) if inner else x)

        return f

    nested = make(2, make(3))
    assert nested(1) == 6
    assert source_text("f", nested).missing["beta"] == "two values of this name"


class Scaled:
    def __init__(self, factor: float) -> None:
        self.factor = factor
        self.seen: list[float] = []

    def __call__(self, x: float) -> float:
        return self.factor * x

    def half(self, x: float) -> float:
        return self.factor * x / 2


def test_objects_and_bound_methods_are_their_class_with_its_constants() -> None:
    text = source_text("scaled", Scaled(2))
    assert text.missing == {"self.seen": "a list"}
    assert text.text != source_text("scaled", Scaled(3)).text
    assert run("scaled", Scaled(3))(2) == 6
    assert run("half", Scaled(3).half)(2) == 3
    assert run("load", Counter.load)(None).count([]) == 3


def test_a_partial_is_its_function_and_its_arguments() -> None:
    assert run("p", functools.partial(helper, 2))() == 6
    by_name = functools.partial(Scaled.__call__, x=FACTOR)
    assert run("p", by_name)(Scaled(2)) == 6
    assert source_text("p", functools.partial(helper, object())).missing == {"p_0": "a object"}
    assert run("p", functools.partial(functools.partial(max, 5), 7))() == 7


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
    for value in (namespace["f"], len, [].append, 3, type("Made", (), {})):
        with pytest.raises(Unreadable):
            source_text("f", value)


def test_a_set_is_written_in_order_so_that_another_session_gives_the_same_text() -> None:
    table = {"good": {"fine", "great", "good"}, "none": set(), "pairs": [({1, 2},), ()]}

    def reward(pairs):  # type: ignore[no-untyped-def]
        return [float(text in table["good"]) for _, text in pairs]

    line = "table = {'good': {'fine', 'good', 'great'}, 'none': set(), 'pairs': [({1, 2},), ()]}"
    assert line in source_text("reward", reward).text.splitlines()
    # a value that holds itself has no end, and is none
    table["good"] = table  # type: ignore[assignment]
    assert source_text("reward", reward).missing == {"table": "a dict"}
