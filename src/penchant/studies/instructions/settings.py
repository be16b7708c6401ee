"""Settings of the study of instruction tuning. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, JsonValue, field_validator, model_validator

from penchant.config.limits import Seed, Text
from penchant.data.rendering.template_source import TemplateName
from penchant.data.settings import Proportions
from penchant.extension.user_code import suggest
from penchant.models.settings import ModelConfig
from penchant.studies.core.settings import Count, LearningRate, LimitedStudy
from penchant.studies.instructions.names import CLUSTERS, EMBEDDED, unknown_task
from penchant.tasks.own_file import TaskName
from penchant.tasks.wordings import Wording

Tasks = Annotated[tuple[TaskName, ...], Field(min_length=1)]


class InstructionsConfig(LimitedStudy):
    """Does tuning on instructions of many tasks help on tasks of another kind? A model tuned without a cluster of tasks
    and one tuned with it, both measured on it with and without examples, beside the model as it was."""  # noqa: D205 - the help is this text as a whole

    method: ClassVar[str] = "instructions"
    fewest: ClassVar[Mapping[str, int]] = {"train": 100, "test": 40}

    model: ModelConfig = ModelConfig(name="penchant-0.5m")
    """The model to tune: a name, or its settings (`{name: smollm2-135m, lora: {}}`)."""
    clusters: Annotated[dict[Text, Tasks], Field(min_length=2)] = EMBEDDED
    """Tasks by what they ask for; all tasks of a cluster are held out together. Tasks are names such as `sst2` (files
    in the folder `data`, or what PENCHANT_DATA names, or the hub), files of your own such as `reviews.csv`, code as
    `module:attribute`, or made of word lists (`sentences:topic`), which need no file. `[sentiment, ethics]` stands for
    built-in clusters with all of their tasks."""
    held_out: tuple[Text, ...] = ()
    """Clusters to hold out, one at a time; each in turn if not given."""
    columns: dict[Literal["text", "label", "group", "split"], str | None] = Field(default_factory=dict)
    """Of files of your own: which columns hold what, as in `study weak-to-strong`."""
    test_share: Annotated[float, Field(gt=0, lt=1)] = 0.25
    """Of a file of your own without a column of splits: the share of rows to measure on, by content."""
    train: Annotated[int | None, Field(ge=20, le=1_000_000_000)] = 2000
    """Rows of each task to tune on, at most. Examples before a question are of them, too."""
    test: Annotated[int | None, Field(ge=10, le=1_000_000_000)] = 200
    """Rows of each task to measure on, at most."""
    mixing: Proportions = Proportions()
    """How often each task is drawn."""
    wordings: dict[Text, tuple[Wording, ...]] = Field(default_factory=dict)
    """By task, wordings in place of those that come with Penchant, such as
    `{sst2: [{prompt: "{text} It was", answers: [bad, good]}]}`."""
    most_wordings: Count | None = None
    """Use the first so many wordings of each task; null for all."""
    steps: Annotated[int, Field(ge=0, le=10_000)] = 200
    """Steps of each run, the same for all; with 0 nothing is tuned."""
    batch_size: Count = 16
    """Rows of a step."""
    learning_rate: LearningRate = 1e-3
    optimizer: Literal["rmsprop", "adamw"] = "adamw"
    """Of every run."""
    warmup_steps: Annotated[int, Field(ge=0, le=10_000_000)] = 10
    """Steps over which learning rates rise, in every run."""
    clip: Annotated[float, Field(gt=0)] = 1.0
    """Largest norm of the gradient, in every run."""
    shots: Annotated[tuple[Annotated[int, Field(ge=0, le=100)], ...], Field(min_length=1)] = (0, 4)
    """Numbers of examples before a question: 0 is zero-shot. They are rows to tune on of the same task, in the wording
    of the question, other ones for each question."""
    normalize: Literal["none", "tokens"] = "none"
    """Of which number the answer with the highest is taken: the answer's log-probability, or that per token, without
    which long answers lose."""
    longest: Annotated[int, Field(ge=2, le=1_000_000)] = 128
    """Tokens of a row's text that are read, half of them from its end."""
    overflow: Literal["cut", "error"] = "cut"
    """What becomes of longer texts, and of examples that the context has no room for: cut and left out (counted), or an
    error that names the row."""
    template: TemplateName = "plain"
    """How prompts are rendered: `plain` joins texts as they are, `chat` takes the model's chat template. Or `chatml`
    and others that come with this package, or a `.jinja` file."""
    template_args: dict[str, JsonValue] = Field(default_factory=dict)
    """What the template is told beside the conversation, such as `{enable_thinking: false}`."""
    evaluation_seed: Seed = 10_000
    """Fixes the wording and the examples of each row that is measured, the same for every model."""

    @field_validator("clusters", mode="before")
    @classmethod
    def _name_clusters(cls, clusters: object) -> object:
        if not isinstance(clusters, (list, tuple)) or not all(isinstance(name, str) for name in clusters):
            return clusters
        if unknown := [name for name in clusters if name not in CLUSTERS]:
            names = tuple(CLUSTERS)
            raise ValueError(
                f"there is no cluster {unknown[0]!r}: there are {', '.join(names)}{suggest(unknown[0], names)}; "
                "one of your own is a name with its tasks, such as {mine: [a.csv, b.csv]}"
            )
        return {name: CLUSTERS[name] for name in clusters}

    @model_validator(mode="after")
    def _check_clusters(self) -> Self:
        names = [name for tasks in self.clusters.values() for name in tasks]
        if problems := [problem for name in names if (problem := unknown_task(name))]:
            raise ValueError("; ".join(problems))
        # held out with the one cluster and tuned on with the other, it would be no held-out task
        if repeated := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"`clusters` has {', '.join(repeated)} more than once: give each task one cluster")
        # before anything is read
        if unknown := [name for name in self.held_out if name not in self.clusters]:
            raise ValueError(
                f"`held_out` has {unknown[0]!r}, which is no cluster: there are {', '.join(self.clusters)}"
            )
        if len(set(self.held_out)) < len(self.held_out):
            raise ValueError("`held_out` names a cluster more than once: give each once")
        if len(set(self.shots)) < len(self.shots):
            raise ValueError("`shots` has a number more than once: give each once")
        return self

    @model_validator(mode="after")
    def _check_wordings(self) -> Self:
        tasks = {name for names in self.clusters.values() for name in names}
        for name, wordings in self.wordings.items():
            if name not in tasks:
                raise ValueError(f"`wordings` has {name!r}, which no cluster has: there are {', '.join(sorted(tasks))}")
            if not wordings:
                raise ValueError(f"`wordings` has none for {name!r}: give one at least, or leave the task out")
        # whether an answer begins with a space depends on it, and `auto` says it only once the model is loaded
        if self.template == "auto":
            raise ValueError("`template: auto` is not settled before the model is there: say plain or chat")
        return self

    # a name of another setting than `held_out`, which may be empty
    @property
    def measured(self) -> tuple[str, ...]:
        """The clusters that are held out in turn."""
        return self.held_out or tuple(self.clusters)
