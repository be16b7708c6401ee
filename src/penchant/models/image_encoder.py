"""Image models, such as a ViT or a ResNet: networks that read a picture and predict no text. They are probed.

What is read of one is its last state on average over the picture: over the pieces of a transformer, over the places of
a convolutional network. A pooler is not asked: of many published models it is missing, and would be random.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from penchant.engine.reference import configuration, fingerprint
from penchant.errors import InputError
from penchant.image import Image, Pixels
from penchant.models.builtin import ENCODERS, IMAGE_ENCODERS, packaged
from penchant.models.device import choose_device, weights_type
from penchant.models.locate import locate
from penchant.models.network import cannot_load
from penchant.models.settings import ModelConfig
from penchant.models.weights import complete

PASS = 16
"""Pictures that are read at once: their states are large, and more are no faster on a CPU."""


@dataclass(frozen=True)
class ImageEncoder:
    """An image model with what prepares its pictures.

    Attributes:
        prepare: pixels of pictures in colours, (height, width, 3) each, to what the model takes: (pictures, 3, height,
            width).
        preparation: what decides that, as text.
    """

    model: nn.Module
    prepare: Callable[[Sequence[Pixels]], Tensor]
    preparation: str
    device: torch.device

    def digest(self) -> str:
        """Return a digest of weights, configuration and preparation: of all that decides features but the picture."""
        # a packaged network has no configuration: its weights fit one layout
        settings = configuration(self.model) if hasattr(self.model, "config") else ""
        return hashlib.sha256((fingerprint(self.model) + settings + self.preparation).encode()).hexdigest()[:16]

    @cached_property
    def width(self) -> int:
        """How many features a picture has: found on a black one, since no two configurations name it alike."""
        black = Image.make(np.zeros((32, 32), np.uint8), name="a black picture")
        return int(self.features([black]).shape[1])

    @torch.no_grad()
    def features(self, images: Sequence[Image]) -> Tensor:
        """Return the features of pictures, shape (pictures, features).

        Raises:
            InputError: a picture that cannot be decoded, or that the preparation refuses.
        """
        parts = []
        for first in range(0, len(images), PASS):
            batch = images[first : first + PASS]
            pixels = self._prepared(batch).to(self.device, next(self.model.parameters()).dtype)
            # float32: what is kept is rounded once, by who keeps it
            parts.append(mean_state(self.model(pixels)).float().cpu())
        return torch.cat(parts)

    def _prepared(self, images: Sequence[Image]) -> Tensor:
        try:
            return self.prepare([_in_colours(image.decode()) for image in images])
        except InputError:
            raise
        except Exception as error:  # preparations of `transformers` raise many kinds
            names = ", ".join(image.name for image in images[:3])
            raise InputError(f"the image model cannot prepare these pictures ({names} ...): {error}") from error


def mean_state(output: Any) -> Tensor:
    """Return the last state of a model on average over its places, shape (pictures, features)."""
    states: Tensor = getattr(output, "last_hidden_state", output)
    # (pictures, pieces, features) of a transformer, (pictures, features, height, width) of a convolutional network
    return states.mean(1) if states.ndim == 3 else states.flatten(2).mean(-1) if states.ndim == 4 else states


def _in_colours(pixels: Pixels) -> Pixels:
    # image models take three channels; a grey picture has the same in all
    return np.stack([pixels] * 3, -1) if pixels.ndim == 2 else pixels


def is_image_encoder(name: str, *, trust_remote_code: bool = False) -> bool:
    """Return whether a model reads pictures and nothing else, by its configuration.

    Raises:
        InputError: no such model.
    """
    if name in ENCODERS:
        # a built-in name has no folder to look into
        return name in IMAGE_ENCODERS
    from transformers import AutoConfig
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES

    folder = locate(name)
    # adapters of a language model, whose base alone says what it reads
    if (Path(folder) / "adapter_config.json").exists():
        return False
    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=trust_remote_code)
    except Exception as error:
        raise cannot_load("", ModelConfig(name=name), error) from error
    # by the type and not the class: a published model may name its backbone or its classifier
    return config.model_type in MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES


def load_image_encoder(settings: ModelConfig) -> ImageEncoder:
    """Load an image model, ready to read. Weights are safetensors, and no code of the model is run unless asked.

    Raises:
        InputError: no such model, a broken one, or one that does not say how its pictures are prepared.
    """
    device = choose_device(settings.device)
    if settings.name in IMAGE_ENCODERS:
        return _packaged_encoder(settings.name, device)
    from transformers import AutoModel

    folder = locate(settings.name)
    options: dict[str, object] = {
        "dtype": weights_type(settings, device),
        "use_safetensors": True,
        "trust_remote_code": settings.trust_remote_code,
    }
    try:
        model = complete(AutoModel, folder, options, may_lack="pooler.", may_drop_head=True, clear_lacking=True)
    except Exception as error:
        raise cannot_load("", settings, error) from error
    # of a model of pictures and texts, such as CLIP, its half that reads pictures
    network: nn.Module = getattr(model, "vision_model", model)
    processor = _load_processor(folder, settings)

    def prepare(pictures: Sequence[Pixels]) -> Tensor:
        prepared: Tensor = processor(images=list(pictures), return_tensors="pt", input_data_format="channels_last")[
            "pixel_values"
        ]
        return prepared

    # sizes, means and filters: another preparation gives other features
    preparation = json.dumps(processor.to_dict(), sort_keys=True, default=str)
    return ImageEncoder(network.eval().to(device), prepare, preparation, device)


def _load_processor(folder: str, settings: ModelConfig) -> Any:
    """Return what prepares a model's pictures; by Pillow, so that a machine with torchvision finds the same."""
    from transformers import AutoImageProcessor
    from transformers.utils import logging as hub_logging

    verbosity = hub_logging.get_verbosity()
    hub_logging.set_verbosity_error()  # it would advise to install torchvision
    try:
        return AutoImageProcessor.from_pretrained(folder, backend="pil", trust_remote_code=settings.trust_remote_code)
    except Exception as error:
        raise InputError(
            f"{settings.name} does not say how its pictures are prepared ({error}): put its preprocessor_config.json "
            "beside its weights"
        ) from error
    finally:
        hub_logging.set_verbosity(verbosity)


def _packaged_encoder(name: str, device: torch.device) -> ImageEncoder:
    """Return EfficientNet-Lite0 of its package."""
    from PIL import Image as Pillow

    from penchant.models.efficientnet import MIDDLE, SIDE, SPREAD, load_efficientnet

    def prepare(pictures: Sequence[Pixels]) -> Tensor:
        # the whole picture: a crop from the middle would lose what lies at its edge
        resized = [Pillow.fromarray(picture).resize((SIDE, SIDE), Pillow.Resampling.BICUBIC) for picture in pictures]
        pixels = torch.stack([torch.from_numpy(np.array(picture)) for picture in resized])
        return (pixels.permute(0, 3, 1, 2).float() - MIDDLE) / SPREAD

    network = load_efficientnet(packaged(name, *IMAGE_ENCODERS[name]))
    return ImageEncoder(network.to(device), prepare, f"bicubic {SIDE} {MIDDLE} {SPREAD}", device)
