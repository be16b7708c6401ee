"""The numbers of the codecs and recognisers, as they are shipped with `penchant-kinds`."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from penchant.errors import InputError
from penchant.models.builtin import EMBEDDED

FILE = "codecs.safetensors"


@cache
def load_tensors(folder: Path | None = None) -> dict[str, Tensor]:
    """Return all tensors by name, as float32.

    Args:
        folder: of the model; that of the package if not given.

    Raises:
        InputError: this installation lacks the file.
    """
    file = (folder or EMBEDDED["penchant-kinds"]) / FILE
    if not file.exists():
        raise InputError(f"this installation lacks {file}: install it again")
    return {name: tensor.float() for name, tensor in load_file(file).items()}


def load_part(prefix: str, folder: Path | None = None) -> dict[str, Tensor]:
    """Return the tensors of one network, without its prefix."""
    start = f"{prefix}."
    return {name.removeprefix(start): row for name, row in load_tensors(folder).items() if name.startswith(start)}


def nearest_codes(vectors: Tensor, codebook: Tensor) -> Tensor:
    """Return the number of the nearest entry of a codebook, by squared distance.

    Args:
        vectors: shape (vectors, width). codebook: (codes, width).
    """
    # |x - c|^2 without |x|^2, which is the same for all entries
    return torch.argmin((codebook**2).sum(1) - 2 * vectors @ codebook.T, dim=1)
