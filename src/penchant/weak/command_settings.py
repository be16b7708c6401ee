"""Weak labels for a file of one's own, and a student of them. Imports no torch."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from penchant.config import Config
from penchant.config.limits import Seed
from penchant.data.in_memory import DataPath
from penchant.extension.door import is_extension
from penchant.losses.weak_settings import CrossEntropy, WeakLoss
from penchant.models.builtin import BUILT_IN, ENCODERS
from penchant.models.in_memory import model_source
from penchant.weak.settings import ChessEngine, ClassifierSpec, LanguageModel, StudentSpec, Tfidf

Template = Annotated[str, Field(pattern=r"\{text\}")]
Classes = Annotated[tuple[str, ...], Field(min_length=2)]
Kind = Literal["classes", "comparisons"]
ONLY_TEXTS = (
    "TF-IDF reads single texts, and a comparison is a prompt with two responses: name a model, such as "
    "`{role}.name=probe {role}.model=...` or `{role}.name=lm {role}.model=...`"
)
NO_CLASSES = "the classes of a comparison are its two responses: leave `classes` out"


def learns_nothing(supervisor: ClassifierSpec) -> bool:
    """Return whether a supervisor can label without having been trained."""
    return isinstance(supervisor, ChessEngine) or (isinstance(supervisor, LanguageModel) and not supervisor.training)


def _with_probe(values: object, role: str) -> object:
    """Return settings in which a model alone, `student=MODEL` or `student.model=MODEL`, is a probe of it."""
    if not isinstance(values, dict) or role not in values:
        return values
    classifier = model_source(values[role])
    if classifier is not values[role]:  # loaded, or a run
        return {**values, role: {"name": "probe", "model": classifier}}
    # as the command line has it: a bare value is the name of a union's branch
    settings = classifier if isinstance(classifier, dict) else {"name": classifier}
    # the default supervisor is TF-IDF: without this, `model` would be refused as a setting that it does not have
    if "model" in settings and "name" not in settings:
        return {**values, role: {"name": "probe", **settings}}
    if _is_model_name(settings.get("name")) and "model" not in settings:
        return {**values, role: {**settings, "name": "probe", "model": settings["name"]}}
    return values


def _is_model_name(name: object) -> bool:
    # a slip such as `tfdif` must not be looked for on the hub: only what can be no other name counts
    return isinstance(name, str) and (name in BUILT_IN or name in ENCODERS or ("/" in name and not is_extension(name)))


class WeakLabel(Config):
    """Have a weak supervisor label the rows of a file."""

    method: ClassVar[str] = "label"

    data: Annotated[DataPath, Field(min_length=1)]
    """Rows to label: a file or hub id, or pictures: `digits`, `fashion_mnist` (`digits:100` takes 100), a folder with a
    folder per class. Labels that they may have are not looked at."""
    task: Kind = "classes"
    """Which class a text has; or `comparisons`: which of two responses to a prompt is preferred. Then all files are
    preference files of any layout, and supervisors are reward models."""
    train: DataPath | None = None
    """Labelled rows that the supervisor learns from. Rows to label that are among these are refused: of what it learned
    by heart a supervisor knows too much."""
    supervisor: ClassifierSpec = Tfidf()
    """What labels: TF-IDF, a probe (`supervisor.model=...`), a language model (`supervisor.name=lm`), fine-tuned or
    prompted, of two chess moves an engine, or a class of your own (`supervisor=mine.py:Mine`)."""
    saved: str | None = None
    """The folder of a classifier that was saved, instead of one that learns from `train`. One of a class of your own
    is loaded with the code that `supervisor` names."""
    columns: dict[str, str | None] = Field(default_factory=dict)
    """By field, the column of all files that holds it, such as `{text: review, label: sentiment}`; of comparisons as in
    training. A file without the column has the field under its own name."""
    classes: Classes | None = None
    """Names of the classes, in order; those of `train`, sorted, or those that `saved` knows, if not given."""
    out: Annotated[str, Field(min_length=1)]
    """The file to write, .jsonl: each text with its probabilities."""
    seed: Seed = 0
    """Fixes what the supervisor draws."""

    @model_validator(mode="before")
    @classmethod
    def _of_a_model(cls, values: object) -> object:
        return _with_probe(values, "supervisor")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if self.train is None and self.saved is None and not learns_nothing(self.supervisor):
            raise ValueError("a supervisor learns from labelled rows: give `train`, or a classifier that was `saved`")
        if self.train is None and isinstance(self.supervisor, LanguageModel) and self.supervisor.shot_count:
            raise ValueError("`shots` shows labelled rows: give `train`, or leave them out")
        # it would stop by labels that it needs to learn from
        if isinstance(self.supervisor, LanguageModel) and self.supervisor.stops_early:
            raise ValueError("`early_stopping` is for students: a supervisor has no labels to spare for it")
        if self.train is not None and self.saved is not None:
            raise ValueError("`saved` has learned already: leave out `train`, or `saved`")
        if self.task == "comparisons":
            if isinstance(self.supervisor, Tfidf) and self.saved is None:
                raise ValueError(ONLY_TEXTS.format(role="supervisor"))
            if self.classes is not None:
                raise ValueError(NO_CLASSES)
            return self
        if isinstance(self.supervisor, ChessEngine):
            raise ValueError("a chess engine compares moves: set `task=comparisons`, positions with two moves each")
        if self.train is None and self.saved is None and self.classes is None:
            raise ValueError("without `train` nobody knows the names of the classes: give `classes`")
        return self


class WeakTrain(Config):
    """Train a strong student on weak labels alone, and say what can be said of it without any truth."""

    method: ClassVar[str] = "weak"
    command: ClassVar[str] = "weak train"

    data: Annotated[DataPath, Field(min_length=1)]
    """Weakly labelled rows, as `penchant weak label` and `penchant weak sources` write them: a file or hub id; pictures
    by their places in a column `image`, as a folder per class, or a set (`digits`). A column `weight` says how much a
    row counts; rows of weight 0 are left out."""
    task: Kind = "classes"
    """Which class a text has; or `comparisons`: which of two responses to a prompt is preferred. Then all files are
    preference files of any layout, and the student is a reward model."""
    student: StudentSpec
    """What learns: a probe (`student.model=...`), a small network (`student.name=mlp`), a language model
    (`student.name=lm`), of pictures a convolutional network (`student.name=cnn`), TF-IDF, or a class of your own
    (`student=mine.py:Mine`)."""
    loss: WeakLoss = CrossEntropy()
    """On the weak labels; a function of your own is named as `module:function`."""
    columns: dict[str, str | None] = Field(default_factory=dict)
    """By field, the column of all files that holds it, such as `{text: review, label: sentiment}`; of comparisons as in
    training. A file without the column has the field under its own name."""
    classes: Classes | None = None
    """Names of the classes, in order; those of the rows, sorted, if not given."""
    held_out: Annotated[float, Field(gt=0, lt=0.9)] = 0.2
    """Share of the rows that the student does not learn from: agreement, misfit and calibration are measured there."""
    unlabeled: DataPath | None = None
    """Rows without labels, for a student whose `algorithm` learns from these too: a file or hub id. Those that are
    among `data` are left out; those that are among `test` are refused."""
    templates: tuple[Template, ...] = ("Text: {text}", "Please read this: {text}", "Here is what was written. {text}")
    """Other wordings of a held-out row, on which the student should say what it says of the row itself; the text takes
    the place of {text}. `[]` leaves this out."""
    test: DataPath | None = None
    """Rows with the truth, where there are some; none of them may be among `data`."""
    out: str | None = None
    """The run directory; `runs/weak-DATE-TIME` if not given."""
    seed: Seed = 0
    """Fixes the split and what the student draws."""

    @model_validator(mode="before")
    @classmethod
    def _of_a_model(cls, values: object) -> object:
        return _with_probe(values, "student")

    @model_validator(mode="after")
    def _can_compare(self) -> Self:
        if self.task == "comparisons":
            if isinstance(self.student, Tfidf):
                raise ValueError(ONLY_TEXTS.format(role="student"))
            if self.classes is not None:
                raise ValueError(NO_CLASSES)
        return self
