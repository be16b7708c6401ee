"""What the weak-to-strong study may be told. Imports no torch."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from penchant.config import Config
from penchant.extension import is_extension, suggest
from penchant.losses.weak_settings import AdaptiveConfidence, Confidence, CrossEntropy, Filtered, WeakLoss
from penchant.models.builtin import ENCODERS
from penchant.session.objects import CodeName
from penchant.studies.core.settings import Count, LimitedStudy
from penchant.tasks.load import NAMES, task_spec
from penchant.weak.labels import labels, loss_labels
from penchant.weak.settings import (
    ChessEngine,
    ClassifierSpec,
    LanguageModel,
    Probe,
    Shrinkage,
    StudentSpec,
    Tfidf,
)

CHESS = "chess_puzzles"
Template = Annotated[str, Field(pattern=r"\{text\}")]
BOOTSTRAPPED, AS_LONG = "bootstrapped", "as long, no chain"
"""What students of a chain are called among the losses, and their control."""
TEXTS_FIRST = ", texts first"
"""What stands after the name of a student whose model learned the task's texts."""


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


class WeakToStrongConfig(LimitedStudy):
    """How much of the gap between a weak supervisor and a strong model's ceiling is recovered by a student that learns
    from the supervisor's labels alone."""  # noqa: D205 - the command's help is this sentence as a whole

    method: ClassVar[str] = "weak-to-strong"

    tasks: Annotated[tuple[CodeName, ...], Field(min_length=1)] = ("sst2",)
    """Names of tasks: files in the folder `data` (or what PENCHANT_DATA names), or the hub. A task of your own is
    named as `module:attribute`, such as `mine.py:reviews`."""
    train: Annotated[int | None, Field(ge=40, le=1_000_000_000)] = 5000
    """Rows to train on, at most; half of them for the supervisor, half for it to label."""
    test: Annotated[int | None, Field(ge=20, le=1_000_000_000)] = None
    """Rows to test on, at most."""
    longest: Annotated[int, Field(ge=8, le=1_000_000)] = 256
    """Tokens of a text that a probed model reads, and language modelling; those that are fine-tuned have their own."""
    # word counts, set to come near the prototype's supervisor (decision 11)
    weak: Annotated[tuple[ClassifierSpec, ...], Field(min_length=1)] = (Tfidf(),)
    """The supervisors."""
    strong: Annotated[tuple[StudentSpec, ...], Field(min_length=1)]
    """The students: probes, fine-tuned language models (`name: lm`), or classes of your own (`mine.py:Mine`). `rows` is
    how many weak labels they see."""
    losses: Annotated[tuple[WeakLoss, ...], Field(min_length=1)] = (CrossEntropy(), Confidence())
    """What students are trained with; the first is the naive way that the others are held against. A function of your
    own is named as `module:function`."""
    l2: Shrinkage = "auto"
    """Of every probe. `auto`: each stage and seed chooses among eight values by cross-entropy on a fifth of the labels
    that its probes learn from: of students the weak ones, so that no truth and no test row has a say. Fewer than 100
    rows or groups take 0.3."""
    steps: Count = 100
    """Of every probe's training."""
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
    templates: tuple[Template, ...] = ()
    """Other wordings of test rows, on which a student should say what it says of the row itself; the text takes the
    place of {text}. How often it does is measured without labels."""
    controls: bool = True
    """Train students on labels that know nothing, and on each supervisor's labels dealt out at random: as many errors,
    as sure, but on other rows."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        # before anything asks for a task's classes
        if unknown := [name for name in self.tasks if name not in NAMES and not is_extension(name)]:
            hints = "".join(suggest(name, NAMES) for name in unknown)
            raise ValueError(f"`tasks` has {', '.join(unknown)}; there are {', '.join(NAMES)}{hints}")
        for name in ("tasks", "imitation", "templates"):
            if len(set(getattr(self, name))) < len(getattr(self, name)):
                raise ValueError(f"`{name}` has one of its values twice: it would count as two")
        for name, labels_of in (
            ("weak", labels(self.weak)),
            ("strong", labels(self.strong)),
            ("losses", loss_labels(self.losses)),
        ):
            # labels say all in which two may differ, so equal ones are the same student
            if len(set(labels_of)) < len(labels_of):
                raise ValueError(f"`{name}` has one of {', '.join(labels_of)} twice")
        # an array of shares fits only tasks with as many classes
        following = [loss for loss in self.losses if isinstance(loss, Confidence | AdaptiveConfidence)]
        priors = [loss.prior for loss in following if not isinstance(loss.prior, str)]
        for name in self.tasks if priors else ():
            classes = len(task_spec(name).classes)
            if any(len(prior) != classes for prior in priors):
                raise ValueError(f"`prior` must give each class of {name} a share, and it has {classes or 'none'}")
        if any(isinstance(spec, LanguageModel) and spec.stops_early for spec in (*self.weak, *self.bootstrap)):
            raise ValueError("`early_stopping` is for students: those that label keep no labels back to stop by")
        # words are counted per text; options that differ from row to row make no classes to count for
        with_options = [name for name in self.tasks if not task_spec(name).classes]
        if with_options and any(isinstance(spec, Tfidf) for spec in (*self.weak, *self.strong, *self.bootstrap)):
            raise ValueError(
                f"TF-IDF reads single texts, and rows of {', '.join(with_options)} have options of their own: name "
                "language models in `weak` and `strong`"
            )
        # its options are moves in UCI, which are all that it can judge
        other = [name for name in self.tasks if name != CHESS]
        if other and any(isinstance(spec, ChessEngine) for spec in self.weak):
            raise ValueError(f"a chess engine in `weak` supervises {CHESS} alone, and `tasks` has {', '.join(other)}")
        # it is fitted in one go, so no loss can ask for what the student itself believes
        words = any(isinstance(spec, Tfidf) for spec in self.strong)
        if words and not all(isinstance(loss, CrossEntropy | Filtered) for loss in self.losses):
            raise ValueError(
                "`strong` has TF-IDF, which learns with the losses cross_entropy and filtered only: "
                "set losses=[cross_entropy]"
            )
        return self

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
    def columns(self) -> list[str]:
        """The names of students by how they learned: by loss, then those of the chain."""
        # in the order in which the page has its columns
        chain = [BOOTSTRAPPED, AS_LONG] if self.bootstrap else []
        return loss_labels(self.losses) + chain + [f"shown {100 * q:g}%" for q in self.imitation]
