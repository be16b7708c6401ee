"""How samples are drawn: the settings of sampling, what a draw gives, and which prompts leave room for one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import nn

from penchant.engine.attention import unwrap
from penchant.engine.lengths import context_length
from penchant.errors import InputError


@dataclass(frozen=True, slots=True)
class Sampling:
    """Settings of sampling.

    Attributes:
        n: samples per prompt.
        temperature: divides the logits; 0 takes the most likely token.
        max_new_tokens: length at which a sample is cut (it is then not finished).
        top_k, top_p: keep only the k likeliest tokens, or the smallest set of mass p; 0 and 1.0 keep all.
        seed: with the prompt and the sample's index it fixes the draw.
    """

    n: int = 1
    temperature: float = 1.0
    max_new_tokens: int = 64
    top_k: int = 0
    top_p: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        limits = {
            "n": self.n >= 1,
            "temperature": 0 <= self.temperature < float("inf"),
            "max_new_tokens": self.max_new_tokens >= 1,
            "top_k": self.top_k >= 0,
            "top_p": 0 < self.top_p <= 1,
        }
        for name, good in limits.items():
            if not good:
                raise InputError(f"sampling: {name}={getattr(self, name)} is out of range")


TokenSample = tuple[tuple[int, ...], bool]
"""Token ids (the end token included where it was drawn), and whether the sample ended itself."""
Sampler = Callable[..., list[list[TokenSample]]]
"""`penchant.engine.generate.draw`, or what takes the same arguments."""


def check_room(model: nn.Module, prompts: Sequence[tuple[int, ...]], sampling: Sampling) -> None:
    """Refuse a prompt that leaves no room for its samples in the model's context.

    Raises:
        InputError: says which prompt.
    """
    limit = context_length(unwrap(model).config.get_text_config())
    for number, prompt in enumerate(prompts):
        if limit and len(prompt) + sampling.max_new_tokens > limit:
            raise InputError(
                f"prompt {number} has {len(prompt)} tokens: with max_new_tokens={sampling.max_new_tokens} that is more "
                f"than the model's context of {limit}; shorten it or lower max_new_tokens"
            )
