"""Votes that are computed: labelling functions, keywords, regular expressions and classifiers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import penchant as pt
from penchant.errors import InputError
from penchant.weak.label_models.functions import apply_functions, find_functions
from penchant.weak.label_models.read import VoteTable
from penchant.weak.label_models.sources import collect_votes
from weak_files import write_texts

FUNCTIONS = """
import penchant as pt

calls = []

def words(text):
    calls.append(text)
    return text.split()

@pt.labelling_function(preprocess=words)
def long(found):
    return "spam" if len(found) > 3 else None

@pt.labelling_function(name="short one", preprocess=words)
def short(found):
    return "ham" if len(found) < 3 else -1

@pt.labelling_function
def fails(text):
    return {"a": "ham"}[text[0]]

@pt.labelling_function
def by_row(row):
    return row["kind"] or None

def plain(text):
    return "ham"

def probability(text):
    return 0.7
"""


@pytest.fixture
def mine(tmp_path: Path) -> str:
    file = tmp_path / "mine.py"
    file.write_text(FUNCTIONS)
    return str(file)


def rows_file(folder: Path) -> str:
    file = folder / "rows.csv"
    file.write_text("text,kind,gold\na b c d,spam,spam\nb,,ham\na c,ham,ham\nb see my songbird now,,spam\n")
    return str(file)


def table(folder: Path, **settings: object) -> VoteTable:
    return collect_votes(pt.WeakSources(data=rows_file(folder), truth="gold", **settings))


def test_marked_functions_vote_share_what_they_read_and_abstain_where_they_fail(tmp_path: Path, mine: str) -> None:
    read = table(tmp_path, functions=mine)
    assert read.votes.sources == ("long", "short one", "fails", "by_row")
    assert read.votes.classes == ("ham", "spam")
    assert read.votes.answers.tolist() == [[1, -1, 0, 1], [-1, 0, -1, -1], [-1, 0, 0, 0], [1, -1, -1, -1]]
    assert read.failures == {"fails": 2}
    assert read.first_errors == {"fails": "row 2: KeyError: 'b'"}
    functions = find_functions([mine])
    # the module is run anew at each load, so the list of this one counts these calls alone
    assert functions[0].preprocess is functions[1].preprocess
    assert functions[0]("a b c d") == "spam"


def test_preprocessing_runs_once_per_row(mine: str) -> None:
    functions = find_functions([mine])
    assert functions[0].preprocess is not None
    calls: list[str] = functions[0].preprocess.__globals__["calls"]  # type: ignore[attr-defined]
    from penchant.weak.label_models.functions import _vote_chunk

    _vote_chunk(functions[:2], 0, [{}, {}], ["a", "b"])
    assert calls == ["a", "b"]


def test_functions_that_cannot_be(tmp_path: Path, mine: str) -> None:
    assert [function.name for function in find_functions([f"{mine}:plain", f"{mine}:long"])] == ["plain", "long"]
    with pytest.raises(InputError, match="two labelling functions are called `long`"):
        find_functions([mine, f"{mine}:long"])
    with pytest.raises(InputError, match=r"`probability` returned 0.7 for row 1: expected a class"):
        apply_functions([f"{mine}:probability"], [{}], ["a"])
    bare = tmp_path / "bare.py"
    bare.write_text("def f(text):\n    return None\n")
    with pytest.raises(InputError, match="none of its functions is marked"):
        find_functions([str(bare)])
    with pytest.raises(InputError, match="give `votes`"):
        pt.WeakSources(votes="a.csv", data="b.csv")
    with pytest.raises(InputError, match="vote on `data`"):
        pt.WeakSources(data="b.csv")


def test_a_function_of_the_session_votes(tmp_path: Path) -> None:
    @pt.labelling_function
    def has_b(text: str) -> str | None:
        return "ham" if text.startswith("b") else None

    def has_d(text: str) -> str | None:
        return "spam" if "d" in text else None

    rows = [{"text": "a d"}, {"text": "b"}]
    read = collect_votes(pt.WeakSources(data=rows, functions=[has_b, has_d]))
    assert read.votes.answers.tolist() == [[-1, 1], [0, -1]]


@pytest.mark.slow
def test_processes_give_the_same_votes(tmp_path: Path, mine: str) -> None:
    texts = [f"{'ab'[n % 2]} {n} " + "x " * (n % 4) for n in range(900)]
    rows: list[dict[str, object]] = [{"kind": None}] * 900
    alone, shared = apply_functions([mine], rows, texts), apply_functions([mine], rows, texts, jobs=2)
    assert (alone.votes, alone.failures, alone.first_errors) == (shared.votes, shared.failures, shared.first_errors)


def test_keywords_are_whole_words_and_patterns_compile(tmp_path: Path) -> None:
    sources: list[dict[str, Any]] = [
        {"name": "keywords", "vote": "spam", "words": ["my song", "NOW"]},
        {"name": "regex", "vote": "ham", "pattern": "^b$", "title": "lone b"},
    ]
    read = table(tmp_path, sources=sources)
    assert read.votes.sources == ("spam: my song", "lone b")
    assert read.votes.answers[:, 0].tolist() == [-1, -1, -1, 1]  # by `now`: "my songbird" has no "my song"
    assert read.votes.answers[:, 1].tolist() == [-1, 0, -1, -1]
    with pytest.raises(InputError, match="no regular expression"):
        pt.WeakSources(data="x.csv", sources=[{"name": "regex", "vote": "ham", "pattern": "("}])
    with pytest.raises(InputError, match="two sources are called"):
        table(tmp_path, sources=[sources[0], sources[0]])


def test_a_classifier_votes_where_it_is_sure(tmp_path: Path) -> None:
    train, data = write_texts(tmp_path / "train.jsonl", 0, 40), write_texts(tmp_path / "data.jsonl", 100, 20)
    settings = {"name": "classifier", "train": train, "title": "counts"}
    keywords = [
        {"name": "keywords", "vote": vote, "words": words} for vote, words in (("good", ["fine"]), ("bad", ["dull"]))
    ]
    reads = [
        collect_votes(
            pt.WeakSources(data=data, sources=[{**settings, "threshold": threshold}, *keywords], ignore=["label"])
        )
        for threshold in (0.0, 1.0)
    ]
    assert reads[0].votes.answers[:, 0].tolist() == [0, 1] * 10
    assert reads[1].votes.answers[:, 0].tolist() == [-1] * 20
    with pytest.raises(InputError, match="among the rows that the supervisor learns from"):
        collect_votes(pt.WeakSources(data=train, sources=[settings, *keywords], ignore=["label"]))


def test_labels_of_functions_teach_a_student(tmp_path: Path, mine: str) -> None:
    data = tmp_path / "rows.jsonl"
    rows = [{"text": f"{'aa bb cc dd' if n % 2 else 'bb'} {n}", "kind": None} for n in range(60)]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    result = pt.weak_sources(data=str(data), functions=[mine], resamples=0, out=str(tmp_path / "joined"))
    failed = next(warning for warning in result.metrics["warnings"] if warning["kind"] == "failed")
    assert "fails raised an error on 30 rows, where it abstains; the first: row 1: KeyError" in failed["text"]
    run = pt.weak_train(
        str(tmp_path / "joined" / "labels.jsonl"), student={"name": "tfidf"}, templates=[], out=str(tmp_path / "run")
    )
    assert run.metrics["agreement"]["held_out"]["value"] == 1
