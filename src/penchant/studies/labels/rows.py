"""The first stages of the study of labels: rows of a task, features of texts, labels of weak models."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from penchant.errors import InputError
from penchant.metrics.resampling import cluster_codes
from penchant.runs.provenance import surroundings
from penchant.studies.core.job import StageJob
from penchant.studies.labels.stage_settings import (
    GROUPS,
    TRAIN_GROUPS,
    FeaturesSettings,
    LabelRowsSettings,
    WeakLabelsSettings,
)
from penchant.studies.labels.stored import (
    LABELS,
    LEARNED,
    PIXELS,
    PLAIN,
    STRONG,
    TEXTS,
    WEAK,
    Labels,
    StoredRows,
    linear_predictions,
)
from penchant.studies.labels.usb import read_usb
from penchant.studies.labels.wrong import clean_rows
from penchant.tasks.load import TaskData, group_of, load_task
from penchant.tasks.own_file import OwnFile, load_own
from penchant.tasks.pictures import load_images
from penchant.typed_json import to_object
from penchant.weak.augmentation.images import stack_images
from penchant.weak.augmentation.settings import Augmentation
from penchant.weak.augmentation.texts import augment
from penchant.weak.classifiers.features import ModelFeatures
from penchant.weak.classifiers.tfidf import SklearnClassifier

FEWEST_TRAIN, FEWEST_TEST = 20, 10
STRONG_SEED = 1_000_003  # added for the copies of the strong view, which share no draw with the weak one's


@dataclass(frozen=True)
class _Read:
    """A task as it was read.

    Attributes:
        labels: of rows to learn from, then of those to test on. copies: other wordings of the texts to learn from.
        pixels: bytes, shape (rows, channels, height, width); empty for texts.
        groups: of each row, as `labels`, the same for related ones; empty where nothing is known of relations.
    """

    title: str
    source: str
    classes: tuple[str, ...]
    labels: tuple[int, ...]
    train: int
    dropped: Mapping[str, int]
    texts: tuple[str, ...] = ()
    copies: tuple[tuple[str, ...], ...] = ()
    pixels: NDArray[np.uint8] | None = None
    groups: tuple[str, ...] = ()


def label_rows_stage(job: StageJob[LabelRowsSettings], folder: Path) -> dict[str, object]:
    """Write the labels of a task's rows, and `texts.json` or `pixels.npy`."""
    read = _read(job)
    # of fewer rows no interval says anything
    tests = len(read.labels) - read.train
    if read.train < FEWEST_TRAIN or tests < FEWEST_TEST:
        raise InputError(
            f"{read.source}: {read.train} rows to learn from and {tests} to test on are too few: at least "
            f"{FEWEST_TRAIN} and {FEWEST_TEST}"
        )
    labels = np.array(read.labels, dtype=np.int64)
    np.save(folder / LABELS, labels)
    # rows of one question, say, are right or wrong together: intervals draw them together, and one side has all of them
    for file, groups in ((TRAIN_GROUPS, read.groups[: read.train]), (GROUPS, read.groups[read.train :])):
        if len(set(groups)) < len(groups):
            np.save(folder / file, cluster_codes(groups))
    if read.pixels is None:
        # a row may hold a lone surrogate, which strict UTF-8 neither writes nor reads
        content = {"texts": read.texts, "copies": read.copies}
        (folder / TEXTS).write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8", errors="surrogatepass")
    else:
        np.save(folder / PIXELS, read.pixels)
    # chance is that of always saying the largest class
    counts = np.bincount(labels[read.train :], minlength=len(read.classes))
    return {
        "title": read.title,
        "source": read.source,
        "classes": list(read.classes),
        "train": read.train,
        "test": tests,
        "chance": float(counts.max() / tests),
        "dropped": dict(read.dropped),
        "provenance": to_object(surroundings()),
    }


def _read(job: StageJob[LabelRowsSettings]) -> _Read:
    settings, task = job.settings, job.inputs["task"]
    if settings.kind == "pictures":
        return _read_pictures(task, settings)
    if settings.kind == "usb":
        folder = Path(job.inputs["folder"])
        training, testing, dropped = read_usb(folder, train=settings.train, test=settings.test)
        labels = (*training.labels, *testing.labels)
        # USB names classes by number
        classes = tuple(map(str, range(max(labels) + 1)))
        texts = (*training.texts, *testing.texts)
        return _Read(folder.name, task, classes, labels, len(training.labels), dropped, texts, copies=training.copies)
    data = _read_texts(job)
    if not data.spec.classes:
        raise InputError(f"{data.spec.title}: each row has answers of its own, and this study compares classes")
    examples = (*data.train, *data.test)
    return _Read(
        data.spec.title,
        data.source,
        tuple(data.spec.classes),
        tuple(example.label for example in examples),
        len(data.train),
        data.dropped,
        tuple(str(example.classifier_input) for example in examples),
        groups=tuple(map(group_of, examples)),
    )


