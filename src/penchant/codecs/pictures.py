"""Pictures as 49 tokens: patches of 4 x 4 pixels by their nearest codebook entry, and a decoder that joins them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from penchant.codecs.store import load_part, load_tensors, nearest_codes
from penchant.codecs.tokens import CLASSES, GRID, PICTURE_CODES, read_picture
from penchant.image import Image

PATCH = 4
SIDE = GRID * PATCH
"""Pixels per row and per column."""


def patches(pixels: Tensor) -> Tensor:
    """Return the patches of pictures, row by row, shape (pictures, 49, 16).

    Args:
        pixels: shape (pictures, 28, 28).
    """
    return pixels.reshape(-1, GRID, PATCH, GRID, PATCH).transpose(2, 3).reshape(-1, GRID * GRID, PATCH * PATCH)


def encode_pictures(pixels: NDArray[np.uint8], codebook: Tensor | None = None) -> NDArray[np.int64]:
    """Return the codes of grey pictures of 28 x 28 pixels, shape (pictures, 49)."""
    codebook = load_tensors()["picture.codebook"] if codebook is None else codebook
    # distances are of brightness from 0 to 1, as the codebook was made
    rows = patches(torch.from_numpy(pixels.astype(np.float32) / 255)).reshape(-1, PATCH * PATCH)
    # in parts: 70,000 pictures have 3.4 million patches, and a distance to each code
    codes = torch.cat([nearest_codes(part, codebook) for part in rows.split(100_000)])
    return codes.reshape(-1, GRID * GRID).numpy()


def new_picture_decoder() -> nn.Sequential:
    """Return the network from codes, shape (pictures, 7, 7), to logits of pixels, (pictures, 1, 28, 28), untrained."""
    return nn.Sequential(
        # codes see their neighbours, so that edges of patches join
        nn.Embedding(PICTURE_CODES, 32),
        _ChannelsFirst(),
        nn.Conv2d(32, 64, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(64, 64, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(64, PATCH * PATCH, 1),
        nn.PixelShuffle(PATCH),
    )


class _ChannelsFirst(nn.Module):
    """Moves the last axis behind the first."""

    def forward(self, embedded: Tensor) -> Tensor:
        """Return shape (pictures, width, rows, columns)."""
        return embedded.permute(0, 3, 1, 2)


@cache
def _decoder() -> nn.Sequential:
    decoder = new_picture_decoder()
    decoder.load_state_dict(load_part("picture.decoder"))
    return decoder.eval()


@torch.no_grad()
def decode_pictures(codes: Sequence[Sequence[int]], decoder: nn.Module | None = None) -> NDArray[np.float32]:
    """Return the pixels of pictures, from 0 (black) to 1, shape (pictures, 28, 28)."""
    # row by row, as a model writes them
    grids = torch.as_tensor(np.asarray(codes, dtype=np.int64)).reshape(-1, GRID, GRID)
    return torch.sigmoid((decoder or _decoder())(grids))[:, 0].numpy()


def new_picture_recogniser() -> nn.Sequential:
    """Return the network from pixels, shape (pictures, 1, 28, 28), to logits of the ten classes, untrained."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(32, 64, 3, padding=1),
        nn.ReLU(),
        # 7 x 7 cells become 3 x 3
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(64 * 3 * 3, 64),
        nn.ReLU(),
        nn.Linear(64, len(CLASSES)),
    )


@cache
def _recogniser() -> nn.Sequential:
    recogniser = new_picture_recogniser()
    recogniser.load_state_dict(load_part("picture.recogniser"))
    return recogniser.eval()


@torch.no_grad()
def recognise_pictures(pixels: NDArray[np.float32], recogniser: nn.Module | None = None) -> NDArray[np.float64]:
    """Return the probability of each class, shape (pictures, 10).

    Args:
        pixels: from 0 to 1, shape (pictures, 28, 28).
    """
    logits = (recogniser or _recogniser())(torch.from_numpy(np.ascontiguousarray(pixels))[:, None])
    return torch.softmax(logits.double(), dim=1).numpy()


def show_picture(text: str) -> Image | None:
    """Return the picture that a text of picture tokens is, as a PNG; None where it is no whole picture."""
    # half a picture is none: nobody knows where its tokens belong
    codes = read_picture(text)
    if codes is None:
        return None
    return Image.make((decode_pictures([codes])[0] * 255).round().astype(np.uint8), name="a picture of tokens")
