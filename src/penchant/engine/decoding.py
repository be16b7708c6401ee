"""The decoder: many rows at a time through a model, token by token, each prompt computed once for its n samples.

How rows share a pass (with a cache, with padding) is a `Decoding`, which a probe decides (`engine/decode_probe.py`).
Where a cache cannot be trusted, every token is drawn from a whole pass over its row.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from penchant.engine.attention import last_logits_option, unwrap
from penchant.engine.foreign_types import Cache, CausalLMOutput
from penchant.engine.lengths import ANY_LENGTH, LengthClasses
from penchant.engine.pick import pick, sample_uniforms
from penchant.engine.rows import CACHE, Rows, fresh_cache, rows_like
from penchant.engine.sampling import Sampling, TokenSample

MAX_ROWS = 128  # sequences decoded together: beyond that a CPU gains little
CACHE_TOKENS = 2**15  # fewer rows where more tokens than this could come together
REFILL = 0.25  # of the places must be free before more prompts are run: a few at a time would cost as much as many
MAX_PREFILL = 4096  # tokens of the prompts computed together, padding included


@dataclass(frozen=True)
class Decoding:
    """Settings of how rows are decoded together.

    Attributes:
        cached: a token is computed from the cache of those before it; else from a whole pass over its row.
        padded: prompts of different lengths share a pass, with a mask; else only rows of one length do, without one.
        lengths: which rows may share a pass, by their length. A row that grows into another class begins anew there.
    """

    cached: bool = True
    padded: bool = True
    lengths: LengthClasses = ANY_LENGTH


@dataclass
class _Row:
    """A sample that is being drawn: its prompt's number, its own, its random numbers and its tokens so far."""

    prompt: int
    sample: int
    uniforms: NDArray[np.float64]
    tokens: list[int]

    @property
    def uniform(self) -> float:
        """The number that decides the next token."""
        return float(self.uniforms[len(self.tokens)])


@dataclass(frozen=True)
class _Start:
    """Tokens to run without a cache: a prompt for all of its samples (`row` is None), or a row from its beginning."""

    ids: tuple[int, ...]
    prompt: int
    row: _Row | None = None


@dataclass(frozen=True)
class _Prefilled:
    """The result of a pass over whole rows, a row per start: logits of the next token, the cache and its mask."""

    logits: Tensor
    cache: Cache | None
    mask: Tensor


