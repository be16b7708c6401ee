"""Changes of pictures that should leave their class as it is, on batches of them, drawn for each arm as if alone.

A batch has the shape (arms, batch, channels, height, width) and values from 0 to 1. What moves out of a picture is
replaced by its edge, since what lies behind an edge most likely looks like it.

RAND_AUGMENT is after Cubuk et al. 2020 (arXiv:1909.13719): a chain of operations, each drawn from a list with its
strength; the list here is of those that make sense for grey pictures too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from penchant.weak.augmentation.settings import (
    CropImage,
    Cutout,
    Flip,
    ImageAugmentation,
    RandAugment,
    Shift,
)
from penchant.weak.networks.streams import Stream

STRONGEST_ANGLE = math.pi / 6
STRONGEST_SHEAR = 0.3
STRONGEST_SHIFT = 0.3
STRONGEST_TONE = 0.9
FEWEST_LEVELS = 2  # of a channel, where it is reduced most


def augment_pixels(pixels: Tensor, augmentations: Sequence[ImageAugmentation], stream: Stream) -> Tensor:
    """Return changed pictures: each augmentation on what the one before made.

    Args:
        pixels: from 0 to 1, shape (arms, batch, channels, height, width).
    """
    for augmentation in augmentations:
        pixels = _change(pixels, augmentation, stream)
    return pixels


def _change(pixels: Tensor, augmentation: ImageAugmentation, stream: Stream) -> Tensor:
    batch = pixels.shape[1]
    match augmentation:
        case Shift():
            # whole pixels: between them a small picture would be blurred
            sides = torch.tensor([pixels.shape[-1], pixels.shape[-2]], device=pixels.device)
            offsets = ((stream.uniform(batch, 2) * 2 - 1) * augmentation.share * sides).round()
            return _transform(pixels, _shifts(2 * offsets / sides))
        case Flip():
            is_flipped = stream.uniform(batch, 1, 1, 1) < 0.5
            return torch.where(is_flipped, pixels.flip(-1), pixels)
        case CropImage():
            # the piece is enlarged to the size that the picture had
            scale = augmentation.share + (1 - augmentation.share) * stream.uniform(batch)
            middle = (stream.uniform(batch, 2) * 2 - 1) * (1 - scale)[..., None]
            zeros = torch.zeros_like(scale)
            return _transform(pixels, _matrices(((scale, zeros, middle[..., 0]), (zeros, scale, middle[..., 1]))))
        case Cutout():
            return _cut_out(pixels, augmentation.share, stream)
        case RandAugment():
            for _ in range(augmentation.operations):
                pixels = _one_operation(pixels, augmentation.strength, stream)
            return pixels


def _cut_out(pixels: Tensor, share: float, stream: Stream) -> Tensor:
    """Replace a square of each picture by the picture's mean."""
    *_, height, width = pixels.shape
    middles = stream.uniform(pixels.shape[1], 2)[..., None, None] * torch.tensor(
        [[[height]], [[width]]], device=pixels.device
    )
    # half a side of the square, of the shorter side of the picture
    reach = share * min(height, width) / 2
    rows = torch.arange(height, device=pixels.device)[:, None] + 0.5
    columns = torch.arange(width, device=pixels.device) + 0.5
    is_cut = ((rows - middles[..., 0, :, :]).abs() <= reach) & ((columns - middles[..., 1, :, :]).abs() <= reach)
    # the mean and not 0: black would be another picture's ink
    return torch.where(is_cut[:, :, None], pixels.mean((-1, -2, -3), keepdim=True), pixels)


def _one_operation(pixels: Tensor, strength: float, stream: Stream) -> Tensor:
    """Apply one operation to each picture: which, and how much of it, is drawn for each."""
    chosen = stream.integers(len(OPERATIONS), pixels.shape[1])
    amounts = (stream.uniform(pixels.shape[1]) * 2 - 1) * strength
    changed = pixels
    # each operation on the pictures that drew it: all operations on all pictures would cost seven times as much
    for number, operation in enumerate(OPERATIONS):
        is_chosen = chosen == number
        if is_chosen.any():
            part = operation(pixels[is_chosen][None], amounts[is_chosen][None])[0]
            changed = changed.index_put((is_chosen,), part)
    return changed


