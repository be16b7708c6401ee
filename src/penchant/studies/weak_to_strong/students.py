"""The students of the weak-to-strong study: probes of one model all at once, other students one by one.

The truth of the rows that a supervisor labels is read by the ceiling and the controls and by nothing else: students get
the supervisor's labels, see `_of_weak_labels` and `_labels`.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file

from penchant.files import remove
from penchant.losses.weak_settings import CrossEntropy, WeakLoss
from penchant.studies.core.job import StageJob
from penchant.studies.weak_to_strong.file_labels import counted_rows
from penchant.studies.weak_to_strong.names import (
    CEILING,
    FEW_LABELS,
    RANDOM,
    WEAK,
    chained_name,
    confidence_name,
    errors_name,
    longer_name,
    noise_name,
    shown_name,
    student_name,
)
from penchant.studies.weak_to_strong.stage_settings import (
    ProbesSettings,
    StudentSettings,
    SupervisedProbesSettings,
)
from penchant.studies.weak_to_strong.stages import (
    Array,
    ChosenL2,
    classes_of,
    classifier_of,
    halves_of,
    l2_facts,
    loss_of,
    model_of,
    read_rows,
    states_of,
)
from penchant.studies.weak_to_strong.truth import Truth, errors_first
from penchant.tasks import group_of
from penchant.types import LabeledExample, PromptGroup, Response
from penchant.weak.classifiers.language_model import LanguageModelClassifier
from penchant.weak.classifiers.probe_fit import Probes, fit_probes
from penchant.weak.classifiers.shrinkage import fits_to_settle, settle_l2
from penchant.weak.contract import Example, in_other_words, width_of
from penchant.weak.distance import weight_distance
from penchant.weak.supervision import STOP_EVERY

CURVE = (1, 2, 3, 5, 8, 12, 20, 30, 50, 100, 200, 500)
"""Steps after which a probe's accuracy on the truth is looked at: overfitting to weak labels."""
CURVE_ROWS = 200
"""Test rows that a fine-tuned student is looked at on while it trains: eight looks at 500 took longer than training."""
FILES = ("test", "curve", "wordings")
"""Names of the files that a stage of probes leaves, each with arrays by student."""
Jobs = dict[str, tuple[Array, WeakLoss]]
"""What students learn from, by their name: labels of shape (rows, classes), and a loss on them."""


def students_stage(job: StageJob[ProbesSettings], folder: Path) -> dict[str, object]:
    """Train all probes of one model on one task that learn from one supervisor, of every loss and seed.

    The controls that are made of its labels are among them. Without a supervisor they are the ceiling, and the control
    that knows nothing.

    It writes arrays by student. `test.safetensors`: probabilities for the test rows, (seeds, rows, classes).
    `curve.safetensors`: which of these rows were right after each of `steps`, (seeds, steps, rows), of those that were
    looked at. `wordings.safetensors`: classes for the rows in other words, (seeds, wordings, rows). And `truth.npy`:
    the rows' labels.
    """
    settings = job.settings
    supervised = settings if isinstance(settings, SupervisedProbesSettings) else None
    train, test = read_rows(job)
    states = states_of(job.needs["features"], settings.layer)
    reworded = [states_of(job.needs[f"wording {number}"], settings.layer) for number in range(settings.wordings)]
    truth, classes = np.array([example.label for example in test]), classes_of(settings.task, train, test)
    # activations are of the rows to train on first, then of the test rows
    tested, answers = states[len(train) :], torch.as_tensor(truth)
    # the last step among them, or the curve would not end where the student does
    steps = sorted({*(step for step in CURVE if step < settings.steps), settings.steps})
    arrays: dict[str, defaultdict[str, list[Array]]] = {name: defaultdict(list) for name in FILES}
    probabilities, curves, wordings = arrays.values()
    choices: list[ChosenL2] = []
    for seed in settings.seeds:
        _, other = halves_of(train, seed)
        # groups were shuffled when the half was made, so the first rows are a random part, and fewer are among more
        other = other[: settings.few_rows or settings.rows]
        # rows that nobody labelled teach no student, and no control of its
        indices, weights = counted_rows(job.needs, f"labels {seed}", len(other))
        other = other[indices]
        jobs = _of_weak_labels(job, supervised, seed, indices) if supervised else {}
        rows = [train[index] for index in other]
        jobs |= _of_truth(settings, jobs, rows, classes, seed)
        seen: list[Array] = []

        # `seen` as a default, for a closure would see the list of a later seed
        def watch(step: int, probes: Probes, seen: list[Array] = seen) -> None:
            if step in steps:
                seen.append((probes.predict_proba(tested).argmax(-1) == answers).numpy())

        # the first job's labels choose the shrinkage of all: of students the weak ones, so that no truth has a say and
        # losses are compared at one l2; of the ceiling its own
        first_labels, groups = next(iter(jobs.values()))[0], [group_of(row) for row in rows]
        l2 = settle_l2(
            settings.l2, states[other], first_labels, steps=settings.steps, seed=seed, groups=groups, weights=weights
        )
        choices.append(ChosenL2(l2, fits_to_settle(settings.l2, len(other), groups)))
        # one batched operation for all of them: (students, rows, classes)
        targets = torch.as_tensor(np.stack([labels for labels, _ in jobs.values()]))
        losses = [loss for _, loss in jobs.values()]
        counts = None if weights is None else torch.as_tensor(weights).float().expand(len(targets), -1)
        probes = fit_probes(states[other], targets, losses, weights=counts, l2=l2, steps=settings.steps, watch=watch)
        predicted = probes.predict_proba(tested).numpy()
        reworded_classes = [probes.predict_proba(states).argmax(-1).numpy() for states in reworded]
        for index, name in enumerate(jobs):
            probabilities[name].append(predicted[index])
            curves[name].append(np.stack([right[index] for right in seen]))
            if reworded:
                wordings[name].append(np.array([row[index] for row in reworded_classes], dtype=np.int64))
        if supervised:
            on_test = np.load(job.needs[f"labels {seed}"] / "test.npy", allow_pickle=False)
            inputs = states[other], tested
            for name, lone in _one_by_one(supervised, seed, jobs, inputs, on_test, l2, weights).items():
                probabilities[name].append(lone)
    for file, by_student in arrays.items():
        save_file({name: np.stack(rows) for name, rows in by_student.items()}, folder / f"{file}.safetensors")
    np.save(folder / "truth.npy", truth)
    sizes = {"students": len(probabilities), "seeds": len(settings.seeds)}
    return {"steps": steps, "unit": "steps", **sizes, **l2_facts(choices)}


