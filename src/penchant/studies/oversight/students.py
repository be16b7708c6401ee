"""The stages of students: activations that they share, and students of one protocol's labels, one for each seed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from penchant.rounds.oversight.questions import PassageQuestion
from penchant.rounds.oversight.readers import Case
from penchant.studies.core.job import StageJob
from penchant.studies.oversight.names import with_names
from penchant.studies.oversight.rows import divide, read_questions
from penchant.studies.oversight.stage_settings import (
    LABELS,
    TEST,
    OversightStudentsSettings,
    StudentFeaturesSettings,
)
from penchant.types import PromptGroup
from penchant.weak.classifiers.features import ModelFeatures
from penchant.weak.classifiers.registry import make_classifier


def student_example(question: PassageQuestion, *, passage: bool) -> PromptGroup:
    """Return a question as a student is shown it."""
    return Case(question.question, question.answers, question.passage if passage else "").example


def features_stage(job: StageJob[StudentFeaturesSettings], folder: Path) -> dict[str, object]:
    """Write the activations of all questions, to learn from and to test on."""
    settings = job.settings
    # both parts in one file, which every student of the study reads
    questions = [question for part in read_questions(job.needs["rows"]) for question in part.questions]
    features = ModelFeatures(job.inputs[settings.model], settings.layer, dtype=settings.dtype, folder=folder)
    states = features([student_example(question, passage=settings.passage) for question in questions])
    return {"features": int(states.shape[1])}


def students_stage(job: StageJob[OversightStudentsSettings], folder: Path) -> dict[str, object]:
    """Write the probabilities that each seed's student gives to the first answers of the tests."""
    settings = job.settings
    train, test = read_questions(job.needs["rows"])
    predicted = []
    for index, seed in enumerate(settings.seeds):
        _, labelled_rows = divide(len(train.questions), settings.reader_rows, seed)
        labelled = train.pick(labelled_rows)
        # of the truth one-hot: the same student, and nothing but its labels differs
        targets = np.eye(2)[labelled.right] if "labels" not in job.needs else _labels(job.needs["labels"], index)
        # as the advisors have them: a student stands for the strong model that is supervised
        examples = _examples(labelled.questions, settings)
        student = make_classifier(
            with_names(settings.classifier, job.inputs),
            names=("first", "second"),
            seed=seed,
            activations=[job.needs["features"]] if "features" in job.needs else [],
        )
        student.fit(examples, targets, classes=2)
        predicted.append(student.predict_proba(_examples(test.questions, settings))[:, 0])
    np.save(folder / TEST, np.stack(predicted))
    return {}


def _labels(folder: Path, index: int) -> NDArray[np.float64]:
    """Return the labels that a protocol gave with one seed, as probabilities of both answers."""
    # soft labels: how sure a protocol is, is a part of what it says
    first = np.load(folder / LABELS, allow_pickle=False)[index]
    return np.stack([first, 1 - first], 1)


def _examples(questions: Sequence[PassageQuestion], settings: OversightStudentsSettings) -> list[PromptGroup]:
    return [student_example(question, passage=settings.passage) for question in questions]
