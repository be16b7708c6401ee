"""Summarize a weak-to-strong study from its stages. Imports no torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
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
from penchant.studies.core.stage import Stage
from penchant.studies.core.summary import cost_of_stages, failures_of
from penchant.studies.weak_to_strong.curves import training_of
from penchant.studies.weak_to_strong.names import (
    CEILING,
    FEW_LABELS,
    RANDOM,
    chained_name,
    confidence_name,
    errors_name,
    longer_name,
    noise_name,
    shown_name,
    student_name,
    weak_name,
)
from penchant.studies.weak_to_strong.predictions import Predictions, groups_of, predictions_of
from penchant.studies.weak_to_strong.settings import TEXTS_FIRST, WeakToStrongConfig
from penchant.studies.weak_to_strong.summary import (
    Calibration,
    Comparisons,
    Ratio,
    Recovery,
    Shrinkage,
    StrongModel,
    StudentResult,
    TaskFacts,
    TextsFirst,
    Training,
    WeakToStrongSummary,
)
from penchant.studies.weak_to_strong.task_grid import TaskGrid, read_by
from penchant.typed_json import from_json
from penchant.weak.labels import labels
from penchant.weak.results import ReliabilityPoint
from penchant.weak.settings import (
    L2_CANDIDATES,
    Cnn,
    LanguageModel,
    Mlp,
    OwnClassifier,
    Probe,
    StudentSpec,
    rows_learned,
)

BINS = 10
Array = NDArray[Any]


def summarize_weak(
    config: WeakToStrongConfig, grids: Sequence[TaskGrid], study: Path, reasons: Mapping[str, str]
) -> WeakToStrongSummary:
    """Return what the study found, the content of `study.json`.

    Args:
        study: the study's folder. reasons: why stages failed, by address.
    """
    stages = [stage for grid in grids for stage in grid.stages()]
    facts = [facts_of(grid.rows, study) for grid in grids]
    return WeakToStrongSummary(
        study=config.method,
        config=config.recorded(),
        seeds=tuple(config.seeds),
        tasks=tuple(
            from_json(TaskFacts, {"task": grid.name, **fact, "groups": _group_count(grid, study)})
            for grid, fact in zip(grids, facts, strict=True)
            if "title" in fact
        ),
        # labels of all together: those that would read alike say where they differ
        weak=tuple(labels(config.weak)),
        chain=tuple(labels(config.bootstrap)),
        strong=_strong_models(config, grids, study),
        losses=tuple(config.loss_columns),
        texts_first=tuple(
            from_json(TextsFirst, {"task": grid.name, "model": network.name, **fact})
            for grid in grids
            for network, stage in grid.tuned.items()
            if (fact := facts_of(stage, study))
        ),
        control="labels dealt out" if config.controls else None,
        l2=_shrinkage(config, stages, study),
        leaked=tuple(config.disanalogies),
        cells=tuple(student for grid in grids for student in _students(config, grid, study)),
        failures=failures_of(stages, reasons),
        cost=cost_of_stages(stages, study),
        provenance=next((fact["provenance"] for fact in facts if "provenance" in fact), {}),
    )


def _group_count(grid: TaskGrid, study: Path) -> int | None:
    """Return how many groups a task's test rows make; None where every row stands alone."""
    groups = groups_of(grid.rows, study)
    return None if groups is None else len(set(groups.tolist()))


def _shrinkage(config: WeakToStrongConfig, stages: Sequence[Stage], study: Path) -> Shrinkage:
    """Count how often each l2 was chosen for a set of labels, and how many more fits the choices took."""
    facts = [facts_of(stage, study) for stage in stages]
    chosen = Counter(value for fact in facts for value in fact.get("l2", ()))
    by_value = {f"{value:g}": size for value, size in sorted(chosen.items())}
    return (
        Shrinkage(by_value, tuple(L2_CANDIDATES), sum(fact.get("l2_fits", 0) for fact in facts))
        if config.l2 == "auto"
        else Shrinkage(by_value)
    )


def _strong_models(config: WeakToStrongConfig, grids: Sequence[TaskGrid], study: Path) -> tuple[StrongModel, ...]:
    """Return the strong models, with the label of those that differ only in rows, or in the layer that is read."""
    suffixes = [TEXTS_FIRST if tuned else "" for _, tuned in config.students]
    # without rows: students that differ in these alone make one line of a figure
    families = labels([spec.model_copy(update={"rows": None}) for spec, _ in config.students])
    # without rows and layer: one model's layers make the figure of layers
    layers = {"rows": None, "layer": -1}
    readers = labels(
        [spec.model_copy(update=layers) if isinstance(spec, Probe) else spec for spec, _ in config.students]
    )
    return tuple(
        _strong_model(config, number, families[number] + suffix, readers[number] + suffix, grids, study)
        for number, suffix in enumerate(suffixes)
    )


