"""What every method of the gradient loop may be told. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, ModelWrapValidatorHandler, model_validator

from penchant.config import Config
from penchant.config.limits import BatchSize, Draws, Epochs, Rows, Seed, Steps, Tokens
from penchant.data.in_memory import DataPath
from penchant.data.settings import PromptsConfig, RowsConfig
from penchant.models.settings import ModelConfig
from penchant.session.objects import CodeName
from penchant.train.adapter_rate import forget_rate, names_rate, with_default_rate

LearningRate = Annotated[float, Field(gt=0)]
WarmupSteps = Annotated[
    Annotated[int, Field(ge=0, le=10_000_000)] | Annotated[float, Field(gt=0, lt=1)],
    Field(description="Steps over which the rate rises linearly from 0; a number below 1 is a share of all steps."),
]


def _as_list(value: object) -> object:
    """Return one function as a list of it."""
    return [value] if callable(value) else value


class AdamW(Config):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019)."""

    name: Literal["adamw"] = "adamw"
    learning_rate: LearningRate = 1e-6
    """Peak learning rate."""
    betas: tuple[float, float] = (0.9, 0.999)
    """Decay of the running means of gradient and squared gradient."""
    eps: Annotated[float, Field(gt=0)] = 1e-8
    """Added to the denominator."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    """Decoupled weight decay."""


class RMSprop(Config):
    """RMSprop, the DPO paper's optimizer: as good there, with one state per weight instead of two."""

    name: Literal["rmsprop"] = "rmsprop"
    learning_rate: LearningRate = 1e-6
    """Peak learning rate."""
    decay: Annotated[float, Field(ge=0, lt=1)] = 0.99
    """Decay of the running mean of the squared gradient."""
    eps: Annotated[float, Field(gt=0)] = 1e-8
    """Added to the denominator."""
    # in torch's RMSprop it is part of the gradient and so scaled with it; AdamW's is not
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    """L2 penalty, added to the gradient."""


class Restarting(Config):
    """What every schedule may be told of beginning anew."""

    added_fields: ClassVar[frozenset[str]] = frozenset({"restarts"})

    restarts: tuple[Steps, ...] = ()
    """Steps after which the schedule begins anew, its warm-up included: warm restarts (Loshchilov & Hutter 2017). By
    them a run that has ended is made longer (`--resume`)."""

    @model_validator(mode="after")
    def _restarts_ascend(self) -> Self:
        if any(step >= later_step for step, later_step in pairwise(self.restarts)):
            raise ValueError(f"`restarts` must ascend, got {list(self.restarts)}")
        return self


class Constant(Restarting):
    """A constant rate after the warm-up."""

    name: Literal["constant"] = "constant"
    warmup_steps: WarmupSteps = 0


class Linear(Restarting):
    """A linear fall towards 0 after the last step, after the warm-up."""

    name: Literal["linear"] = "linear"
    warmup_steps: WarmupSteps = 0


class Cosine(Restarting):
    """A half cosine towards 0 after the last step, after the warm-up."""

    name: Literal["cosine"] = "cosine"
    warmup_steps: WarmupSteps = 0


class Samples(Config):
    """Evaluation on fresh samples: the same prompts and seeds for the policy and for the reference."""

    prompts: DataPath | None = None
    """A file of prompts (text, one per line, or any data file); the held-out prompts if not given."""
    max_prompts: Rows | None = None
    """Use at most so many prompts. If not given, 32, or as many fewer (down to 10) as keep the evaluations at the start
    and the end below a third of training, in tokens."""
    n: Draws = 2
    """Samples per prompt."""
    max_new_tokens: Tokens | Literal["trained"] | None = "trained"
    """Length at which a sample is cut. `trained`: that of training's own samples, or of the longest response trained
    on; null: the same, and at most 48."""
    temperature: Annotated[float, Field(ge=0)] = 1.0
    """Divides the logits; 0 takes the likeliest token. The KL is that of the untempered policies all the same."""
    top_k: Annotated[int, Field(ge=0, le=10_000_000)] = 0
    """Draw among the k likeliest tokens; 0 for all."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Draw among the smallest set of tokens with this probability; 1 for all."""
    seed: Seed = 0
    """Fixes the draws, with the prompt and the sample's index."""
    reward: CodeName | None = None
    """The true reward of a response: `vader`, `module:function` taking a list of (prompt, response), or the address of
    an endpoint (`http://...`)."""


# two classes, so that a method that trains no policy refuses `evaluate.samples` instead of ignoring it
class EvaluateHeldOut(Config):
    """When to evaluate on held-out data."""

    every_steps: Steps | None = None
    """Evaluate every so many steps; at the start and the end in any case."""
    at_steps: tuple[Steps, ...] = ()
    """And after each of these steps."""

    def is_due(self, step: int) -> bool:
        """Return whether the settings ask for an evaluation after a step."""
        # the start and the end are evaluated by the loop, whatever stands here
        return step in self.at_steps or (self.every_steps is not None and step % self.every_steps == 0)


class Evaluate(EvaluateHeldOut):
    """When and on what to evaluate. The held-out comparisons are always used where there are any."""

    samples: Samples | None = Samples()
    """Fresh samples for reward, KL, length and repetition; null for none. (Needs the reference's weights beside the
    policy's, unless LoRA trains.)"""


