"""The picture codec: a codebook of patches, the decoder that joins them, and the recogniser; on Fashion-MNIST."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from penchant.codecs.pictures import (
    decode_pictures,
    encode_pictures,
    new_picture_decoder,
    new_picture_recogniser,
    patches,
    recognise_pictures,
)
from penchant.codecs.tokens import GRID, PICTURE_CODES
from penchant.tasks.idx import find_fashion_mnist, read_idx_pair
from pretraining.codebooks import fit_codebook, fit_network

FITTED = 20_000
"""Pictures of the training part that decoder and recogniser are fitted to, for minutes of one core."""


@dataclass(frozen=True)
class PictureCodec:
    """What was fitted, and how good it is on the 10,000 test pictures.

    Attributes:
        tensors: by the name under which they are shipped.
        codes: (60000, 49) of the training part. labels: of it.
        facts: numbers for the record.
    """

    tensors: dict[str, Tensor]
    codes: NDArray[np.int64]
    labels: NDArray[np.uint8]
    test_codes: NDArray[np.int64]
    test_labels: NDArray[np.uint8]
    facts: dict[str, float]


def fit_picture_codec(seed: int) -> PictureCodec:
    """Fit everything on the training part, and measure on the test part."""
    (pixels, labels), (test_pixels, test_labels) = (read_idx_pair(*pair) for pair in find_fashion_mnist())
    vectors = patches(torch.from_numpy(pixels.astype(np.float32) / 255)).reshape(-1, 16)
    codebook = fit_codebook(vectors, PICTURE_CODES, seed=seed)
    # what is shipped is rounded to 16 bits, and codes have to be those of the shipped codebook
    codebook = codebook.half().float()
    codes, test_codes = encode_pictures(pixels, codebook), encode_pictures(test_pixels, codebook)
    truth = torch.from_numpy(pixels[:FITTED].astype(np.float32) / 255)[:, None]
    grids = torch.from_numpy(codes[:FITTED]).reshape(-1, GRID, GRID)
    decoder = fit_network(
        new_picture_decoder, grids, truth, nn.functional.binary_cross_entropy_with_logits, epochs=3, seed=seed
    )
    decoded = decode_pictures(codes[:FITTED], decoder)
    # half of the pictures as they are and half as tokens show them, so that one network reads both
    seen = torch.cat([truth, torch.from_numpy(decoded)[:, None]])
    targets = torch.from_numpy(np.concatenate([labels[:FITTED], labels[:FITTED]]).astype(np.int64))
    recogniser = fit_network(new_picture_recogniser, seen, targets, nn.functional.cross_entropy, epochs=3, seed=seed)
    test_decoded = decode_pictures(test_codes, decoder)
    plain = test_pixels.astype(np.float32) / 255
    facts = {
        "codes_used": float(len(np.unique(codes))),
        "root_mean_squared_error": float(np.sqrt(((test_decoded - plain) ** 2).mean())),
        "recognised_pixels": _accuracy(plain, test_labels, recogniser),
        "recognised_tokens": _accuracy(test_decoded, test_labels, recogniser),
    }
    tensors = {"picture.codebook": codebook}
    tensors |= {f"picture.decoder.{name}": tensor for name, tensor in decoder.state_dict().items()}
    tensors |= {f"picture.recogniser.{name}": tensor for name, tensor in recogniser.state_dict().items()}
    return PictureCodec(tensors, codes, labels, test_codes, test_labels, facts)


def _accuracy(pixels: NDArray[np.float32], labels: NDArray[np.uint8], recogniser: nn.Module) -> float:
    return float((recognise_pictures(pixels, recogniser).argmax(1) == labels).mean())
