"""The settings of `penchant score`. Imports no torch."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from penchant.config.limits import Seed, Text
from penchant.data.options import Ties
from penchant.data.settings import DataConfig, refuse_mixture
from penchant.models.in_memory import ModelName
from penchant.models.loading_settings import AttentionName, DeviceName, Placement, RemoteCode, WeightDtype


class Score(DataConfig):
    """Score the responses of a file by a run's policy, by any language model, or by a reward model.

    The settings of the file are those of `data` in a training run. Of a run, those that say how rows are rendered and
    split are its own unless given.
    """

    method: ClassVar[str] = "score"

    model: Annotated[ModelName, Field(min_length=1)]
    """A run directory, a checkpoint, or any model: a built-in name, a folder, a GGUF file, or a hub id. A reward model
    gives rewards, any other log-probabilities."""
    out: Text
    """The file to write: .jsonl or .jsonl.gz. A line per prompt in our own layout, with a number per response in each
    further column."""
    reference: Annotated[ModelName, Field(min_length=1)] | None = "run"
    """What implicit rewards compare with: `run` is what the run was held to (nothing for a model that is no run), else
    a model by its name; null for nothing."""
    beta: Annotated[float, Field(gt=0)] | None = None
    """The factor of implicit rewards; that of the run if not given, else 1."""
    tokens: bool = False
    """Whether the log-probability of each token is written too, with the token."""
    side: Literal["all", "train", "held_out"] = "all"
    """Which prompts: all, or those that `held_out` and `seed` train on or hold out, as training splits them."""
    seed: Seed = 0
    """Fixes the sides, as in training."""
    kind: Literal["auto", "preferences", "demonstrations"] = "auto"
    """What the file is read as; `auto` takes demonstrations where a file has no preferences."""
    turns: Literal["last", "every"] = "last"
    """What is scored of a conversation: its last assistant turn, or every one, as for `sft`."""
    ties: Ties = "half"
    """What a tie is: `half` keeps it (it counts in no accuracy), `drop` leaves it out, `error` refuses it."""
    tokens_per_batch: Annotated[int, Field(ge=8, le=10_000_000)] | None = None
    """Tokens of one forward pass; what suits the device if not given."""
    device: DeviceName = "auto"
    dtype: WeightDtype = "auto"
    attention: AttentionName = "auto"
    device_map: Placement = None
    trust_remote_code: RemoteCode = False

    @model_validator(mode="after")
    def _has_one_file(self) -> Self:
        refuse_mixture(self, "score")
        return self


RUN_SETTINGS: dict[str, tuple[str, ...]] = {
    "held_out": ("data", "held_out"),
    "thoughts": ("data", "thoughts"),
    "seed": ("seed",),
    "turns": ("turns",),
    "beta": ("loss", "beta"),
}
"""Settings that a run decides unless they are given, and where they stand in its configuration."""
