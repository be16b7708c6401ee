"""A convolutional network as a classifier: unlabelled pictures, sizes, and what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from penchant.errors import InputError
from penchant.image import Image
from penchant.weak.classifiers.cnn import CnnClassifier
from penchant.weak.classifiers.registry import make_classifier
from penchant.weak.contract import Example, marks_of
from penchant.weak.settings import Cnn

LABELS = np.arange(60) % 2


def _bars(count: int, side: int = 8) -> list[Example]:
    """Bars that lie and bars that stand."""
    rng = np.random.default_rng(side)
    images: list[Example] = []
    for label in range(count):
        pixels = rng.integers(0, 80, (side, side), dtype=np.uint8)
        middle = int(rng.integers(2, side - 2))
        if label % 2:
            pixels[:, middle] = 255
        else:
            pixels[middle] = 255
        images.append(Image.make(pixels, name=f"bar {label}"))
    return images


def _fitted(unlabeled: list[Example] | None, **settings: Any) -> CnnClassifier:
    spec = Cnn(**{"steps": 25, "width": 8, "batch_size": 16, "learning_rate": 0.01, **settings})
    return CnnClassifier(spec).fit(_bars(60)[:12], LABELS[:12], unlabeled=unlabeled)


def test_it_learns_from_pictures_without_labels_and_knows_them_later() -> None:
    bars = _bars(60)
    threshold = {"name": "fixed", "threshold": 0.6}
    fixmatch = _fitted(bars[12:40], algorithm={"name": "fixmatch", "threshold": threshold})
    assert fixmatch.report is not None
    assert fixmatch.report.mask_rate > 0
    assert (fixmatch.predict_proba(bars[40:]).argmax(-1) == LABELS[40:]).mean() > 0.8
    supervised = _fitted(bars[12:40])
    assert supervised.report is None
    assert not np.allclose(fixmatch.predict_proba(bars[40:]), supervised.predict_proba(bars[40:]), atol=1e-4)
    assert fixmatch.learned_marks == set(marks_of(bars[:40]))


def test_rounds_of_teachers_and_students_read_pictures_too() -> None:
    bars = _bars(60)
    spec = Cnn(algorithm={"name": "self_training"}, steps=25, width=8, batch_size=16, learning_rate=0.01)
    rounds = make_classifier(spec).fit(bars[:12], LABELS[:12], unlabeled=bars[12:40])
    assert (rounds.predict_proba(bars[40:]).argmax(-1) == LABELS[40:]).mean() > 0.8
    with pytest.raises(InputError, match="self_training trains several networks"):
        CnnClassifier(spec).fit(bars[:12], LABELS[:12])


def test_two_networks_predict_by_their_mean(tmp_path: Path) -> None:
    divided = _fitted(None, algorithm={"name": "divide_mix", "warm_up": 1})
    unseen = _bars(60)[40:]
    divided.save(tmp_path)
    np.testing.assert_allclose(
        CnnClassifier.load(tmp_path).predict_proba(unseen), divided.predict_proba(unseen), atol=1e-6
    )
    weights = load_file(tmp_path / "cnn.safetensors")
    assert len(weights["out"]) == 2
    assert not torch.equal(*weights["first"])


def test_pictures_of_several_sizes_are_named_or_brought_to_one() -> None:
    mixed = [*_bars(2), *_bars(2, side=12)]
    with pytest.raises(InputError, match="have 2 sizes: bar 0 has 8 x 8 pixels and bar 0 12 x 12"):
        CnnClassifier(Cnn(steps=1)).fit(mixed, [0, 1, 0, 1])
    small = CnnClassifier(Cnn(steps=1, width=8, size=10)).fit(mixed, [0, 1, 0, 1])
    assert small.predict_proba([*_bars(1, side=20), *mixed]).shape == (5, 2)
    fixed = CnnClassifier(Cnn(steps=1, width=8)).fit(_bars(2), [0, 1])
    with pytest.raises(InputError, match="bar 0 has 12 x 12 pixels, and this network learned from pictures of 8 x 8"):
        fixed.predict_proba(_bars(1, side=12))


def test_colours_are_read_by_a_network_that_learned_grey_and_the_other_way_round() -> None:
    grey, colour = _bars(2), [Image.make(np.stack([np.eye(8, dtype=np.uint8) * 200] * 3, -1)) for _ in range(2)]
    learned = CnnClassifier(Cnn(steps=1, width=8)).fit(grey, [0, 1])
    assert learned.predict_proba(colour).shape == (2, 2)
    assert CnnClassifier(Cnn(steps=1, width=8)).fit([grey[0], colour[0]], [0, 1]).predict_proba(grey).shape == (2, 2)


def test_augmentations_of_texts_and_of_ones_own_are_refused() -> None:
    for view in ("word_dropout", "mine.py:louder"):
        with pytest.raises(InputError, match=r"`views.strong` has .*, which is none of the changes of pictures"):
            _fitted(None, views={"strong": [view]})
    with pytest.raises(InputError, match="reads pictures, and 2 of 2 examples are texts"):
        CnnClassifier(Cnn()).fit(["a", "b"], [0, 1])
    with pytest.raises(InputError, match="label vectors need a network with a head for each"):
        _fitted(_bars(20)[12:], algorithm={"name": "label_vectors", "vectors": ["somewhere"]})
    with pytest.raises(InputError, match="strong view of a row is its weak one"):
        _fitted(_bars(20)[12:], algorithm="fixmatch", views={"weak": [], "strong": []}, dropout=0.0)


def test_labels_tell_algorithms_apart() -> None:
    assert Cnn().label == "small CNN"
    assert Cnn(algorithm="mean_teacher", rows=40).label == "small CNN, Mean Teacher on 40 rows"
