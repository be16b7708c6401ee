"""EfficientNet-Lite0, whose weights a package carries: an image model of 4.7 million numbers, as its makers lay it out.

Source: Tan and Le 2019 (arXiv:1905.11946); the Lite variants have neither squeeze-and-excitation nor swish, and 32 and
1,280 channels at both ends whatever their width. Parts are named as in the file of weights, which was converted from
TensorFlow: a side that a stride does not divide is padded at its end first.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import pad, relu6

from penchant.errors import InputError

SIDE, MIDDLE, SPREAD = 224, 127.0, 128.0
"""Pixels on a side that it learned from; what is taken off a value from 0 to 255, and what it is divided by."""
STEM, WIDTH, EPSILON = 32, 1_280, 1e-3
STAGES = ((1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112), (4, 5, 2, 6, 192))
LAST_STAGE = (1, 3, 1, 6, 320)
"""Of each stage: blocks, side of the filter, stride of the first block, how many times wider it is inside, channels."""


class EfficientNetLite0(nn.Module):
    """The network without its classes: pictures to features."""

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem = _SamePadded(3, STEM, 3, stride=2)
        self._bn0 = nn.BatchNorm2d(STEM, eps=EPSILON)
        # one list for all stages, since the file numbers blocks throughout
        blocks, channels = [], STEM
        for count, kernel, first_stride, expansion, outputs in (*STAGES, LAST_STAGE):
            for number in range(count):
                # a stage halves the picture in its first block alone
                blocks.append(_Block(channels, outputs, kernel, 1 if number else first_stride, expansion))
                channels = outputs
        self._blocks = nn.ModuleList(blocks)
        self._conv_head = _SamePadded(channels, WIDTH, 1)
        self._bn1 = nn.BatchNorm2d(WIDTH, eps=EPSILON)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return features, shape (pictures, 1280), of scaled pixels, shape (pictures, 3, height, width)."""
        states = relu6(self._bn0(self._conv_stem(pixels)))
        for block in self._blocks:
            states = block(states)
        # the mean over places: pictures of another size than that it learned from can be read too
        features: Tensor = relu6(self._bn1(self._conv_head(states))).mean((-1, -2))
        return features


class _SamePadded(nn.Conv2d):
    """A convolution with as many outputs as inputs over its stride, rounded up; TensorFlow's padding."""

    def __init__(self, inputs: int, outputs: int, kernel: int, *, stride: int = 1, groups: int = 1) -> None:
        super().__init__(inputs, outputs, kernel, stride=stride, groups=groups, bias=False)

    def forward(self, states: Tensor) -> Tensor:
        kernel, stride = self.kernel_size[0], self.stride[0]
        padding: list[int] = []
        for side in (states.shape[-1], states.shape[-2]):
            # what is missing at both ends together; an odd pixel goes to the far end
            missing = max((-(-side // stride) - 1) * stride + kernel - side, 0)
            padding += [missing // 2, missing - missing // 2]
        return super().forward(pad(states, padding))


class _Block(nn.Module):
    """An inverted residual: widen, filter each channel, narrow; added to what came in where the shapes allow."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner_width = inputs * expansion
        # the first stage is not widened, and its file has no such weights
        self.widens, self.is_residual = expansion > 1, stride == 1 and inputs == outputs
        if self.widens:
            self._expand_conv = _SamePadded(inputs, inner_width, 1)
            self._bn0 = nn.BatchNorm2d(inner_width, eps=EPSILON)
        self._depthwise_conv = _SamePadded(inner_width, inner_width, kernel, stride=stride, groups=inner_width)
        self._bn1 = nn.BatchNorm2d(inner_width, eps=EPSILON)
        self._project_conv = _SamePadded(inner_width, outputs, 1)
        self._bn2 = nn.BatchNorm2d(outputs, eps=EPSILON)

    def forward(self, inputs: Tensor) -> Tensor:
        states = relu6(self._bn0(self._expand_conv(inputs))) if self.widens else inputs
        states = relu6(self._bn1(self._depthwise_conv(states)))
        states = self._bn2(self._project_conv(states))
        # no activation behind the sum: the narrow states are meant to be linear
        return states + inputs if self.is_residual else states


def load_efficientnet(file: Path) -> EfficientNetLite0:
    """Load the network from a file of weights; nothing in it is run.

    Raises:
        InputError: it cannot be read, or is of another network.
    """
    network = EfficientNetLite0()
    try:
        # a pickle could run code: only tensors are read from it
        weights = torch.load(file, map_location="cpu", weights_only=True)
        # its classes, and counts that only training needs
        trunk_weights = {key: part for key, part in weights.items() if not key.startswith("_fc.")}
        network.load_state_dict(trunk_weights)
    except Exception as error:  # a damaged file raises many kinds
        raise InputError(
            f"{file} holds no weights of EfficientNet-Lite0 ({error}): install its package again"
        ) from error
    # norms use the averages of the file, not those of a batch
    return network.eval()
