"""A task of the user's: named as `module:attribute`, held to the contract, and digested by its code."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from penchant.errors import InputError
from penchant.studies.weak_to_strong.grid import weak_grid
from penchant.studies.weak_to_strong.settings import WeakToStrongConfig
from penchant.tasks import load_task, task_spec
from penchant.tasks.load import task_code

TASK = """
from penchant.tasks import TaskSpec, task
from penchant.types import LabeledExample

@task(title="Reviews", classes=("bad", "good"), local=("reviews.jsonl",))
def reviews(row):
    yield LabeledExample(row["text"], int(row["stars"] > 3))

def plain(row):
    return []

@task(title="Two", classes=("one",), local=("reviews.jsonl",))
def one_class(row):
    return []

@task(title="None", classes=("bad", "good"))
def no_data(row):
    return []

@task(title="Pairs", classes=("bad", "good"), local=("reviews.jsonl",))
def tuples(row):
    return [(row["text"], 1)]

@task(title="Ends", classes=("bad", "good"), local=("reviews.jsonl",))
def ends(row):
    raise SystemExit(3)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder and that of data, with a file of tasks and one of reviews."""
    (tmp_path / "mine.py").write_text(TASK)
    rows = [{"text": f"review {number}", "stars": 1 + number % 5} for number in range(40)]
    (tmp_path / "reviews.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PENCHANT_DATA", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("name", ["mine.py:reviews", "./mine.py:reviews", "mine:reviews"])
def test_a_task_in_a_file_is_loaded_as_a_built_in_one_is(name: str, folder: Path) -> None:
    data = load_task(name)
    assert (data.spec.name, data.spec.title, data.source) == (name, "Reviews", "reviews.jsonl")
    assert {example.label for example in data.train} == {0, 1}


def test_a_task_of_an_installed_module(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = tmp_path / "installed"
    installed.mkdir()
    (installed / "package_of_tasks.py").write_text(TASK)
    monkeypatch.syspath_prepend(str(installed))
    monkeypatch.delitem(sys.modules, "package_of_tasks", raising=False)
    assert load_task("package_of_tasks:reviews").spec.classes == ("bad", "good")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("sst3", "there is no task 'sst3'.*did you mean `sst2`"),
        ("mine.py:review", "the task `mine.py:review`: mine.py has no `review`; did you mean `reviews`"),
        ("mien.py:reviews", "there is no file mien.py; did you mean `mine.py`"),
        ("mine.py:", "the task `mine.py:` is unknown; expected .*path/to/file.py:attribute"),
        ("mine.py:plain", "expected a task, but it is a function: write `@task"),
        ("mine.py:one_class", "`classes` has one class"),
        ("mine.py:no_data", "it names no data"),
        ("mine.py:tuples", "reviews.jsonl:1 was read as a tuple, expected a penchant.types.LabeledExample"),
        ("mine.py:ends", r"reviews.jsonl:1 is no row of Ends.*: it ended the program \(sys.exit\(3\)\)"),
        ("mine.py", r"it names a file, but no attribute in it: write `mine.py:reviews` or `mine.py:plain`"),
    ],
)
def test_what_is_no_task_is_refused(name: str, message: str, folder: Path) -> None:
    with pytest.raises(InputError, match=message):
        load_task(name)


MISTAKES = """
from penchant.tasks import task
from penchant.types import LabeledExample

def made(**changes):
    return task(**{"title": "Reviews", "classes": ("bad", "good"), "local": ("reviews.jsonl",), **changes})

def example(row, label=1, text=None, **values):
    return LabeledExample(text or row["text"], label, **values)

@made()
async def awaited(row):
    yield example(row)

@made()
def bare(row):
    return example(row)

