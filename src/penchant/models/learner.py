"""The contract of what a loop trains: a policy (its scores are log-probabilities) or a reward model (rewards)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from torch import nn

from penchant.engine.score import Scorer

if TYPE_CHECKING:
    from penchant.data.rendering.renderer import Renderer


class Learner(Protocol):
    """A network that scores responses, with its tokenizer, and that can be written to a folder."""

    model: nn.Module
    renderer: Renderer
    name: str

    @property
    def scorer(self) -> Scorer:
        """The engine on this network."""

    def save(self, folder: str | Path) -> None:
        """Write the network and its tokenizer, for `from_pretrained` of `transformers`."""
