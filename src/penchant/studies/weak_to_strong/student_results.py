"""What each student of a weak-to-strong study did on the test rows, beside supervisor, ceiling and controls.

Imports no torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from penchant.metrics.calibration import expected_calibration_error, reliability
from penchant.metrics.estimates import Estimate
from penchant.metrics.imitation import Agreement, consistency, student_supervisor
from penchant.metrics.pgr import pgr
from penchant.metrics.two_way import two_way_mean
from penchant.studies.core.results import facts_of
from penchant.studies.weak_to_strong.curves import training_of
from penchant.studies.weak_to_strong.names import (
    CEILING,
    FEW_LABELS,
    RANDOM,
    algorithm_name,
    chained_name,
    confidence_name,
    drift_name,
    errors_name,
    longer_name,
    noise_name,
    shown_name,
    student_name,
    weak_name,
)
from penchant.studies.weak_to_strong.predictions import Predictions, groups_of, predictions_of, prompted_accuracies
from penchant.studies.weak_to_strong.settings import WeakToStrongConfig
from penchant.studies.weak_to_strong.summary import (
    Calibration,
    Comparisons,
    Ratio,
    Recovery,
    StudentResult,
    Training,
)
from penchant.studies.weak_to_strong.task_grid import TaskGrid, is_prompted, network_of
from penchant.weak.labels import labels
from penchant.weak.results import ReliabilityPoint
from penchant.weak.supervision import rows_learned

BINS = 10
Array = NDArray[Any]


def student_results(config: WeakToStrongConfig, grid: TaskGrid, study: Path) -> Iterator[StudentResult]:
    """Yield the result of each student of each supervisor and loss."""
    # a task whose rows failed has no students, and takes those of other tasks with it by no means
    if not facts_of(grid.rows, study):
        return
    groups = groups_of(grid.rows, study)
    # of each model, and not of each student: several layers of one model are asked once
    prompted = prompted_accuracies(grid.prompted, study)
    for index, students in enumerate(grid.students):
        predictions = predictions_of(config, students, study)
        if predictions is None:
            continue  # without a ceiling there is no gap
        spec, tuned = config.students[index]
        right = None if tuned or not is_prompted(spec) else prompted.get(network_of(spec))
        accuracy = None if right is None else two_way_mean(right, share=True, groups=groups)
        for number in range(len(config.weak)):
            results = _of_supervisor(config, grid, study, replace(predictions, groups=groups), (index, number))
            yield from (replace(result, prompted_accuracy=accuracy) for result in results)


@dataclass(frozen=True)
class _Column:
    """A way of learning: the student's name in files, that of its supervisor, and of its control if it has one."""

    name: str
    supervisor: str
    control: str = ""


def _columns(config: WeakToStrongConfig, key: str) -> list[_Column]:
    """Return the ways in which a supervisor's students learn, in the order of `config.loss_columns`."""
    names = [student_name(key, loss) for loss in range(len(config.losses))]
    names += [chained_name(key), longer_name(key)] if config.bootstrap else []
    names += [algorithm_name(key, algorithm) for algorithm in range(len(config.algorithms))]
    names += [shown_name(key, share) for share in range(len(config.imitation))]
    names += [errors_name(key, where) for where in config.errors]
    columns = [_Column(name, key) for name in names]
    # both learn from another supervisor, which their numbers are measured against
    for index in range(len(config.drift)):
        drifted, as_many = (drift_name(key, index, drifts=drifts) for drifts in (True, False))
        control = student_name(as_many, 0)
        columns += [_Column(student_name(drifted, 0), drifted, control), _Column(control, as_many)]
    return columns + ([_Column(confidence_name(key), key)] if config.sees_confidence else [])


