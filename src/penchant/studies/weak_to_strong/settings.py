"""What the weak-to-strong study may be told. Imports no torch."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from penchant.config import Config
from penchant.data.in_memory import DataPath
from penchant.extension import is_extension, suggest
from penchant.losses.weak_settings import AdaptiveConfidence, Confidence, CrossEntropy, Filtered, WeakLoss
from penchant.models.builtin import ENCODERS
from penchant.studies.core.settings import Count, LimitedStudy
from penchant.tasks.load import NAMES, is_pairs, task_spec
from penchant.tasks.own_file import FIELDS, OwnFile, TaskName, is_data_file, own_spec
from penchant.tasks.spec import TaskSpec
from penchant.weak.labels import algorithm_labels, labels, loss_labels
from penchant.weak.semi_supervised.settings import AnyAlgorithm, ConfidentLearning, DivideMix, SelfTraining, Supervised
from penchant.weak.settings import (
    ChessEngine,
    ClassifierSpec,
    Cnn,
    Head,
    LanguageModel,
    Mlp,
    Probe,
    Shrinkage,
    StudentSpec,
    Tfidf,
    Words,
)
from penchant.weak.supervision import LabelsFile, SupervisorSpec

CHESS = ("chess_puzzles", "chess_positions", "chess_easy_to_hard")
"""Tasks whose options are moves."""
Template = Annotated[str, Field(pattern=r"\{text\}")]
BOOTSTRAPPED, AS_LONG = "bootstrapped", "as long, no chain"
"""What students of a chain are called among the losses, and their control."""
TEXTS_FIRST = ", texts first"
"""What stands after the name of a student whose model learned the task's texts."""


def drift_columns(drift: float) -> tuple[str, str]:
    """Return the names of the students of a supervisor before a drift, and of its control."""
    name = f"label drift {100 * drift:g}%"
    return name, f"as many rows as {name}"


class Generative(Config):
    """Language modelling on a task's own texts, without labels."""

    epochs: Count = 1
    """How often to go over the texts to train on."""
    learning_rate: Annotated[float, Field(gt=0)] = 1e-5
    """Peak rate."""
    batch_size: Count = 32
    """Texts of a step."""
    texts: Literal["train", "all"] = "train"
    """Those to train on; or those to test on too, to see what pre-training that had met the task would change."""


