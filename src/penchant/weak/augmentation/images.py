"""Change pictures that are examples: decoded, changed as `pixels` does, and encoded again."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from penchant.errors import InputError
from penchant.image import Image, Pixels
from penchant.weak.augmentation.pixels import augment_pixels
from penchant.weak.augmentation.settings import ImageAugmentation
from penchant.weak.networks.streams import VIEWS, Stream


def augment_images(images: Sequence[Image], augmentation: ImageAugmentation, seed: int) -> list[Image]:
    """Return changed pictures of the same sizes; a picture's draws depend on its place among those of its shape."""
    decoded = [image.decode() for image in images]
    by_shape: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for row, pixels in enumerate(decoded):
        by_shape[pixels.shape].append(row)
    changed = list(images)
    for rows in by_shape.values():
        batch = torch.stack([as_channels(decoded[row]) for row in rows]).float()[None] / 255
        after = augment_pixels(batch, [augmentation], Stream([seed], VIEWS))[0]
        for row, pixels in zip(rows, from_channels(after), strict=True):
            changed[row] = Image.make(pixels, name=images[row].name)
    return changed


def as_channels(pixels: Pixels) -> Tensor:
    """Return pixels with their channels first, shape (channels, height, width)."""
    return torch.from_numpy(np.array(pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)))


def from_channels(batch: Tensor) -> list[Pixels]:
    """Return the pixels of a batch of values from 0 to 1, shape (batch, channels, height, width)."""
    rounded = (batch * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    return [picture[..., 0] if picture.shape[-1] == 1 else picture for picture in rounded]


def stack_images(images: Sequence[Image], size: int | None, *, channels: int | None = None) -> Tensor:
    """Return pictures as one tensor of bytes, shape (pictures, channels, height, width).

    Args:
        size: width and height that they are brought to; None where all have one size.
        channels: 1 (grey) or 3; grey where all are grey if not given.

    Raises:
        InputError: pictures of several sizes and no `size`, or one that cannot be decoded.
    """
    # grey is kept only where no picture has colours: one tensor has one number of channels
    decoded = [_resized(image, size) for image in images]
    if size is None and len(sizes := {pixels.shape[:2] for pixels in decoded}) > 1:
        first = decoded[0].shape[:2]
        other = next(row for row, pixels in enumerate(decoded) if pixels.shape[:2] != first)
        raise InputError(
            f"the pictures have {len(sizes)} sizes: {images[0].name} has {first[1]} x {first[0]} pixels and "
            f"{images[other].name} {decoded[other].shape[1]} x {decoded[other].shape[0]}: bring them to one by `size`"
        )
    channels = channels or (3 if any(pixels.ndim == 3 for pixels in decoded) else 1)
    return torch.stack([as_channels(_in_channels(pixels, channels)) for pixels in decoded])


def _resized(image: Image, size: int | None) -> Pixels:
    """Return the pixels of a picture, brought to a square of `size`."""
    pixels = image.decode()
    if size is None or pixels.shape[:2] == (size, size):
        return pixels
    from PIL import Image as Pillow

    return np.asarray(Pillow.fromarray(pixels).resize((size, size), Pillow.Resampling.BILINEAR))


def _in_channels(pixels: Pixels, channels: int) -> Pixels:
    """Return grey pixels or colours, whatever they were."""
    if channels == 3 and pixels.ndim == 2:
        return np.stack([pixels] * 3, -1)
    if channels == 1 and pixels.ndim == 3:
        # the weights with which an eye sees red, green and blue (ITU-R 601), as Pillow converts
        return np.asarray((pixels @ np.array([0.299, 0.587, 0.114])).round(), dtype=np.uint8)
    return pixels
