"""Classifiers on frozen image models: the contract, what is kept, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from penchant.errors import InputError
from penchant.image import Image
from penchant.models.image_encoder import ImageEncoder
from penchant.weak.classifiers.features import ModelFeatures
from penchant.weak.classifiers.registry import load_classifier, make_classifier
from penchant.weak.settings import ClassifierSpec, Mlp, Probe


@pytest.fixture(scope="module")
def pictures() -> list[Image]:
    """Dark ones and bright ones in turn."""
    generator = np.random.default_rng(0)
    return [Image.make(generator.integers(low, low + 128, (8, 8, 3), np.uint8)) for _ in range(20) for low in (0, 127)]


@pytest.mark.parametrize("student", [Probe(model="vit"), Mlp(model="vit", algorithm="fixmatch", steps=20)])
def test_a_head_on_an_image_model_learns_and_is_read_back(
    vit: str, pictures: list[Image], student: ClassifierSpec, tmp_path: Path
) -> None:
    classifier = make_classifier(student.replace(model=vit), names=["dark", "bright"])
    unlabeled = pictures[20:] if isinstance(student, Mlp) else None
    classifier.fit(pictures[:20], [0, 1] * 10, unlabeled=unlabeled)
    predicted = classifier.predict_proba(pictures[20:])
    assert (predicted.argmax(1) == np.arange(20) % 2).mean() > 0.9
    classifier.save(tmp_path / "saved")
    np.testing.assert_allclose(load_classifier(tmp_path / "saved").predict_proba(pictures[20:]), predicted, atol=1e-6)


def test_features_of_a_picture_are_computed_once_for_all_of_its_files(
    vit: str, pictures: list[Image], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    features = ModelFeatures(vit, folder=tmp_path / "kept")(pictures[:4])
    file = tmp_path / "same.png"
    file.write_bytes(pictures[1].read())
    read: list[int] = []
    original = ImageEncoder.features

    def count(encoder: ImageEncoder, images: list[Image]) -> torch.Tensor:
        read.append(len(images))
        return original(encoder, images)

    encoder_width = features.shape[1]
    monkeypatch.setattr(ImageEncoder, "width", encoder_width)
    monkeypatch.setattr(ImageEncoder, "features", count)
    again = ModelFeatures(vit, folder=tmp_path / "kept")([Image.make(file), pictures[0], pictures[9]])
    assert read == [1]
    torch.testing.assert_close(again[:2], features[[1, 0]])


def test_texts_and_layers_are_refused(vit: str, pictures: list[Image]) -> None:
    with pytest.raises(InputError, match="an image model reads pictures"):
        ModelFeatures(vit)(["a text"])
    with pytest.raises(InputError, match="layer 2 is not there: an image model has one"):
        ModelFeatures(vit, 2)(pictures[:2])


def test_views_of_pictures_are_changed_before_the_image_model_reads_them(vit: str, pictures: list[Image]) -> None:
    settings = Mlp(model=vit, algorithm="fixmatch", steps=5, dropout=0.0, views={"strong": ["cutout"]})
    student = make_classifier(settings).fit(pictures[:20], [0, 1] * 10, unlabeled=pictures[20:])
    assert student.report is not None  # type: ignore[attr-defined]
    with pytest.raises(InputError, match="the strong view of a row is its weak one"):
        make_classifier(settings.replace(views={})).fit(pictures[:20], [0, 1] * 10, unlabeled=pictures[20:])
