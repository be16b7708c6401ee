"""Lay out the stages of a study of labels: rows of each task, a cell for each method and condition. No torch here."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, TypeVar

from penchant.config import Config
from penchant.digests import digest_file
from penchant.errors import InputError
from penchant.rewards.content import data_content, model_content
from penchant.studies.core.stage import Stage, absolute
from penchant.studies.labels.names import USB, is_pictures
from penchant.studies.labels.settings import LARGEST_ASYMMETRIC, LabelsConfig
from penchant.studies.labels.stage_settings import (
    CellSettings,
    FeaturesSettings,
    LabelRowsSettings,
    Noise,
    WeakLabelsSettings,
)
from penchant.studies.labels.usb import usb_files
from penchant.tasks.idx import find_fashion_mnist
from penchant.tasks.load import data_folder, local_files, task_code, task_spec
from penchant.tasks.own_file import is_data_file
from penchant.tasks.picture_names import HUB, SETS
from penchant.weak.semi_supervised.settings import AnyAlgorithm, Supervised
from penchant.weak.settings import Cnn, Mlp

Part = Literal["few", "wrong", "together"]
Algorithm = TypeVar("Algorithm", bound=AnyAlgorithm | None)
LINEAR, CHOSEN = "linear classifier", "supervised, best epoch by clean labels"
"""Methods that are no algorithm of a network."""
MOST_SLUG = 60  # letters of a part of a folder's name


@dataclass(frozen=True)
class Condition:
    """Where a cell stands on the page.

    Attributes:
        part: of the page. clean: how many clean labels. kind, rate: of wrong labels; of a weak model `rate` is how many
            rows it learned from.
    """

    part: Part
    clean: int | None = None
    kind: str | None = None
    rate: float | None = None


@dataclass(frozen=True)
class Cell:
    """A method at one condition, for all seeds.

    Attributes:
        method: as pages name it. algorithm: None for a linear classifier.
    """

    method: str
    condition: Condition
    stage: Stage


@dataclass(frozen=True)
class LabelTask:
    """The stages of one task.

    Attributes:
        before: what cells need besides the rows, features first.
    """

    name: str
    rows: Stage
    before: tuple[Stage, ...]
    cells: tuple[Cell, ...]


class LabelsGrid(tuple[LabelTask, ...]):
    """The stages of all tasks."""

    @property
    def required(self) -> tuple[Stage, ...]:
        """Stages without any of which there is nothing to say."""
        return tuple(task.rows for task in self)

    def stages(self) -> list[Stage]:
        """Return every stage once, each after what it needs."""
        ordered = [stage for task in self for stage in (task.rows, *task.before, *(cell.stage for cell in task.cells))]
        return list({stage.address: stage for stage in ordered}.values())


def labels_grid(config: LabelsConfig) -> LabelsGrid:
    """Return the stages that a configuration asks for, a part for each task."""
    return LabelsGrid(_Stages(config, name).task() for name in config.tasks)


class _Stages:
    """Makes the stages of one task."""

    def __init__(self, config: LabelsConfig, name: str) -> None:
        self.config, self.name = config, name
        # asked once: a folder may come or go
        self.pictures = is_pictures(name)
        self.rows = self._rows()
        self.needs: dict[str, Stage] = {"rows": self.rows}
        self.network: Mlp | Cnn = config.pictures
        self.before: list[Stage] = []
        if not self.pictures:
            # pictures are their own features
            features = self._features()
            self.needs["features"] = features
            self.before.append(features)
            # what made the features stands in their stage's address
            self.network = config.texts.replace(model=model_content(config.texts.model))

    def task(self) -> LabelTask:
        """Return the stages of the task."""
        cells = tuple(self._cells())
        # only those that a cell asks for: kinds of wrong labels may leave weak models out
        weak = {
            cell.stage.needs["weak"].address: cell.stage.needs["weak"] for cell in cells if "weak" in cell.stage.needs
        }
        return LabelTask(self.name, self.rows, (*self.before, *weak.values()), cells)

    def _rows(self) -> Stage:
        config, name = self.config, self.name
        if self.pictures:
            settings = LabelRowsSettings(
                kind="pictures",
                task="",
                data=_picture_content(name),
                size=config.pictures.size,
                train=config.train,
                test=config.test,
            )
            # a set's name or a hub id is no path
            location = name if name in SETS or name.startswith(HUB) else absolute(name)
            return self._stage("label_rows", ["rows"], settings, {}, {"task": location})
        # the content of the files, never their place
        if name.startswith(USB):
            folder = Path(name.removeprefix(USB)).expanduser().resolve()
            content = tuple(digest_file(file) for file in usb_files(folder))
            settings = LabelRowsSettings(kind="usb", task="", data=content, train=config.train, test=config.test)
            return self._stage("label_rows", ["rows"], settings, {}, {"task": name, "folder": str(folder)})
        if is_data_file(name):
            settings = LabelRowsSettings(
                kind="file",
                task="",
                data=(data_content(name),),
                columns=dict(config.columns.items()),
                test_share=config.test_share,
                train=config.train,
                test=config.test,
            )
            return self._stage("label_rows", ["rows"], settings, {}, {"task": name, "rows": absolute(name)})
        spec, folder = task_spec(name), data_folder()
        # without files the hub id stands for the rows, and the code of a task of the user's for its reading
        content = tuple(data_content(str(file)) for file in local_files(spec, folder)) or (spec.hub,)
        settings = LabelRowsSettings(
            kind="task", task=task_code(name) or name, data=content, train=config.train, test=config.test
        )
        return self._stage("label_rows", ["rows"], settings, {}, {"task": name, "folder": str(folder)})

    def _features(self) -> Stage:
        texts = self.config.texts
        settings = FeaturesSettings(
            model=model_content(texts.model), layer=texts.layer, dtype=texts.dtype, views=texts.views
        )
        inputs = {"model": absolute(texts.model)}
        return self._stage("label_features", ["features", texts.model], settings, {"rows": self.rows}, inputs)

    def _weak_labels(self, rows: int) -> Stage:
        # one stage for all seeds: these models take a second
        settings = WeakLabelsSettings(rows=rows, seeds=self.config.seeds)
        return self._stage("weak_labels", ["weak", f"{rows} rows"], settings, {"rows": self.rows}, {})

    def _cells(self) -> Iterator[Cell]:
        config = self.config
        if config.few is not None:
            for count in dict.fromkeys(config.few.counts):
                for algorithm in _with_controls(config.few.algorithms):
                    yield self._cell(algorithm, Condition("few", clean=count), clean=count)
        if config.wrong is not None:
            for noise, condition in self._noises():
                for algorithm in _with_controls(config.wrong.algorithms):
                    yield self._cell(algorithm, condition, noise=noise, held_out=config.wrong.held_out)
        if config.together is not None:
            yield from self._cells_of_both()

    def _cells_of_both(self) -> Iterator[Cell]:
        """Yield cells of clean labels beside wrong ones."""
        together, counts = self.config.together, self.config.few
        assert together is not None
        assert counts is not None
        noise = Noise(kind=together.kind, rate=None if together.kind == "model" else together.rate)
        rate = together.model_rows if together.kind == "model" else together.rate
        for count in dict.fromkeys(counts.counts):
            condition = Condition("together", clean=count, kind=together.kind, rate=rate)
            for algorithm in _each_once(together.algorithms):
                yield self._cell(algorithm, condition, clean=count, noise=noise, clean_use="learn")
            yield self._cell(Supervised(), condition, clean=count, noise=noise, clean_use="choose")

    def _noises(self) -> Iterator[tuple[Noise, Condition]]:
        """Yield each kind and rate of wrong labels."""
        wrong = self.config.wrong
        assert wrong is not None
        for kind in dict.fromkeys(wrong.kinds):
            if kind == "model":
                for rows in dict.fromkeys(wrong.model_rows):
                    yield Noise(kind=kind, rate=None), Condition("wrong", kind=kind, rate=rows)
                continue
            for rate in dict.fromkeys(wrong.rates):
                if kind == "symmetric" or rate < LARGEST_ASYMMETRIC:
                    yield Noise(kind=kind, rate=rate), Condition("wrong", kind=kind, rate=rate)

    def _cell(
        self,
        algorithm: AnyAlgorithm | None,
        condition: Condition,
        *,
        clean: int | None = None,
        noise: Noise | None = None,
        held_out: float | None = None,
        clean_use: Literal["learn", "choose"] | None = None,
    ) -> Cell:
        # cells without noise of a model stay when the weak models change
        needs = dict(self.needs)
        if noise is not None and noise.kind == "model":
            assert condition.rate is not None
            needs["weak"] = self._weak_labels(int(condition.rate))
        settings = CellSettings(
            network=self.network,
            algorithm=algorithm,
            seeds=self.config.seeds,
            clean=clean,
            noise=noise,
            held_out=held_out,
            clean_use=clean_use,
        )
        # what the clean labels choose is no algorithm
        method = CHOSEN if clean_use == "choose" else label_of(algorithm)
        names = [condition.part, *_condition_names(condition), method]
        return Cell(method, condition, self._stage("label_cell", names, settings, needs, {}))

    def _stage(
        self,
        kind: str,
        names: Sequence[str],
        settings: LabelRowsSettings | FeaturesSettings | WeakLabelsSettings | CellSettings,
        needs: Mapping[str, Stage],
        inputs: Mapping[str, str],
    ) -> Stage:
        task = Path(self.name.removeprefix(USB).removeprefix(HUB)).name
        return Stage(kind, "-".join(map(_slug, [task, *names])), settings, inputs, needs)


def label_of(algorithm: AnyAlgorithm | None) -> str:
    """Return an algorithm as pages name it, with the settings in which it is not the default.

    Two algorithms of one study that differ have two names, or a page would show one in place of the other.
    """
    if algorithm is None:
        return LINEAR
    threshold = getattr(algorithm, "threshold", None)
    parts = [algorithm, *([threshold] if isinstance(threshold, Config) else [])]
    changed = [text for part in parts for text in _changed_settings(part, algorithm.label)]
    return ", ".join([algorithm.label, *changed])


def _changed_settings(part: Config, label: str) -> Iterator[str]:
    """Yield the settings that are not the default, unless the label says them already."""
    for name, field in type(part).model_fields.items():
        value = getattr(part, name)
        # yes and no, the name, and how many rounds there are stand in the label
        if name in ("name", "rounds") or isinstance(value, (bool, Config)):
            continue
        if value == field.get_default(call_default_factory=True) or (isinstance(value, str) and value in label):
            continue
        yield f"{name} {value:g}" if isinstance(value, (int, float)) else f"{name} {_compact(value)}"


def _compact(value: object) -> str:
    """Return a setting that is no number, without the quotes and brackets around it."""
    return value if isinstance(value, str) else re.sub(r"""["'(){}\[\]]""", "", str(value)).strip(", ")


