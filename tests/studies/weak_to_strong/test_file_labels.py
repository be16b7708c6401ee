"""Labels of a file as a supervisor: which rows count, what is refused, and that students learn from them alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from penchant.errors import InputError
from penchant.studies.core.executor import Workers
from penchant.studies.core.study import run_study
from penchant.studies.weak_to_strong.file_labels import counted_rows, read_file_labels, refuse_unlabelled_tests
from penchant.studies.weak_to_strong.grid import weak_grid
from penchant.studies.weak_to_strong.settings import WeakToStrongConfig
from penchant.types import LabeledExample

NAMES = ("bad", "good")
EXAMPLES = [LabeledExample("A fine film!", 1), LabeledExample("a dull one", 0), LabeledExample("nobody knows", 0)]


def _write(path: Path, rows: Sequence[dict[str, Any]]) -> str:
    path.write_text("\n".join(map(json.dumps, rows)) + "\n")
    return str(path)


def test_rows_are_found_by_their_texts_and_those_without_a_vote_weigh_nothing(tmp_path: Path) -> None:
    rows = [
        {"text": "a dull one", "probabilities": {"bad": 0.8, "good": 0.2}, "weight": 1.0},
        {"text": "a fine film", "probabilities": {"bad": 0.5, "good": 0.5}, "weight": 0.0},
        {"text": "of no task", "label": "good"},
    ]
    path = _write(tmp_path / "labels.jsonl", rows)
    labels = read_file_labels(path, NAMES, EXAMPLES)
    np.testing.assert_allclose(labels.probabilities, [[0.5, 0.5], [0.8, 0.2], [0.5, 0.5]])
    assert labels.weights.tolist() == [0, 1, 0]
    assert labels.is_known.tolist() == [True, True, False]
    refuse_unlabelled_tests(labels._replace(is_known=np.array([True] * 3)), EXAMPLES, path)
    with pytest.raises(InputError, match=r"has no label for 1 of the 3 test rows \(the first: 'nobody knows'\)"):
        refuse_unlabelled_tests(labels, EXAMPLES, path)
    _write(tmp_path / "labels.jsonl", [*rows, {"text": "A dull one.", "label": "good"}])
    with pytest.raises(InputError, match="rows 1 and 4 are one text with two labels"):
        read_file_labels(path, NAMES, EXAMPLES)
    with pytest.raises(InputError, match="none of no, yes"):
        read_file_labels(path, ("no", "yes"), EXAMPLES)


def test_rows_that_count_and_how_much(tmp_path: Path) -> None:
    places, weights = counted_rows({"labels": tmp_path}, "labels", 3)
    assert places.tolist() == [0, 1, 2]
    assert weights is None
    np.save(tmp_path / "weights.npy", np.array([0.0, 2.0, 0.0, 1.0, 2.0]))
    places, weights = counted_rows({"labels": tmp_path}, "labels", 4)
    assert places.tolist() == [1, 3]
    np.testing.assert_allclose(weights, [1, 0.5])  # type: ignore[arg-type]
    places, weights = counted_rows({"labels": tmp_path}, "labels", 2)
    assert places.tolist() == [1]
    assert weights is None
    with pytest.raises(InputError, match="none of the 1 rows to learn from has a label"):
        counted_rows({"labels": tmp_path}, "labels", 1)


@pytest.fixture
def make(stories: str, tmp_path: Path) -> Callable[..., WeakToStrongConfig]:
    """A study of 160 rows of one's own, whose labels are in a file: of every third nobody voted on, the rest right."""
    words = (("dull", "grey"), ("fine", "warm"))
    rows = [{"text": f"a {words[n % 2][n // 2 % 2]} film, number {n}", "label": NAMES[n % 2]} for n in range(160)]
    _write(tmp_path / "mine.jsonl", rows)
    labels = [
        {
            "text": row["text"],
            "probabilities": dict.fromkeys(NAMES, 0.5)
            if n % 3 == 0
            else {name: float(name == row["label"]) for name in NAMES},
            "weight": float(n % 3 > 0),
        }
        for n, row in enumerate(rows)
    ]
    path = _write(tmp_path / "labels.jsonl", labels)
    base: dict[str, Any] = {
        "tasks": [str(tmp_path / "mine.jsonl")],
        "weak": [{"name": "labels", "path": path}],
        "strong": [{"model": stories}],
        "losses": ["cross_entropy"],
        "seeds": [0],
        "steps": 12,
        "few_rows": None,
        "controls": False,
        "out": str(tmp_path / "study"),
    }
    return lambda **changes: WeakToStrongConfig(**{**base, **changes})


def test_students_learn_from_rows_with_a_vote_alone(
    make: Callable[..., WeakToStrongConfig], workers: Workers, tmp_path: Path
) -> None:
    config = make()
    result = run_study(config, workers=workers)
    assert not result.failures
    (cell,) = result.numbers["cells"]
    assert cell["weak"] == "labels of labels.jsonl"
    assert cell["learned_from"] == 0
    (grid,) = weak_grid(config)
    (stage,) = grid.labels.values()
    weights = np.load(tmp_path / "study" / stage.path / "weights.npy")
    assert cell["labelled"] == len(weights)
    assert cell["weak_labels"] == weights.sum() < len(weights)
    # what the rows without a vote say is nobody's business: other numbers there, the same student
    content = (tmp_path / "labels.jsonl").read_text()
    changed = content.replace('"bad": 0.5, "good": 0.5', '"bad": 0.9, "good": 0.1')
    assert changed != content
    (tmp_path / "labels.jsonl").write_text(changed)
    (moved,) = weak_grid(config)
    assert {s.path for s in moved.labels.values()} != {s.path for s in grid.labels.values()}
    again = run_study(config, workers=workers)
    assert again.numbers["cells"][0]["student"] == cell["student"]


def test_the_content_of_the_file_is_the_address_and_not_its_place(
    make: Callable[..., WeakToStrongConfig], tmp_path: Path
) -> None:
    (grid,) = weak_grid(make())
    moved = tmp_path / "elsewhere.jsonl"
    moved.write_text((tmp_path / "labels.jsonl").read_text())
    (other,) = weak_grid(make(weak=[{"name": "labels", "path": str(moved)}]))
    (stage,), (there,) = grid.labels.values(), other.labels.values()
    assert stage.path.rpartition("-")[2] == there.path.rpartition("-")[2]
    with pytest.raises(ValueError, match="labels of a file in `weak` are for single texts"):
        make(tasks=["hh_harmless"])
    with pytest.raises(ValueError, match=r"labels of labels.jsonl in `weak` learn from none: leave out `drift`"):
        make(drift=[0.5])
