"""The first stages of the weak-to-strong study: rows, activations, labels of supervisors and of a chain's students."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from penchant.data.settings import RowsConfig
from penchant.digests import DamagedFile
from penchant.errors import InputError
from penchant.losses.weak_settings import CrossEntropy, CustomWeakLoss, WeakLoss
from penchant.methods import SFT
from penchant.methods import train as train_run
from penchant.models.encoder import is_encoder
from penchant.models.load import load_renderer
from penchant.models.settings import ModelConfig
from penchant.runs.provenance import surroundings
from penchant.studies.core.job import STAGE, StageJob
from penchant.studies.core.records import read_object
from penchant.studies.core.source import digest_source
from penchant.studies.core.stage_settings import StageSettings
from penchant.studies.weak_to_strong.file_labels import (
    counted_rows,
    refuse_one_answer,
    write_file_labels,
)
from penchant.studies.weak_to_strong.names import ANY_TO_HARD, EASY_TO_HARD
from penchant.studies.weak_to_strong.row_choice import drifted_rows, split_by_difficulty
from penchant.studies.weak_to_strong.stage_settings import (
    ActivationsSettings,
    GenerativeSettings,
    LabelsSettings,
    ProbeSettings,
    RowsSettings,
    StudentSettings,
    TaskClasses,
)
from penchant.studies.weak_to_strong.texts import pieces_of, texts_of
from penchant.tasks import TaskData, group_of, halves, load_task
from penchant.tasks.own_file import OwnFile, load_own
from penchant.tasks.spec import chance
from penchant.train.settings import AdamW, Cosine, Evaluate
from penchant.typed_json import to_object
from penchant.types import LabeledExample
from penchant.weak.classifiers.activations import Activations
from penchant.weak.classifiers.features import activations, depth_of, layer_of
from penchant.weak.classifiers.probe_fit import fit_probes
from penchant.weak.classifiers.readers import load_reader
from penchant.weak.classifiers.registry import make_classifier
from penchant.weak.classifiers.shrinkage import fits_to_settle, settle_l2
from penchant.weak.classifiers.vectors import refuse_known_rows
from penchant.weak.contract import Classifier, Probabilities, in_other_words
from penchant.weak.semi_supervised.settings import LabelVectors
from penchant.weak.settings import ClassifierSpec, LanguageModel, Mlp, OwnClassifier, Probe
from penchant.weak.supervision import LabelsFile
from penchant.weak.vector_content import from_content

ROWS = "rows.json"
READING = ("penchant.weak.classifiers.features", "penchant.weak.classifiers.readers")
"""The modules that make activations of texts; activations that other code made are not copied."""
FEWEST_TRAIN, FEWEST_TEST = 20, 10
"""Rows: ten for the supervisor and ten for it to label, and some to measure on."""
Array = NDArray[Any]


def rows_stage(job: StageJob[RowsSettings], folder: Path) -> dict[str, object]:
    """Write `rows.json`: the task's rows to train and to test on, with their labels."""
    data = _read_task(job)
    if len(data.train) < FEWEST_TRAIN or len(data.test) < FEWEST_TEST:
        raise InputError(
            f"{data.source}: {len(data.train)} rows to train on and {len(data.test)} to test on are left of "
            f"{data.spec.title}, too few: at least {FEWEST_TRAIN} and {FEWEST_TEST}"
        )
    content = {"train": [asdict(e) for e in data.train], "test": [asdict(e) for e in data.test]}
    # a row's text may hold a lone surrogate, which strict UTF-8 neither writes nor reads
    (folder / ROWS).write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8", errors="surrogatepass")
    return {
        "title": data.spec.title,
        "source": data.source,
        "classes": list(data.spec.classes),
        "train": len(data.train),
        "test": len(data.test),
        "chance": chance(data.test, len(data.spec.classes)),
        "dropped": dict(data.dropped),
        "provenance": to_object(surroundings()),
    }


def _read_task(job: StageJob[RowsSettings]) -> TaskData:
    """Return the task's examples, those of its split by difficulty where it has one."""
    settings = job.settings
    if settings.split is None:
        return _load_rows(job, settings.train, settings.test)
    # all rows first: the easiest of a part are not the easiest
    data = split_by_difficulty(_load_rows(job, None, None), settings.split, settings.train, settings.test)
    name = EASY_TO_HARD if settings.split.trains_on == "easy" else ANY_TO_HARD
    return replace(data, spec=replace(data.spec, title=f"{data.spec.title}, {name}"))


