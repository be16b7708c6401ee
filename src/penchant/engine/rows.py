"""The key/value caches of sequences that are decoded together, while some leave and others take their places.

`transformers` grows its cache by copying all of it at every token and for every row that leaves. `JoinedRows` keeps
the same numbers in buffers with room: a token is written in place, a row that leaves is overwritten by the last one,
and new rows are written beside the others, their prompts ending in the same column. `PlainRows` does the same work with
the cache's own methods, for layers that keep something else than one key and value per token (recurrent states).
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor
from transformers.cache_utils import DynamicCache, DynamicLayer, DynamicSlidingWindowLayer
from transformers.modeling_outputs import CausalLMOutputWithPast

from penchant.engine.foreign_types import Cache, PreTrainedModel

# what transformers calls the cache in a forward pass and in its output: older releases know only the second name
CACHE = "cache" if "cache" in CausalLMOutputWithPast.__dataclass_fields__ else "past_key_values"
ROOM = 64  # columns added when a buffer is full: one copy of the cache in so many tokens


def fresh_cache(model: PreTrainedModel) -> DynamicCache | None:
    """Return an empty cache that keeps every token, or None if the model has to make its own.

    A sliding window is left to the mask, which the model makes anyway: rows that join need all columns.
    """
    # other kinds of layers keep something else than keys and values, such as recurrent states
    kinds = {type(layer) for layer in DynamicCache(config=model.config).layers}
    return DynamicCache() if kinds <= {DynamicLayer, DynamicSlidingWindowLayer} else None


def rows_like(prefilled: Cache | None, *, joins: bool = True) -> Rows:
    """Return empty rows for a cache like this one; `joins` says whether rows of different lengths may be together."""
    layers = getattr(prefilled, "layers", ())
    simple = bool(layers) and all(type(layer) is DynamicLayer and layer.is_initialized for layer in layers)
    return JoinedRows() if simple and joins else PlainRows()


class PlainRows:
    """Rows of any cache. They begin together; none joins later.

    Attributes:
        joins: whether rows may be added while others live.
        cache: what the model's forward pass takes under the name `CACHE`.
        mask: (live, columns), 1 where a row has a token, the column of the coming token included.
    """

    joins = False

    def __init__(self) -> None:
        self.cache: Cache
        self.mask = torch.empty(0)

    def admit(self, prefilled: Cache, mask: Tensor, sources: Sequence[int], limit: int) -> None:
        """Take a row for each source: the prompt in that row of a prefilled cache, with its (prompts, columns) mask.

        No more than `limit` rows will be live until the next call.
        """
        indices = torch.tensor(sources, device=mask.device)
        self.cache = copy.deepcopy(prefilled)  # other samples of the same prompts may still be waiting
        self.cache.reorder_cache(indices)
        self.mask = mask[indices]

    def keep(self, order: Sequence[int]) -> None:
        """Make row i what row order[i] was; the others are gone."""
        indices = torch.tensor(order, dtype=torch.long, device=self.mask.device)
        self.cache.reorder_cache(indices)
        self.mask = self.mask[indices]

    def advance(self) -> None:
        """Make room for one more token per row. Call it before each forward pass."""
        self.mask = torch.cat([self.mask, self.mask.new_ones(len(self.mask), 1)], dim=1)


class JoinedRows:
    """Rows in buffers with room, for caches that are keys and values and nothing else.

    Attributes and methods are those of `PlainRows`.
    """

    joins = True

    def __init__(self) -> None:
        self.live = self.columns = 0
        self.cache = DynamicCache()
        self._mask = torch.empty(0)

    @property
    def mask(self) -> Tensor:
        """The mask of the live rows, (live, columns)."""
        return self._mask[: self.live, : self.columns]

    def admit(self, prefilled: Cache, mask: Tensor, sources: Sequence[int], limit: int) -> None:
        """Write a row for each source beside the live ones, its prompt ending in the column where theirs are."""
        longest = mask.shape[1]
        if not self.live:  # nothing to join: columns begin anew
            self.columns = longest
            self._mask = mask.new_zeros(limit, longest + ROOM)
            self.cache.layers = []  # frees the old buffers first
            self.cache.layers = [_Room(layer, limit, longest + ROOM) for layer in prefilled.layers]
        elif limit > len(self._mask):
            self._resize(limit)
        assert longest <= self.columns, "prompts come from long to short, so that a later one always fits"
        indices = torch.tensor(sources, device=mask.device)
        stop = self.live + len(sources)
        self._mask[self.live : stop, : self.columns - longest] = 0
        self._mask[self.live : stop, self.columns - longest : self.columns] = mask[indices]
        for layer, source in zip(self.cache.layers, prefilled.layers, strict=True):
            layer.admit(source, indices, self.live, self.columns)
        self.live = stop

    def keep(self, order: Sequence[int]) -> None:
        """Make row i what row order[i] was; only rows that change places are copied."""
        moves = [(to, origin) for to, origin in enumerate(order) if to != origin]
        self.live = len(order)
        to, source = torch.tensor(moves, dtype=torch.long, device=self._mask.device).reshape(-1, 2).unbind(1)
        self._mask[to] = self._mask[source]
        for layer in self.cache.layers:
            layer.keep(to, source, self.live, self.columns)

    def advance(self) -> None:
        """Make room for one more token per row, in new buffers where these are full."""
        if self.columns == self._mask.shape[1]:
            self._resize(len(self._mask))
        self._mask[: self.live, self.columns] = 1
        self.columns += 1

    def _resize(self, limit: int) -> None:
        """Make new buffers with room, without the columns that are padding in every row that is left."""
        # argmax gives the first 1 of a row
        first = int(self.mask.argmax(1).min())
        mask_columns = self.mask[:, first:]
        self.columns = mask_columns.shape[1]
        self._mask = mask_columns.new_zeros(limit, self.columns + ROOM)
        self._mask[: self.live, : self.columns] = mask_columns
        for layer in self.cache.layers:
            layer.resize(first, limit, self.columns + ROOM)


Rows = PlainRows | JoinedRows


class _Room(DynamicLayer):
    """A layer's keys and values at the beginning of larger buffers (rows, heads, columns, width).

    What `keys` and `values` show is always written, padding with zeros: a masked column still meets the softmax's zero,
    and zero times what memory happens to hold may be no number.
    """

    def __init__(self, like: DynamicLayer, rows: int, columns: int) -> None:
        super().__init__()
        self.dtype, self.device = like.keys.dtype, like.keys.device
        self.is_initialized = True
        self.buffers = tuple(
            part.new_empty(rows, part.shape[1], columns, part.shape[3]) for part in (like.keys, like.values)
        )
        self._show(0, 0)

    def update(self, key_states: Tensor, value_states: Tensor, *_: object, **__: object) -> tuple[Tensor, Tensor]:
        """Write the new token's states after the others."""
        live, _, columns, _ = self.keys.shape
        stop = columns + key_states.shape[2]
        for buffer, states in zip(self.buffers, (key_states, value_states), strict=True):
            buffer[:live, :, columns:stop] = states
        self._show(live, stop)
        return self.keys, self.values

    def admit(self, source: DynamicLayer, indices: Tensor, live: int, columns: int) -> None:
        for buffer, states in zip(self.buffers, (source.keys, source.values), strict=True):
            start = columns - states.shape[2]
            buffer[live : live + len(indices), :, :start] = 0
            buffer[live : live + len(indices), :, start:columns] = states[indices]
        self._show(live + len(indices), columns)

    def keep(self, to: Tensor, source: Tensor, live: int, columns: int) -> None:
        for buffer in self.buffers if len(to) else ():
            buffer[to, :, :columns] = buffer[source, :, :columns]
        self._show(live, columns)

    def resize(self, first: int, rows: int, columns: int) -> None:
        contents = (self.keys[:, :, first:], self.values[:, :, first:])
        live, _, stop, _ = contents[0].shape
        self.buffers = tuple(part.new_empty(rows, part.shape[1], columns, part.shape[3]) for part in contents)
        for buffer, part in zip(self.buffers, contents, strict=True):
            buffer[:live, :, :stop] = part
        self._show(live, stop)

    def _show(self, live: int, columns: int) -> None:
        self.keys, self.values = (buffer[:live, :, :columns] for buffer in self.buffers)