def _one_by_one(
    settings: SupervisedProbesSettings,
    seed: int,
    jobs: Jobs,
    both_states: tuple[torch.Tensor, torch.Tensor],
    on_test: Array,
    l2: float,
    weights: Array | None = None,
) -> dict[str, Array]:
    """Train the probes whose steps or features differ from those of the batch.

    These are the chain's control, and students that see the supervisor's label.

    Args:
        both_states: activations of the rows to train on and to test on, each of shape (rows, features).
        on_test: the supervisor's probabilities for the test rows.
        weights: how much each row to train on counts; None where all count alike.
    """
    labels, loss = jobs[student_name(WEAK, 0)]
    probabilities: dict[str, Array] = {}

    # all of them naive, at the shrinkage of the batch, so that nothing else differs from the naive student
    def fit(train_features: torch.Tensor, test_features: torch.Tensor, times: int = 1) -> Array:
        steps = times * settings.steps
        counts = None if weights is None else torch.as_tensor(weights).float()[None]
        probes = fit_probes(train_features, torch.as_tensor(labels)[None], [loss], weights=counts, l2=l2, steps=steps)
        return probes.predict_proba(test_features)[0].numpy()

    if settings.chain:
        # as many steps as the chain's students and its last one together: the chain has to gain more than this
        probabilities[longer_name(WEAK)] = fit(*both_states, settings.chain + 1)
    for number, share in enumerate(settings.imitation):
        # for the test rows too, where the supervisor's label is that of its prediction
        leaked_features = [
            leaked_label_features(weak_labels.argmax(-1), weak_labels.shape[1], share, seed)
            for weak_labels in (labels, on_test)
        ]
        train_features, test_features = (
            torch.cat([states.float(), leaked], 1) for states, leaked in zip(both_states, leaked_features, strict=True)
        )
        probabilities[shown_name(WEAK, number)] = fit(train_features, test_features)
    if settings.sees_confidence:
        # soft, so that it sees where its supervisor is unsure
        train_features, test_features = (
            torch.cat([states.float(), torch.as_tensor(weak_labels, dtype=torch.float32)], 1)
            for states, weak_labels in zip(both_states, (labels, on_test), strict=True)
        )
        probabilities[confidence_name(WEAK)] = fit(train_features, test_features)
    return probabilities


def leaked_label_features(labels: Array, classes: int, share: float, seed: int) -> torch.Tensor:
    """Return features that make the supervisor's errors easy to imitate: leaked labels as one-hot columns.

    Returns:
        Shape (rows, classes).
    """
    return torch.as_tensor(np.eye(classes, dtype=np.float32)[leak_labels(labels, classes, share, seed)])


