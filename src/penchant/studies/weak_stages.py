"""The stages of the weak-to-strong study: rows, activations, a supervisor's labels, students.

The truth of the rows that a supervisor labels is read by the ceiling and the controls and by nothing else: students get
the supervisor's labels, see `_student_labels`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import TypeAdapter
from safetensors.numpy import save_file

from penchant.errors import InputError
from penchant.losses.weak_settings import CrossEntropy, WeakLoss
from penchant.models.load import load_policy
from penchant.models.settings import ModelConfig
from penchant.studies.order import Order
from penchant.studies.weak_grid import CEILING, RANDOM, noise_name, student_name
from penchant.tasks import halves, load_task
from penchant.train.provenance import surroundings
from penchant.types import LabeledExample
from penchant.weak.features import activations
from penchant.weak.probe import Probes, fit_probes
from penchant.weak.supervisors import SklearnClassifier

ROWS = "rows.json"
CURVE = (1, 2, 3, 5, 8, 12, 20, 30, 50, 100, 200, 500)
"""Steps after which a student's accuracy on the truth is looked at: overfitting to weak labels."""
Array = NDArray[Any]


def rows_stage(order: Order, folder: Path) -> dict[str, Any]:
    """`rows.json`: the task's rows to train and to test on, with their labels."""
    settings = order.settings
    folder_of_data = Path(order.places["data"])
    data = load_task(settings["task"], train=settings["train"], test=settings["test"], folder=folder_of_data)
    content = {"train": [asdict(e) for e in data.train], "test": [asdict(e) for e in data.test]}
    (folder / ROWS).write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8", errors="surrogatepass")
    counts = np.bincount([e.label for e in data.test], minlength=len(data.spec.classes))
    return {
        "title": data.spec.title,
        "source": data.source,
        "classes": list(data.spec.classes),
        "train": len(data.train),
        "test": len(data.test),
        "majority": float(counts.max() / counts.sum()),
        "dropped": dict(data.dropped),
        "provenance": surroundings(),
    }


def activations_stage(order: Order, folder: Path) -> dict[str, Any]:
    """`activations-*.npy`: of all rows, those to train on first; every layer."""
    train, test = _read_rows(order)
    policy = load_policy(ModelConfig(name=order.places["model"]), template="plain")
    texts = [example.text for example in (*train, *test)]
    found = activations(policy, texts, folder, longest=order.settings["longest"])
    parameters = sum(weight.numel() for weight in policy.model.parameters())
    return {"layers": len(found) - 1, "hidden": found.shape[2], "parameters": parameters}


def supervisor_stage(order: Order, folder: Path) -> dict[str, Any]:
    """`labels.npy`: probabilities for the half that it did not learn from; `test.npy`: for the test rows."""
    settings = order.settings
    train, test = _read_rows(order)
    own, other = _places_of_halves(train, settings["seed"])
    own = own[: settings["supervisor"]["rows"]]
    truth = np.array([example.label for example in train])
    classes = settings["classes"]
    if len(np.unique(truth[own])) < 2:
        raise InputError(f"the supervisor's {len(own)} rows have one class only: give it more rows")
    predict: Callable[[Array], Array]
    if settings["supervisor"]["name"] == "probe":
        states = _states(order.needs["features"], settings["supervisor"]["layer"])
        probes = fit_probes(states[own], torch.as_tensor(np.eye(classes)[truth[own]])[None], l2=settings["l2"])
        predict = lambda places: probes.predict_proba(states[places])[0].numpy()  # noqa: E731
    else:
        texts = [example.text for example in (*train, *test)]
        words = SklearnClassifier().fit([texts[place] for place in own], truth[own], classes=classes)
        predict = lambda places: words.predict_proba([texts[place] for place in places])  # noqa: E731
    labels = predict(other)
    if len(np.unique(labels.argmax(-1))) < 2:
        raise InputError("the supervisor gives all rows one class: no student can learn from that; give it more rows")
    np.save(folder / "labels.npy", labels)
    np.save(folder / "test.npy", predict(np.arange(len(train), len(train) + len(test))))
    return {"learned_from": len(own), "labelled": len(other)}