def _load_rows(job: StageJob[RowsSettings], train: int | None, test: int | None) -> TaskData:
    """Return the task's examples: from a file of the user's, or as its name says."""
    settings, inputs = job.settings, job.inputs
    if "file" in inputs:
        columns = tuple((settings.columns or {}).items())
        file = OwnFile(inputs["file"], inputs.get("test_file", ""), columns, settings.test_share or 0.0)
        return load_own(file, train=train, test=test)
    return load_task(inputs["task"], train=train, test=test, folder=Path(inputs["data"]))


def generative_stage(job: StageJob[GenerativeSettings], folder: Path) -> dict[str, object]:
    """Write `checkpoint/`: the model after language modelling on the texts to train on.

    Long texts are cut into pieces; no label is read.
    """
    settings = job.settings
    train, test = read_rows(job)
    texts = folder / "texts.jsonl"
    read = train if settings.texts == "train" else [*train, *test]
    whole_texts = [text for example in read for text in texts_of(example)]
    name, trust_remote_code = job.inputs["model"], settings.model.trust_remote_code
    if is_encoder(name, trust_remote_code=trust_remote_code):
        raise InputError(f"{name} is an encoder, which cannot learn to predict texts: leave `generative` or it out")
    # in pieces, or long texts would be dropped: most of IMDb's
    renderer = load_renderer(name, trust_remote_code=trust_remote_code)
    pieces = pieces_of(renderer, whole_texts, settings.longest)
    lines = [json.dumps({"text": text}, ensure_ascii=False) for text in pieces]
    # a file, for a run reads its data from one
    texts.write_text("\n".join(lines) + "\n", encoding="utf-8", errors="replace")
    config = SFT(
        model=settings.model.replace(name=name, device=job.inputs["device"]),
        # dropped and counted: a piece may still be a token or two too long
        data=RowsConfig(path=str(texts), template="plain", max_length=settings.longest, overflow="drop"),
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        optimizer=AdamW(learning_rate=settings.learning_rate),
        schedule=Cosine(),
        clip=1.0,
        # the loss on held-out texts alone is read from this run, so that nothing is sampled
        evaluate=Evaluate(samples=None),
        out=str(folder / "run"),
    )
    result = train_run(config)
    # where `start_policy` and readers of activations look for a stage's model
    (folder / "run" / "checkpoint").rename(folder / "checkpoint")
    # before and after: whether the model learned anything of the texts
    losses = (result.metrics[when]["held_out"]["loss"]["value"] for when in ("first", "final"))
    data = result.metrics["data"]
    return {
        "held_out_loss": list(losses),
        "texts": len(whole_texts),
        "pieces": len(pieces),
        "held_out": data["held_out_groups"],
        "dropped": data["dropped_too_long"],
    }


def activations_stage(job: StageJob[ActivationsSettings], folder: Path) -> dict[str, object]:
    """Write `activations-*.npy`: of all rows, those to train on first, or of test rows in other words.

    Every layer up to the last that somebody probes is there. Rows that an earlier stage of the study has read with this
    model, such as those of a smaller task, are copied from there.
    """
    train, test = read_rows(job)
    settings, template = job.settings, job.settings.template
    reader = load_reader(ModelConfig(name=model_of(job), dtype=settings.dtype))
    examples = (
        [example.classifier_input for example in (*train, *test)]
        if template is None
        else [in_other_words(example.classifier_input, template) for example in test]
    )
    folders = sorted(job.folder.parent.glob("[!.]*-activations-*"))
    code = digest_source(READING)
    known_folders = [other_folder for other_folder in folders if read_object(other_folder / STAGE).get("code") == code]
    deepest, depth = settings.deepest, depth_of(reader.model)
    # up to the model's depth: a probe of a layer that is not there fails alone, where it looks for its activations
    limit = deepest and min(deepest, depth)
    states = activations(reader, examples, folder, longest=settings.longest, deepest=limit, folders=known_folders)
    parameters = sum(weight.numel() for weight in reader.model.parameters())
    return {"code": code, "layers": depth, "hidden": states.shape[2], "parameters": parameters}


class ChosenL2(NamedTuple):
    """The shrinkage of the probes of one set of labels, and how many fits its choice took."""

    l2: float
    fits: int