one_text = made(classes="bad")(lambda row: [])
numbers = made(classes=("bad", 1))(lambda row: [])
twice = made(classes=("bad", "bad"))(lambda row: [])
one_file = made(local="reviews.jsonl")(lambda row: [])
same_file = made(local=("reviews.jsonl", "reviews.jsonl"))(lambda row: [])
one_split = made(hub="a/b", splits=("train",))(lambda row: [])
nothing = made()(lambda row: None)
no_column = made()(lambda row: [row["txt"]])
no_argument = made()(lambda: [])
text_label = made()(lambda row: [example(row, "good")])
half_label = made()(lambda row: [example(row, 0.5)])
number_text = made()(lambda row: [example(row, text=7)])
number_group = made()(lambda row: [example(row, group=7)])
no_options = made(classes=())(lambda row: [example(row)])
number_options = made(classes=())(lambda row: [example(row, options=(1, 2))])
few_groups = made(relate=lambda texts: ["g"])(lambda row: [example(row)])
number_groups = made(relate=lambda texts: [7] * len(texts))(lambda row: [example(row)])
failing_groups = made(relate=lambda texts: 1 / 0)(lambda row: [example(row)])
no_data_set = made(local=(), hub="nowhere")(lambda row: [])
"""


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("awaited", "its function is `async`, so that a call reads nothing: write `def`"),
        ("bare", "reviews.jsonl:1 is no row of Reviews.*it was read as a LabeledExample, expected .* `yield` each"),
        ("nothing", "it was read as a NoneType, expected examples: `yield` each, or return a list"),
        ("one_text", r"`classes` is 'bad', expected a tuple of texts, such as \('bad',\)"),
        ("numbers", "`classes` is .*expected a tuple of texts"),
        ("twice", "`classes` has a class twice: bad, bad"),
        ("one_file", r"`local` is 'reviews.jsonl', expected a tuple of texts, such as \('reviews.jsonl',\)"),
        ("same_file", "expected one, or one to train and another to test on"),
        ("one_split", "`splits` has 1 splits, expected one to train and one to test on"),
        ("no_column", "reviews.jsonl:1 is no row of Reviews, with the columns text, stars: KeyError: 'txt'"),
        ("no_argument", "takes 0 positional arguments but 1 was given"),
        ("text_label", "reviews.jsonl:1 has the label 'good'; there are 2, counted from 0: bad, good"),
        ("half_label", "has the label 0.5; there are 2"),
        ("number_text", "has the text 7, expected text"),
        ("number_group", "has the group 7, expected text"),
        ("no_options", "has no options, and the task no classes: give it one of them"),
        ("number_options", "has the options 1, expected text"),
        ("few_groups", "`relate` gave 1 groups for 40 texts, expected one for each"),
        ("number_groups", "`relate` gave the group 7, expected text"),
        ("failing_groups", "`relate` failed: ZeroDivisionError: division by zero"),
        ("no_data_set", "nowhere: no such file"),
    ],
)
def test_a_mistaken_task_is_refused_by_name_with_what_to_write(name: str, message: str, folder: Path) -> None:
    (folder / "mine.py").write_text(MISTAKES)
    with pytest.raises(InputError, match=f"mine.py:{name}.*{message}"):
        load_task(f"mine.py:{name}")


def test_true_and_numbers_of_numpy_are_labels(folder: Path) -> None:
    labels = ('row["stars"] > 3', 'numpy.int64(row["stars"] > 3)', 'numpy.bool_(row["stars"] > 3)')
    for label in labels:
        (folder / "mine.py").write_text("import numpy\n" + TASK.replace('int(row["stars"] > 3)', label))
        assert {repr(example.label) for example in load_task("mine.py:reviews").train} == {"0", "1"}


def test_a_group_that_is_null_is_none_and_groups_may_be_an_array(folder: Path) -> None:
    null_group = TASK.replace('int(row["stars"] > 3)', 'int(row["stars"] > 3), None')
    array = TASK.replace(
        'local=("reviews.jsonl",))\ndef reviews', 'local=("reviews.jsonl",), relate=numpy.array)\ndef reviews'
    )
    for code, first_group in ((null_group, ""), ("import numpy\n" + array, "review")):
        (folder / "mine.py").write_text(code)
        groups = {example.group.partition(" ")[0] for example in load_task("mine.py:reviews").train}
        assert groups == {first_group}


def test_files_that_are_missing_are_named(folder: Path) -> None:
    (folder / "reviews.jsonl").unlink()
    with pytest.raises(InputError, match=r"mine.py:reviews: there is no file .*reviews.jsonl"):
        load_task("mine.py:reviews")


def test_a_file_of_the_current_folder_stands_for_no_module(folder: Path) -> None:
    (folder / "select.py").write_text("raise SystemExit('hostile')")
    (folder / "mine.py").write_text(f"import select\nimport selectors\n{TASK}")
    assert task_spec("mine.py:reviews").title == "Reviews"
    assert str(folder) not in sys.path


def rows_address(task: str) -> str:
    settings: dict[str, Any] = {"tasks": [task], "strong": [{"name": "probe", "model": "penchant-0.5m"}]}
    config = WeakToStrongConfig(**settings)
    (grid,) = weak_grid(config)
    return grid.rows.address


def test_the_code_of_a_task_decides_the_address_of_its_rows_and_its_place_does_not(folder: Path) -> None:
    first, code = rows_address("mine.py:reviews"), task_code("mine.py:reviews")
    (folder / "other").mkdir()
    (folder / "other" / "mine.py").write_text(TASK)
    assert rows_address("other/mine.py:reviews") == first
    (folder / "mine.py").write_text(TASK.replace("> 3", "> 2"))
    assert task_code("mine.py:reviews") != code
    assert rows_address("mine.py:reviews") != first


def test_a_study_refuses_an_unknown_task_by_the_nearest_name() -> None:
    with pytest.raises(InputError, match=r"`tasks` has sst3; there are .*; did you mean `sst2`"):
        rows_address("sst3")
