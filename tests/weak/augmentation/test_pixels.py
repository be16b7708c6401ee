"""Changes of pictures: what each moves and keeps, the same alone and among other arms, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from penchant.errors import InputError
from penchant.image import Image
from penchant.weak.augmentation.images import stack_images
from penchant.weak.augmentation.pixels import OPERATIONS, augment_pixels
from penchant.weak.augmentation.settings import (
    CropImage,
    Cutout,
    Flip,
    ImageAugmentation,
    RandAugment,
    Shift,
    WordDropout,
)
from penchant.weak.augmentation.texts import augment
from penchant.weak.contract import Example
from penchant.weak.networks.streams import VIEWS, Stream

KINDS: list[ImageAugmentation] = [Shift(), Flip(), CropImage(), Cutout(), RandAugment()]


def _pictures(arms: int = 1, batch: int = 30, channels: int = 1, side: int = 8) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(batch, channels, side, side, generator=generator).expand(arms, -1, -1, -1, -1)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
@pytest.mark.parametrize("channels", [1, 3])
def test_an_arm_is_changed_alone_as_among_others_and_values_stay_within_bounds(
    kind: ImageAugmentation, channels: int
) -> None:
    pixels = _pictures(2, channels=channels)
    both = augment_pixels(pixels, [kind], Stream([3, 8], VIEWS))
    alone = augment_pixels(pixels[1:], [kind], Stream([8], VIEWS))
    torch.testing.assert_close(both[1:], alone, atol=1e-6, rtol=0)
    assert both.shape == pixels.shape
    assert not torch.equal(both[0], both[1])
    assert not torch.equal(both, pixels)
    assert 0 <= float(both.min()) <= float(both.max()) <= 1 + 1e-6


def test_a_shift_moves_by_whole_pixels_and_continues_the_edge() -> None:
    pixels = _pictures(batch=200)
    changed = augment_pixels(pixels, [Shift(share=0.25)], Stream([0], VIEWS))[0]
    moves = set()
    for before, after in zip(pixels[0, :, 0], changed[:, 0], strict=True):
        padded = torch.nn.functional.pad(before[None, None], (2, 2, 2, 2), mode="replicate")[0, 0]
        fits = {
            (x, y) for x in range(5) for y in range(5) if torch.allclose(padded[y : y + 8, x : x + 8], after, atol=1e-4)
        }
        assert len(fits) == 1
        moves |= fits
    assert len(moves) == 25


def test_a_flip_mirrors_about_half_and_a_cut_square_is_flat() -> None:
    pixels = _pictures(batch=400)
    flipped = augment_pixels(pixels, [Flip()], Stream([0], VIEWS))
    is_mirrored = (flipped == pixels.flip(-1)).all(-1).all(-1).all(-1)
    is_kept = (flipped == pixels).all(-1).all(-1).all(-1)
    assert bool((is_mirrored ^ is_kept).all())
    assert 150 < int(is_mirrored.sum()) < 250
    cut = augment_pixels(pixels, [Cutout(share=0.5)], Stream([0], VIEWS))
    # a square of side 4, of which a part may lie outside
    counts = (cut != pixels).sum((-1, -2, -3))
    assert 4 <= int(counts.min()) <= int(counts.max()) == 16
    assert all(len(after[after != before].unique()) == 1 for before, after in zip(pixels[0], cut[0], strict=True))


def test_a_crop_of_nearly_everything_is_nearly_the_picture() -> None:
    smooth = torch.linspace(0, 1, 8).expand(1, 20, 1, 8, 8)
    near = augment_pixels(smooth, [CropImage(share=0.95)], Stream([0], VIEWS))
    far = augment_pixels(smooth, [CropImage(share=0.3)], Stream([0], VIEWS))
    assert float((near - smooth).abs().mean()) < 0.02 < float((far - smooth).abs().mean())


def test_an_operation_of_no_strength_changes_nothing_but_levels() -> None:
    pixels = _pictures()
    for operation in OPERATIONS:
        changed = operation(pixels, torch.zeros(1, 30))
        tolerance = 1 / 15 if operation.__name__ == "_posterize" else 1e-5
        torch.testing.assert_close(changed, pixels, atol=tolerance, rtol=0)
        assert not torch.allclose(operation(pixels, torch.full((1, 30), 0.9)), pixels, atol=0.05)


def test_a_turn_keeps_the_middle_of_a_wide_picture() -> None:
    wide = torch.zeros(1, 1, 1, 9, 21)
    wide[..., 4, :] = 1  # a line across
    turned = OPERATIONS[2](wide, torch.ones(1, 1))[0, 0, 0]
    rows = [int(turned[:, column].argmax()) for column in (8, 10, 12)]
    assert rows[1] == 4
    # 30 degrees: two columns away from the middle by 2 tan(30) = 1.2 rows
    assert {abs(rows[0] - 4), abs(rows[2] - 4)} == {1}


def test_pictures_that_are_examples_are_changed_by_the_seed() -> None:
    rng = np.random.default_rng(0)
    images: list[Example] = [
        Image.make(rng.integers(0, 256, shape, dtype=np.uint8), name=f"picture {n}")
        for n, shape in enumerate([(8, 8), (8, 8, 3), (6, 9), (8, 8)])
    ]
    changed = augment(images, [Shift(), RandAugment()], 0)
    assert changed == augment(images, [Shift(), RandAugment()], 0) != augment(images, [Shift(), RandAugment()], 1)
    for before, after in zip(images, changed, strict=True):
        assert isinstance(before, Image)
        assert isinstance(after, Image)
        assert (after.size, after.name) == (before.size, before.name)
        assert after.decode().shape == before.decode().shape


def test_texts_and_pictures_have_augmentations_of_their_own() -> None:
    image = Image.make(np.zeros((4, 4), np.uint8))
    with pytest.raises(InputError, match="the augmentation shift reads pictures, and 1 of 1 examples are texts"):
        augment(["a text"], [Shift()], 0)
    with pytest.raises(InputError, match="the augmentation word_dropout reads texts, and 1 of 1 examples are pictures"):
        augment([image], [WordDropout()], 0)
    with pytest.raises(InputError, match="the augmentation flip changes none of the 1 examples"):
        augment([image], [Flip()], 0)


def test_sizes_and_channels_are_brought_to_one() -> None:
    grey = Image.make(np.full((4, 6), 100, np.uint8), name="small")
    colour = Image.make(np.full((8, 8, 3), (200, 100, 0), np.uint8), name="large")
    with pytest.raises(InputError, match=r"have 2 sizes: small has 6 x 4 pixels and large 8 x 8: .* by `size`"):
        stack_images([grey, colour], None)
    both = stack_images([grey, colour], 5)
    assert both.shape == (2, 3, 5, 5)
    assert both[1, :, 2, 2].tolist() == [200, 100, 0]
    assert both[0].unique().tolist() == [100]
    assert stack_images([grey], 5).shape == (1, 1, 5, 5)
    # 0.299 x 200 + 0.587 x 100
    assert stack_images([colour], None, channels=1)[0, 0, 0, 0] == 118
