"""A small network that names the class of a grey picture, with the accuracy that it was measured at."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from penchant.errors import InputError
from penchant.files import read_json

EMBEDDED_RECOGNISER = Path(__file__).parent / "embedded" / "penchant-recogniser"
BATCH = 500


@dataclass(frozen=True)
class RecogniserShape:
    """Sizes of a recogniser.

    Attributes:
        side: height and width of its pictures. width: channels of the first convolution.
        classes: what it tells apart.
        accuracy: share of held-out pictures that it names rightly. pictures: how many these were.
    """

    side: int
    width: int
    classes: tuple[str, ...]
    accuracy: float = 0.0
    pictures: int = 0

    def to_dict(self) -> dict[str, object]:
        """Return what `config.json` holds."""
        return {"model_type": "penchant_recogniser", "architectures": ["Recogniser"], **asdict(self)}


class Recogniser(nn.Module):
    """Three convolutions and a linear layer.

    Args:
        config: its sizes.
    """

    def __init__(self, config: RecogniserShape) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.layers = nn.ModuleList(
            [
                nn.Conv2d(1, width, 3, padding=1),
                nn.Conv2d(width, 2 * width, 3, padding=1),
                nn.Conv2d(2 * width, 2 * width, 3, padding=1),
            ]
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(layer.out_channels) for layer in self.layers)  # type: ignore[arg-type]
        # 3 x 3 cells of the last convolution, whatever the size of the pictures
        self.last = nn.Linear(2 * width * 9, len(config.classes))

    def forward(self, pictures: Tensor) -> Tensor:
        """Return the logits of the classes, (n, classes), of pictures from -1 to 1, (n, height, width)."""
        state = pictures[:, None]
        for index, (layer, norm) in enumerate(zip(self.layers, self.norms, strict=True)):
            state = functional.relu(norm(layer(state)))
            if index < 2:
                # rounded up, so that pictures of 14 pixels keep their edge
                state = functional.max_pool2d(state, 2, ceil_mode=True)
        logits: Tensor = self.last(functional.adaptive_max_pool2d(state, 3).flatten(1))
        return logits


def load_recogniser(folder: Path = EMBEDDED_RECOGNISER) -> Recogniser:
    """Open a recogniser; the one that comes with this package if none is named.

    Raises:
        InputError: there is none, or it is damaged.
    """
    from safetensors.torch import load_file

    try:
        settings = read_json(folder / "config.json")
        shape = RecogniserShape(
            settings["side"],
            settings["width"],
            tuple(settings["classes"]),
            settings["accuracy"],
            settings["pictures"],
        )
        network = Recogniser(shape)
        # strict: a file of another recogniser is refused, and not half loaded
        network.load_state_dict(load_file(folder / "model.safetensors"))
    except Exception as error:  # a damaged file makes its readers raise many kinds
        raise InputError(f"{folder} holds no recogniser of pictures ({error}): install this package again") from error
    return network.eval()


def class_probabilities(recogniser: Recogniser, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the probability of each class, (pictures, classes), of grey pictures from 0 to 255.

    Raises:
        InputError: they have another size than the recogniser's.
    """
    side = recogniser.config.side
    if pictures.shape[1:] != (side, side):
        raise InputError(
            f"the recogniser reads grey pictures of {side} x {side} pixels, got {pictures.shape[1:]}: resize them"
        )
    # from -1 to 1, as in its training
    scaled = torch.from_numpy(pictures.astype(np.float32)) / 127.5 - 1
    with torch.no_grad():
        parts = [recogniser(part).softmax(1) for part in scaled.split(BATCH)]
    return torch.cat(parts).numpy() if parts else np.zeros((0, len(recogniser.config.classes)), np.float32)