def _shift_sideways(pixels: Tensor, amounts: Tensor) -> Tensor:
    return _transform(pixels, _shifts(torch.stack([2 * STRONGEST_SHIFT * amounts, torch.zeros_like(amounts)], -1)))


def _shift_upright(pixels: Tensor, amounts: Tensor) -> Tensor:
    return _transform(pixels, _shifts(torch.stack([torch.zeros_like(amounts), 2 * STRONGEST_SHIFT * amounts], -1)))


def _rotate(pixels: Tensor, amounts: Tensor) -> Tensor:
    angles = STRONGEST_ANGLE * amounts
    cosine, sine, zeros = angles.cos(), angles.sin(), torch.zeros_like(angles)
    # coordinates run from -1 to 1 whatever the sides: without their ratio a wide picture would be sheared
    ratio = pixels.shape[-2] / pixels.shape[-1]
    return _transform(pixels, _matrices(((cosine, -sine * ratio, zeros), (sine / ratio, cosine, zeros))))


def _shear(pixels: Tensor, amounts: Tensor) -> Tensor:
    ones, zeros = torch.ones_like(amounts), torch.zeros_like(amounts)
    return _transform(pixels, _matrices(((ones, STRONGEST_SHEAR * amounts, zeros), (zeros, ones, zeros))))


def _contrast(pixels: Tensor, amounts: Tensor) -> Tensor:
    mean = pixels.mean((-1, -2, -3), keepdim=True)
    return (mean + (pixels - mean) * (1 + STRONGEST_TONE * _of_pictures(amounts))).clamp(0, 1)


def _brightness(pixels: Tensor, amounts: Tensor) -> Tensor:
    return (pixels * (1 + STRONGEST_TONE * _of_pictures(amounts))).clamp(0, 1)


def _posterize(pixels: Tensor, amounts: Tensor) -> Tensor:
    # 16 levels are hardly seen, 2 are black and white
    levels = (16 - (16 - FEWEST_LEVELS) * _of_pictures(amounts).abs()).round()
    return (pixels * levels).floor().clamp(max=levels - 1) / (levels - 1)


OPERATIONS: tuple[Callable[[Tensor, Tensor], Tensor], ...] = (
    _shift_sideways,
    _shift_upright,
    _rotate,
    _shear,
    _contrast,
    _brightness,
    _posterize,
)
"""Of RandAugment: pictures and amounts from -1 to 1, shape (arms, batch), to pictures."""


def _of_pictures(amounts: Tensor) -> Tensor:
    return amounts[..., None, None, None]


def _shifts(offsets: Tensor) -> Tensor:
    """Return the matrices of shifts, shape (arms, batch, 2, 3).

    Args:
        offsets: sideways and upright, where the picture is 2 wide and high, shape (arms, batch, 2).
    """
    ones, zeros = torch.ones_like(offsets[..., 0]), torch.zeros_like(offsets[..., 0])
    return _matrices(((ones, zeros, offsets[..., 0]), (zeros, ones, offsets[..., 1])))


def _matrices(rows: Sequence[Sequence[Tensor]]) -> Tensor:
    return torch.stack([torch.stack(list(row), -1) for row in rows], -2)


def _transform(pixels: Tensor, matrices: Tensor) -> Tensor:
    """Return pictures that show at each point what lies where the matrix sends it, with edges continued."""
    flat = pixels.flatten(0, 1)
    grid = affine_grid(matrices.flatten(0, 1), list(flat.shape), align_corners=False)
    return grid_sample(flat, grid, padding_mode="border", align_corners=False).view_as(pixels)