def _read_texts(job: StageJob[LabelRowsSettings]) -> TaskData:
    settings, inputs = job.settings, job.inputs
    if settings.kind == "file":
        columns = tuple((settings.columns or {}).items())
        file = OwnFile(inputs["rows"], "", columns, settings.test_share or 0.0)
        return load_own(file, train=settings.train, test=settings.test)
    return load_task(inputs["task"], train=settings.train, test=settings.test, folder=Path(inputs["folder"]))


def _read_pictures(task: str, settings: LabelRowsSettings) -> _Read:
    read = load_images(task, train=settings.train, test=settings.test)
    # in one tensor: all pictures are brought to one size and one number of channels
    images = [*read.train.images, *read.test.images]
    pixels = stack_images(images, settings.size).numpy()
    labels = (*read.train.labels, *read.test.labels)
    return _Read(read.title, read.title, read.classes, labels, len(read.train), read.dropped, pixels=pixels)


def features_stage(job: StageJob[FeaturesSettings], folder: Path) -> dict[str, object]:
    """Write features of all rows as they are, and of augmented copies of the rows to learn from.

    Copies are drawn once, for all seeds and methods. Where a data set brings its own, such as back-translations, these
    are the strong view.
    """
    settings, stored = job.settings, StoredRows.read(job.needs["rows"])
    texts, own_copies = stored.texts()
    # tests have one view: nothing is learned from them
    train_texts = texts[: stored.train]
    views = settings.views
    weak = _copies(train_texts, views.weak, views.copies, 0)
    strong = own_copies or _copies(train_texts, views.strong_examples, views.copies, STRONG_SEED)
    features = ModelFeatures(job.inputs["model"], settings.layer, dtype=settings.dtype)
    # one list: a text that a copy left as it was is read once
    parts = [texts, *weak, *strong]
    read = features([text for part in parts for text in part]).float().split([len(part) for part in parts])
    np.save(folder / PLAIN, read[0].numpy())
    for name, copies in ((WEAK, read[1 : 1 + len(weak)]), (STRONG, read[1 + len(weak) :])):
        if copies:
            np.save(folder / name, torch.stack(list(copies)).numpy())
    return {"features": int(read[0].shape[1]), "weak": len(weak), "strong": len(strong), "own_copies": bool(own_copies)}


def _copies(texts: list[str], augmentations: Sequence[Augmentation], copies: int, seed: int) -> list[list[str]]:
    """Return augmented copies of texts; none without augmentations."""
    if not augmentations:
        return []
    return [[str(text) for text in augment(texts, augmentations, seed + number)] for number in range(copies)]


def weak_labels_stage(job: StageJob[WeakLabelsSettings], folder: Path) -> dict[str, object]:
    """Write the labels that weak models give to all rows to learn from, and the rows that they learned from.

    A model of each seed: TF-IDF of texts, or a linear classifier of pixels.
    """
    settings, stored = job.settings, StoredRows.read(job.needs["rows"])
    truth = stored.train_labels
    labels, learned_rows = [], []
    for seed in settings.seeds:
        # an order of its own: some of these rows may be among those that the seed keeps clean
        rows = clean_rows(truth, settings.rows, 1_000_000 + seed)
        labels.append(_weak_pictures(stored, rows, seed) if stored.has_pictures else _weak_texts(stored, rows))
        learned_rows.append(rows)
    np.save(folder / LABELS, np.array(labels))
    np.save(folder / LEARNED, np.array(learned_rows))
    other_rows = [np.setdiff1d(np.arange(stored.train), rows) for rows in learned_rows]
    wrong = [float((weak[rest] != truth[rest]).mean()) for weak, rest in zip(labels, other_rows, strict=True)]
    return {"wrong": wrong}


def _weak_texts(stored: StoredRows, rows: NDArray[np.intp]) -> Labels:
    texts = stored.texts()[0][: stored.train]
    # weak by its kind and by its few rows, as a rule or an old model would be
    classifier = SklearnClassifier()
    classifier.fit([texts[row] for row in rows.tolist()], stored.train_labels[rows], classes=stored.classes)
    return np.asarray(classifier.predict_proba(texts).argmax(1))


def _weak_pictures(stored: StoredRows, rows: NDArray[np.intp], seed: int) -> Labels:
    pixels = stored.pixels()[: stored.train].flatten(1).float()
    targets = np.eye(stored.classes)[stored.train_labels[rows]]
    return linear_predictions(pixels, rows, targets, pixels, seed, stored.train_groups())
