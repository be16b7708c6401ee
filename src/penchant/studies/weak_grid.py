"""The stages of the weak-to-strong study. Imports no torch.

What cells share is one stage: a task's rows, a model's activations, a supervisor's labels, a ceiling. All probes of a
model on a task are one stage, since they train as one batched operation; other students are a stage each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from penchant.studies.address import data_content, model_content
from penchant.studies.tasks import Task, absolute, plain
from penchant.studies.weak_names import (
    CEILING,
    RANDOM,
    chain_name,
    chained_name,
    longer_name,
    noise_name,
    shown_name,
    student_name,
    weak_name,
)
from penchant.studies.weak_settings import WeakToStrongConfig
from penchant.tasks.load import data_folder, local_files, task_spec
from penchant.weak.settings import ClassifierSpec, LanguageModel, Probe

Reader = tuple[str, str, bool]
"""A model that is probed, its dtype, and whether it learned the texts first."""


@dataclass(frozen=True)
class Students:
    """The stages of one strong model on one task: all in one (probes), or one by (name, seed)."""

    batched: Task | None = None
    single: Mapping[tuple[str, int], Task] = field(default_factory=dict)

    def tasks(self) -> list[Task]:
        """Every stage once."""
        return [self.batched] if self.batched else list(self.single.values())


@dataclass(frozen=True)
class TaskGrid:
    """The stages of one task.

    Attributes:
        rows: what all others need. tuned: models that learned the texts first, by name.
        activations: by who reads, see `read_by`. wordings: likewise, of test rows in other words.
        labels: of supervisors and of the chain's students, by (name, seed).
        students: of each of the configuration's `students`, in order.
    """

    name: str
    rows: Task
    tuned: Mapping[str, Task]
    activations: Mapping[Reader, Task]
    wordings: Sequence[Task]
    labels: Mapping[tuple[str, int], Task]
    students: tuple[Students, ...]

    def tasks(self) -> list[Task]:
        """Every stage once, each after what it needs."""
        students = [task for one in self.students for task in one.tasks()]
        return [
            self.rows,
            *self.tuned.values(),
            *self.activations.values(),
            *self.wordings,
            *self.labels.values(),
            *students,
        ]


def read_by(one: Probe, tuned: bool) -> Reader:
    """Whose activations a probe reads: probes of one model share them."""
    return one.model, one.dtype, tuned


def weak_grid(config: WeakToStrongConfig) -> list[TaskGrid]:
    """The stages that a configuration asks for, a grid a task."""
    return [_Stages(config, name).grid() for name in config.tasks]


class _Stages:
    """Makes the stages of one task."""

    def __init__(self, config: WeakToStrongConfig, name: str) -> None:
        self.config, self.name, self.spec = config, name, task_spec(name)
        folder = data_folder()
        content = [data_content(str(file)) for file in local_files(self.spec, folder)] or [self.spec.hub]
        sizes = {"task": name, "train": config.train, "test": config.test, "data": content}
        self.rows = Task("rows", f"{name}-rows", sizes, {"data": str(folder)}, {})
        late = [one.model for one, tuned in config.students if tuned and isinstance(one, Probe | LanguageModel)]
        self.tuned = {model: self._tuned(model, number) for number, model in enumerate(dict.fromkeys(late))}
        specs = [*((one, False) for one in (*config.weak, *config.bootstrap)), *config.students]
        probed = [(read_by(one, tuned), one.layer) for one, tuned in specs if isinstance(one, Probe)]
        models = sorted({key for key, _ in probed})
        self.layers = {key: [layer for other, layer in probed if other == key] for key in models}
        self.activations = {key: self._activations(*key, number) for number, key in enumerate(models)}
        students = {read_by(one, tuned) for one, tuned in config.students if isinstance(one, Probe)}
        self.wordings = {
            (key, wording): self._activations(*key, number, wording)
            for number, key in enumerate(models)
            for wording in range(len(config.templates))
            if key in students
        }
        self.shared = {"classes": len(self.spec.classes), "names": list(self.spec.classes)}
        self.probe = {"l2": config.l2, "steps": config.steps}

    def grid(self) -> TaskGrid:
        labels: dict[tuple[str, int], Task] = {}
        for number, one in enumerate(self.config.weak):
            weak = weak_name(number)
            for seed in self.config.seeds:
                labels[weak, seed] = self._labels("supervisor", weak, one, seed, {})
                before = labels[weak, seed]
                for link, student in enumerate(self.config.bootstrap):
                    name = chain_name(weak, link)
                    before = labels[name, seed] = self._labels("relabel", name, student, seed, {"labels": before})
        students = tuple(
            self._probes(number, one, tuned, labels)
            if isinstance(one, Probe)
            else self._singles(number, one, tuned, labels)
            for number, (one, tuned) in enumerate(self.config.students)
        )
        wordings = list(self.wordings.values())
        return TaskGrid(self.name, self.rows, self.tuned, self.activations, wordings, labels, students)

    def _tuned(self, model: str, number: int) -> Task:
        assert self.config.generative is not None
        settings = {"model": model_content(model), "longest": self.config.longest, **plain(self.config.generative)}
        needs = {"rows": self.rows}
        return Task("generative", f"{self.name}-generative-{number}", settings, {"model": absolute(model)}, needs)

    def _activations(self, model: str, dtype: str, tuned: bool, number: int, wording: int | None = None) -> Task:
        layers = self.layers[model, dtype, tuned]
        settings: dict[str, Any] = {
            "model": model_content(model),
            "dtype": dtype,
            "longest": self.config.longest,
            "deepest": None if min(layers) < 0 else max(layers),
        }
        label = f"{self.name}-activations-{number}"
        if wording is not None:
            settings["template"], label = self.config.templates[wording], f"{label}-wording-{wording}"
        places, needs = {"model": absolute(model)}, {"rows": self.rows, **self._start(model, tuned)}
        return Task("activations", label, settings, places, needs)

    def _start(self, model: str, tuned: bool) -> dict[str, Task]:
        return {"start": self.tuned[model]} if tuned else {}

    def _classifier(
        self, one: ClassifierSpec, tuned: bool = False
    ) -> tuple[dict[str, Any], dict[str, str], dict[str, Task]]:
        """Settings, places and needs of a stage that fits this classifier: its model stands in the settings by its
        content, or in the activations' address."""
        settings = plain(one)
        if isinstance(one, Probe):
            settings = {key: value for key, value in settings.items() if key not in ("model", "dtype")}
            return settings, {}, {"rows": self.rows, "features": self.activations[read_by(one, tuned)]}
        if isinstance(one, LanguageModel):
            settings["model"] = model_content(one.model)
            return settings, {"model": absolute(one.model)}, {"rows": self.rows, **self._start(one.model, tuned)}
        return settings, {}, {"rows": self.rows}

    def _labels(self, kind: str, name: str, one: ClassifierSpec, seed: int, more: Mapping[str, Task]) -> Task:
        settings, places, needs = self._classifier(one)
        own = {**self.shared, "seed": seed, "classifier": settings, **(self.probe if isinstance(one, Probe) else {})}
        return Task(kind, f"{self.name}-{name}-seed-{seed}", own, places, {**needs, **more}, seed=seed)

    def _probes(self, number: int, one: Probe, tuned: bool, labels: Mapping[tuple[str, int], Task]) -> Students:
        """All students of a probed model, in one stage."""
        config, chain = self.config, len(self.config.bootstrap)
        weak = [weak_name(place) for place in range(len(config.weak))]
        settings = {
            **self.shared,
            **self.probe,
            "seeds": list(config.seeds),
            "losses": [plain(loss) for loss in config.losses],
            "supervisors": weak,
            "chain": chain,
            "controls": config.controls,
            "imitation": list(config.imitation),
            "layer": one.layer,
            "rows": one.rows,
            "wordings": len(config.templates),
        }
        ends = {*weak, *(chain_name(name, chain - 1) for name in weak if chain)}
        needs = {f"{name} {seed}": task for (name, seed), task in labels.items() if name in ends}
        shared = {"rows": self.rows, "features": self.activations[read_by(one, tuned)]}
        for wording in range(len(config.templates)):
            shared[f"wording {wording}"] = self.wordings[read_by(one, tuned), wording]
        return Students(Task("students", f"{self.name}-students-{number}", settings, {}, {**shared, **needs}))

    def _singles(
        self, number: int, one: ClassifierSpec, tuned: bool, labels: Mapping[tuple[str, int], Task]
    ) -> Students:
        """Students that train one by one: of each supervisor and loss, the ceiling, and the controls."""
        config, made = self.config, {}
        settings, places, needs = self._classifier(one, tuned)
        naive, chain = plain(config.losses[0]), len(config.bootstrap)

        def add(name: str, seed: int, truth: str | None, loss: dict[str, Any], weak: str = "", **more: Any) -> None:
            own = {**self.shared, "seed": seed, "classifier": settings, "loss": loss, "truth": truth}
            own |= {"longer": 1, "shown": None, "templates": list(config.templates), **more}
            source = {"labels": labels[weak, seed]} if weak else {}
            label = f"{self.name}-student-{number}-{name.replace('|', '-').replace(' ', '-')}-seed-{seed}"
            made[name, seed] = Task("student", label, own, places, {**needs, **source}, seed=seed)

        for seed in config.seeds:
            add(CEILING, seed, "all", _CROSS_ENTROPY)
            if config.controls:
                add(RANDOM, seed, "random", _CROSS_ENTROPY)
            for place in range(len(config.weak)):
                weak = weak_name(place)
                for which, loss in enumerate(config.losses):
                    add(student_name(weak, which), seed, None, plain(loss), weak)
                for which, share in enumerate(config.imitation):
                    add(shown_name(weak, which), seed, None, naive, weak, shown=share)
                if config.controls:
                    add(noise_name(weak), seed, "noise", _CROSS_ENTROPY, weak)
                if chain:
                    add(chained_name(weak), seed, None, naive, chain_name(weak, chain - 1))
                    add(longer_name(weak), seed, None, naive, weak, longer=chain + 1)
        return Students(single=made)


_CROSS_ENTROPY = {"name": "cross_entropy", "labels": "soft"}
