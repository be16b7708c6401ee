"""Train a student on a file of weak labels, and measure what can be measured of it without any truth."""

from __future__ import annotations

import hashlib
import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import torch

from penchant.errors import InputError, RunError
from penchant.files import atomic_write, remove
from penchant.image import Image
from penchant.losses.weak_custom import check_weak_loss
from penchant.losses.weak_settings import OWN_WEAK_LOSSES, CustomWeakLoss
from penchant.metrics.estimates import Coefficient
from penchant.metrics.imitation import consistency
from penchant.metrics.label_noise import ClassPairs, label_noise
from penchant.rewards.content import model_content
from penchant.runs.input_digests import recorded_inputs, refuse_changed
from penchant.runs.provenance import surroundings
from penchant.runs.run_folder import RunFolder
from penchant.session.objects import shown_name
from penchant.train.setup import ended_run
from penchant.typed_json import JsonObject, to_object
from penchant.types import RunResult
from penchant.weak.augmentation.settings import OWN_AUGMENTATIONS, BackTranslation, OwnAugmentation
from penchant.weak.classifiers.language_model import LanguageModelClassifier
from penchant.weak.classifiers.mlp import MlpClassifier
from penchant.weak.classifiers.probe import ProbeClassifier
from penchant.weak.classifiers.registry import make_classifier
from penchant.weak.classifiers.vectors import refuse_known_rows
from penchant.weak.command_rows import (
    FEWEST,
    TAKE_OUT,
    describe_overlap,
    draw_rows,
    drop_without_weight,
    fit_to_rows,
    labels_of_two_classes,
    longer_share,
    read_rows,
    split_rows,
    write_probabilities,
    write_suspects,
)
from penchant.weak.command_settings import WeakTrain
from penchant.weak.contract import Classifier, Probabilities, Validation, in_other_words
from penchant.weak.diagnostics import clusters_of, diagnostics, drop_undecided, row_mean
from penchant.weak.page import weak_train_page
from penchant.weak.results import LongerPreference, RowCounts, StudentResult, TruthAccuracy
from penchant.weak.rows import LabelledRows, marks, overlap
from penchant.weak.semi_supervised.confident_learning import ConfidentClassifier
from penchant.weak.semi_supervised.settings import LabelVectors
from penchant.weak.settings import OWN_CLASSIFIERS, Cnn, LanguageModel, Mlp, OwnClassifier, Probe, augmentations_of
from penchant.weak.unlabeled import UnlabeledRows, read_unlabeled, unlabeled_use
from penchant.weak.vector_content import property_content, vector_content

log = logging.getLogger("penchant.weak")

SUSPECTS = "suspects.jsonl"
STOP_SHARE = 0.1  # of the rows to learn from, where a student stops early by them


@dataclass(frozen=True)
class TrainingRows:
    """The rows of a training, split by their use.

    Attributes:
        learn: all rows that are not held out. trained: those of them that the student learns from.
        stop_by: texts with their labels that it stops early by; None where it does not.
        held_out: rows held out whose label is no tie. undecided: how many are ties.
        without_weight: rows with a weight of 0, which are in none of the parts.
        test: rows with the truth, where there are some.
        unlabeled: rows without labels to learn from, where there are some.
    """

    learn: LabelledRows
    trained: LabelledRows
    stop_by: Validation | None
    held_out: LabelledRows
    undecided: int
    without_weight: int
    test: LabelledRows | None
    unlabeled: UnlabeledRows | None

    @classmethod
    def read(cls, config: WeakTrain) -> Self:
        """Read and split the rows.

        Raises:
            InputError: bad rows, test rows that are among the training rows, too few rows, labels of one class, a loss
                of the user's that breaks its contract.
        """
        rows = read_rows(config.data, config.task, names=config.classes, columns=config.columns)
        test = None
        if config.test is not None:
            order_known = config.classes is not None
            # with the classes of the other rows; the order of lists is known by `classes` alone
            test = read_rows(
                config.test,
                config.task,
                names=rows.names,
                order_known=order_known,
                columns=config.columns,
                part="test",
            )
            _refuse_overlap(rows, test, config.test, "the rows to train on")
        # those without a weight have a label all the same: they are no rows without one
        unlabeled = read_unlabeled(config, rows)
        if unlabeled is not None and test is not None:
            _refuse_overlap(unlabeled.rows, test, str(config.test), f"the rows without labels ({config.unlabeled})")
        rows, without_weight = drop_without_weight(rows)
        learn, held_out = (rows.pick(indices) for indices in split_rows(rows, config.held_out, config.seed))
        # nobody can agree or disagree with a tie
        decided_rows = drop_undecided(held_out)
        trained = draw_rows(learn, config.student.rows, config.seed)
        if min(len(trained.examples), len(decided_rows.examples)) < FEWEST:
            raise InputError(
                f"{config.data}: {len(trained.examples)} rows to learn from and {len(decided_rows.examples)} held out "
                f"are too few: at least {FEWEST} of each"
            )
        stop_by = None
        if isinstance(config.student, LanguageModel) and config.student.stops_early:
            # a tenth of what it would learn from: what is held out must stay unseen
            trained, stopping = (trained.pick(indices) for indices in split_rows(trained, STOP_SHARE, config.seed))
            assert stopping.targets is not None
            stop_by = stopping.inputs, stopping.targets
        check_weak_loss(config.loss, torch.as_tensor(labels_of_two_classes(trained)))
        assert trained.targets is not None
        unseen = [name for name, mass in zip(trained.names, trained.targets.sum(0).tolist(), strict=True) if not mass]
        if unseen:
            log.warning("no row to learn from has the class %s: the student cannot learn it", ", ".join(unseen))
        undecided = len(held_out.examples) - len(decided_rows.examples)
        return cls(learn, trained, stop_by, decided_rows, undecided, without_weight, test, unlabeled)


