"""The settings of `penchant evaluate`. Imports no torch."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, JsonValue, model_validator

from penchant.config import Config
from penchant.config.limits import BatchSize, Rows, Seed, Text
from penchant.data.in_memory import DataPath
from penchant.judges.settings import JudgeSpec
from penchant.models.in_memory import ModelName
from penchant.models.settings import Dtype

Benchmark = Literal["rewardbench", "rewardbench2"]
OF_TASKS = ("few_shot", "batch_size", "seed")
OF_BENCHMARKS = ("path", "split", "judge", "orders", "overflow")
OF_MODELS = ("before", "template", "template_args", "overflow", "device", "dtype", "trust_remote_code")
"""Settings that change nothing where a judge is graded: it has its own."""


class EvaluateConfig(Config):
    """Evaluate a model by tasks of lm-eval before and after training, or a reward or a judge by RewardBench."""

    method: ClassVar[str] = "evaluate"

    model: Annotated[ModelName, Field(min_length=1)] | None = None
    """A run directory, or a model: a built-in name, a folder, a GGUF file, or a hub id. With `benchmark` also a reward
    model; a policy is then graded by its implicit reward."""
    tasks: tuple[Text, ...] = ()
    """Tasks of lm-eval by name (`sciq`, `arc_*`), or YAML files of tasks. Needs the extra `penchant[lm-eval]`. A task
    file may name Python code, which lm-eval runs: give only files that you trust as much as your own code."""
    benchmark: Benchmark | None = None
    """Grade a reward or a judge instead: `rewardbench` (pairs; Lambert et al. 2024) or `rewardbench2` (best of four;
    Malik et al. 2025)."""
    path: Annotated[DataPath, Field(min_length=1)] | None = None
    """With `benchmark`: the file with its rows, or a hub id; the benchmark's own hub id if not given."""
    split: Text | None = None
    """With `benchmark`: the split of the hub data set; the benchmark's own if not given."""
    judge: JudgeSpec | None = None
    """With `benchmark`: the judge to grade, in place of `model`."""
    before: Annotated[ModelName, Field(min_length=1)] | None = None
    """The model to compare with, or the reference of an implicit reward. For a run that is the model that it started
    from, unless another one is given; `none` evaluates the model alone."""
    template: Text | None = None
    """How prompts are rendered: `auto`, `chat`, `plain`, the name of a template or a `.jinja` file. A run's own if not
    given, `auto` for other models."""
    template_args: dict[str, JsonValue] = Field(default_factory=dict)
    """What the template is told beside the conversation, such as `{enable_thinking: false}`; what a run trained with is
    the default, unless another template is named."""
    few_shot: Annotated[int, Field(ge=0, le=1000)] | None = None
    """Examples before each question (lm-eval: `num_fewshot`); the task's own number if not given."""
    limit: Rows | None = None
    """Use only the first so many documents of each task, or prompts of each subset."""
    batch_size: BatchSize = 8
    """Requests that lm-eval puts through the model at once."""
    orders: Literal["both", "one"] = "both"
    """With `judge`: each pair is judged in both orders, and a verdict that flips is a tie."""
    overflow: Literal["error", "truncate_prompt"] = "error"
    """With `benchmark`: what is done about a text that is longer than the model's context."""
    seed: Seed = 1234
    """Fixes the examples before questions, samples, and every other draw of lm-eval."""
    device: str = "auto"
    """`auto` (a GPU if there is one), `cpu`, `cuda`, `cuda:1`, `mps`."""
    dtype: Dtype = "auto"
    """Of the weights. `auto`: float32."""
    trust_remote_code: bool = False
    """Run Python code that comes with the model. Only for a source that you trust as much as your own code. A run's own
    settings do not decide it."""
    out: Text | None = None
    """The folder for the results; `evaluations` in the run if not given, or `evaluations` here for other models."""

    @model_validator(mode="after")
    def _has_one_thing_to_do(self) -> Self:
        if bool(self.tasks) == (self.benchmark is not None):
            raise ValueError("give `tasks` (such as tasks=[sciq]) or `benchmark` (such as benchmark=rewardbench)")
        if self.benchmark is None:
            self._refuse(OF_BENCHMARKS, "is for a `benchmark`: leave it out with `tasks`")
            if self.model is None:
                raise ValueError("`tasks` need a `model`: a run directory or a model")
            return self
        self._refuse(OF_TASKS, "is for `tasks`: leave it out with a `benchmark`")
        if (self.model is None) == (self.judge is None):
            raise ValueError("a `benchmark` grades a `model` or a `judge`: give one of both")
        if self.judge is None:
            self._refuse(("orders",), "is for a `judge`: leave it out with a `model`")
        else:
            self._refuse(OF_MODELS, "is for a `model`: a judge has its own settings, such as judge.device")
        return self

    def _refuse(self, names: tuple[str, ...], reason: str) -> None:
        """Refuse settings that would be ignored."""
        for name in names:
            if getattr(self, name) != type(self).model_fields[name].get_default(call_default_factory=True):
                raise ValueError(f"`{name}` {reason}")
