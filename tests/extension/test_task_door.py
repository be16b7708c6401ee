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
        ("mine.py:ends", r"reviews.jsonl:1 cannot be read: it ended the program \(sys.exit\(3\)\)"),
    ],
)
def test_what_is_no_task_is_refused(name: str, message: str, folder: Path) -> None:
    with pytest.raises(InputError, match=message):
        load_task(name)


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
