"""The settings by which a command loads a model, each with its text, and what they come to. Imports no torch."""

from __future__ import annotations

from typing import Annotated, Protocol

from pydantic import Field

from penchant.models.settings import Attention, DeviceMap, Dtype, ModelConfig

DeviceName = Annotated[str, Field(description="`auto` (a GPU if there is one), `cpu`, `cuda`, `cuda:1`, `mps`.")]
WeightDtype = Annotated[Dtype, Field(description="Of the weights. `auto`: float32.")]
AttentionName = Annotated[
    Attention,
    Field(
        description="What computes attention: `sdpa`, `eager`, or the package of a faster one, as `model.attention` of "
        "training."
    ),
]
Placement = Annotated[
    DeviceMap | None,
    Field(
        description="Let Accelerate put the weights in place as they are read, instead of `device`; as "
        "`model.device_map` of training."
    ),
]
RemoteCode = Annotated[
    bool,
    Field(
        description="Run Python code that comes with the model. Only for a source that you trust as much as your own "
        "code."
    ),
]


class LoadingSettings(Protocol):
    """Settings of a command that loads a model."""

    @property
    def device(self) -> str: ...
    @property
    def dtype(self) -> Dtype: ...
    @property
    def attention(self) -> Attention: ...
    @property
    def device_map(self) -> DeviceMap | None: ...
    @property
    def trust_remote_code(self) -> bool: ...


def model_config(name: str, settings: LoadingSettings) -> ModelConfig:
    """Return a model as `load_policy` takes it.

    Args:
        name: of the model, which a command may have found by that of a run.
    """
    return ModelConfig(
        name=name,
        device=settings.device,
        dtype=settings.dtype,
        attention=settings.attention,
        device_map=settings.device_map,
        trust_remote_code=settings.trust_remote_code,
    )