class Drawing:
    """A decoder of many rows at a time; rows that wait take the places of those that ended.

    Attributes:
        later: what is still to be run, by the class of its length; the classes take turns, the shortest first.
        left: what is still to be run of the class at hand, from long to short: those of one forward pass are alike,
            and a later prompt never needs more columns than the rows that it joins.
        waiting: samples of the starts that were run last, each with its start's row there.
        live: what each row of the cache is.
        on_drawn: called with the prompt's number and by how many tokens one of its samples came nearer to its full
            length: one for each token, and the rest where it ends before it.
        observe: called with each row (its prompt and what it drew so far) and the logits of its next token.
        results: samples by prompt and index.
    """

    def __init__(
        self,
        model: nn.Module,
        prompts: Sequence[tuple[int, ...]],
        sampling: Sampling,
        end_ids: frozenset[int],
        decoding: Decoding,
        on_drawn: Callable[[int, int], None] = lambda prompt, tokens: None,
        observe: Callable[[tuple[int, ...], Tensor], None] | None = None,
    ) -> None:
        self.model, self.prompts, self.sampling, self.decoding = unwrap(model), prompts, sampling, decoding
        self.end_ids, self.on_drawn, self.observe = end_ids, on_drawn, observe
        self.device = next(model.parameters()).device
        self.last_logits = last_logits_option(self.model)
        self.later: dict[int, list[_Start]] = {}
        for number, prompt in enumerate(prompts):
            self._postpone(_Start(prompt, number))
        self.left: deque[_Start] = deque()
        self.waiting: deque[tuple[int, _Row]] = deque()
        self.live: list[_Row] = []
        self.prefilled: _Prefilled | None = None
        self.rows: Rows | None = None
        self.results: list[list[TokenSample]] = [[((), False)] * sampling.n for _ in prompts]

    def run(self) -> list[list[TokenSample]]:
        """Decode until every sample has ended or reached its length."""
        while self.later:
            # from short to long, since a row that outgrows its class goes on in a later one
            starts = self.later.pop(min(self.later))
            self.left = deque(sorted(starts, key=lambda start: -len(start.ids)))
            while self._refill():
                self._step()
        return self.results

    def _step(self) -> None:
        """Draw one more token of every live row."""
        assert self.rows is not None
        self.rows.advance()
        # positions without padding: what the row would have alone
        out = self._forward(
            self._column([row.tokens[-1] for row in self.live]),
            self.rows.mask,
            self._column([self._length(row) - 1 for row in self.live]),
            self.rows.cache,
        )
        going = self._extend(self.live, out.logits[:, -1])
        if len(going) < len(self.live):
            order = packed_order(going)
            self.live = [self.live[position] for position in order]
            self.rows.keep(order)

    def _forward(self, ids: Tensor, mask: Tensor, positions: Tensor, cache: Cache | None) -> CausalLMOutput:
        options: dict[str, object] = {"use_cache": self.decoding.cached}
        # rows without padding get no mask: Mamba's decode steps are wrong under one (docs/decisions/0019-decoding.md)
        if self.decoding.padded:
            options |= {"attention_mask": mask, "position_ids": positions}
        if self.decoding.cached:
            options[CACHE] = cache
        return self.model(input_ids=ids, **options, **self.last_logits)

    def _length(self, row: _Row) -> int:
        return len(self.prompts[row.prompt]) + len(row.tokens)

    def _outgrew(self, row: _Row) -> bool:
        """Return whether the row's last token brought it into another class of lengths."""
        lengths, now = self.decoding.lengths, self._length(row)
        return lengths != ANY_LENGTH and lengths.class_of(now) != lengths.class_of(now - 1)

    def _column(self, numbers: list[int]) -> Tensor:
        return torch.tensor(numbers, device=self.device)[:, None]

    def _postpone(self, start: _Start) -> None:
        self.later.setdefault(self.decoding.lengths.class_of(len(start.ids)), []).append(start)

    def _extend(self, rows: Sequence[_Row], logits: Tensor) -> list[int]:
        """Draw each row's next token and return the places of those that go on; others are results or begin anew."""
        uniforms = torch.tensor([row.uniform for row in rows], dtype=torch.float64, device=self.device)
        going = []
        for position, (row, token) in enumerate(zip(rows, pick(logits, uniforms, self.sampling).tolist(), strict=True)):
            if self.observe:
                self.observe((*self.prompts[row.prompt], *row.tokens), logits[position])
            row.tokens.append(token)
            finished = token in self.end_ids
            # a sample that ends early leaves nothing to wait for, so that all of them together end at the whole
            self.on_drawn(row.prompt, self.sampling.max_new_tokens - len(row.tokens) + 1 if finished else 1)
            if finished or len(row.tokens) == self.sampling.max_new_tokens:
                self.results[row.prompt][row.sample] = (tuple(row.tokens), finished)
            elif self._outgrew(row):  # its cache was computed with the arithmetic of shorter rows
                self._postpone(_Start((*self.prompts[row.prompt], *row.tokens), row.prompt, row))
            else:
                going.append(position)
        return going

    def _refill(self) -> bool:
        """Fill the free places if it is time to, and return whether any row is live."""
        capacity = self._capacity()
        # a few prompts at a time would cost as much as many; with no live rows there is nothing to wait for
        worth_it = not self.live or capacity - len(self.live) >= REFILL * capacity
        while (free := capacity - len(self.live)) > 0 and (self.waiting or (self.left and worth_it)):
            # rows without buffers of their own have to end before others begin
            if self.live and self.rows is not None and not self.rows.joins:
                break
            prefilled = self.prefilled if self.waiting else self._prefill(free)
            admitted = [self.waiting.popleft() for _ in range(min(free, len(self.waiting)))]
            # kept only while samples wait for it
            self.prefilled = prefilled if self.waiting else None
            assert prefilled is not None
            first = [start_row for start_row, _ in admitted]
            going = self._extend([row for _, row in admitted], prefilled.logits[first])
            if going:
                self.rows = self.rows or rows_like(prefilled.cache, joins=self.decoding.padded)
                self.rows.admit(prefilled.cache, prefilled.mask, [first[i] for i in going], capacity)
                self.live += [admitted[i][1] for i in going]
        return bool(self.live)

    def _capacity(self) -> int:
        """Return how many rows may be live: as many as CACHE_TOKENS hold if all reach their full length."""
        following = [row.prompt for _, row in islice(self.waiting, 1)] + [s.prompt for s in islice(self.left, 1)]
        longest = max((len(self.prompts[i]) for i in [*(row.prompt for row in self.live), *following]), default=0)
        capacity = min(MAX_ROWS, max(1, CACHE_TOKENS // (longest + self.sampling.max_new_tokens)))
        # in steps, since more places mean new buffers
        return min(capacity - capacity % 16 or capacity, len(self.prompts) * self.sampling.n)

    def _prefill(self, free: int) -> _Prefilled:
        """Run the next starts, each once, as many as their samples fill the free places."""
        cache = fresh_cache(self.model) if self.decoding.cached else None
        longest = len(self.left[0].ids)
        limit, starts = max(1, MAX_PREFILL // longest), [self.left.popleft()]
        filled = 1 if starts[0].row else self.sampling.n  # a prompt serves all of its samples
        while self.left and filled < free and len(starts) < limit:
            if not self.decoding.padded and len(self.left[0].ids) != longest:
                break
            starts.append(self.left.popleft())
            filled += 1 if starts[-1].row else self.sampling.n
        ids = torch.zeros(len(starts), longest, dtype=torch.long)
        mask = torch.zeros(len(starts), longest, dtype=torch.long)
        for row_index, start in enumerate(starts):  # padded on the left, so that all rows end together
            ids[row_index, longest - len(start.ids) :] = torch.tensor(start.ids)
            mask[row_index, longest - len(start.ids) :] = 1
            self.waiting += ((row_index, row) for row in self._rows(start))
        ids, mask = ids.to(self.device), mask.to(self.device)
        out = self._forward(ids, mask, (mask.cumsum(-1) - 1).clamp_min(0), cache)
        return _Prefilled(out.logits[:, -1], out[CACHE] if self.decoding.cached else None, mask)

    def _rows(self, start: _Start) -> list[_Row]:
        """Return the rows that go on from a start."""
        if start.row is not None:
            return [start.row]
        prompt, seed, length = self.prompts[start.prompt], self.sampling.seed, self.sampling.max_new_tokens
        return [_Row(start.prompt, i, sample_uniforms(seed, prompt, i, length), []) for i in range(self.sampling.n)]


def packed_order(going: Sequence[int]) -> list[int]:
    """Order the rows that go on so that few move: those beyond the new end fill the holes."""
    staying = set(going)
    movers = iter([row for row in going if row >= len(going)])
    return [row if row in staying else next(movers) for row in range(len(going))]
