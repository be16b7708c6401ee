"""Votes from tables: what is a source, what abstains, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from penchant.errors import InputError
from penchant.weak.label_models.read import VoteTable, read_votes
from penchant.weak.label_models.settings import WeakSources


def table(folder: Path, text: str, **settings: object) -> VoteTable:
    file = folder / "votes.csv"
    file.write_text(text)
    return read_votes(WeakSources(votes=str(file), **settings))


def test_classes_by_name_and_what_abstains(tmp_path: Path) -> None:
    read = table(tmp_path, "text,a,b,gold\nx,spam,,spam\ny,-1,ham,\nz,NaN,null,ham\n", truth="gold")
    assert (read.votes.sources, read.votes.classes, read.votes.texts) == (("a", "b"), ("ham", "spam"), ("x", "y", "z"))
    np.testing.assert_array_equal(read.votes.answers, [[1, -1], [-1, 0], [-1, -1]])
    assert read.votes.truth is not None
    np.testing.assert_array_equal(read.votes.truth, [1, -1, 0])
    assert read.abstentions == {"-1": 1, "null": 2, "empty": 1}
    assert read.truth_missing == 1


def test_numbers_as_pandas_writes_them_and_by_the_order_of_the_classes(tmp_path: Path) -> None:
    read = table(tmp_path, "a,b\n1.0,0\n-1.0,1\n0.0,\n")
    assert read.votes.classes == ("0", "1")
    np.testing.assert_array_equal(read.votes.answers, [[1, 0], [-1, 1], [0, -1]])
    named = table(tmp_path, "a,b\n1,no\n0,yes\n", classes=["no", "yes"])
    np.testing.assert_array_equal(named.votes.answers, [[1, 0], [0, 1]])
    minus = table(tmp_path, "a,b\n-1,1\n1,-1\n", classes=["-1", "1"])
    np.testing.assert_array_equal(minus.votes.answers, [[0, 1], [1, 0]])


def test_columns_that_are_no_sources_are_left_out_aloud(tmp_path: Path) -> None:
    lines = [f"{n},a comment of some length with the number {n} in it and more words,{n % 2},{n},x" for n in range(60)]
    text = "id,note,a,views,who\n" + "\n".join(lines) + "\n"
    read = table(tmp_path, text, ignore=["who"])
    assert read.votes.sources == ("a",)
    assert read.left_out == {
        "who": "named in ignore",
        "id": "numbers or names of rows",
        "note": "text",
        "views": "60 different values",
    }


def test_probabilities_are_refused_or_taken_as_the_more_probable_class(tmp_path: Path) -> None:
    text = "a,b\n0.9,1\n0.2,0\n0.5,1\n1,0\n"
    with pytest.raises(InputError, match=r"the column a holds probabilities, such as 0.9.*probabilities=argmax"):
        table(tmp_path, text)
    read = table(tmp_path, text, probabilities="argmax")
    np.testing.assert_array_equal(read.votes.answers[:, 0], [1, 0, -1, 1])
    with pytest.raises(InputError, match=r"holds probabilities and '7', which is none"):
        table(tmp_path, "a,b\n0.9,1\n7,0\n", probabilities="argmax")


@pytest.mark.parametrize(
    ("text", "settings", "message"),
    [
        ("a,b\nspam,1\nham,0\n", {}, r"b name classes by number \(0, 1\), a by name \(ham, spam\): say which"),
        ("a,b\nspam,Spam\nham,ham\n", {}, "'Spam' and 'spam' differ in case alone"),
        ("a,b\nspam,\n,spam\n", {}, "all votes are for the class spam"),
        ("a,b\n,\n-1,\n", {}, "every source abstains on every row"),
        ("a,b\nx,y\ny,x\nz,x\n", {"classes": ["x", "y"]}, "1 votes of the column a are none of the classes x, y"),
        ("a,b\nx,y\ny,x\n", {"truth": "c"}, "has no such column"),
        ("a,gold\nx,y\ny,x\n", {"truth": "golf"}, "did you mean gold"),
        ("a,b\nx,y\ny,x\n", {"truth": "a", "ignore": ["a"]}, "named as the truth and as something else"),
        ("text,id\nfine,1\nbad,2\n", {}, "no column of votes: text, id"),
        ("a,b\n", {}, "has no rows"),
    ],
)
def test_votes_that_cannot_be(tmp_path: Path, text: str, settings: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        table(tmp_path, text, **settings)
