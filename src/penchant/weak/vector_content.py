"""The content of label vectors, which stands for them in addresses and records. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from penchant.errors import InputError
from penchant.weak.contract import KIND, digest_of_classifier
from penchant.weak.semi_supervised.settings import OWN_PROPERTIES, OWN_VECTORS, LabelVectors, is_own_vector


def vector_content(name: str) -> str:
    """Return the digest of a vector's files, or of its code.

    Raises:
        InputError: there is no such function, or the folder holds no classifier.
        DamagedFile: a file of the folder is damaged.
    """
    if is_own_vector(name):
        OWN_VECTORS.check(name)
        return OWN_VECTORS.content(name)
    # said here, since a digest of nothing would only say that a file is missing
    if not (Path(name).expanduser() / KIND).is_file():
        raise InputError(
            f"the label vector {name} holds no classifier (no {KIND}): make one with `penchant weak train`, which "
            "leaves it in `classifier/`"
        )
    return digest_of_classifier(name)


def property_content(name: str) -> str:
    """Return the digest of a property's code.

    Raises:
        InputError: there is no such function.
    """
    OWN_PROPERTIES.check(name)
    return OWN_PROPERTIES.content(name)


def names_by_content(algorithm: LabelVectors) -> Mapping[str, str]:
    """Return where vectors and properties are found, by the content that stands for them."""
    names = {vector_content(name): name for name in algorithm.vectors}
    return names | {property_content(name): name for name in algorithm.properties}


def as_content(algorithm: LabelVectors) -> LabelVectors:
    """Return the settings with the content of vectors and properties in place of their names."""
    # in their order: the first classifier has the first head
    return algorithm.replace(
        vectors=tuple(map(vector_content, algorithm.vectors)),
        properties=tuple(map(property_content, algorithm.properties)),
    )


def from_content(algorithm: LabelVectors, names: Mapping[str, str]) -> LabelVectors:
    """Return the settings with names in place of the content that `as_content` left."""
    return algorithm.replace(
        vectors=tuple(names[content] for content in algorithm.vectors),
        properties=tuple(names[content] for content in algorithm.properties),
    )