def _with_controls(algorithms: Sequence[AnyAlgorithm]) -> list[AnyAlgorithm | None]:
    """Return the controls and the algorithms, each once: supervised training first, then a linear classifier."""
    return _each_once([Supervised(), None, *algorithms])


def _each_once(algorithms: Sequence[Algorithm]) -> list[Algorithm]:
    # by equality: settings that hold a mapping have no hash
    return [item for index, item in enumerate(algorithms) if item not in algorithms[:index]]


def _condition_names(condition: Condition) -> list[str]:
    parts = [f"{condition.clean} clean"] if condition.clean is not None else []
    if condition.kind is not None:
        parts.append(f"{condition.kind} {condition.rate:g}")
    return parts


def _picture_content(name: str) -> tuple[str, ...]:
    """Return digests of the files of pictures; a hub id stands for itself."""
    if name == "digits":
        # found without an import of scikit-learn, which takes a second
        package = find_spec("sklearn")
        assert package is not None
        assert package.origin is not None
        return (digest_file(Path(package.origin).parent / "datasets" / "data" / "digits.csv.gz"),)
    if name == "fashion_mnist":
        return tuple(digest_file(file) for pair in find_fashion_mnist() for file in pair)
    if name.startswith(HUB):
        return (name,)
    folder = Path(name).expanduser()
    # sorted, for file systems list in any order
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    if not files:
        raise InputError(f"{name} holds no pictures: make a folder for each class, with its pictures")
    # the names too: the folder of a picture is its class
    return tuple(f"{file.relative_to(folder).as_posix()} {digest_file(file)}" for file in files)


def _slug(name: str) -> str:
    """Return a name in the letters that a folder's name may have."""
    return re.sub(r"[^a-z0-9.]+", "-", name.lower())[:MOST_SLUG].strip("-.")