def _of_supervisor(
    config: WeakToStrongConfig, grid: TaskGrid, study: Path, predictions: Predictions, numbers: tuple[int, int]
) -> Iterator[StudentResult]:
    """Yield the result of each student of one supervisor.

    Args:
        numbers: of the student among `config.students`, and of the supervisor.
    """
    spec, key = config.students[numbers[0]][0], weak_name(numbers[1])
    rows = facts_of(grid.rows, study).get("train", 0)
    # every student is compared with the naive one
    columns = _columns(config, key)
    naive = columns[0].name
    for loss, column in zip(config.loss_columns, columns, strict=True):
        facts = [facts_of(grid.labels[column.supervisor, seed], study) for seed in config.seeds]
        # a supervisor of whom a seed failed has students of some seeds only
        if not all(facts) or column.name not in predictions.probabilities or naive not in predictions.probabilities:
            continue
        teacher, labelled = _teacher(grid, column.supervisor, config.seeds, study), facts[0]["labelled"]
        # of labels of a file: those of rows that somebody voted on
        weak_labels = rows_learned(spec, facts[0].get("counted") or labelled)
        # the chain's control is as much training without it; the naive student had less
        is_chained = column.name == chained_name(key)
        yield StudentResult(
            task=grid.name,
            weak=labels(config.weak)[numbers[1]],
            strong=config.student_labels[numbers[0]],
            loss=loss,
            **_measures(predictions, column.name, teacher, learns=weak_labels > 0),
            comparisons=_comparisons(predictions, column.name, naive, noise_name(key)),
            over_longer=_gain_over(predictions, column.name, longer_name(key)) if is_chained else None,
            prior_agreement=_agreement_with(predictions, column.name, FEW_LABELS),
            prior_accuracy=_accuracy(predictions, FEW_LABELS),
            over_control=_gain_over(predictions, column.name, column.control) if column.control else None,
            labelled=labelled,
            weak_labels=weak_labels,
            learned_from=rows_learned(config.weak[numbers[1]], facts[0].get("learned", rows - labelled)),
        )


def _teacher(grid: TaskGrid, supervisor: str, seeds: Sequence[int], study: Path) -> Array:
    """Return the class that each seed's supervisor finds likeliest of the test rows, shape (seeds, rows)."""
    files = [study / grid.labels[supervisor, seed].path / "test.npy" for seed in seeds]
    return np.stack([np.load(file, allow_pickle=False) for file in files]).argmax(-1)


class _Measures(TypedDict):
    """The fields of a `StudentResult` that are measured on the test rows."""

    recovery: Recovery
    agreement: Agreement
    calibration: Calibration
    brier: Estimate
    training: Training
    consistency: Estimate | None
    weight_distance: float | None


def _measures(predictions: Predictions, name: str, teacher: Array, *, learns: bool) -> _Measures:
    """Measure a student between its supervisor and its ceiling.

    Args:
        teacher: the supervisor's classes, shape (seeds, rows).
        learns: whether the student learns from any label.
    """
    truth, probabilities, groups = predictions.truth, predictions.probabilities[name], predictions.groups
    student = probabilities.argmax(-1)
    wordings = predictions.wordings.get(name)
    return {
        "recovery": _recovery(predictions, student, teacher, learns=learns),
        "agreement": student_supervisor(teacher, student, truth, groups=groups),
        "calibration": _calibration(probabilities, truth, groups),
        "brier": _brier(probabilities, truth, groups),
        "training": training_of(predictions, name, teacher == truth),
        "consistency": None if wordings is None else _consistency(student, wordings, groups),
        "weight_distance": predictions.weight_distances.get(name),
    }


def _recovery(predictions: Predictions, student: Array, teacher: Array, *, learns: bool) -> Recovery:
    truth, ceiling = predictions.truth, predictions.probabilities[CEILING].argmax(-1)
    measured = pgr(teacher == truth, student == truth, ceiling == truth, groups=predictions.groups)
    # Fieller's interval, or a reason: the gap is tested first (decision 11)
    ratio = Ratio(measured.value, measured.low, measured.high, measured.reason)
    if not learns:  # student and ceiling are one, and the ratio would be 1 whatever the labels
        ratio = Ratio(None, None, None, "learns nothing: prompted, without examples")
    return Recovery(
        ratio, measured.warnings, measured.student, measured.ceiling, measured.gain, measured.gap, measured.weak
    )


