"""Activations in a file, mapped into memory, with the digests of its blocks. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from penchant.digests import BlockDigests, DamagedFile


class Activations:
    """Activations in a file, mapped into memory: each part is checked against its digest when it is first read.

    Args:
        path: a file of `numpy.save` that ends with block digests; one of an earlier version is read unchecked.

    Raises:
        DamagedFile: it cannot be read, or is not what was written.
    """

    def __init__(self, path: Path) -> None:
        try:
            # mapped, not read: a study reads one layer of thirty, and every process shares the pages
            self._array = np.load(path, mmap_mode="r", allow_pickle=False)
            if self._array.ndim != 3 or self._array.dtype != np.float16 or not self._array.flags.c_contiguous:
                raise ValueError(f"{self._array.dtype} of shape {self._array.shape}")
        except Exception as error:  # a damaged header makes numpy raise many kinds
            raise DamagedFile(f"{path} holds no activations ({error}): delete it, and it is computed again") from error
        self._start = self._array.offset
        self._digests = BlockDigests(path, self._start + self._array.nbytes)
        self._digests.check(0, self._start)  # its header

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape: (layers + 1, examples, hidden)."""
        layers, examples, hidden = self._array.shape
        return layers, examples, hidden

    def layer(self, number: int) -> NDArray[np.float16]:
        """Return a layer's activations, in memory; 0 is the embedding.

        Raises:
            DamagedFile: they are not what was written.
        """
        # only this layer's blocks are checked: digests of a whole file would read all of it
        size = self._array[0].nbytes
        # -1 is the last layer, and its place in the file is wanted
        number %= len(self._array)
        self._digests.check(self._start + number * size, self._start + (number + 1) * size)
        return np.array(self._array[number])

    def read(self) -> NDArray[np.float16]:
        """Return the activations of all layers, in memory; see `layer`."""
        return np.stack([self.layer(number) for number in range(self.shape[0])])

    def columns(self, layers: int, rows: Sequence[int]) -> NDArray[np.float16]:
        """Return the activations of some examples in the first `layers` layers, in memory; see `layer`."""
        width = self._array.shape[2] * self._array.itemsize
        for layer in range(layers):
            first = self._start + layer * self._array[0].nbytes
            for row in rows:
                self._digests.check(first + row * width, first + (row + 1) * width)
        return np.array(self._array[:layers, rows])
