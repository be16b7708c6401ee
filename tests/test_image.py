"""A picture as an example: every mode becomes 8 bits, and what is broken is named."""

from __future__ import annotations

import io
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from penchant.errors import InputError
from penchant.image import Image

GREY = np.arange(48, dtype=np.uint8).reshape(6, 8) * 5
COLOUR = np.stack([GREY, GREY[::-1], GREY[:, ::-1]], -1)


def _bytes(picture: Pillow.Image, kind: str = "PNG", **settings: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **settings)
    return buffer.getvalue()


def test_file_bytes_pixels_and_pillow_give_the_same_picture(tmp_path: Path) -> None:
    file = tmp_path / "picture.png"
    file.write_bytes(_bytes(Pillow.fromarray(COLOUR)))
    made = [Image.make(source) for source in (file, str(file), file.read_bytes(), COLOUR, Pillow.fromarray(COLOUR))]
    for image in made:
        np.testing.assert_array_equal(image.decode(), COLOUR)
        assert image.size == (8, 6)
    assert made[0] == made[1] == made[2]
    assert made[0].name == str(file)
    assert len({image.pixel_digest() for image in made}) == 1
    assert pickle.loads(pickle.dumps(made[0])) == made[0]


def test_the_digest_of_pixels_knows_a_picture_in_another_file_and_tells_others_apart() -> None:
    tiff = Image.make(_bytes(Pillow.fromarray(GREY), "TIFF"))
    png = Image.make(GREY)
    assert tiff != png
    as_colours = Image.make(np.stack([GREY] * 3, -1))
    other = GREY.copy()
    other[5, 7] ^= 1
    assert tiff.pixel_digest() == png.pixel_digest() == as_colours.pixel_digest() != Image.make(other).pixel_digest()
    # the same numbers in another shape
    assert Image.make(GREY.reshape(8, 6)).pixel_digest() != png.pixel_digest()


def test_modes_become_grey_or_colours_of_eight_bits() -> None:
    wide = np.array([[0, 255, 256, 65_535]], dtype=np.uint16)
    np.testing.assert_array_equal(Image.make(wide).decode(), [[0, 0, 1, 255]])
    np.testing.assert_array_equal(Image.make(_bytes(Pillow.fromarray(wide), "TIFF")).decode(), [[0, 0, 1, 255]])
    bits = Pillow.fromarray(GREY).convert("1")
    assert set(np.unique(Image.make(bits).decode())) == {0, 255}
    palette = Pillow.fromarray(COLOUR).quantize(256)
    assert Image.make(palette).decode().shape == (6, 8, 3)
    assert Image.make(Pillow.fromarray(COLOUR).convert("CMYK")).decode().shape == (6, 8, 3)
    clear = np.concatenate([COLOUR, np.full((6, 8, 1), 255, np.uint8)], -1)
    clear[0, 0, 3] = 0  # seen through: white shows
    decoded = Image.make(clear).decode()
    assert decoded[0, 0].tolist() == [255, 255, 255]
    np.testing.assert_array_equal(decoded[1:], COLOUR[1:])
    grey_clear = Pillow.fromarray(GREY).convert("LA")
    np.testing.assert_array_equal(Image.make(grey_clear).decode(), GREY)
    with pytest.raises(InputError, match="mine has 32 bits per pixel"):
        Image.make(Pillow.fromarray(GREY.astype(np.float32)), name="mine")


def test_a_picture_is_turned_as_its_camera_was() -> None:
    exif = Pillow.Exif()
    exif[0x0112] = 6  # shown after a quarter turn clockwise
    image = Image.make(_bytes(Pillow.fromarray(GREY), "PNG", exif=exif))
    assert image.size == (6, 8)
    np.testing.assert_array_equal(image.decode(), np.rot90(GREY, -1))


def test_what_is_broken_or_changed_is_named(tmp_path: Path) -> None:
    noise = Pillow.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    cut, half, text = tmp_path / "cut.png", tmp_path / "half.jpg", tmp_path / "notes.png"
    cut.write_bytes(_bytes(noise)[:2_000])
    half.write_bytes(_bytes(noise, "JPEG")[:2_000])
    text.write_text("no picture")
    for file in (cut, half):
        with pytest.raises(InputError, match=rf"{file.name} cannot be decoded \(image file is truncated"):
            Image.make(file).decode()
    with pytest.raises(InputError, match=r"notes\.png is no picture that can be read"):
        Image.make(text)
    with pytest.raises(InputError, match=r"none\.png cannot be read: No such file"):
        Image.make(tmp_path / "none.png")
    image = Image.make(half)
    half.write_bytes(_bytes(noise, "JPEG"))
    with pytest.raises(InputError, match=r"half\.jpg is another picture than"):
        image.decode()


@pytest.mark.parametrize(
    "array",
    [np.zeros((2, 2)), np.zeros((2, 2, 2), np.uint8), np.zeros(4, np.uint8), np.zeros((0, 3), np.uint8), np.eye(2) > 0],
)
def test_other_pixels_are_refused(array: np.ndarray) -> None:
    with pytest.raises(InputError, match="row 7: pixels must be integers of 8 bits"):
        Image.make(array, name="row 7")


def test_a_notebook_shows_a_thumbnail() -> None:
    large = Image.make(np.zeros((400, 200), np.uint8))
    with Pillow.open(io.BytesIO(large._repr_png_())) as shown:
        assert shown.size == (48, 96)