def _strong_model(
    config: WeakToStrongConfig, number: int, family: str, reader: str, grids: Sequence[TaskGrid], study: Path
) -> StrongModel:
    """Return a strong model with its size, and the unit of its students' training curves."""
    spec, tuned = config.students[number]
    facts = [facts_of(stage, study) for grid in grids for stage in grid.students[number].stages()]
    layer = None
    if isinstance(spec, Probe):
        activations = [facts_of(grid.activations[read_by(spec, tuned)], study) for grid in grids]
        sizes, depths = ([fact.get(key) for fact in activations] for key in ("parameters", "layers"))
        # A negative layer counts from the last one, which only the model's own depth tells.
        layer = spec.layer if spec.layer >= 0 else next((spec.layer + 1 + depth for depth in depths if depth), None)
    else:
        sizes = [fact.get("parameters") for fact in facts]  # of a fine-tuned model each student says it
    return StrongModel(
        label=config.student_labels[number],
        learning=_kind_of_learning(spec),
        layer=layer,
        rows=spec.rows,
        parameters=next((size for size in sizes if size), None),
        curve_unit=next((fact["unit"] for fact in facts if fact), "steps"),
        family=family,
        reader=reader,
    )


def _kind_of_learning(spec: StudentSpec) -> str:
    """Return how a student learns, in the words of the page."""
    if isinstance(spec, LanguageModel):
        return "fine-tuned" if spec.training else "prompted"
    if isinstance(spec, OwnClassifier):
        return "own code"
    if isinstance(spec, Mlp):
        return "small network"
    if isinstance(spec, Cnn):
        return "convolutional network"
    return "probed" if isinstance(spec, Probe) else "word counts"


def _students(config: WeakToStrongConfig, grid: TaskGrid, study: Path) -> Iterator[StudentResult]:
    """Yield the result of each student of each supervisor and loss."""
    rows = facts_of(grid.rows, study).get("train", 0)
    for index, (strong, students) in enumerate(zip(config.student_labels, grid.students, strict=True)):
        ungrouped = predictions_of(config, students, study)
        if ungrouped is None:
            continue  # without a ceiling there is no gap
        predictions = replace(ungrouped, groups=groups_of(grid.rows, study))
        for number, weak in enumerate(labels(config.weak)):
            key = weak_name(number)
            supervisors = [grid.labels[key, seed] for seed in config.seeds]
            if not all(facts_of(stage, study) for stage in supervisors):
                continue  # a supervisor of whom a seed failed has students of some seeds only
            files = [study / stage.path / "test.npy" for stage in supervisors]
            # the class that each seed's supervisor finds likeliest, shape (seeds, rows)
            teacher = np.stack([np.load(file, allow_pickle=False) for file in files]).argmax(-1)
            # in the order of `config.loss_columns`, since the two are zipped below
            names = [student_name(key, loss) for loss in range(len(config.losses))]
            names += [chained_name(key), longer_name(key)] if config.bootstrap else []
            names += [shown_name(key, share) for share in range(len(config.imitation))]
            names += [errors_name(key, where) for where in config.errors]
            names += [confidence_name(key)] if config.sees_confidence else []
            labelled, spec = facts_of(supervisors[0], study)["labelled"], config.students[index][0]
            weak_labels = rows_learned(spec, labelled)
            for loss, name in zip(config.loss_columns, names, strict=True):
                if name not in predictions.probabilities or names[0] not in predictions.probabilities:
                    continue  # every student is compared with the naive one
                # the chain's control is as much training without it; the naive student had less
                is_chained = name == chained_name(key)
                yield StudentResult(
                    task=grid.name,
                    weak=weak,
                    strong=strong,
                    loss=loss,
                    **_measures(predictions, name, teacher, learns=weak_labels > 0),
                    comparisons=_comparisons(predictions, name, names[0], noise_name(key)),
                    over_longer=_gain_over(predictions, name, longer_name(key)) if is_chained else None,
                    prior_agreement=_agreement_with(predictions, name, FEW_LABELS),
                    prior_accuracy=_accuracy(predictions, FEW_LABELS),
                    labelled=labelled,
                    weak_labels=weak_labels,
                    learned_from=rows_learned(config.weak[number], rows - labelled),
                )


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
