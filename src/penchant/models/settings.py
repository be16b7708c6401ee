"""Which model, how precise, where, and with which adapters. Imports no torch."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from penchant.config import Config
from penchant.models.in_memory import ModelName

Dtype = Literal["auto", "float32", "bfloat16", "float16"]
Attention = Literal["auto", "sdpa", "eager", "flash_attention_2", "flex_attention"]
Parts = Literal["language", "projector", "both", "all"]
DeviceMap = Literal["auto", "balanced", "balanced_low_0", "sequential"]


class LoRA(Config):
    """Low-rank adapters (Hu et al. 2021) through peft: the base stays frozen and is the reference as it is."""

    rank: Annotated[int, Field(ge=1, le=16_384)] = 16
    """Rank of the update."""
    alpha: Annotated[float, Field(gt=0)] = 32.0
    """Scale: the update counts alpha / rank."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Dropout on the adapters' input while training. Above 0 the step-0 identity with the reference is lost."""
    targets: str | list[str] = "all-linear"
    """Names of the layers that get adapters, or `all-linear` for every linear layer but the output head."""


class FrozenModel(Config):
    """A causal language model that does not learn; on the device of the one that does."""

    shorthand: ClassVar[str] = "name"

    name: Annotated[ModelName, Field(min_length=1)]
    """A built-in name (`smollm2-135m`), a folder (with adapters too), a run directory, a GGUF file, or a hub id."""
    dtype: Dtype = "auto"
    """Of the weights. `auto`: float32."""
    trust_remote_code: bool = False
    """Run Python code that comes with the model. Only for a source that you trust as much as your own code."""


class ModelConfig(Config):
    """A causal language model."""

    shorthand: ClassVar[str] = "name"
    added_fields: ClassVar[frozenset[str]] = frozenset({"attention", "device_map", "parts"})

    name: Annotated[ModelName, Field(min_length=1)]
    """A built-in name (`smollm2-135m`), a folder, a run directory, a GGUF file, or a hub id."""
    lora: LoRA | None = None
    """Train low-rank adapters instead of all weights: `lora: {}` takes their defaults."""
    train_top: Annotated[int, Field(ge=1, le=10_000)] | None = None
    """Train only the last so many blocks and the final norm. What is below, embeddings and head stay frozen, and what
    the frozen blocks give for the training data is computed once. Not together with `lora`."""
    parts: Parts | None = None
    """Of a model that reads pictures, what trains: its `language` model, the `projector` between tower and language
    model, `both`, or `all` (the tower too). null: both. With `lora` these parts get the adapters."""
    dtype: Dtype = "auto"
    """Of the weights. `auto`: float32, but bfloat16 under LoRA on a GPU that has it."""
    device: str = "auto"
    """`auto` (a GPU if there is one), `cpu`, `cuda`, `cuda:1`, `mps`."""
    attention: Attention = "auto"
    """What computes attention. `auto`: PyTorch's own (`sdpa`), with the responses of a prompt as a tree where the model
    allows it, and `eager` for a model that has no other. `eager` and the packages' kernels run one row per response."""
    device_map: DeviceMap | None = None
    """Let Accelerate put the weights in place as they are read, instead of `device`: with less memory of the machine
    beside the GPU. A model that it would split over devices, or keep on the disk, is refused."""
    sampler: Literal["penchant", "vllm"] = "penchant"
    """What draws samples: our own engine, or vLLM (the extra `penchant[vllm]`, on a GPU), for many samples of a large
    model."""
    trust_remote_code: bool = False
    """Run Python code that comes with the model. Only for a source that you trust as much as your own code."""

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if self.device_map is not None and self.device != "auto":
            raise ValueError(
                f"`device: {self.device}` and `device_map: {self.device_map}` both say where the weights go: leave one "
                "of them out"
            )
        return self

    @model_validator(mode="after")
    def _one_way_to_train(self) -> Self:
        if self.lora is not None and self.train_top is not None:
            raise ValueError(
                "`lora` and `train_top` do not go together: choose adapters (train_top: null) or whole blocks "
                "(lora: null)"
            )
        return self