def leak_labels(labels: Array, answers: Array | int, share: float, seed: int) -> Array:
    """Return the supervisor's label in a share of the rows, and elsewhere a random one of a row's answers.

    Returns:
        Shape (rows,).
    """
    # a stream of its own: 2 draws random labels and 3 deals labels out, and controls must not hang on each other
    generator = np.random.default_rng([seed, 4])
    # for all rows, leaked or not: so shares of one seed are nested, and differ in nothing but how many rows are leaked
    random_labels = generator.integers(0, answers, len(labels))
    is_leaked = generator.random(len(labels)) < share
    return np.where(is_leaked, labels, random_labels)


def prepend_leaked_label(examples: Sequence[Example], labels: Array, names: Sequence[str]) -> list[Example]:
    """Return examples that begin with somebody who names an answer.

    A text begins with the name of its class, each of a prompt's options with whether it is the answer.
    """
    prepended: list[Example] = []
    for example, label in zip(examples, labels.tolist(), strict=True):
        if not isinstance(example, PromptGroup):
            prepended.append(in_other_words(example, f"Somebody says: {names[label]}\n{{text}}"))
            continue
        # before each option, so that a small model need not match an answer that is named elsewhere with the options
        words = [" Yes." if option == label else " No." for option in range(len(example.responses))]
        options = [Response(f"{word}{response.text}") for word, response in zip(words, example.responses, strict=True)]
        prepended.append(PromptGroup(example.prompt, options))
    return prepended


def student_stage(job: StageJob[StudentSettings], folder: Path) -> dict[str, object]:
    """Train one student of one seed.

    `test.npy` are its probabilities for the test rows, `truth.npy` their labels, `wordings.npy` its classes for the
    rows in other words, (wordings, rows). How it went: `curve.json`, epochs and loss on the weak labels kept back at
    each look, and `curve.npy`, which of the first test rows it got right, (looks, rows).
    """
    settings = job.settings
    train, test = read_rows(job)
    _, other = halves_of(train, settings.seed)
    other = other[: settings.classifier.rows]
    # all of them where no supervisor has a say: the ceiling, and labels that know nothing
    indices, weights = counted_rows(job.needs, "labels", len(other))
    other = other[indices]
    classes = classes_of(settings.task, train, test)
    labels, training_rows = _labels(job, [train[index] for index in other], indices, classes), np.arange(len(other))
    examples: list[Example] = [train[index].classifier_input for index in other]
    student = classifier_of(job, loss_of(job.inputs, settings.loss), settings.times_as_long)
    test_examples: list[Example] = [example.classifier_input for example in test]
    answers = np.array([example.label for example in test])
    if settings.leaked_share is not None:
        on_test = np.load(job.needs["labels"] / "test.npy", allow_pickle=False)
        examples = _with_leaked_labels(settings, settings.leaked_share, examples, labels)
        test_examples = _with_leaked_labels(settings, settings.leaked_share, test_examples, on_test)

    def watch(epochs: float, misfit: float | None) -> list[bool]:
        predicted = student.predict_proba(test_examples[:CURVE_ROWS]).argmax(-1)
        return [bool(right) for right in predicted == answers[:CURVE_ROWS]]

    validation = None
    if isinstance(student, LanguageModelClassifier):
        # checkpoints lie beside the stage's folder: that is begun anew after a kill, and the training is resumed
        student.watch, student.folder = watch, job.folder.with_name(f".{job.folder.name}.training")
        if student.settings.training is not None and student.settings.training.early_stopping:
            # by weak labels that were kept back: to stop by the truth would be an oracle
            is_held_out = training_rows % STOP_EVERY == STOP_EVERY - 1
            validation = [examples[row] for row in np.flatnonzero(is_held_out)], labels[is_held_out]
            training_rows = training_rows[~is_held_out]
            examples = [examples[row] for row in training_rows]
    student.fit(
        examples,
        labels[training_rows],
        weights=None if weights is None else weights[training_rows],
        validation=validation,
        classes=classes,
    )
    np.save(folder / "test.npy", student.predict_proba(test_examples))
    np.save(folder / "truth.npy", answers)
    # the same student on the same rows in other words: how often it says the same needs no labels
    reworded_classes = [
        student.predict_proba([in_other_words(example, template) for example in test_examples]).argmax(-1)
        for template in settings.templates
    ]
    np.save(folder / "wordings.npy", np.array(reworded_classes, dtype=np.int64))
    # prompted models and TF-IDF do not train by steps, so nobody looked at them
    looks = student.looks if isinstance(student, LanguageModelClassifier) else []
    (folder / "curve.json").write_text(json.dumps([(look.epochs, look.loss) for look in looks]))
    np.save(folder / "curve.npy", np.array([look.watched for look in looks], dtype=bool))
    facts: dict[str, object] = {"steps": [look.epochs for look in looks], "unit": "epochs"}
    if isinstance(student, LanguageModelClassifier) and student.reading is not None:
        policy = student.reading.policy
        facts["parameters"] = sum(weight.numel() for weight in policy.model.parameters())
        remote_code = student.settings.trust_remote_code
        is_trained = student.settings.training is not None
        # 0 for a prompted model, which moved nothing; probes have no such number at all
        facts["moved"] = weight_distance(policy, model_of(job), trust_remote_code=remote_code) if is_trained else 0.0
        # only the probabilities are kept: a study has hundreds of students whose weights nobody needs (decision 11)
        if student.folder is not None:
            remove(student.folder)
    return facts