class EarlyStopping(Config):
    """Stop when the held-out loss (or the metric of `checkpoint.best`) no longer improves; keep the best weights."""

    patience: Annotated[int, Field(ge=1, le=1_000_000)] = 3
    """Evaluations without a new best before stopping."""
    min_delta: Annotated[float, Field(ge=0)] = 0.0
    """By how much the loss must fall (or the metric of `checkpoint.best` improve) to count."""


class Checkpoints(Config):
    """Which weights a run keeps beside the last ones, and what beside them."""

    added_fields: ClassVar[frozenset[str]] = frozenset({"optimizer"})

    best: Annotated[str, Field(min_length=1)] | None = None
    """Keep the weights of the best evaluation in the run's folder `best`, by this metric: `loss` or `accuracy` (held
    out), `samples.reward`, or another that the evaluations measure. Early stopping goes by it too; it takes the
    held-out loss if null."""
    keep: Annotated[int, Field(ge=1, le=10_000)] = 1
    """How many checkpoints to keep. From 2 on, the last so many lie in `checkpoint-STEP` as models, beside the
    `checkpoint` to resume from."""
    optimizer: bool = True
    """Keep the optimizer's state when the run has ended, so that `--resume` with more steps can make it longer. It
    takes as much room as the trained weights, twice as much with AdamW."""


class RunConfig(Config):
    """Settings that every run has, whatever its loop."""

    added_fields: ClassVar[frozenset[str]] = frozenset({"callbacks"})

    model: ModelConfig
    """The model to train: a name, or its settings (`model.lora.rank=8`)."""
    data: PromptsConfig
    """The data: a path or hub id, or its settings (`data.held_out=0.2`)."""
    out: str | None = None
    """The run directory; `runs/METHOD-DATE-TIME` if not given."""
    seed: Seed = 0
    """Fixes the split, the order of the data, the adapters' start, and what is drawn while training."""
    # RMSprop at 1e-6, 64 comparisons per step, one epoch and a clip of 10 are the DPO paper's and its code's
    optimizer: Annotated[AdamW | RMSprop, Field(discriminator="name")] = RMSprop()
    """The optimizer. With adapters (`model.lora`) its learning rate is ten times the default unless given: 1e-5."""
    schedule: Annotated[Constant | Linear | Cosine, Field(discriminator="name")] = Constant()
    """How the learning rate moves."""
    clip: Annotated[float, Field(gt=0)] | None = 10.0
    """Largest norm of the gradient; null for no clipping."""
    tokens_per_batch: Annotated[int, Field(ge=8, le=10_000_000)] | None = None
    """Tokens of one forward pass, padding included; if not given, 1,024 on a CPU and 16,384 on a GPU, or a whole group
    if that is larger (up to four times as much). Bounds memory; the result does not depend on it."""
    # a word, not a type of torch: `--help` and the check of a configuration must not import it
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Of the arithmetic. `auto`: bfloat16 on a GPU that has it, float32 elsewhere. Sums are float32 in any case."""
    gradient_checkpointing: bool = False
    """Compute activations again in the backward pass instead of keeping them: less memory, about a third slower."""
    evaluate: EvaluateHeldOut = EvaluateHeldOut()
    """Evaluation."""
    checkpoint_every: Steps | None = None
    """Write a checkpoint every so many steps, for `--resume`; if not given, at evaluations and every 10 minutes."""
    checkpoint: Checkpoints = Checkpoints()
    """The best checkpoint, and how many are kept."""
    trackers: tuple[Literal["tensorboard", "wandb", "trackio"], ...] = ()
    """Trackers that get the metrics too."""
    callbacks: Annotated[tuple[CodeName, ...], BeforeValidator(_as_list)] = ()
    """Functions of your own, as `module:function`. Each is called with every line of metrics, a mapping with `kind`
    (`train` or `eval`) and `step`; one that returns true stops the run after that step, or before the first
    step where the line is that of step 0."""

    @model_validator(mode="wrap")
    @classmethod
    def _adapters_have_their_rate(cls, values: object, handler: ModelWrapValidatorHandler[Self]) -> Self:
        # before the defaults are filled in: afterwards nobody knows whether the rate was given
        if not isinstance(values, Mapping) or names_rate(values):
            return handler(values)
        config = handler(with_default_rate(values, cls.model_fields["optimizer"].default))
        # `replace` takes the optimizer along, and a rate that follows from the model has to follow the next one
        forget_rate(config.optimizer)
        return config


class GradientConfig(RunConfig):
    """Settings that the methods of the gradient loop share."""

    # wider than `RunConfig.data`: rows have responses, which prompts for rollouts lack
    data: RowsConfig
    """The data: a path or hub id, or its settings (`data.held_out=0.2`)."""
    epochs: Epochs = 1
    """How often to go over the data."""
    max_steps: Steps | None = None
    """Stop after so many optimizer steps, if sooner."""
    batch_size: BatchSize = 64
    """Comparisons (SFT: responses, KTO: labels) of one optimizer step, however many forward passes that takes."""
    early_stopping: EarlyStopping | None = None
    """Stop by the held-out loss: `early_stopping: {}` takes the defaults; null never stops early."""


class PolicyConfig(GradientConfig):
    """Methods of the gradient loop that train a policy, which can be sampled."""

    evaluate: Evaluate = Evaluate()
    """Evaluation."""
