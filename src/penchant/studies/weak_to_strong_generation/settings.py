"""Settings of the study of weak-to-strong generalization by written answers. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from penchant.config import Config
from penchant.config.limits import BatchSize, Seed, Steps, Tokens
from penchant.data.rendering.template_source import TemplateName
from penchant.models.settings import ModelConfig
from penchant.session.objects import CodeName
from penchant.studies.core.settings import LearningRate, LimitedStudy
from penchant.studies.weak_to_strong_generation.names import Method
from penchant.tasks.generative import GROUNDS

Share = Annotated[float, Field(gt=0, le=1)]


class SmallModel(Config):
    """A language model of characters that is trained from scratch."""

    width: Annotated[int, Field(ge=8, le=1024, multiple_of=4)] = 64
    """Size of its hidden states."""
    layers: Annotated[int, Field(ge=1, le=48)] = 3
    """Number of its layers."""
    steps: Steps = 1500
    """Steps of pre-training, at most."""


class Pretraining(Config):
    """How the two models of an embedded task come about: nothing that students or tests see is among their problems."""

    student: SmallModel = SmallModel()
    """The strong model. It sees right answers behind one tag and a crowd's behind the other: it knows, and does not
    show it."""
    supervisor: SmallModel = SmallModel(width=48, layers=2)
    """The weak model. It sees right answers alone."""
    stop_at: Share = 0.5
    """Share of right answers at which the supervisor stops learning."""
    student_stop_at: Share = 0.99
    """Share of right answers, behind the tag of right answers, at which the student stops."""
    crowd_right: Annotated[float, Field(ge=0, le=1)] = 0.2
    """Share of right answers among a crowd's; the others follow one wrong rule."""
    right_tag_share: Annotated[float, Field(gt=0, lt=1)] = 0.4
    """Share of problems behind the tag with right answers."""
    batch_size: BatchSize = 256
    """Problems of an optimizer step."""
    learning_rate: LearningRate = 3e-3
    seed: Seed = 0
    """Fixes the start and the problems of both; all seeds of the study have these two models."""


class Learning(Config):
    """How every student learns: the same steps and batches for all, whatever rows a method keeps."""

    steps: Steps = 300
    """Steps of each; of two stages (SFT, then DPO) half for each."""
    batch_size: BatchSize = 64
    """Answers of a step."""
    learning_rates: Annotated[tuple[LearningRate, ...], Field(min_length=1)] = (1e-4, 3e-4)
    """Peak learning rates. Every method learns with each, and is tested with the one that is best on validation prompts
    with true answers: all methods are tuned alike. The supervisor of a file learns with the last."""
    beta: Annotated[float, Field(gt=0)] = 0.1
    """Of DPO."""


class GenerationConfig(LimitedStudy):
    """A weak model writes answers, a strong one learns from them: how much of the gap to true answers do SFT, selected
    answers and preferences recover, by a scorer of written answers?"""  # noqa: D205 - the help is this text as a whole

    method: ClassVar[str] = "weak-to-strong-generation"
    fewest: ClassVar[Mapping[str, int]] = {"train": 64, "test": 20, "validation": 20, "width": 16}

    tasks: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(min_length=1)] = ("addition",)
    """`addition`, `string_rules` (small models are trained for them), or files with a prompt and an answer per row,
    such as GSM8K's (`question`, `answer`), or a hub id."""
    weak: ModelConfig | None = None
    """The supervisor of a file: it learns from true answers to other prompts of the file, then writes its own."""
    strong: ModelConfig | None = None
    """The student of a file."""
    template: TemplateName = "auto"
    """How prompts of a file become text, as `data.template` of training."""
    scorer: CodeName | None = None
    """What says whether an answer is right, from 0 to 1; it is handed the right one as the column `answer`. If not
    given: `exact_answer`, of a file `number` where every answer has one."""
    train: Annotated[int, Field(ge=16, le=10_000_000)] = 2000
    """Prompts that the supervisor answers for the student; of a file at most half of its rows, the other half being
    what the supervisor learns from."""
    validation: Annotated[int, Field(ge=10, le=10_000_000)] = 300
    """Prompts by which learning rates are chosen."""
    test: Annotated[int, Field(ge=10, le=10_000_000)] = 500
    """Prompts to test on, the same for all seeds."""
    max_new_tokens: Tokens = 256
    """Length at which an answer to a prompt of a file is cut."""
    labels: Literal["greedy", "drawn"] = "greedy"
    """The supervisor's answers: the likeliest tokens, or drawn at temperature 1."""
    draws: Annotated[int, Field(ge=2, le=1000)] = 8
    """Draws at temperature 1 by which a model's consistency and consensus are measured."""
    methods: Annotated[tuple[Method, ...], Field(min_length=1)] = (
        "random_half",
        "agreement",
        "self_consistent",
        "likely_half",
        "dpo_consensus",
        "spin",
        "iterative_dpo",
    )
    """What students do with the answers, beside `naive` and `ceiling`, which always stand there."""
    learning: Learning = Learning()
    """How students learn."""
    pretraining: Pretraining = Pretraining()
    """Of the models of embedded tasks."""
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1)] = (0, 1, 2)
    """Each draws other prompts and another order of learning."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        # their stages would be the same, and be reported as two
        if len(set(self.tasks)) < len(self.tasks):
            raise ValueError("`tasks` names one more than once: give each once")
        if files := [name for name in self.tasks if name not in GROUNDS]:
            lacking = [name for name in ("weak", "strong") if getattr(self, name) is None]
            if lacking:
                raise ValueError(
                    f"the task {files[0]!r} is no embedded one ({', '.join(GROUNDS)}), and a file needs models: give "
                    f"{' and '.join(f'`{name}`' for name in lacking)}"
                )
        # else the gap would be on the wrong side, and every ratio undefined
        if self.pretraining.supervisor.width > self.pretraining.student.width:
            raise ValueError(
                "`pretraining.supervisor` is wider than `pretraining.student`: the weak model is the smaller"
            )
        return self

    def is_file(self, task: str) -> bool:
        """Return whether a task is a file or hub id, and no embedded one."""
        return task not in GROUNDS

    @property
    def all_methods(self) -> tuple[Method, ...]:
        """Return the methods in the order of the page."""
        # naive first, since all others are held against it
        chosen: list[Method] = ["naive", *self.methods, "ceiling"]
        return tuple(dict.fromkeys(chosen))


def stem_of(task: str) -> str:
    """Return what folders and pages call a task: its name, or that of its file."""
    return task if task in GROUNDS else Path(task).stem
