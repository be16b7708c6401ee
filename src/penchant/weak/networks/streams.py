"""Random numbers of several arms that train side by side, each drawn as if its arm trained alone.

What is drawn for labelled rows and for rows without labels comes from streams of its own: an algorithm that makes
nothing of unlabelled rows then is supervised training, to the bit.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

LABELED, UNLABELED, TEACHER, VIEWS, MIXING = 11, 12, 13, 14, 15
"""Purposes of streams: two with different numbers share no draw."""


class Stream:
    """Random numbers for arms; arm i's depend on its seed and the purpose alone.

    Args:
        seeds: of each arm. purpose: what the numbers are for.
    """

    def __init__(self, seeds: Sequence[int], purpose: int, *, device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)
        # a seed of 64 bits that no other pair has: seeds are below 2^32, purposes below 2^8
        self._generators = [torch.Generator().manual_seed(seed * 256 + purpose) for seed in seeds]

    def __len__(self) -> int:
        return len(self._generators)

    def uniform(self, *shape: int) -> Tensor:
        """Return numbers in [0, 1), shape (arms, *shape)."""
        return torch.stack([torch.rand(shape, generator=generator) for generator in self._generators]).to(self.device)

    def integers(self, high: int, *shape: int) -> Tensor:
        """Return integers from 0 to high - 1, shape (arms, *shape)."""
        return torch.stack([torch.randint(high, shape, generator=generator) for generator in self._generators]).to(
            self.device
        )

    def permutation(self, arm: int, size: int) -> Tensor:
        """Return the numbers from 0 to size - 1 in a random order, drawn for one arm."""
        return torch.randperm(size, generator=self._generators[arm])

    def beta(self, concentration: float, *shape: int) -> Tensor:
        """Return draws of Beta(concentration, concentration), shape (arms, *shape).

        They are quantiles of uniform draws, since torch draws Gamma numbers from no generator.
        """
        from scipy.special import betaincinv

        quantiles = betaincinv(concentration, concentration, self.uniform(*shape).double().cpu().numpy())
        return torch.as_tensor(quantiles, dtype=torch.float32).to(self.device)

    def dropout(self, values: Tensor, share: float) -> Tensor:
        """Return values with a share of them set to 0, and the others scaled up by 1 / (1 - share).

        Args:
            values: shape (arms, ...).
        """
        # nothing is drawn either, as a network without dropout would draw nothing
        if not share:
            return values
        return values * (self.uniform(*values.shape[1:]) >= share) / (1 - share)


class Deck:
    """Rows of each arm in random order, dealt in batches of one size: all rows once, then shuffled again.

    Args:
        rows: of each arm, by index; none empty.
    """

    def __init__(self, rows: Sequence[Tensor], stream: Stream) -> None:
        self.rows, self.stream = list(rows), stream
        self._dealt = [torch.empty(0, dtype=torch.long) for _ in rows]

    def deal(self, size: int) -> Tensor:
        """Return the next rows, shape (arms, size); a small set is dealt several times over."""
        batch = []
        for arm, rows in enumerate(self.rows):
            # a set smaller than the batch is shuffled several times for one
            while len(self._dealt[arm]) < size:
                shuffled = rows[self.stream.permutation(arm, len(rows))]
                self._dealt[arm] = torch.cat([self._dealt[arm], shuffled])
            batch.append(self._dealt[arm][:size])
            self._dealt[arm] = self._dealt[arm][size:]
        return torch.stack(batch)

    def replace(self, arm: int, rows: Tensor) -> None:
        """Deal other rows of an arm from now on; where they are the same the order goes on as if nothing were."""
        if not torch.equal(self.rows[arm], rows):
            self.rows[arm] = rows
            self._dealt[arm] = torch.empty(0, dtype=torch.long)
