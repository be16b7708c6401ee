"""Change examples by augmentations: texts word by word, pictures, or what a function of the user's makes of either."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np

from penchant.errors import InputError
from penchant.weak.augmentation.images import augment_images
from penchant.weak.augmentation.settings import (
    OWN_AUGMENTATIONS,
    Augmentation,
    BackTranslation,
    ImageAugmentation,
    OwnAugmentation,
    Reworded,
    TextCrop,
    WordDropout,
    WordSwap,
)
from penchant.weak.augmentation.translation import translate_back
from penchant.weak.contract import Example, only_images, only_texts


def augment(
    examples: Sequence[Example], augmentations: Sequence[Augmentation], seed: int, *, must_change: bool = True
) -> list[Example]:
    """Return changed examples: each augmentation on what the one before made.

    Args:
        seed: fixes what is drawn; an example's draws depend on its place.
        must_change: refuse one that changes nothing; among a few examples that may be chance.

    Raises:
        InputError: an augmentation of words for what is no text, or of pictures for what is none; one that changes no
            example; a user's function that fails or returns another number or type of examples.
    """
    changed = list(examples)
    for number, augmentation in enumerate(augmentations):
        before = changed
        if isinstance(augmentation, OwnAugmentation):
            changed = _by_users_function(before, augmentation, seed)
        elif isinstance(augmentation, ImageAugmentation):
            images = only_images(before, f"the augmentation {augmentation.name}")
            # another seed for each of a chain: two shifts in one direction would be one
            changed = [*augment_images(images, augmentation, seed * 1_000 + number)]
        elif isinstance(augmentation, BackTranslation):
            texts = only_texts(before, f"the augmentation {augmentation.name}")
            changed = [*translate_back(texts, augmentation, seed)]
        else:
            texts = only_texts(before, f"the augmentation {augmentation.name}")
            changed = [
                _change(text, augmentation, np.random.default_rng([seed, number, row]))
                for row, text in enumerate(texts)
            ]
        # a consistency loss on such a view would measure nothing
        if must_change and changed == before and before:
            raise InputError(
                f"the augmentation {_label(augmentation)} changes none of the {len(before)} examples: leave it out, or "
                "choose one that does"
            )
    return changed


def _change(
    text: str, augmentation: WordDropout | WordSwap | TextCrop | Reworded, generator: np.random.Generator
) -> str:
    """Return one text, changed; a text of one word stays under what needs two."""
    words = text.split()
    match augmentation:
        case Reworded():
            # drawn for each row: with one for all the network would learn to look past it
            template = augmentation.templates[int(generator.integers(len(augmentation.templates)))]
            return template.replace("{text}", text)
        case WordDropout() if len(words) > 1:
            is_kept = generator.random(len(words)) >= augmentation.share
            # an empty text has no class
            if not is_kept.any():
                is_kept[generator.integers(len(words))] = True
            return " ".join(word for word, stays in zip(words, is_kept.tolist(), strict=True) if stays)
        case WordSwap() if len(words) > 1:
            count = max(1, round(augmentation.share * len(words)))
            # no place twice: a second exchange there would undo the first
            for first in generator.permutation(len(words) - 1)[:count].tolist():
                words[first : first + 2] = words[first + 1], words[first]
            return " ".join(words)
        case TextCrop() if len(words) > 1:
            size = max(1, round(augmentation.share * len(words)))
            start = int(generator.integers(len(words) - size + 1))
            return " ".join(words[start : start + size])
    return text


def _by_users_function(examples: Sequence[Example], augmentation: OwnAugmentation, seed: int) -> list[Example]:
    """Return what a user's function makes of examples.

    Raises:
        InputError: it fails, or returns another number or type of examples.
    """
    function = OWN_AUGMENTATIONS.load_callable(augmentation.function)
    with OWN_AUGMENTATIONS.named_errors(augmentation.function, f"it failed on {len(examples)} examples"):
        # a copy: a function that changes its list in place would change ours
        returned = function(copy.copy(list(examples)), seed, **augmentation.settings)
    if not isinstance(returned, list) or len(returned) != len(examples):
        size = f"{len(returned)} of them" if isinstance(returned, list) else f"a {type(returned).__name__}"
        raise OWN_AUGMENTATIONS.refusal(
            augmentation.function, f"expected a list of {len(examples)} examples, and it returned {size}"
        )
    for row, (changed, example) in enumerate(zip(returned, examples, strict=True)):
        if type(changed) is not type(example):
            raise OWN_AUGMENTATIONS.refusal(
                augmentation.function,
                f"example {row} came as {type(example).__name__} and went as {type(changed).__name__}: it must stay "
                "what it is",
            )
    return returned


def _label(augmentation: Augmentation) -> str:
    return augmentation.label if isinstance(augmentation, OwnAugmentation | BackTranslation) else augmentation.name
