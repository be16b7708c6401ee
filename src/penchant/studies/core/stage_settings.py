"""What each kind of stage depends on besides its inputs and the stages before: plain values, one class for each kind.

They are written into the stage's address as JSON, so a field with a default of None is left out where it is None: a
new one leaves the addresses of the stages that do not use it as they are. Imports no torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from penchant.data.options import Template
from penchant.typed_json import OMITTED, JsonObject


@dataclass(frozen=True, kw_only=True)
class PolicySettings:
    """The model that a stage loads, as settings of `ModelConfig` with its content in place of a name."""

    model: JsonObject
    template: Template


@dataclass(frozen=True, kw_only=True)
class SampledSettings(PolicySettings):
    """Settings of a stage that samples; `reward` is the content of the true reward, where there is one."""

    reward: str | None
    max_new_tokens: int
    seed: int


@dataclass(frozen=True, kw_only=True)
class ComparisonsSettings(SampledSettings):
    """Groups of samples for each prompt, every pair of a group compared; `of` says of which prompts."""

    samples: int
    groups: int
    of: Annotated[Literal["eval"] | None, OMITTED] = None


@dataclass(frozen=True, kw_only=True)
class ReferenceSettings(SampledSettings):
    """So many samples of the reference for each prompt to measure on."""

    samples: int


@dataclass(frozen=True, kw_only=True)
class MeasuredSettings(SampledSettings):
    """Samples of a policy on a domain's prompts at several temperatures.

    Attributes:
        best_of: of how many each sample is the best by a learned reward; None for one.
    """

    samples: int
    temperatures: tuple[float, ...]
    best_of: Annotated[int | None, OMITTED] = None


@dataclass(frozen=True, kw_only=True)
class MislabelledSettings:
    """The share of the comparisons that gets a wrong label, and what a wrong label is."""

    share: float
    labels: Literal["flipped", "random"]
    seed: int


@dataclass(frozen=True, kw_only=True)
class PromptSource:
    """Texts to continue, as `Prompts` has them, with the content of the file in place of its path."""

    path: str
    split: str
    skip: int
    limit: int | None
    prefix_tokens: tuple[int, int] | None


@dataclass(frozen=True, kw_only=True)
class PromptsSettings:
    """The prompts to train on and to measure on; the model where its tokenizer cuts them."""

    train: PromptSource
    eval: PromptSource
    model: Annotated[str | None, OMITTED] = None
