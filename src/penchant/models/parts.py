"""Parts of a model that reads pictures: its language model, its tower, and the projector between them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from torch import nn

from penchant.engine.attention import unwrap
from penchant.engine.foreign_types import PreTrainedModel
from penchant.errors import InputError
from penchant.models.settings import Parts

Part = Literal["language", "projector", "tower"]
PROJECTOR = re.compile(r"projector|projection|connector|merger|aligner|embed_vision|resampler|abstractor")
"""In the names of modules that turn a tower's states into those of a language model."""
TRAINED: dict[Parts, tuple[Part, ...]] = {
    "language": ("language",),
    "projector": ("projector",),
    "both": ("language", "projector"),
    "all": ("language", "projector", "tower"),
}


def part_of(network: PreTrainedModel, name: str) -> Part:
    """Return the part that a weight or module of a network is of.

    Args:
        name: dotted, from the whole network.
    """
    inner = unwrap(network)
    below = next((child for child in ("language_model", "text_model") if hasattr(inner.model, child)), None)
    if below is None:
        raise InputError(f"{type(inner).__name__} keeps its language model in a way that Penchant does not know")
    if name.startswith(f"model.{below}.") or not name.startswith("model."):  # the head lies outside
        return "language"
    # a tower has projections of its own, for patches, queries and keys: what is meant lies above its layers
    module = re.split(r"\.(?:layers|blocks|encoder|embeddings)\.", name)[0]
    return "projector" if PROJECTOR.search(module) else "tower"


def train_only_parts(network: PreTrainedModel, parts: Parts) -> None:
    """Freeze the weights of all other parts."""
    for name, weight in network.named_parameters():
        weight.requires_grad_(part_of(network, name) in TRAINED[parts])


def linear_layers(network: PreTrainedModel, parts: Parts, targets: str | Sequence[str]) -> list[str]:
    """Return the names of the linear layers that adapters are put on.

    Args:
        targets: as of `LoRA`: the ends of names, or `all-linear` for every linear layer but the head.

    Raises:
        InputError: the parts have no such layer.
    """
    head = network.get_output_embeddings()
    # a head would be adapted with the language part, and its adapter is as large as the vocabulary
    ends = None if targets == "all-linear" else (targets,) if isinstance(targets, str) else tuple(targets)
    names = [
        name
        for name, module in network.named_modules()
        if isinstance(module, nn.Linear) and module is not head and part_of(network, name) in TRAINED[parts]
    ]
    if ends is not None:
        names = [name for name in names if any(name == end or name.endswith(f".{end}") for end in ends)]
    if not names:
        raise InputError(
            f"model.parts={parts}: {type(network).__name__} has no linear layer there that fits lora.targets="
            f"{targets!r}, so nothing would train. Choose other parts, or train without adapters"
        )
    return names