def students_stage(order: Order, folder: Path) -> dict[str, Any]:
    """All students of one model on one task: every supervisor, loss and seed, with the ceiling and the controls.

    `test.safetensors` has their probabilities for the test rows, (seeds, rows, classes) an array, by `NAME|LOSS`;
    `curve.safetensors` their accuracy there after each of `steps`, (seeds, steps). `truth.npy` are the rows' labels.
    """
    settings = order.settings
    train, test = _read_rows(order)
    states = _states(order.needs["features"], settings["layer"])
    classes = settings["classes"]
    truth = np.array([example.label for example in (*train, *test)])
    tested, answers = states[len(train) :], torch.as_tensor(truth[len(train) :])
    losses = [TypeAdapter(WeakLoss).validate_python(loss) for loss in settings["losses"]]
    steps = [step for step in CURVE if step <= settings["steps"]]
    found: dict[str, list[Array]] = {}
    curves: dict[str, list[list[float]]] = {}
    for seed in settings["seeds"]:
        _, other = _places_of_halves(train, seed)
        jobs = _student_labels(order, settings["supervisors"], seed, losses)
        jobs |= _true_labels(jobs, settings["supervisors"], truth[other], classes, seed)
        seen: list[Array] = []

        def watch(step: int, probes: Probes, seen: list[Array] = seen) -> None:
            if step in steps:
                right = probes.predict_proba(tested).argmax(-1) == answers
                seen.append(right.double().mean(-1).numpy())

        targets = torch.as_tensor(np.stack([labels for labels, _ in jobs.values()]))
        using = [loss for _, loss in jobs.values()]
        probes = fit_probes(states[other], targets, using, l2=settings["l2"], steps=settings["steps"], watch=watch)
        predicted = probes.predict_proba(tested).numpy()
        for place, name in enumerate(jobs):
            found.setdefault(name, []).append(predicted[place])
            curves.setdefault(name, []).append([float(row[place]) for row in seen])
    save_file({name: np.stack(rows) for name, rows in found.items()}, folder / "test.safetensors")
    save_file({name: np.array(rows) for name, rows in curves.items()}, folder / "curve.safetensors")
    np.save(folder / "truth.npy", truth[len(train) :])
    return {"steps": steps, "students": len(found), "seeds": len(settings["seeds"])}


Jobs = dict[str, tuple[Array, WeakLoss]]


def _student_labels(order: Order, supervisors: Sequence[str], seed: int, losses: list[WeakLoss]) -> Jobs:
    """What students learn from: the supervisors' labels, read from their stages; the truth is out of reach here."""
    jobs: Jobs = {}
    for name in supervisors:
        labels = np.load(order.needs[f"{name} {seed}"] / "labels.npy", allow_pickle=False)
        jobs |= {student_name(name, number): (labels, loss) for number, loss in enumerate(losses)}
    return jobs


def _true_labels(jobs: Jobs, supervisors: Sequence[str], truth: Array, classes: int, seed: int) -> Jobs:
    """The ceiling, and two controls: labels that know nothing, and for each supervisor the truth with as many errors
    as its own, but at random."""
    generator = np.random.default_rng([seed, 2])
    eye, naive = np.eye(classes), CrossEntropy()
    made: Jobs = {CEILING: (eye[truth], naive)}
    made[RANDOM] = eye[generator.integers(0, classes, len(truth))], naive
    for name in supervisors:
        wrong = jobs[student_name(name, 0)][0].argmax(-1) != truth
        noisy = truth.copy()
        hit = generator.permutation(len(truth))[: int(wrong.sum())]
        noisy[hit] = (truth[hit] + generator.integers(1, classes, len(hit))) % classes
        made[noise_name(name)] = eye[noisy], naive
    return made


def _read_rows(order: Order) -> tuple[list[LabeledExample], list[LabeledExample]]:
    content = json.loads((order.needs["rows"] / ROWS).read_text(encoding="utf-8", errors="surrogatepass"))
    train, test = ([LabeledExample(**row) for row in content[part]] for part in ("train", "test"))
    return train, test


def _places_of_halves(train: list[LabeledExample], seed: int) -> tuple[Array, Array]:
    """Places of the rows that the supervisor learns from, and of those that it labels; they share no row."""
    places = {id(example): place for place, example in enumerate(train)}
    own, other = (np.array([places[id(example)] for example in half]) for half in halves(train, seed))
    assert not set(own.tolist()) & set(other.tolist())
    return own, other


def _states(folder: Path, layer: int) -> torch.Tensor:
    """Activations after a layer, of all rows."""
    (file,) = folder.glob("activations-*.npy")
    kept = np.load(file, mmap_mode="r", allow_pickle=False)
    if not -len(kept) <= layer < len(kept):
        raise InputError(
            f"layer {layer} is not there: this model has layers 1 to {len(kept) - 1}, and 0, the embedding"
        )
    return torch.as_tensor(np.array(kept[layer]))