def supervisor_stage(job: StageJob[LabelsSettings], folder: Path) -> dict[str, object]:
    """Write `labels.npy`: probabilities for the half that it did not learn from; `test.npy`: for the test rows."""
    train, test = read_rows(job)
    own_half, other = halves_of(train, job.settings.seed)
    if isinstance(job.settings.classifier, LabelsFile):
        labelled = [train[index] for index in other]
        return write_file_labels(job.inputs["labels"], job.settings.task.names, (labelled, test), folder)
    truth = np.array([example.label for example in train])
    if job.settings.drift is not None:
        drifted_half = drifted_rows(own_half, truth, job.settings.drift, job.settings.seed)
        # the control has as many rows: fewer of them alone would make a weaker supervisor
        own_half = drifted_half if job.settings.drifts else own_half[: len(drifted_half)]
    # a weaker supervisor is one of fewer rows; it labels the other half whole
    own_half = own_half[: job.settings.classifier.rows]
    if len(np.unique(truth[own_half])) < 2:
        raise InputError(f"the supervisor's {len(own_half)} rows have one class only: give it more rows")
    # indices into the rows to train on followed by the test rows, as activations have them
    tested = np.arange(len(train), len(train) + len(test))
    # one-hot, shape (rows, classes): the supervisor learns the truth, its students learn soft labels
    targets = np.eye(classes_of(job.settings.task, train, test))[truth[own_half]]
    (labels, on_test), l2 = _fitted(job, own_half, targets, [other, tested])
    refuse_one_answer(labels)
    np.save(folder / "labels.npy", labels)
    np.save(folder / "test.npy", on_test)
    # else the configuration says how many, and a fact more would change nobody's numbers
    facts = {} if job.settings.drift is None else {"learned": len(own_half)}
    return {"labelled": len(other), **facts, **l2_facts([l2] if l2 else [])}


def relabel_stage(job: StageJob[LabelsSettings], folder: Path) -> dict[str, object]:
    """Write `labels.npy`: a student's labels in place of those that it learned from.

    It learns from one half of them and labels the other, and the other way round.
    """
    train, _ = read_rows(job)
    _, other = halves_of(train, job.settings.seed)
    before = np.load(job.needs["labels"] / "labels.npy", allow_pickle=False)
    examples = [train[index] for index in other]
    after = np.empty_like(before)  # each half of it is filled once
    # had it labelled what it learned from, it would hand on labels that it memorised
    folds = halves_of(examples, job.settings.seed + 1)
    # nothing is learned of rows that nobody labelled, and they are labelled like the others
    counted_indices, _ = counted_rows(job.needs, "labels", len(other))
    choices: list[ChosenL2] = []
    for learned_half, labelled in (folds, folds[::-1]):
        learned_half = learned_half[np.isin(learned_half, counted_indices)][: job.settings.classifier.rows]
        (after[labelled],), l2 = _fitted(job, other[learned_half], before[learned_half], [other[labelled]])
        choices += [l2] if l2 else []
    np.save(folder / "labels.npy", after)
    return {"labelled": len(after), **l2_facts(choices)}


def l2_facts(choices: Sequence[ChosenL2]) -> dict[str, object]:
    """Return what a stage says of its probes' shrinkage; nothing where it fitted no probe."""
    if not choices:
        return {}
    return {"l2": [choice.l2 for choice in choices], "l2_fits": sum(choice.fits for choice in choices)}


def _fitted(
    job: StageJob[LabelsSettings], train_rows: Array, targets: Probabilities, input_sets: list[Array]
) -> tuple[list[Probabilities], ChosenL2 | None]:
    """Fit the stage's classifier to some rows.

    Args:
        train_rows: indices of the rows to fit it to. input_sets: indices of the rows to predict.

    Returns:
        Its probabilities for each of the input sets, and the shrinkage if it is a probe.
    """
    settings = job.settings
    train, test = read_rows(job)
    if isinstance(settings.classifier, ProbeSettings):
        assert settings.l2 is not None
        assert settings.steps is not None
        states = states_of(job.needs["features"], settings.classifier.layer)
        groups = [group_of(train[index]) for index in train_rows]
        l2 = settle_l2(
            settings.l2, states[train_rows], targets, steps=settings.steps, seed=settings.seed, groups=groups
        )
        choice = ChosenL2(l2, fits_to_settle(settings.l2, len(train_rows), groups))
        # a batch of one student: labels of shape (students, rows, classes)
        probes = fit_probes(states[train_rows], torch.as_tensor(targets)[None], l2=l2, steps=settings.steps)
        return [probes.predict_proba(states[inputs])[0].numpy() for inputs in input_sets], choice
    examples = [example.classifier_input for example in (*train, *test)]
    classifier = classifier_of(job)
    classifier.fit([examples[index] for index in train_rows], targets, classes=targets.shape[1])
    return [classifier.predict_proba([examples[index] for index in inputs]) for inputs in input_sets], None