def _with_leaked_labels(
    settings: StudentSettings, share: float, examples: Sequence[Example], labels: Array
) -> list[Example]:
    """Return examples that name the supervisor's label in this share of the rows."""
    # a random label must be one of the row's own answers, of which rows have different numbers
    answers = np.array([width_of([example]) or labels.shape[1] for example in examples])
    leaked_labels = leak_labels(labels.argmax(-1), answers, share, settings.seed)
    return prepend_leaked_label(examples, leaked_labels, settings.task.names)


def _labels(job: StageJob[StudentSettings], rows: Sequence[LabeledExample], indices: Array, classes: int) -> Array:
    """Return what one student learns from. A student of weak labels never sees the truth of its rows.

    Args:
        indices: of the rows among those that its supervisor labelled.
    """
    settings = job.settings
    # the ceiling and the control of random labels need no supervisor
    weak = _weak_labels(job.needs, "labels", indices) if "labels" in job.needs else None
    if settings.truth is None:
        assert weak is not None
        return weak
    truth = Truth.from_rows(rows, classes)
    if settings.truth == "all":
        return truth.all()
    if settings.truth == "random":
        return truth.random(settings.seed)
    assert weak is not None
    first = None if settings.errors is None else errors_first(settings.errors, rows, settings.seed)
    return truth.dealt(weak, settings.seed, first)


def _weak_labels(needs: Mapping[str, Path], role: str, indices: Array) -> Array:
    """Return the labels that a supervisor's stage wrote for rows by their indices, shape (rows, classes)."""
    labels: Array = np.load(needs[role] / "labels.npy", allow_pickle=False)
    return labels[indices]


def _of_weak_labels(
    job: StageJob[ProbesSettings], settings: SupervisedProbesSettings, seed: int, indices: Array
) -> Jobs:
    """Return what probes learn from: the supervisor's labels, read from its stages; the truth is out of reach here."""
    losses = [loss_of(job.inputs, loss) for loss in settings.losses]
    weak = _weak_labels(job.needs, f"labels {seed}", indices)
    jobs: Jobs = {student_name(WEAK, number): (weak, loss) for number, loss in enumerate(losses)}
    if settings.chain:
        jobs[chained_name(WEAK)] = _weak_labels(job.needs, f"end {seed}", indices), losses[0]
    return jobs


def _of_truth(settings: ProbesSettings, jobs: Jobs, rows: Sequence[LabeledExample], classes: int, seed: int) -> Jobs:
    """Return what the probes that see the truth learn from.

    Where students of weak labels are there, these are their controls: the same labels dealt out, at random or with the
    errors in certain rows, and the naive loss; else the ceiling, and the control of labels that know nothing.
    """
    controls, truth = settings.controls, Truth.from_rows(rows, classes)
    # never both in one stage: the ceiling stays when a supervisor changes
    if jobs:
        labels, naive = jobs[student_name(WEAK, 0)]
        where = settings.errors or () if isinstance(settings, SupervisedProbesSettings) else ()
        dealt = {name: truth.dealt(labels, seed, errors_first(name, rows, seed)) for name in where}
        random: Jobs = {noise_name(WEAK): (truth.dealt(labels, seed), naive)} if controls else {}
        return random | {errors_name(WEAK, name): (its_labels, naive) for name, its_labels in dealt.items()}
    truth_jobs: Jobs = {FEW_LABELS if settings.few_rows else CEILING: (truth.all(), CrossEntropy())}
    return truth_jobs | ({RANDOM: (truth.random(seed), CrossEntropy())} if controls else {})