class EasyToHard(Config):
    """Easy rows to train on, and hard ones to test on."""

    by: Literal["measured", "column"] = "measured"
    """What says how hard a row is: `measured`, how surprised word counts that did not learn from it are at its true
    label; `column`, of a file of your own the column that `columns.difficulty` names, where more is harder."""
    share: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Of each class, the share of the easiest rows to train on and of the hardest rows to test on; 1 keeps all."""


class WeakToStrongConfig(LimitedStudy):
    """How much of the gap between a weak supervisor and a strong model's ceiling is recovered by a student that learns
    from the supervisor's labels alone."""  # noqa: D205 - the command's help is this sentence as a whole

    method: ClassVar[str] = "weak-to-strong"

    tasks: Annotated[tuple[TaskName, ...], Field(min_length=1)] = ("sst2",)
    """Names of tasks: files in the folder `data` (or what PENCHANT_DATA names), or the hub. With `-pairs` behind a task
    of two classes, such as `sst2-pairs`, rows are pairs of a text of each, and which is which. Or a file of your own,
    such as `reviews.csv`, with a text and a label per row; or code of your own as `module:attribute`, such as
    `mine.py:reviews`."""
    columns: dict[Literal["text", "label", "group", "split", "difficulty"], str | None] = Field(default_factory=dict)
    """Of files of your own: which columns hold the text, the label, what related rows share (`group`: they stay
    together), and which rows are to `train` and to `test` on (`split`). Columns of these names are taken where it does
    not say; null leaves one out. `difficulty` is for `easy_to_hard.by=column`."""
    test_file: DataPath | None = None
    """Of a file of your own: the file of the rows to test on, with the same columns."""
    test_share: Annotated[float, Field(gt=0, lt=1)] = 0.25
    """Of a file of your own that has neither: the share of rows to test on. A digest of each text (or group) decides,
    so that a file that grows keeps its sides."""
    train: Annotated[int | None, Field(ge=40, le=1_000_000_000)] = 5000
    """Rows to train on, at most; half of them for the supervisor, half for it to label."""
    test: Annotated[int | None, Field(ge=20, le=1_000_000_000)] = None
    """Rows to test on, at most."""
    longest: Annotated[int, Field(ge=8, le=1_000_000)] = 256
    """Tokens of a text that a probed model reads, and language modelling; those that are fine-tuned have their own."""
    # word counts, set to come near the prototype's supervisor (decision 11)
    weak: Annotated[tuple[SupervisorSpec, ...], Field(min_length=1)] = (Tfidf(),)
    """The supervisors; `{name: labels, path: labels.jsonl}` takes the labels that `penchant weak sources` wrote of all
    rows."""
    strong: Annotated[tuple[StudentSpec, ...], Field(min_length=1)]
    """The students: probes, fine-tuned language models (`name: lm`), or classes of your own (`mine.py:Mine`). `rows` is
    how many weak labels they see."""
    pairs: Literal["all", "deeper"] = "all"
    """Which students a supervisor has: all; or, with `deeper`, of probes of one model those that read a later layer
    than it does. One model cut after several layers is a family of models, whose activations are computed once."""
    losses: Annotated[tuple[WeakLoss, ...], Field(min_length=1)] = (CrossEntropy(), Confidence())
    """What students are trained with; the first is the naive way that the others are held against. A function of your
    own is named as `module:function`."""
    l2: Shrinkage = "auto"
    """Of every probe. `auto`: each stage and seed chooses among eight values by cross-entropy on a fifth of the labels
    that its probes learn from: of students the weak ones, so that no truth and no test row has a say. Fewer than 100
    rows or groups take 0.3."""
    steps: Count = 100
    """Of every probe's training."""
    algorithms: tuple[AnyAlgorithm, ...] = ()
    """What small networks (`name: mlp` in `strong`) and fine-tuned language models (`name: lm` with a head) make of the
    labels and of rows without them, a student for each beside the naive one: `fixmatch`, `mean_teacher`,
    `self_training`, `{name: label_vectors, vectors: [FOLDER]}` ... All rows are those of the naive student.
    `supervised`, their control, learns from the surest labels alone."""
    confident_share: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Of the students in `algorithms`: the share of the labels of each class that they keep, those that the supervisor
    is surest of, and all that are certain; every row also counts as one without a label. `divide_mix` and
    `confident_learning`, which look for wrong labels, get all of them."""
    bootstrap: tuple[StudentSpec, ...] = ()
    """A chain of students between supervisor and student, weakest first: each learns from the labels of the one before
    and labels the same rows anew, each half of them by what it learned from the other. Beside it a student trained as
    long as the whole chain, without one."""
    generative: Generative | None = None
    """A second copy of each student whose model first learns to predict the texts to train on, of both halves, without
    labels: `generative: {}` takes its defaults."""
    imitation: tuple[Annotated[float, Field(ge=0, le=1)], ...] = ()
    """Shares of the rows on which naive students are told the supervisor's label (on the others one that is drawn):
    probes as a feature, others in words before the text. The more salient the supervisor's errors are, the less of the
    gap should be recovered."""
    errors: tuple[Literal["class", "topic", "long"], ...] = ()
    """Naive students of the supervisor's labels dealt out so that its errors lie together: in the rows of one class, of
    one topic (one side of the texts' main contrast of words), or in the longest texts (easy to hard). There are as many
    errors, each as sure; against errors at random (`controls`) only where they lie differs."""
    drift: tuple[Annotated[float, Field(ge=0, lt=1)], ...] = ()
    """Label drift: naive students of supervisors that learned before the classes drifted. Of all classes but one (drawn
    per seed) such a share of the supervisor's own rows is missing; the rows that it labels, and those to test on, stay
    as they are. Beside each stands the student of a supervisor of as many rows without drift."""
    easy_to_hard: EasyToHard | None = None
    """Train on the easiest rows of each task and test on the hardest: `easy_to_hard: {}` takes its defaults. Beside it,
    tested on the same rows, stands the task trained on as many rows as they come."""
    sees_confidence: bool = False
    """A naive probe that also sees the supervisor's probabilities, for training and for test rows."""
    prompted: Words | None = None
    """Ask the language model behind each student in words before anything is trained, such as `prompted: {prompt:
    "Review: {text}\nSentiment:"}`, with `shots` examples of true labels. Its accuracy says how salient the task is."""
    templates: tuple[Template, ...] = ()
    """Other wordings of test rows, on which a student should say what it says of the row itself; the text takes the
    place of {text}. How often it does is measured without labels."""
    few_rows: Annotated[int, Field(ge=10, le=10_000)] | None = 50
    """What a student's model knows of the task beforehand is what a probe of it says that learned from so many true
    labels, for a language model that is fine-tuned or prompted one of its last layer; word counts, small networks and
    classes of your own likewise. The page shows how close students stay to it; null leaves it out."""
    controls: bool = True
    """Train students on labels that know nothing, and on each supervisor's labels dealt out at random: as many errors,
    as sure, but on other rows."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        # before anything asks for a task's classes
        files = [name for name in self.tasks if is_data_file(name)]
        tasks = [name for name in self.tasks if name in NAMES or is_pairs(name) or is_extension(name)]
        if unknown := [name for name in self.tasks if name not in (*tasks, *files)]:
            hints = "".join(suggest(name, NAMES) for name in unknown)
            raise ValueError(
                f"`tasks` has {', '.join(unknown)}; there are {', '.join(NAMES)}{hints}. A file of your own is named "
                "with its ending, such as reviews.csv"
            )
        self._check_files(files)
        # a study fits all probes of a model in one batch, once
        if any(isinstance(spec, Probe) and spec.algorithm.name != "supervised" for spec in (*self.weak, *self.strong)):
            raise ValueError("a probe of a study has no `algorithm`: take a small network (`name: mlp`) or TF-IDF")
        if not any(self.is_paired(weak, strong) for weak in self.weak for strong in self.strong):
            raise ValueError(
                "`pairs: deeper` leaves no pair: no student reads a later layer of a supervisor's model (negative "
                "layers, which count from the last, are compared with negative ones alone)"
            )
        self._refuse_repeated()
        # an array of shares fits only tasks with as many classes
        following = [loss for loss in self.losses if isinstance(loss, Confidence | AdaptiveConfidence)]
        priors = [loss.prior for loss in following if not isinstance(loss.prior, str)]
        for name in self.tasks if priors else ():
            classes = len(self.spec_of(name).classes)
            if any(len(prior) != classes for prior in priors):
                raise ValueError(f"`prior` must give each class of {name} a share, and it has {classes or 'none'}")
        if any(isinstance(spec, LanguageModel) and spec.stops_early for spec in (*self.weak, *self.bootstrap)):
            raise ValueError("`early_stopping` is for students: those that label keep no labels back to stop by")
        self._refuse_stops_within_algorithms()
        # words are counted per text; options that differ from row to row make no classes to count for
        with_options = [name for name in self.tasks if name not in files and not task_spec(name).classes]
        if with_options and any(isinstance(spec, Tfidf) for spec in (*self.weak, *self.strong, *self.bootstrap)):
            raise ValueError(
                f"TF-IDF reads single texts, and rows of {', '.join(with_options)} have options of their own: name "
                "language models in `weak` and `strong`"
            )
        if with_options and any(isinstance(spec, LabelsFile) for spec in self.weak):
            raise ValueError(
                f"labels of a file in `weak` are for single texts, and rows of {', '.join(with_options)} have options"
            )
        # its options are moves in UCI, which are all that it can judge
        other = [name for name in self.tasks if name not in CHESS]
        if other and any(isinstance(spec, ChessEngine) for spec in self.weak):
            raise ValueError(
                f"a chess engine in `weak` supervises {', '.join(CHESS)} alone, and `tasks` has {', '.join(other)}"
            )
        self._check_conditions(files, with_options)
        if self.algorithms and not any(self.has_algorithms(spec) for spec in self.strong):
            raise ValueError(
                "`algorithms` are for small networks and fine-tuned language models without one of their own, and "
                "`strong` has none: add {name: mlp, model: MODEL}"
            )
        if any(isinstance(spec, Cnn) for spec in (*self.weak, *self.strong, *self.bootstrap)):
            raise ValueError("`cnn` reads pictures, and the rows of tasks are texts: name classifiers of texts")
        if self.sees_confidence and not any(isinstance(spec, Probe) for spec in self.strong):
            raise ValueError("`sees_confidence` is for probes, which get it as features, and `strong` has none")
        # it is fitted in one go, so no loss can ask for what the student itself believes
        words = any(isinstance(spec, Tfidf) for spec in self.strong)
        if words and not all(isinstance(loss, CrossEntropy | Filtered) for loss in self.losses):
            raise ValueError(
                "`strong` has TF-IDF, which learns with the losses cross_entropy and filtered only: "
                "set losses=[cross_entropy]"
            )
        return self

    def _refuse_repeated(self) -> None:
        """Refuse values that stand twice in a list."""
        for name in ("tasks", "imitation", "errors", "drift", "templates"):
            if len(set(getattr(self, name))) < len(getattr(self, name)):
                raise ValueError(f"`{name}` has one of its values twice: it would count as two")
        for name, labels_of in (
            ("weak", labels(self.weak)),
            ("strong", labels(self.strong)),
            ("losses", loss_labels(self.losses)),
            ("algorithms", self.algorithm_columns),
        ):
            # labels say all in which two may differ, so equal ones are the same student
            if len(set(labels_of)) < len(labels_of):
                raise ValueError(f"`{name}` has one of {', '.join(labels_of)} twice")

    def _refuse_stops_within_algorithms(self) -> None:
        """Refuse early stopping of students that an algorithm trains several times: a stage gives it no rows for it."""
        for spec in self.strong:
            if not isinstance(spec, LanguageModel) or not spec.stops_early:
                continue
            algorithms = (spec.algorithm, *(self.algorithms if self.has_algorithms(spec) else ()))
            if several := [one for one in algorithms if isinstance(one, SelfTraining | ConfidentLearning)]:
                raise ValueError(
                    f"`early_stopping` of a student that learns by {several[0].name} is not for studies, which keep no "
                    "labels back for its several trainings: leave `early_stopping` out, or the algorithm"
                )

    def _check_files(self, files: list[str]) -> None:
        """Refuse settings of files where there is none to read by them."""
        if not files and (self.columns or self.test_file):
            raise ValueError("`columns` and `test_file` are for a file of your own, and `tasks` names none")
        if self.test_file and len(files) > 1:
            raise ValueError(f"`test_file` is for one file, and `tasks` names {len(files)}: use a column `split`")
        if self.test_file and self.columns.get("split"):
            raise ValueError("`test_file` and `columns.split` both say which rows to test on: leave one out")

    def _check_conditions(self, files: list[str], with_options: list[str]) -> None:
        """Refuse conditions that some task of the study cannot have."""
        # word counts and shares of classes both need classes that all rows share
        split = self.easy_to_hard
        options = ", ".join(with_options)
        if self.drift and with_options:
            raise ValueError(
                f"`drift` changes how frequent classes are, and rows of {options} have options of their own"
            )
        if self.drift and (files_of_labels := [spec.label for spec in self.weak if isinstance(spec, LabelsFile)]):
            raise ValueError(
                f"`drift` takes away rows of the supervisor, and {', '.join(files_of_labels)} in `weak` learn "
                "from none: leave out `drift`, or name a classifier in `weak`"
            )
        if split and split.by == "measured" and with_options:
            raise ValueError(
                f"`easy_to_hard` is measured by word counts, which read no options, and rows of {options} have some: "
                "name a file of your own, and easy_to_hard.by=column"
            )
        if split and split.by == "column" and (len(files) < len(self.tasks) or not self.columns.get("difficulty")):
            raise ValueError(
                "`easy_to_hard.by=column` is for files of your own, and columns.difficulty=COLUMN names the column"
            )
        if self.columns.get("difficulty") and not (split and split.by == "column"):
            raise ValueError("`columns.difficulty` is read with easy_to_hard.by=column alone")

    def is_paired(self, weak: SupervisorSpec, strong: ClassifierSpec) -> bool:
        """Return whether this supervisor teaches this student, by `pairs`."""
        if self.pairs == "all" or not (isinstance(weak, Probe) and isinstance(strong, Probe)):
            return True
        if weak.model != strong.model:
            return True
        # -1 is the last layer, whose number is unknown before the model is loaded
        return (weak.layer < 0) is (strong.layer < 0) and weak.layer < strong.layer

    def own_file(self, name: str) -> OwnFile | None:
        """Return the file behind a task's name; None for a task that is no file of the user's."""
        if not is_data_file(name):
            return None
        columns = tuple((field, self.columns[field]) for field in FIELDS if field in self.columns)
        return OwnFile(name, self.test_file or "", columns, self.test_share)

    def spec_of(self, name: str) -> TaskSpec:
        """Return the task of a name.

        Raises:
            InputError: a file that cannot be read, or code that is not there.
        """
        file = self.own_file(name)
        return task_spec(name) if file is None else own_spec(file)

    @property
    def students(self) -> list[tuple[StudentSpec, bool]]:
        """The students, and whether their model first learns the task's texts."""
        # encoders predict no text, TF-IDF has no model, and code of the user's starts from what it likes
        tunable = [s for s in self.strong if isinstance(s, Probe | LanguageModel) and s.model not in ENCODERS]
        tuned = [(spec, True) for spec in tunable] if self.generative else []
        return [(spec, False) for spec in self.strong] + tuned

    @property
    def student_labels(self) -> list[str]:
        """The names of the students, in the order of `students`."""
        names = dict(zip(map(id, self.strong), labels(self.strong), strict=True))
        return [names[id(spec)] + (TEXTS_FIRST if tuned else "") for spec, tuned in self.students]

    @property
    def loss_columns(self) -> list[str]:
        """The names of students by how they learned: by loss, then those of the chain."""
        # in the order in which the page has its columns
        chain = [BOOTSTRAPPED, AS_LONG] if self.bootstrap else []
        return loss_labels(self.losses) + chain + self.algorithm_columns + self.disanalogies

    @property
    def algorithm_columns(self) -> list[str]:
        """The names of students by what they make of rows without labels, in the order of `algorithms`."""
        return [
            label + ("" if share is None else f", surest {100 * share:g}%")
            for label, share in zip(algorithm_labels(self.algorithms), map(self.share_of, self.algorithms), strict=True)
        ]

    def share_of(self, algorithm: AnyAlgorithm) -> float | None:
        """Return the share of the labels that a student with this algorithm keeps; None for all."""
        # they look for wrong labels, and the least sure ones are where these are
        return None if isinstance(algorithm, DivideMix | ConfidentLearning) else self.confident_share

    @staticmethod
    def has_algorithms(spec: ClassifierSpec) -> bool:
        """Return whether a student stands in the study with each of `algorithms` too."""
        # label words have no head that an algorithm could train
        if isinstance(spec, LanguageModel) and (spec.training is None or not isinstance(spec.reading, Head)):
            return False
        return isinstance(spec, Mlp | LanguageModel) and isinstance(spec.algorithm, Supervised)

    @property
    def disanalogies(self) -> list[str]:
        """The names of students that learn under other conditions than the naive one, in the order of their columns."""
        names = [f"shown {100 * q:g}%" for q in self.imitation]
        names += [f"errors by {where}" if where != "long" else "errors in long texts" for where in self.errors]
        names += [name for drift in self.drift for name in drift_columns(drift)]
        return names + (["sees confidence"] if self.sees_confidence else [])