def weak_train(config: WeakTrain, *, resume: bool = False) -> RunResult:
    """Train a student on weak labels into a run directory.

    It holds `result.json`, `report.html`, `classifier/` and `predictions.jsonl`; by confident learning also
    `suspects.jsonl`, the labels that are held to be wrong, the worst first.

    Args:
        resume: continue the run that lies in `config.out`. A fine-tuned language model goes on from its last checkpoint
            to the same bits, any other student starts again.

    Raises:
        InputError: bad rows, test rows that are among the training rows, too few rows, no such model. Nothing is left
            behind.
        RunMismatchError: the run to resume has other settings, rows or another model.
        RunError: training failed, or the disk is full.
    """
    started = time.monotonic()
    if (ended_result := ended_run(config, config.out, resume=resume)) is not None:
        remove(ended_result.path / "training")
        return ended_result
    folder = RunFolder(config.out, config, resume=resume)
    rows = TrainingRows.read(config)
    record = _record(config, rows)
    if resume:
        _check_unchanged(folder, config, record)
    training = folder.path / "training"
    student = make_classifier(
        config.student, names=rows.learn.names, loss=config.loss, seed=config.seed, folder=training
    )
    if rows.test is not None and isinstance(student, MlpClassifier | LanguageModelClassifier):
        refuse_known_rows(student.vectors, rows.test.inputs)
    folder.open()
    try:
        result = _train_and_write(config, student, rows, folder, record, started)
        remove(training)  # only now: until the result is written, a kill must leave the checkpoints
        return RunResult(config.method, folder.path, to_object(result))
    except InputError:  # of the model, or of a user's code that is refused at a later step
        if not resume:
            # first: what is left would keep the folder, which no later run takes and none can resume
            for part in (training, folder.path / "classifier"):
                remove(part)
            folder.discard()
        raise
    except KeyboardInterrupt:
        log.warning("interrupted: continue with penchant weak train --resume out=%s", folder.path)
        raise
    finally:
        folder.close()


def _train_and_write(
    config: WeakTrain, student: Classifier, rows: TrainingRows, folder: RunFolder, record: JsonObject, started: float
) -> StudentResult:
    """Train and measure the student, and write the files of the run."""
    # a resumed run keeps the record that it began with
    if not (folder.path / "provenance.json").exists():
        folder.write_json("provenance.json", record)
    unlabeled = None if rows.unlabeled is None else rows.unlabeled.inputs
    fit_to_rows(student, rows.trained, classes=len(rows.learn.names), validation=rows.stop_by, unlabeled=unlabeled)
    predicted = student.predict_proba(rows.held_out.inputs)
    result = _measured(config, student, rows, predicted, started)
    _save(student, rows.learn, folder.path / "classifier")
    write_probabilities(rows.held_out, predicted, folder.path / "predictions.jsonl")
    if isinstance(student, ConfidentClassifier):
        write_suspects(student.suspects, rows.trained, folder.path / SUSPECTS)
    page = weak_train_page(result, config.recorded(), record)
    atomic_write(folder.path / "report.html", page.encode("utf-8"))
    # last: with a result the run counts as ended, and a missing file would not be written again
    folder.write_json("result.json", to_object(result))
    return result


def _check_unchanged(folder: RunFolder, config: WeakTrain, record: JsonObject) -> None:
    """Refuse to resume a run that began with other inputs, and say so where it starts from the beginning.

    Raises:
        RunMismatchError: rows, model or code changed; the message names what.
    """
    if before := recorded_inputs(folder.path):  # a run that was killed before it was written began with nothing
        refuse_changed(folder.path, before, record["inputs"])
    if not (isinstance(config.student, LanguageModel) and config.student.training is not None):
        log.warning("%s keeps no checkpoints: it starts from the beginning", config.student.label)


