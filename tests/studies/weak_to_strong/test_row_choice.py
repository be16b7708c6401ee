"""Which rows are learned: easy and hard ones, and those of a supervisor before its classes drifted."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from penchant.errors import InputError
from penchant.studies.weak_to_strong.row_choice import drifted_rows, measured_difficulty, split_by_difficulty
from penchant.studies.weak_to_strong.stage_settings import Split
from penchant.tasks import TaskData
from penchant.tasks.spec import TaskSpec
from penchant.types import LabeledExample

SPEC = TaskSpec("films", "Films", ("bad", "good"), read=lambda row: [])


def _rows(start: int, size: int) -> tuple[LabeledExample, ...]:
    """Return rows of which every fourth says the opposite of its label."""
    words = ("dull and awful", "fine and lovely")
    return tuple(
        LabeledExample(f"a {words[(n % 2) ^ (n % 8 in (6, 7))]} film {n}", n % 2) for n in range(start, start + size)
    )


def _data(difficulty: dict[str, float] | None = None) -> TaskData:
    return TaskData(SPEC, "films.csv", _rows(0, 80), _rows(100, 40), {"duplicates": 3}, difficulty or {})


def test_word_counts_are_surprised_by_rows_that_say_the_opposite() -> None:
    train, test = measured_difficulty(_rows(0, 80), _rows(100, 40), 2)
    assert (train.shape, test.shape) == ((80,), (40,))
    for values, start in ((train, 0), (test, 100)):
        is_opposite = np.array([n % 8 in (6, 7) for n in range(start, start + len(values))])
        assert values[is_opposite].min() > values[~is_opposite].max()


def test_no_row_is_measured_by_what_learned_it() -> None:
    """The label of one row alone is turned: with its own label among what is learned it would surprise less."""
    rows = list(_rows(0, 80))
    rows[5] = LabeledExample("an utterly unique sentence", 1)
    before = measured_difficulty(rows, rows[:1], 2)[0][5]
    rows[5] = LabeledExample("an utterly unique sentence", 0)
    after = measured_difficulty(rows, rows[:1], 2)[0][5]
    # it knows no word of it: what it says of one class and of the other are probabilities of one prediction
    assert np.exp(-before) + np.exp(-after) == pytest.approx(1)


@pytest.mark.parametrize("by", ["measured", "column"])
def test_easy_rows_are_learned_and_hard_ones_tested_on(by: str) -> None:
    hardness = {row.text: float(n % 8 in (6, 7)) for part, start in ((_rows(0, 80), 0), (_rows(100, 40), 100))
                for n, row in enumerate(part, start)}  # fmt: skip
    data = _data(hardness if by == "column" else None)
    easy, any_rows = (split_by_difficulty(data, Split(by, 0.25, rows), None, None) for rows in ("easy", "any"))  # type: ignore[arg-type]
    assert len(easy.train) == len(any_rows.train) == 20
    assert {hardness[row.text] for row in easy.train} == {0}
    assert {hardness[row.text] for row in easy.test} == {1}
    assert easy.test == any_rows.test
    assert any_rows.train == data.train[:20]
    assert 0 < np.mean([hardness[row.text] for row in any_rows.train]) < 0.5
    assert Counter(row.label for row in easy.train) == {0: 10, 1: 10}
    assert easy.dropped == {"duplicates": 3, "harder, to train on": 60, "easier, to test on": 30}
    cut = split_by_difficulty(data, Split(by, 0.25, "easy"), 5, 4)  # type: ignore[arg-type]
    assert (cut.train, cut.test) == (easy.train[:5], easy.test[:4])


def test_with_all_rows_it_is_the_task_itself() -> None:
    data = _data()
    for trains_on in ("easy", "any"):
        split = split_by_difficulty(data, Split("measured", 1.0, trains_on), None, None)  # type: ignore[arg-type]
        assert (split.train, split.test) == (data.train, data.test)


def test_a_file_without_difficulty_is_refused() -> None:
    with pytest.raises(InputError, match=r"films\.csv: .*columns\.difficulty=COLUMN"):
        split_by_difficulty(_data(), Split("column", 0.5, "easy"), None, None)


def test_of_all_classes_but_one_rows_are_missing_before_a_drift() -> None:
    truth = np.array([n % 3 for n in range(120)])
    rows = np.random.default_rng(0).permutation(120)[:90]
    np.testing.assert_array_equal(drifted_rows(rows, truth, 0, 1), rows)
    before = Counter(truth[rows].tolist())
    whole = set()
    for seed in range(12):
        kept = drifted_rows(rows, truth, 0.8, seed)
        after = Counter(truth[kept].tolist())
        (frequent,) = (label for label in after if after[label] == before[label])
        whole.add(frequent)
        assert all(after[label] == round(0.2 * before[label]) for label in after if label != frequent)
        order = {row: place for place, row in enumerate(rows.tolist())}
        places = [order[row] for row in kept.tolist()]
        assert places == sorted(places)
    assert whole == {0, 1, 2}