def classifier_of(
    job: StageJob[LabelsSettings | StudentSettings], loss: WeakLoss | None = None, times_as_long: int = 1
) -> Classifier:
    """Make the classifier of a stage that is no probe.

    Args:
        times_as_long: how many times as long it trains as its settings say.
    """
    settings, spec = job.settings, _spec_of(job)
    # names of models and code are inputs, which may move; what stands in the settings is their content
    if isinstance(spec, OwnClassifier):
        spec = spec.replace(factory=job.inputs["classifier"])
    elif isinstance(spec, LanguageModel):
        training = spec.training and spec.training.replace(epochs=times_as_long * spec.training.epochs)
        spec = spec.replace(model=model_of(job), training=training)
    elif isinstance(spec, Mlp):
        spec = spec.replace(model=model_of(job), steps=times_as_long * spec.steps)
    if isinstance(spec, Mlp | LanguageModel) and isinstance(spec.algorithm, LabelVectors):
        spec = spec.replace(algorithm=from_content(spec.algorithm, job.inputs))
    classifier = make_classifier(
        spec,
        names=settings.task.names,
        loss=loss or CrossEntropy(),
        seed=settings.seed,
        activations=[job.needs["features"]] if "features" in job.needs else [],
    )
    # by name: an import of every kind of student would make all stages depend on the code of each
    if vectors := getattr(classifier, "vectors", ()):
        # one that knows the task's truth would hand it on to the student
        refuse_known_rows(vectors, [example.classifier_input for part in read_rows(job) for example in part])
    return classifier


def _spec_of(job: StageJob[LabelsSettings | StudentSettings]) -> ClassifierSpec:
    """Return the classifier of a stage's settings; a probe computes the activations that it needs itself."""
    spec = job.settings.classifier
    assert not isinstance(spec, LabelsFile)
    if not isinstance(spec, ProbeSettings):
        return spec
    # what it reads is no stage of its own: of so few rows it is not worth a file of all activations
    assert spec.dtype is not None
    return Probe(model=model_of(job), layer=spec.layer, dtype=spec.dtype, rows=spec.rows)


def loss_of(inputs: Mapping[str, str], loss: WeakLoss) -> WeakLoss:
    """Return a loss of a stage's settings, with the name of a user's code in place of its content."""
    return loss.replace(function=inputs[loss.function]) if isinstance(loss, CustomWeakLoss) else loss


def model_of(job: StageJob[StageSettings]) -> str:
    """Return the model that a stage starts from: the one after language modelling where it needs that stage."""
    start = job.needs.get("start")
    return str(start / "checkpoint") if start else job.inputs["model"]


def read_rows(job: StageJob[StageSettings]) -> tuple[list[LabeledExample], list[LabeledExample]]:
    """Read the task's rows to train and to test on."""
    content = json.loads((job.needs["rows"] / ROWS).read_text(encoding="utf-8", errors="surrogatepass"))
    train, test = ([LabeledExample(**row) for row in content[part]] for part in ("train", "test"))
    return train, test


def classes_of(task: TaskClasses, train: Sequence[LabeledExample], test: Sequence[LabeledExample]) -> int:
    """Return the number of columns of all probabilities.

    That is the task's classes, or as many options as the longest list of them has.
    """
    return task.classes or max(len(example.options) for example in (*train, *test))


def halves_of(train: list[LabeledExample], seed: int) -> tuple[Array, Array]:
    """Return indices of the rows that the supervisor learns from, and of those that it labels; they share no row."""
    # by identity: rows may be equal, and a split by value would put one on both sides
    inputs = {id(example): index for index, example in enumerate(train)}
    own_half, other = (np.array([inputs[id(example)] for example in half]) for half in halves(train, seed))
    # a supervisor that labels what it learned from would look better than it is
    assert not set(own_half.tolist()) & set(other.tolist())
    return own_half, other


def states_of(folder: Path, layer: int) -> torch.Tensor:
    """Return the activations after a layer, of all rows.

    Raises:
        DamagedFile: they are not what was written.
    """
    (file,) = folder.glob("activations-*.npy")  # its name has the digest of the examples
    try:
        return layer_of(Activations(file), layer)
    except DamagedFile as error:
        raise DamagedFile(f"{file} is damaged: delete {folder} and give the same command again") from error