def _record(config: WeakTrain, rows: TrainingRows) -> JsonObject:
    """Return the machine, the versions, and digests of all that decides the numbers beside the settings."""
    inputs = {"the data": _digest(rows.learn, rows.held_out)}
    if rows.test is not None:
        inputs["the test rows"] = _digest(rows.test)
    if rows.unlabeled is not None:
        inputs["the rows without labels"] = _digest(rows.unlabeled.rows)
    if isinstance(config.student, Probe | Mlp | LanguageModel):
        inputs["the model"] = model_content(config.student.model)
    if isinstance(config.student, OwnClassifier):
        inputs[f"the code of {config.student.label}"] = OWN_CLASSIFIERS.content(config.student.factory)
    if isinstance(config.student, Mlp | Cnn | LanguageModel) and isinstance(config.student.algorithm, LabelVectors):
        for vector in config.student.algorithm.vectors:
            inputs[f"the classifier {shown_name(vector)}"] = vector_content(vector)
        for name in config.student.algorithm.properties:
            inputs[f"the property {shown_name(name)}"] = property_content(name)
    for augmentation in augmentations_of(config.student):
        if isinstance(augmentation, OwnAugmentation):
            inputs[f"the augmentation {augmentation.label}"] = OWN_AUGMENTATIONS.content(augmentation.function)
        if isinstance(augmentation, BackTranslation):
            inputs[f"the model of {augmentation.label}"] = model_content(augmentation.model)
    if isinstance(config.loss, CustomWeakLoss):
        inputs[f"the loss {config.loss.label}"] = OWN_WEAK_LOSSES.content(config.loss.function)
    return to_object(surroundings()) | {"inputs": inputs}


def _digest(*parts: LabelledRows) -> str:
    """Return a digest of rows and their labels, which holds for a hub's data set as for a file."""
    digest = hashlib.sha256()
    for rows in parts:
        content = repr((rows.texts, rows.groups, rows.names)).encode("utf-8", errors="surrogatepass")
        digest.update(hashlib.sha256(content).digest())
        digest.update(b"" if rows.targets is None else rows.targets.tobytes())
        digest.update(b"" if rows.weights is None else rows.weights.tobytes())
    return digest.hexdigest()[:32]


def _refuse_overlap(rows: LabelledRows, test: LabelledRows, source: str, among: str) -> None:
    if overlap_rows := overlap(rows, test):
        raise InputError(f"{describe_overlap(overlap_rows, test, source, 'test rows')} {among}{TAKE_OUT}")


def _measured(
    config: WeakTrain,
    student: Classifier,
    rows: TrainingRows,
    predicted: Probabilities,
    started: float,
) -> StudentResult:
    """Measure the student on its own rows, on those held out, for which it says `predicted`, and on the test rows."""
    # on what it learned from, too: the difference is what it knows by heart
    on_trained, held_out = student.predict_proba(rows.trained.inputs), rows.held_out
    preference, agrees_with_itself = None, None
    if config.task == "comparisons":
        assert held_out.targets is not None
        preference = LongerPreference(longer_share(held_out, predicted), longer_share(held_out, held_out.targets))
    # a template is for texts
    if config.templates and not isinstance(held_out.examples[0], Image):
        reworded = [[in_other_words(example, form) for example in held_out.inputs] for form in config.templates]
        classes = [predicted.argmax(-1), *(student.predict_proba(examples).argmax(-1) for examples in reworded)]
        agrees_with_itself = consistency(classes, clusters_of(held_out))
    accuracy, noise = (None, None) if rows.test is None else _tested(student, rows.test, held_out, predicted)
    return StudentResult(
        method=config.method,
        status="done",
        classes=held_out.names,
        task=config.task,
        rows=RowCounts(len(on_trained), len(predicted), rows.undecided, rows.without_weight),
        diagnostics=diagnostics(rows.trained, on_trained, held_out, predicted),
        l2=student.chosen_l2 if isinstance(student, ProbeClassifier) else None,
        longer=preference,
        consistency=agrees_with_itself,
        test=accuracy,
        label_noise=noise,
        unlabeled=unlabeled_use(
            config,
            student,
            trained=rows.trained,
            unlabeled=rows.unlabeled,
            held_out=held_out,
            test=rows.test,
            stop_by=rows.stop_by,
        ),
        confident=student.noise if isinstance(student, ConfidentClassifier) else None,
        seconds=time.monotonic() - started,
    )


def _tested(
    student: Classifier, test: LabelledRows, held_out: LabelledRows, predicted: Probabilities
) -> tuple[TruthAccuracy, Coefficient]:
    """Return the student's accuracy, and the share of wrong labels that it implies of the rows held out."""
    clear = drop_undecided(test)
    assert clear.targets is not None
    assert held_out.targets is not None
    truth, answers = clear.targets.argmax(-1), student.predict_proba(clear.inputs).argmax(-1)
    right = truth == answers
    noise = label_noise(
        ClassPairs(held_out.targets.argmax(-1), predicted.argmax(-1), clusters_of(held_out)),
        ClassPairs(truth, answers, clusters_of(clear)),
        classes=len(held_out.names),
    )
    return TruthAccuracy(len(right), len(test.examples) - len(right), row_mean(right, clear)), noise


def _save(student: Classifier, learned_rows: LabelledRows, folder: Path) -> None:
    """Save the student with the marks of all rows that it learned from or stopped by, and of their groups."""
    # all of them, also those not drawn or kept to stop by, with their groups: a saved student must label none
    student.learned_marks |= frozenset().union(*marks(learned_rows))
    try:
        student.save(folder)
    except OSError as error:
        raise RunError(f"cannot write {folder}: {error.strerror}") from error