def _comparisons(predictions: Predictions, name: str, naive: str, noise: str) -> Comparisons:
    """Compare a student with the naive one, and that with the controls, where these were trained."""
    return Comparisons(
        over_naive=None if name == naive else _gain_over(predictions, name, naive),
        noise=_accuracy(predictions, noise),
        over_noise=_gain_over(predictions, naive, noise),
        random=_accuracy(predictions, RANDOM),
    )


def _right(predictions: Predictions, name: str) -> Array | None:
    """Return where a student is right, shape (seeds, rows); None where it was not trained."""
    probabilities = predictions.probabilities.get(name)
    return None if probabilities is None else probabilities.argmax(-1) == predictions.truth


def _accuracy(predictions: Predictions, name: str) -> Estimate | None:
    right = _right(predictions, name)
    return None if right is None else two_way_mean(right, share=True, groups=predictions.groups)


def _agreement_with(predictions: Predictions, name: str, other: str) -> Estimate | None:
    """Return how often a student says what another one says of the same rows; None where that one was not trained."""
    student, other_student = (predictions.probabilities.get(key) for key in (name, other))
    if student is None or other_student is None:
        return None
    return two_way_mean(student.argmax(-1) == other_student.argmax(-1), share=True, groups=predictions.groups)


def _gain_over(predictions: Predictions, name: str, other: str) -> Estimate | None:
    """Return by how much a student is more accurate than another, on the same rows and seeds; None without one."""
    student_right, other_right = _right(predictions, name), _right(predictions, other)
    return (
        None
        if student_right is None or other_right is None
        # as floats, for numpy refuses to subtract truth values; paired, since both answer the same rows
        else two_way_mean(student_right * 1.0 - other_right, groups=predictions.groups)
    )


def _row_groups(shape: tuple[int, ...], groups: Array | None) -> Array:
    """Return the group of each prediction, seeds one after the other, shape (seeds * rows,)."""
    return np.broadcast_to(np.arange(shape[1]) if groups is None else groups, shape).ravel()


def _consistency(student: Array, reworded: Array, groups: Array | None) -> Estimate:
    """Return how often students give a row the same class in other words; seeds are pooled, intervals resample rows."""
    # (wordings, seeds, rows), the row's own words first
    classes = np.concatenate([student[:, None], reworded], 1).transpose(1, 0, 2)
    return consistency(classes.reshape(len(classes), -1), _row_groups(student.shape, groups))


def _brier(probabilities: Array, truth: Array, groups: Array | None = None) -> Estimate:
    """Return the squared distance of the probabilities from the truth, summed over classes; 0 is perfect."""
    # Student's t knows nothing of the bound, so the lower end of a nearly perfect student may lie below 0
    score = two_way_mean(np.square(probabilities - np.eye(probabilities.shape[-1])[truth]).sum(-1), groups=groups)
    return score if score.low is None else replace(score, low=max(0.0, score.low))


def _calibration(probabilities: Array, truth: Array, groups: Array | None) -> Calibration:
    """Return the calibration of all seeds' predictions together; intervals resample rows."""
    confidence, student = probabilities.max(-1), probabilities.argmax(-1)
    items = _row_groups(confidence.shape, groups)
    # sums of probabilities may be above 1 by a rounding error
    curve = reliability(confidence.ravel().clip(0, 1), (student == truth).ravel(), items.tolist(), bins=BINS)
    points = tuple(ReliabilityPoint(point.confidence, point.accuracy) for point in curve)
    return Calibration(expected_calibration_error(curve), points)
