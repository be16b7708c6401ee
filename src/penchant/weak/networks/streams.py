"""Random numbers of several arms that train side by side, each drawn as if its arm trained alone.

What is drawn for labelled rows and for rows without labels comes from streams of its own: an algorithm that makes
nothing of unlabelled rows then is supervised training, to the bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor

LABELED, UNLABELED, TEACHER, VIEWS, MIXING, ATTRIBUTES, TWIN_DROPOUT = 11, 12, 13, 14, 15, 16, 17
"""Purposes of streams: two with different numbers share no draw."""
DRAWS = 1 << 16
"""Numbers that dropout draws from."""


class Stream:
    """Random numbers for arms; arm i's depend on its seed and the purpose alone.

    Args:
        seeds: of each arm. purpose: what the numbers are for.
    """

    changing: ClassVar[tuple[str, ...]] = ("generator_states",)

    def __init__(self, seeds: Sequence[int], purpose: int, *, device: torch.device | str = "cpu") -> None:
        self.device, self.purpose = torch.device(device), purpose
        # numpy's generators: drawing took most of the time of small networks, and torch's take four times as long
        self._generators = [np.random.default_rng([seed, purpose]) for seed in seeds]

    def __len__(self) -> int:
        return len(self._generators)

    @property
    def generator_states(self) -> list[dict[str, Any]]:
        """The state of each arm's generator, in numbers and texts."""
        return [dict(generator.bit_generator.state) for generator in self._generators]

    @generator_states.setter
    def generator_states(self, states: Sequence[dict[str, Any]]) -> None:
        for generator, state in zip(self._generators, states, strict=True):
            generator.bit_generator.state = state

    def of_arm(self, arm: int) -> Self:
        """Return a stream of one arm alone; what is drawn from either is drawn from both."""
        # the same generator and no copy: a checkpoint of the whole then knows what was drawn from a part
        stream = type(self)((), self.purpose, device=self.device)
        stream._generators = [self._generators[arm]]
        return stream

    def uniform(self, *shape: int) -> Tensor:
        """Return numbers in [0, 1), shape (arms, *shape)."""
        draws = [generator.random(shape, dtype=np.float32) for generator in self._generators]
        return torch.from_numpy(np.stack(draws)).to(self.device)

    def normal(self, *shape: int) -> Tensor:
        """Return draws of the standard normal distribution, shape (arms, *shape)."""
        # float32 at once: drawing takes most of the time of small networks
        draws = [generator.standard_normal(shape, dtype=np.float32) for generator in self._generators]
        return torch.from_numpy(np.stack(draws)).to(self.device)

    def integers(self, high: int, *shape: int) -> Tensor:
        """Return integers from 0 to high - 1, shape (arms, *shape)."""
        draws = [generator.integers(high, size=shape) for generator in self._generators]
        return torch.from_numpy(np.stack(draws)).to(self.device)

    def permutation(self, arm: int, size: int) -> Tensor:
        """Return the numbers from 0 to size - 1 in a random order, drawn for one arm."""
        return torch.from_numpy(self._generators[arm].permutation(size))

    def beta(self, concentration: float, *shape: int) -> Tensor:
        """Return draws of Beta(concentration, concentration), shape (arms, *shape)."""
        draws = [generator.beta(concentration, concentration, shape) for generator in self._generators]
        return torch.from_numpy(np.stack(draws).astype(np.float32)).to(self.device)

    def dropout(self, values: Tensor, share: float) -> Tensor:
        """Return values with a share of them set to 0, and the others scaled up by 1 / (1 - share).

        Args:
            values: shape (arms, ...). share: rounded to a 65,536th, the scale with it.
        """
        # nothing is drawn either, as a network without dropout would draw nothing
        if not share:
            return values
        # 16 bits a number are enough to decide by, and half as many to draw
        bound = round(share * DRAWS)
        draws = [
            generator.integers(DRAWS, size=values.shape[1:], dtype=np.uint16) >= bound for generator in self._generators
        ]
        scale = np.stack(draws).astype(np.float32) * np.float32(DRAWS / (DRAWS - bound))
        return values * torch.from_numpy(scale).to(values.device)


class Deck:
    """Rows of each arm in random order, dealt in batches of one size: all rows once, then shuffled again.

    Args:
        rows: of each arm, by index; none empty.
    """

    changing: ClassVar[tuple[str, ...]] = ("rows", "_dealt")

    def __init__(self, rows: Sequence[Tensor], stream: Stream) -> None:
        self.rows, self.stream = list(rows), stream
        self._dealt = [torch.empty(0, dtype=torch.long) for _ in rows]

    def deal(self, size: int) -> Tensor:
        """Return the next rows, shape (arms, size); a small set is dealt several times over."""
        return torch.stack([self.deal_to(arm, size) for arm in range(len(self.rows))])

    def deal_to(self, arm: int, size: int) -> Tensor:
        """Return the next rows of one arm, shape (size,)."""
        rows = self.rows[arm]
        # a set smaller than the batch is shuffled several times for one
        while len(self._dealt[arm]) < size:
            shuffled = rows[self.stream.permutation(arm, len(rows))]
            self._dealt[arm] = torch.cat([self._dealt[arm], shuffled])
        batch, self._dealt[arm] = self._dealt[arm][:size], self._dealt[arm][size:]
        return batch

    def replace(self, arm: int, rows: Tensor) -> None:
        """Deal other rows of an arm from now on; where they are the same the order goes on as if nothing were."""
        if not torch.equal(self.rows[arm], rows):
            self.rows[arm] = rows
            self._dealt[arm] = torch.empty(0, dtype=torch.long)


class GivenDeck:
    """Places of each arm's rows in batches that are given, such as those of a training that this one is compared with.

    Args:
        batches: of each arm, the places of each step; their sizes may differ from step to step, not from arm to arm.
        stream: shuffles rows that take the place of the given ones.
    """

    changing: ClassVar[tuple[str, ...]] = ("_steps_dealt", "_is_replaced", "_others")

    def __init__(self, batches: Sequence[Sequence[Sequence[int]]], stream: Stream) -> None:
        self._batches = batches
        self._steps_dealt = 0
        # all rows of an arm, by which `replace` knows whether it leaves any out
        self._all_rows = [torch.tensor(sorted({place for step in steps for place in step})) for steps in batches]
        self._others = Deck(self._all_rows, stream)
        self._is_replaced = [False] * len(batches)

    def deal(self, size: int) -> Tensor:
        """Return the next batch, shape (arms, its size)."""
        # the size is that of the training that is followed: the last batch of an epoch is smaller
        given = [torch.tensor(list(steps[self._steps_dealt])) for steps in self._batches]
        self._steps_dealt += 1
        return torch.stack(
            [
                self._others.deal_to(arm, len(places)) if self._is_replaced[arm] else places
                for arm, places in enumerate(given)
            ]
        )

    def replace(self, arm: int, rows: Tensor) -> None:
        """Deal other rows of an arm from now on, in batches of the given sizes; where they are all, the given ones."""
        self._others.replace(arm, rows)
        self._is_replaced[arm] = not torch.equal(rows.sort().values, self._all_rows[arm])
