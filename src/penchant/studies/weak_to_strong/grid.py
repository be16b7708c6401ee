"""The stages of the weak-to-strong study. Imports no torch.

What cells share is one stage: a task's rows, a model's activations, a supervisor's labels, a ceiling. All probes of a
model that learn from one supervisor are one stage, since they train as one batched operation, and so are the ceiling
and the control that need none; other students are a stage each. So a supervisor that fails takes nobody's students but
its own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from penchant.errors import InputError
from penchant.losses.weak_settings import OWN_WEAK_LOSSES, CrossEntropy, CustomWeakLoss, WeakLoss
from penchant.models.settings import Dtype, ModelConfig
from penchant.studies.core.address import data_content, model_content
from penchant.studies.core.stage import Stage, absolute
from penchant.studies.core.stage_settings import StageSettings
from penchant.studies.weak_to_strong.names import (
    CEILING,
    FEW_LABELS,
    RANDOM,
    chain_name,
    chained_name,
    errors_name,
    longer_name,
    noise_name,
    shown_name,
    student_name,
    weak_name,
)
from penchant.studies.weak_to_strong.settings import WeakToStrongConfig
from penchant.studies.weak_to_strong.stage_settings import (
    ActivationsSettings,
    GenerativeSettings,
    LabelsSettings,
    ProbeSettings,
    ProbesSettings,
    RowsSettings,
    StageClassifier,
    StudentSettings,
    SupervisedProbesSettings,
    TaskClasses,
)
from penchant.studies.weak_to_strong.task_grid import (
    Students,
    TaskGrid,
    TaskGrids,
    network_of,
    read_by,
)
from penchant.tasks.load import NAMES, data_folder, local_files, task_code
from penchant.weak.semi_supervised.settings import LabelVectors
from penchant.weak.settings import OWN_CLASSIFIERS, ClassifierSpec, LanguageModel, Mlp, OwnClassifier, Probe

SLUG = 60  # letters of a name in a folder's


def weak_grid(config: WeakToStrongConfig) -> TaskGrids:
    """Return the stages that a configuration asks for, a grid for each task."""
    return TaskGrids(_Stages(config, name).grid() for name in config.tasks)


class _Stages:
    """Makes the stages of one task."""

    def __init__(self, config: WeakToStrongConfig, name: str) -> None:
        self.config, self.name, self.spec = config, name, config.spec_of(name)
        self.rows = self._rows()
        tuned_specs = [spec for spec, tuned in config.students if tuned and isinstance(spec, Probe | LanguageModel)]
        # one copy of a model learns the texts, whoever reads it; a probe has no device of its own, a student has
        devices = {network_of(spec): "auto" for spec in tuned_specs}
        devices |= {network_of(spec): spec.device for spec in tuned_specs if isinstance(spec, LanguageModel)}
        self.tuned = {network: self._tuned(network, device) for network, device in devices.items()}
        specs = [*((spec, False) for spec in (*config.weak, *config.bootstrap)), *config.students]
        # supervisors and the chain read models that never learned the texts: only students have the second copy
        probed = [(read_by(spec, tuned), spec.layer) for spec, tuned in specs if isinstance(spec, Probe)]
        models = sorted({key for key, _ in probed})
        # one stage of activations per model, for all layers that somebody probes of it
        self.layers = {key: [layer for other, layer in probed if other == key] for key in models}
        self.activations = {key: self._activations(*key) for key in models}
        # only students say anything of rows in other words
        students = {read_by(spec, tuned) for spec, tuned in config.students if isinstance(spec, Probe)}
        self.wordings = {
            (key, wording): self._activations(*key, wording)
            for key in models
            for wording in range(len(config.templates))
            if key in students
        }
        self.own_losses = {
            OWN_WEAK_LOSSES.content(loss.function): loss.function
            for loss in config.losses
            if isinstance(loss, CustomWeakLoss)
        }
        """Where the user's losses lie, by the content that stands for them in the settings of stages."""
        self.classes = TaskClasses(len(self.spec.classes), tuple(self.spec.classes))

    def _rows(self) -> Stage:
        """Return the stage of the task's rows."""
        config, name = self.config, self.name
        # the content and the reading, never the path: a file that moves keeps its stages
        if file := config.own_file(name):
            paths = [file.path, *filter(None, [file.test_path])]
            settings = RowsSettings(
                task="file",
                train=config.train,
                test=config.test,
                data=tuple(data_content(path) for path in paths),
                columns=dict(file.columns),
                test_share=None if file.test_path else file.test_share,
            )
            inputs = dict(zip(("file", "test_file"), map(absolute, paths), strict=False))
            return self._task("rows", ["rows"], settings, inputs, {})
        folder = data_folder()
        # the bytes of the files, so that the folder of data may move; without files the hub id stands for the rows
        content = [data_content(str(file)) for file in local_files(self.spec, folder)] or [self.spec.hub]
        # a user's task counts by its code: when that is edited, its rows are read anew
        settings = RowsSettings(task=task_code(name) or name, train=config.train, test=config.test, data=tuple(content))
        return self._task("rows", ["rows"], settings, {"data": str(folder), "task": name}, {})

    def grid(self) -> TaskGrid:
        labels: dict[tuple[str, int], Stage] = {}
        for number, spec in enumerate(self.config.weak):
            weak = weak_name(number)
            for seed in self.config.seeds:
                # each student of the chain relabels what the one before it labelled
                before = labels[weak, seed] = self._labels("supervisor", spec, seed, {})
                for link, student in enumerate(self.config.bootstrap):
                    before = self._labels("relabel", student, seed, {"labels": before})
                    labels[chain_name(weak, link), seed] = before
        students = tuple(
            self._probes(spec, tuned, labels) if isinstance(spec, Probe) else self._singles(spec, tuned, labels)
            for spec, tuned in self.config.students
        )
        wordings = list(self.wordings.values())
        return TaskGrid(self.name, self.rows, self.tuned, self.activations, wordings, labels, students)

    def _task(
        self,
        kind: str,
        names: Sequence[str],
        settings: StageSettings,
        inputs: Mapping[str, str],
        needs: Mapping[str, Stage],
        seed: int | None = None,
    ) -> Stage:
        """Return a stage of this task."""
        # labels say what a stage is of, never its place in a list: inserting a student leaves the other stages valid
        name = self.name if self.name in NAMES else _slug(self.name)
        return Stage(kind, "-".join([name, *map(_slug, names)]), settings, inputs, needs, seed=seed)

    def _tuned(self, network: ModelConfig, device: str) -> Stage:
        generative = self.config.generative
        assert generative is not None
        settings = GenerativeSettings(
            # the content in the settings and the path among the inputs: a model that is moved keeps its stages
            model=network.replace(name=model_content(network.name)),
            longest=self.config.longest,
            epochs=generative.epochs,
            learning_rate=generative.learning_rate,
            batch_size=generative.batch_size,
            texts=generative.texts,
        )
        inputs = {"model": absolute(network.name), "device": device}
        return self._task("generative", ["generative", network.name], settings, inputs, {"rows": self.rows})

    def _activations(self, model: str, dtype: Dtype, tuned: bool, wording: int | None = None) -> Stage:
        layers = self.layers[model, dtype, tuned]
        template = None if wording is None else self.config.templates[wording]
        settings = ActivationsSettings(
            model=model_content(model),
            dtype=dtype,
            longest=self.config.longest,
            # a negative layer counts from the model's last, and its depth is unknown until it is loaded
            deepest=None if min(layers) < 0 else max(layers),
            template=template,
        )
        names = ["activations", model, *([template] if template is not None else [])]
        start = self._start(ModelConfig(name=model), tuned)
        inputs, needs = {"model": absolute(model)}, {"rows": self.rows, **start}
        return self._task("activations", names, settings, inputs, needs)

    def _start(self, network: ModelConfig, tuned: bool) -> dict[str, Stage]:
        return {"start": self.tuned[network]} if tuned else {}

    def _classifier(
        self, spec: ClassifierSpec, tuned: bool = False
    ) -> tuple[StageClassifier, dict[str, str], dict[str, Stage]]:
        """Return settings, inputs and needs of a stage that fits this classifier.

        Its model stands in the settings by its content, or in the activations' address.
        """
        if isinstance(spec, Probe):
            features = self.activations[read_by(spec, tuned)]
            return ProbeSettings(layer=spec.layer, rows=spec.rows), {}, {"rows": self.rows, "features": features}
        if isinstance(spec, LanguageModel):
            needs = {"rows": self.rows, **self._start(network_of(spec), tuned)}
            return spec.replace(model=model_content(spec.model)), {"model": absolute(spec.model)}, needs
        if isinstance(spec, Mlp):
            if isinstance(spec.algorithm, LabelVectors):
                # the address of a stage would hold the folders' names, and not what lies there
                raise InputError("label vectors are no student of a study yet: train them by `penchant weak train`")
            return spec.replace(model=model_content(spec.model)), {"model": absolute(spec.model)}, {"rows": self.rows}
        if isinstance(spec, OwnClassifier):
            OWN_CLASSIFIERS.check(spec.factory)
            content = spec.replace(factory=OWN_CLASSIFIERS.content(spec.factory))
            return content, {"classifier": spec.factory}, {"rows": self.rows}
        return spec, {}, {"rows": self.rows}

    def _labels(self, kind: str, spec: ClassifierSpec, seed: int, extra_needs: Mapping[str, Stage]) -> Stage:
        classifier, inputs, needs = self._classifier(spec)
        is_probe = isinstance(spec, Probe)
        # other classifiers have no such settings, and their stages stay when those of probes change
        settings = LabelsSettings(
            task=self.classes,
            seed=seed,
            classifier=classifier,
            l2=self.config.l2 if is_probe else None,
            steps=self.config.steps if is_probe else None,
        )
        names = [kind, spec.label, f"seed {seed}"]
        return self._task(kind, names, settings, inputs, {**needs, **extra_needs}, seed)

    def _probes(self, probe: Probe, tuned: bool, labels: Mapping[tuple[str, int], Stage]) -> Students:
        """Return all students of a probed model: the ceiling's stage, and one per supervisor."""
        config = self.config
        shared = {"rows": self.rows, "features": self.activations[read_by(probe, tuned)]}
        for wording in range(len(config.templates)):
            shared[f"wording {wording}"] = self.wordings[read_by(probe, tuned), wording]
        ceiling = ProbesSettings(
            task=self.classes,
            l2=config.l2,
            steps=config.steps,
            seeds=config.seeds,
            controls=config.controls,
            layer=probe.layer,
            rows=probe.rows,
            wordings=len(config.templates),
        )
        batched = {CEILING: self._task("students", ["students", probe.label, "ceiling"], ceiling, {}, shared)}
        if config.few_rows:
            # a stage of its own, so that the ceiling's keeps the address that it had
            prior = replace(ceiling, few_rows=config.few_rows, controls=False, wordings=0)
            # nobody asks what it says of rows in other words
            read = {name: stage for name, stage in shared.items() if not name.startswith("wording")}
            batched[FEW_LABELS] = self._task("students", ["students", probe.label, "few rows"], prior, {}, read)
        # one stage per supervisor: one that fails takes nobody's students but its own
        supervised = SupervisedProbesSettings(
            **vars(ceiling) | {"supervised": True},
            losses=tuple(map(loss_content, config.losses)),
            chain=len(config.bootstrap),
            imitation=config.imitation,
            # none is left out of the address, as it was before there were any
            errors=config.errors or None,
            sees_confidence=config.sees_confidence or None,
        )
        for number, supervisor in enumerate(config.weak):
            if not config.is_paired(supervisor, probe):
                continue
            name = weak_name(number)
            needs = {f"labels {seed}": labels[name, seed] for seed in config.seeds}
            if config.bootstrap:
                # only the chain's last labels teach a student; those between are needed by the chain itself
                end = chain_name(name, len(config.bootstrap) - 1)
                needs |= {f"end {seed}": labels[end, seed] for seed in config.seeds}
            names = ["students", probe.label, f"of {supervisor.label}"]
            batched[name] = self._task("students", names, supervised, self.own_losses, {**shared, **needs})
        return Students(batched=batched)

    def _singles(self, spec: ClassifierSpec, tuned: bool, labels: Mapping[tuple[str, int], Stage]) -> Students:
        """Return the students that train one by one: of each supervisor and loss, the ceiling, and the controls."""
        config, stages = self.config, {}
        classifier, inputs, needs = self._classifier(spec, tuned)
        ceiling = StudentSettings(
            task=self.classes,
            classifier=classifier,
            loss=CrossEntropy(),
            truth="all",
            templates=config.templates,
            # any seed: `add` replaces it by each one's own
            seed=config.seeds[0],
        )
        # the naive student: every other student of weak labels differs from it in one thing
        naive, chain = replace(ceiling, loss=loss_content(config.losses[0]), truth=None), len(config.bootstrap)
        # inputs are no part of an address, so every student may have the paths of all losses
        inputs = {**inputs, **self.own_losses}

        def add(name: str, description: str, settings: StudentSettings, weak: str = "") -> None:
            for seed in config.seeds:
                source = {"labels": labels[weak, seed]} if weak else {}
                names = ["student", spec.label, description, f"seed {seed}"]
                stages[name, seed] = self._task(
                    "student", names, replace(settings, seed=seed), inputs, {**needs, **source}, seed
                )

        # one per strong model and seed, whoever supervises: all supervisors label the same half
        add(CEILING, "ceiling", ceiling)
        if config.few_rows and not isinstance(spec, LanguageModel):
            # a model that is fine-tuned on so few rows takes a step or two, and knows no more than it did
            few_rows, _, _ = self._classifier(spec.model_copy(update={"rows": config.few_rows}), tuned)
            add(FEW_LABELS, "few rows", replace(ceiling, classifier=few_rows, templates=()))
        if config.controls:
            add(RANDOM, "random labels", replace(ceiling, truth="random"))
        for number, supervisor in enumerate(config.weak):
            weak, of_supervisor = weak_name(number), f"of {supervisor.label}"
            trains = not (isinstance(spec, LanguageModel) and spec.training is None)  # else no loss reaches it
            for index, loss in enumerate(config.losses if trains else config.losses[:1]):
                name = loss.label if isinstance(loss, CustomWeakLoss) else loss.name
                student = replace(naive, loss=loss_content(loss))
                add(student_name(weak, index), f"{of_supervisor} {name}", student, weak)
            for index, share in enumerate(config.imitation):
                add(
                    shown_name(weak, index),
                    f"{of_supervisor} shown {share:g}",
                    replace(naive, leaked_share=share),
                    weak,
                )
            for where in config.errors:
                control = replace(naive, truth="noise", errors=where)
                add(errors_name(weak, where), f"{of_supervisor} errors by {where}", control, weak)
            if config.controls:
                # the first loss, as the naive student has it: only which rows are wrong may differ between the two
                add(noise_name(weak), f"{of_supervisor} errors at random", replace(naive, truth="noise"), weak)
            if chain:
                add(chained_name(weak), f"{of_supervisor} chain", naive, chain_name(weak, chain - 1))
                if trains:
                    # trained as long as the whole chain, or what the chain gains might be no more than its training
                    add(longer_name(weak), f"{of_supervisor} longer", replace(naive, times_as_long=chain + 1), weak)
        return Students(single=stages)


def loss_content(loss: WeakLoss) -> WeakLoss:
    """Return a loss with the content of a user's code in place of its name.

    Raises:
        InputError: the name of a user's loss stands for nothing.
    """
    if not isinstance(loss, CustomWeakLoss):
        return loss
    OWN_WEAK_LOSSES.check(loss.function)
    return loss.replace(function=OWN_WEAK_LOSSES.content(loss.function))


def _slug(name: str) -> str:
    """Return a name in the letters that a folder's name may have."""
    # the last part of a path, for the rest of it is the user's machine
    return re.sub(r"[^a-z0-9.]+", "-", name.rstrip("/").lower().rpartition("/")[2])[:SLUG].strip("-.")
