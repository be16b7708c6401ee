"""Pictures as tokens and back: codes of the shipped codebook, the decoder, and the recogniser."""

from __future__ import annotations

import numpy as np
import torch

from penchant.codecs.pictures import (
    SIDE,
    decode_pictures,
    encode_pictures,
    patches,
    recognise_pictures,
    show_picture,
)
from penchant.codecs.store import load_tensors, nearest_codes
from penchant.codecs.tokens import GRID, PICTURE_CODES, picture_text


def test_patches_are_those_that_slices_give() -> None:
    pixels = torch.arange(SIDE * SIDE, dtype=torch.float32).reshape(1, SIDE, SIDE)
    rows = patches(pixels)[0]
    for number in range(GRID * GRID):
        row, column = divmod(number, GRID)
        expected = pixels[0, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4].reshape(-1)
        assert torch.equal(rows[number], expected)


def test_the_nearest_code_is_the_one_with_the_least_distance() -> None:
    generator = torch.Generator().manual_seed(0)
    vectors, book = torch.randn(50, 16, generator=generator), torch.randn(9, 16, generator=generator)
    assert torch.equal(nearest_codes(vectors, book), torch.cdist(vectors, book).argmin(1))


def test_entries_of_the_codebook_encode_as_themselves() -> None:
    book = load_tensors()["picture.codebook"]
    assert book.shape == (PICTURE_CODES, 16)
    assert nearest_codes(book, book).tolist() == list(range(PICTURE_CODES))


def test_black_is_decoded_as_black_and_a_picture_is_a_png() -> None:
    codes = encode_pictures(np.zeros((1, SIDE, SIDE), np.uint8))
    pixels = decode_pictures(codes.tolist())
    assert pixels.shape == (1, SIDE, SIDE)
    assert pixels.max() < 0.1
    picture = show_picture(picture_text(codes[0].tolist()))
    assert picture is not None
    assert picture.size == (SIDE, SIDE)
    assert np.abs(picture.decode() / 255 - pixels[0]).max() <= 0.5 / 255 + 1e-6
    assert show_picture("It was good.") is None


def test_probabilities_of_the_recogniser_sum_to_one() -> None:
    found = recognise_pictures(np.zeros((2, SIDE, SIDE), np.float32))
    assert found.shape == (2, 10)
    assert np.allclose(found.sum(1), 1)
