"""What is made of a weak-to-strong study's predictions."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from penchant.studies.core.stage import Stage
from penchant.studies.weak_to_strong.curves import overfitting_cost, training_of
from penchant.studies.weak_to_strong.predictions import Predictions, groups_of, predictions_of
from penchant.studies.weak_to_strong.settings import WeakToStrongConfig
from penchant.studies.weak_to_strong.student_results import (
    _agreement_with,
    _brier,
    _comparisons,
    _measures,
)
from penchant.studies.weak_to_strong.task_grid import Students
from penchant.typed_json import to_json


def _guessing(seed: int, looks: int = 12, rows: int = 200) -> np.ndarray:
    return np.random.default_rng(seed).random((3, looks, rows)) < 0.7


def test_the_best_of_many_looks_is_not_better_by_luck() -> None:
    """Students that never change but by chance lose nothing on average; the plain best of their looks is better."""
    lost = [overfitting_cost(_guessing(seed)).value for seed in range(200)]
    assert abs(np.mean(lost)) < 4 * np.std(lost) / np.sqrt(len(lost))
    plain = [curve.mean((0, 2)).max() - curve[:, -1].mean() for curve in map(_guessing, range(200))]
    assert np.mean(plain) > 0.02


def test_what_overfitting_costs_is_found() -> None:
    curve = _guessing(0)
    curve[:, 3] = True
    found = overfitting_cost(curve)
    assert found.low is not None
    assert found.low > 0
    assert found.value == pytest.approx(1 - curve[:, -1].mean())


def test_a_brier_scores_interval_ends_at_zero() -> None:
    truth = np.arange(40) % 2
    sure = np.tile(np.eye(2)[truth] * 0.98 + 0.01, (2, 1, 1))
    sure[0, :3] = 1 - sure[0, :3]
    found = _brier(sure, truth)
    assert found.low == 0
    assert found.value == pytest.approx((3 * 2 * 0.99**2 + 77 * 2 * 0.01**2) / 80)


def test_who_stopped_early_has_not_lost_what_it_did_not_keep() -> None:
    curve = np.random.default_rng(0).random((3, 6, 400)) < np.array([0.6, 0.9, 0.8, 0.7, 0.6, 0.5])[:, None]
    misfits = np.array([[3.0, 1.0, 2.0, 2.0, 2.0, 2.0]] * 3)  # all keep the second look, the best
    assert overfitting_cost(curve).value > 0.3
    assert overfitting_cost(curve, misfits).value == 0


def test_curves_of_seeds_with_other_numbers_of_steps_are_joined_by_look(tmp_path: Path) -> None:
    """As filtered labels give them. Where a seed was looked at more often than another there is no curve."""
    config = WeakToStrongConfig(strong=["m"], seeds=[0, 1])
    looks = {"ceiling|0": ([0.5, 1.0], [0.48, 1.0]), "weak-0|0": ([0.5, 1.0], [1.0])}
    single = {}
    for name, of in looks.items():
        for seed, after in enumerate(of):
            task = single[name, seed] = Stage("student", f"{name}-{seed}", {}, {}, {}, seed=seed)
            folder = tmp_path / task.path
            folder.mkdir(parents=True)
            (folder / "stage.json").write_text('{"unit": "epochs"}')
            (folder / "curve.json").write_text(json.dumps([(epochs, None) for epochs in after]))
            np.save(folder / "curve.npy", np.ones((len(after), 4), dtype=bool))
            np.save(folder / "test.npy", np.eye(2)[[0, 1, 0, 1]])
            np.save(folder / "truth.npy", np.array([0, 1, 0, 1]))
    found = predictions_of(config, Students(single=single), tmp_path)
    assert found is not None
    assert found.looks == {"ceiling|0": [0.49, 1.0]}
    assert found.curves["ceiling|0"].shape == (2, 2, 4)
    assert set(found.probabilities) == set(looks)


def test_the_supervisor_stands_beside_a_curve_on_the_same_rows() -> None:
    """Looks at the first 50 of 200 rows, where the supervisor is always right."""
    curve = _guessing(1, rows=50)
    found = Predictions(np.zeros(200), {}, {"a": list(range(12))}, {"a": curve}, {}, {}, {})
    supervisor = np.tile(np.arange(200) < 50, (3, 1))
    training = training_of(found, "a", supervisor)
    assert training.curve_from == 1
    assert training.oracle is not None
    assert training.oracle.accuracy == pytest.approx(curve.mean((0, 2)).max())
    assert training_of(found, "b", supervisor).curve is None


def test_agreement_over_training_is_told_of_two_classes_alone() -> None:
    """A student that is right where its supervisor is right agrees everywhere; where it is always right, there."""
    supervisor = np.tile(np.arange(40) < 30, (3, 1))
    curve = np.stack([supervisor, np.ones_like(supervisor)], 1)
    for classes, agreement in ((2, [1.0, 0.75]), (3, [None, None])):
        found = Predictions(np.zeros(40), {"a": np.zeros((3, 40, classes))}, {"a": [1, 2]}, {"a": curve}, {}, {}, {})
        looks = training_of(found, "a", supervisor).curve
        assert looks is not None
        assert [look.agreement for look in looks] == agreement
        assert [look.accuracy for look in looks] == [0.75, 1.0]


def _twice(groups: np.ndarray | None) -> tuple[Predictions, np.ndarray]:
    """Students and ceiling of 3 seeds on 200 rows that stand there twice, and what their supervisor says."""
    generator = np.random.default_rng(0)
    right = {"weak-0|0": 0.75, "weak-0|1": 0.8, "ceiling|0": 0.9, "noise weak-0|0": 0.72, "random|0": 0.5}
    answers = {name: np.tile(generator.random((3, 200)) < share, 2) for name, share in right.items()}
    probabilities = {name: np.stack([1 - of, of], -1) * 0.6 + 0.2 for name, of in answers.items()}
    supervisor = np.tile(generator.random((3, 200)) < 0.6, 2).astype(int)
    return Predictions(np.ones(400, dtype=int), probabilities, {}, {}, {}, {}, {}, groups), supervisor


def test_rows_that_stand_there_twice_tell_no_more_than_once() -> None:
    """With their groups every interval is the one of the rows that stand there once, in value and in width."""
    twice, supervisor = _twice(np.tile(np.arange(200), 2))
    alone, _ = _twice(None)
    half = {name: of[:, :200] for name, of in twice.probabilities.items()}
    once = Predictions(twice.truth[:200], half, {}, {}, {}, {}, {})
    grouped, single = (
        to_json(_measures(found, "weak-0|1", said, learns=True))
        | to_json(_comparisons(found, "weak-0|1", "weak-0|0", "noise weak-0|0"))
        for found, said in ((twice, supervisor), (once, supervisor[:, :200]))
    )
    careless = to_json(_measures(alone, "weak-0|1", supervisor, learns=True))
    assert _width(careless["recovery"]["gain"]) < 0.75 * _width(grouped["recovery"]["gain"])
    for measures in (grouped, single):
        measures |= measures["recovery"]
    for key in ("pgr", "student", "gain", "gap", "over_naive", "over_noise", "noise", "random", "brier"):
        for part in ("value", "low", "high"):
            assert grouped[key][part] == pytest.approx(single[key][part], abs=1e-6), (key, part)
    parts = grouped["agreement"], single["agreement"]
    for key in ("overall", "where_wrong", "fixed"):
        assert parts[0][key]["low"] == pytest.approx(parts[1][key]["low"], abs=0.02), key


def test_closeness_to_what_a_model_knew_is_a_share_of_equal_answers() -> None:
    predictions, _ = _twice(None)
    found = _agreement_with(predictions, "weak-0|0", "random|0")
    answers = [predictions.probabilities[name].argmax(-1) for name in ("weak-0|0", "random|0")]
    assert found is not None
    assert found.value == pytest.approx(np.mean(answers[0] == answers[1]))
    assert found.low is not None
    assert _agreement_with(predictions, "weak-0|0", "few|0") is None


def _width(measure: dict[str, float]) -> float:
    return measure["high"] - measure["low"]


def test_groups_of_test_rows_are_read_from_the_rows(tmp_path: Path) -> None:
    task = Stage("rows", "sciq-rows", {}, {}, {})
    (tmp_path / task.path).mkdir(parents=True)
    rows = [{"text": text, "label": 0, "group": group} for text, group in (("a", "Q 1?"), ("b", ""), ("c", "q 1"))]
    (tmp_path / task.path / "rows.json").write_text(json.dumps({"train": [], "test": rows}))
    groups = groups_of(task, tmp_path)
    assert groups is not None
    assert groups.tolist() == [0, 1, 0]
    (tmp_path / task.path / "rows.json").write_text(json.dumps({"train": [], "test": rows[:2]}))
    assert groups_of(task, tmp_path) is None
