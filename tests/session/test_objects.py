"""Functions and objects of a session as settings: named by their source, found again, refused where they cannot be."""

from __future__ import annotations

import linecache
from pathlib import Path
from typing import Any

import pytest

import penchant as pt
from penchant.extension.door import Door
from penchant.session import objects
from penchant.session.objects import code_name, code_warnings, refuse_session_objects, shown_name
from penchant.session.store import store_folder

DOOR = Door("reward", ("vader",), kind="function")


def cell(source: str) -> dict[str, Any]:
    """What a notebook's cell leaves behind: names of `__main__`, whose source Python reads from its cache of lines."""
    name = f"<cell {abs(hash(source))}>"
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    namespace: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(source, name, "exec"), namespace)
    return namespace


def in_another_session(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "_objects", {})


def module_function(pairs):  # type: ignore[no-untyped-def]
    return [0.0 for _ in pairs]


def test_a_function_of_a_cell_is_named_by_its_source_and_loads_in_another_session(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    short = cell("SCALE = 2\ndef short(pairs):\n    return [-SCALE * len(r) for _, r in pairs]\n")["short"]
    name = code_name(short)
    assert isinstance(name, str)
    assert name.startswith("session:short_")
    assert DOOR.load(name) is short
    assert DOOR.content(name) == name
    in_another_session(monkeypatch)
    DOOR.check(name)
    assert DOOR.load(name)([("a", "bcd")]) == [-6]
    other = cell("SCALE = 3\ndef short(pairs):\n    return [-SCALE * len(r) for _, r in pairs]\n")["short"]
    assert code_name(other) != name  # another constant is another function


def test_a_class_of_a_cell_loads_in_another_session(monkeypatch: pytest.MonkeyPatch) -> None:
    name = code_name(cell("class Longest:\n    def judge_many(self, questions, done):\n        pass\n")["Longest"])
    in_another_session(monkeypatch)
    assert DOOR.load(str(name)).__name__ == "Longest"


def test_a_function_of_a_module_is_named_by_the_module(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(Path(__file__).parent)
    assert code_name(module_function) == "test_objects.py:module_function"
    monkeypatch.chdir(tmp_path)
    assert code_name(module_function) == f"{Path(__file__).resolve()}:module_function"
    assert code_name(linecache.getline) == "linecache:getline"


def test_names_and_loaded_rewards_and_plain_data_stay_what_they_are() -> None:
    assert code_name("vader") == "vader"
    assert code_name(pt.load_reward("vader")) == "vader"
    assert code_name(pt.load_reward("thoughts:vader")) == "thoughts:vader"
    assert code_name(3) == 3
    with pytest.raises(pt.InputError, match=r"`evaluate.samples.reward`: expected text or null, got 3"):
        pt.DPO(model="m", data="d", evaluate={"samples": {"reward": 3}})


def test_what_has_no_source_is_numbered_and_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = [1.0].count, [2.0].count
    assert code_name(first) == code_name(first) == "session:count_unread"
    assert code_name(second) == "session:count_unread2"
    assert code_warnings({"reward": "session:count_unread"}) == [
        "the source of `count` cannot be read: the record does not hold it, and resuming takes it as unchanged"
    ]
    with pytest.raises(pt.InputError, match=r"a study runs code in processes of its own, where `count` cannot be"):
        refuse_session_objects({"reward": "session:count_unread"}, "a study")
    in_another_session(monkeypatch)
    with pytest.raises(pt.InputError, match="the reward `count`: it was handed over by a Python session, and this"):
        DOOR.check("session:count_unread")


def test_partials_lambdas_of_a_line_methods_and_objects_have_names_of_their_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = cell(
        "import functools\n"
        "class Scale:\n"
        "    def __init__(self, by):\n        self.by = by\n"
        "    def __call__(self, pairs):\n        return [self.by for _ in pairs]\n"
        "    def twice(self, pairs):\n        return [2 * self.by for _ in pairs]\n"
        "def scaled(pairs, by):\n    return [by for _ in pairs]\n"
        "objects = [functools.partial(scaled, by=1), functools.partial(scaled, by=2), Scale(1), Scale(2),\n"
        "    Scale(1).twice, Scale(2).twice, lambda pairs: [1] * len(pairs), lambda pairs: [2] * len(pairs)]\n"
    )["objects"]
    given = [str(code_name(value)) for value in names]
    assert len(set(given)) == len(given)
    assert [shown_name(name) for name in given[::2]] == ["scaled", "Scale", "twice", "lambda"]
    assert code_warnings(given) == []
    in_another_session(monkeypatch)
    assert [DOOR.load(name)([("a", "b")]) for name in given] == [[1], [2], [1], [2], [2], [4], [1], [2]]


def test_an_object_that_collects_has_one_name_whatever_it_holds_and_so_has_a_fresh_one() -> None:
    kind = cell("class Lines:\n    def __init__(self, *lines):\n        self.lines = list(lines)\n"
                "    def __call__(self, line):\n        self.lines.append(line)\n")["Lines"]  # fmt: skip
    collector = kind()
    name = code_name(collector)
    assert code_warnings([name]) == [
        "`Lines` uses `self.lines` (a list), which the record does not hold: resuming takes that as unchanged. "
        "What an object collects may grow while a run goes on; give what stays the same as a tuple"
    ]
    collector({"step": 1})
    assert code_name(collector) == name
    # a cell that runs again makes another object, with the content that the first one began with
    assert code_name(kind()) == name != code_name(kind("bad"))


def test_functions_that_hold_other_objects_of_the_session_are_not_taken_for_one_another() -> None:
    make = cell("def make(model):\n    def uses(pairs):\n        return [model for _ in pairs]\n    return uses\n")[
        "make"
    ]
    model, other = object(), object()
    names = [code_name(make(held)) for held in (model, other, model)]
    assert names[0] == names[2] != names[1]
    assert DOOR.load(str(names[1]))([()]) == [other]
    assert DOOR.load(str(names[0]))([()]) == [model]


def test_a_function_that_needs_the_session_says_what_and_is_not_run_without(monkeypatch: pytest.MonkeyPatch) -> None:
    uses = cell("class Model:\n    pass\nmodel = Model()\ndef uses(pairs):\n    return [model for _ in pairs]\n")[
        "uses"
    ]
    name = str(code_name(uses))
    warning = "`uses` uses `model` (a Model), which the record does not hold: resuming takes that as unchanged"
    assert code_warnings([name]) == [warning]
    with pytest.raises(pt.InputError, match=r"it uses `model` \(a Model\). Put it into a file"):
        refuse_session_objects([name], "a study")
    assert [file.suffix for file in store_folder().iterdir()] == [".txt"]
    in_another_session(monkeypatch)
    with pytest.raises(pt.InputError, match=r"Its source is in .*\.txt, but needs what only that session has"):
        DOOR.load(name)


def test_a_study_takes_what_stands_alone() -> None:
    name = code_name(cell("def f(pairs):\n    return [1.0 for _ in pairs]\n")["f"])
    refuse_session_objects({"reward": name}, "a study")
    assert code_warnings([name]) == []


def test_messages_show_the_session_s_own_name() -> None:
    assert shown_name("session:short_0123456789abcdef") == "short"
    assert shown_name("session:lambda__0123456789abcdef") == "lambda"
    assert shown_name("my_rewards.py:short") == "my_rewards.py:short"
