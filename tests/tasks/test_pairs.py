"""Texts of two classes as pairs."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from penchant.errors import InputError
from penchant.tasks import load_task, task_spec
from penchant.tasks.load import task_row
from penchant.tasks.pairs import as_pairs
from penchant.tasks.spec import chance
from penchant.types import LabeledExample


def test_the_texts_of_two_classes_are_pairs_of_which_the_second_class_is_right(tmp_path: Path) -> None:
    for part, size in (("train", 60), ("test", 40)):
        lines = "".join(f"{n % 2} {('bad', 'good')[n % 2]} film {part} {n}\n" for n in range(size))
        (tmp_path / "sst2").mkdir(exist_ok=True)
        (tmp_path / "sst2" / f"{part}.txt.gz").write_bytes(gzip.compress(lines.encode()))
    data, texts = load_task("sst2-pairs", folder=tmp_path), load_task("sst2", folder=tmp_path)
    assert [len(data.train), len(data.test)] == [30, 20]
    assert all(example.options[example.label].startswith(" good") for example in (*data.train, *data.test))
    shown = [option[1:] for example in data.train for option in example.options]
    assert sorted(shown) == sorted(example.text for example in texts.train)
    assert 0 < sum(example.label for example in data.train) < 30  # the right one stands in either place
    assert len({example.group for example in data.train}) == 30
    assert chance(data.test, 0) == 0.5
    assert [len(part) for part in (load_task("sst2-pairs", train=5, test=3, folder=tmp_path).train,)] == [5]
    assert task_row("sst2-pairs") == task_row("sst2") == "penchant.tasks.classification:sst2"


def test_other_tasks_make_no_pairs() -> None:
    with pytest.raises(
        InputError, match="emotion-pairs: pairs are made of a task with two classes, and this has sadness, joy"
    ):
        task_spec("emotion-pairs")
    with pytest.raises(InputError, match="this has options of each row's own"):
        task_spec("chess_puzzles-pairs")
    related = [LabeledExample("a", 0, "g"), LabeledExample("b", 1, "g")]
    with pytest.raises(InputError, match="rows of SST-2 are related"):
        as_pairs(related, task_spec("sst2"))
