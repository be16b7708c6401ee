"""The stages of one task that its students share: rows, activations, labels, prompted models. Imports no torch."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from penchant.errors import InputError
from penchant.losses.weak_settings import OWN_WEAK_LOSSES, CrossEntropy, CustomWeakLoss
from penchant.models.settings import Dtype, ModelConfig
from penchant.studies.core.address import data_content, model_content
from penchant.studies.core.stage import Stage, absolute
from penchant.studies.core.stage_settings import StageSettings
from penchant.studies.weak_to_strong.names import (
    ANY_TO_HARD,
    EASY_TO_HARD,
)
from penchant.studies.weak_to_strong.settings import WeakToStrongConfig, drift_columns
from penchant.studies.weak_to_strong.stage_settings import (
    ActivationsSettings,
    GenerativeSettings,
    LabelsSettings,
    ProbeSettings,
    RowsSettings,
    Split,
    StageClassifier,
    StudentSettings,
    TaskClasses,
)
from penchant.studies.weak_to_strong.task_grid import (
    is_prompted,
    network_of,
    read_by,
)
from penchant.tasks.load import NAMES, data_folder, local_files, task_code
from penchant.weak.augmentation.settings import SlowAugmentation
from penchant.weak.semi_supervised.settings import AnyAlgorithm, LabelVectors
from penchant.weak.settings import (
    OWN_CLASSIFIERS,
    ChessEngine,
    LanguageModel,
    Mlp,
    OwnClassifier,
    Probe,
    augmentations_of,
)
from penchant.weak.supervision import LabelsFile, SupervisorSpec
from penchant.weak.vector_content import as_content, names_by_content

SPLIT_NAMES = {"easy": EASY_TO_HARD, "any": ANY_TO_HARD}
SLUG = 60  # letters of a name in a folder's


class TaskStages:
    """Makes the stages of one task: its rows, activations and labels, which its students share."""

    def __init__(self, config: WeakToStrongConfig, name: str, split: Split | None = None) -> None:
        self.config, self.name, self.spec, self.split = config, name, config.spec_of(name), split
        self.rows = self._rows()
        tuned_specs = [spec for spec, tuned in config.students if tuned and isinstance(spec, Probe | LanguageModel)]
        # one copy of a model learns the texts, whoever reads it; a probe has no device of its own, a student has
        devices = {network_of(spec): "auto" for spec in tuned_specs}
        devices |= {network_of(spec): spec.device for spec in tuned_specs if isinstance(spec, LanguageModel)}
        self.tuned = {network: self._tuned(network, device) for network, device in devices.items()}
        specs = [*((spec, False) for spec in (*config.weak, *config.bootstrap)), *config.students]
        # supervisors and the chain read models that never learned the texts: only students have the second copy
        probed = [(read_by(spec, tuned), spec.layer) for spec, tuned in specs if isinstance(spec, Probe | Mlp)]
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
        self.vectors = vector_paths(config.algorithms)
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
                split=self.split,
            )
            inputs = dict(zip(("file", "test_file"), map(absolute, paths), strict=False))
            return self.stage("rows", ["rows"], settings, inputs, {})
        folder = data_folder()
        # the bytes of the files, so that the folder of data may move; without files the hub id stands for the rows
        content = [data_content(str(file)) for file in local_files(self.spec, folder)] or [self.spec.hub]
        # a user's task counts by its code: when that is edited, its rows are read anew
        settings = RowsSettings(
            task=task_code(name) or name,
            train=config.train,
            test=config.test,
            data=tuple(content),
            split=self.split,
        )
        return self.stage("rows", ["rows"], settings, {"data": str(folder), "task": name}, {})

    @property
    def title(self) -> str:
        """The name of the task in the summary."""
        return f"{self.name}, {SPLIT_NAMES[self.split.trains_on]}" if self.split else self.name

    def stage(
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
        if self.split:
            name += f"-{_slug(SPLIT_NAMES[self.split.trains_on])}"
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
        return self.stage("generative", ["generative", network.name], settings, inputs, {"rows": self.rows})

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
        return self.stage("activations", names, settings, inputs, needs)

    def _start(self, network: ModelConfig, tuned: bool) -> dict[str, Stage]:
        return {"start": self.tuned[network]} if tuned else {}

    def classifier(
        self, spec: SupervisorSpec, tuned: bool = False, *, alone: bool = False
    ) -> tuple[StageClassifier, dict[str, str], dict[str, Stage]]:
        """Return settings, inputs and needs of a stage that fits this classifier.

        Its model stands in the settings by its content, or in the activations' address.

        Args:
            alone: a probe computes the activations that it needs itself.
        """
        if isinstance(spec, Probe) and alone:
            needs = {"rows": self.rows, **self._start(network_of(spec), tuned)}
            model = model_content(spec.model)
            settings = ProbeSettings(layer=spec.layer, rows=spec.rows, model=model, dtype=spec.dtype)
            return settings, {"model": absolute(spec.model)}, needs
        if isinstance(spec, Probe):
            features = self.activations[read_by(spec, tuned)]
            return ProbeSettings(layer=spec.layer, rows=spec.rows), {}, {"rows": self.rows, "features": features}
        _refuse_slow_augmentations(spec)
        if isinstance(spec, LanguageModel):
            needs = {"rows": self.rows, **self._start(network_of(spec), tuned)}
            return *_network_by_content(spec), needs
        if isinstance(spec, Mlp):
            # activations as probes have them, so that a text is read once for all students
            needs = {"rows": self.rows, "features": self.activations[read_by(spec, tuned)]}
            return *_network_by_content(spec), needs
        if isinstance(spec, LabelsFile):
            content = data_content(spec.path)
            return spec.replace(path=content), {"labels": absolute(spec.path)}, {"rows": self.rows}
        if isinstance(spec, OwnClassifier):
            OWN_CLASSIFIERS.check(spec.factory)
            content = OWN_CLASSIFIERS.content(spec.factory)
            return spec.replace(factory=content), {"classifier": spec.factory}, {"rows": self.rows}
        return spec, {}, {"rows": self.rows}

    def labels(
        self,
        kind: str,
        spec: SupervisorSpec,
        seed: int,
        extra_needs: Mapping[str, Stage],
        drift: tuple[float, bool] | None = None,
    ) -> Stage:
        """Return the labels of a supervisor, or of a student of the chain.

        Args:
            drift: of a supervisor that learned before the classes drifted, how far; and False for its control.
        """
        classifier, inputs, needs = self.classifier(spec)
        is_probe = isinstance(spec, Probe)
        # other classifiers have no such settings, and their stages stay when those of probes change
        settings = LabelsSettings(
            task=self.classes,
            seed=seed,
            classifier=classifier,
            l2=self.config.l2 if is_probe else None,
            steps=self.config.steps if is_probe else None,
            drift=drift[0] if drift else None,
            drifts=drift[1] if drift else None,
        )
        condition = [drift_columns(drift[0])[0 if drift[1] else 1]] if drift else []
        names = [kind, spec.label, *condition, f"seed {seed}"]
        return self.stage(kind, names, settings, inputs, {**needs, **extra_needs}, seed)

    def prompted_models(self) -> list[tuple[ModelConfig, int]]:
        """Return the language models behind the students, each with the seeds of which it is asked."""
        words = self.config.prompted
        if words is None:
            return []
        networks = [network_of(spec) for spec, _ in self.config.students if is_prompted(spec)]
        # without examples it is asked the same, whatever the seed
        seeds = self.config.seeds if words.shots else self.config.seeds[:1]
        return [(network, seed) for network in dict.fromkeys(networks) for seed in seeds]

    def prompted(self, network: ModelConfig, seed: int) -> Stage:
        """Return the stage of a language model that is asked in words before anything is trained."""
        assert self.config.prompted is not None
        spec = LanguageModel(
            model=network.name,
            reading=self.config.prompted,
            training=None,
            dtype=network.dtype,
            trust_remote_code=network.trust_remote_code,
            longest=self.config.longest,
        )
        classifier, inputs, needs = self.classifier(spec)
        # its examples, where it is shown some, have true labels
        settings = StudentSettings(
            task=self.classes, classifier=classifier, loss=CrossEntropy(), truth="all", templates=(), seed=seed
        )
        return self.stage("student", ["prompted", network.name, f"seed {seed}"], settings, inputs, needs, seed)


def _network_by_content(spec: Mlp | LanguageModel) -> tuple[Mlp | LanguageModel, dict[str, str]]:
    """Return a student whose settings hold the content of its model and vectors, and where these lie."""
    network: Mlp | LanguageModel = spec.replace(model=model_content(spec.model))
    if isinstance(spec.algorithm, LabelVectors):
        # what lies in the folders stands in the settings, and where they lie among the inputs
        network = network.replace(algorithm=as_content(spec.algorithm))
    return network, {"model": absolute(spec.model), **vector_paths([spec.algorithm])}


def vector_paths(algorithms: Sequence[AnyAlgorithm]) -> dict[str, str]:
    """Return where label vectors lie, by the content that stands for them in the settings of stages."""
    vectors = [algorithm for algorithm in algorithms if isinstance(algorithm, LabelVectors)]
    return {key: absolute(name) for settings in vectors for key, name in names_by_content(settings).items()}


def _slug(name: str) -> str:
    """Return a name in the letters that a folder's name may have."""
    # the last part of a path, for the rest of it is the user's machine
    return re.sub(r"[^a-z0-9.]+", "-", name.rstrip("/").lower().rpartition("/")[2])[:SLUG].strip("-.")


def _refuse_slow_augmentations(spec: SupervisorSpec) -> None:
    """Refuse a function of the user's and a translation as augmentations of a classifier.

    The address of a stage would hold their name, and not what the code or the model behind it is.
    """
    # these learn nothing, and have no rows to change
    changes = () if isinstance(spec, ChessEngine | LabelsFile) else augmentations_of(spec)
    if any(isinstance(change, SlowAugmentation) for change in changes):
        raise InputError(
            "a function of your own and a translation are no augmentations of a study yet: train such a student by "
            "`penchant weak train`"
        )
