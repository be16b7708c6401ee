"""Sampling: each prompt computed once for its n samples, every draw keyed by (seed, prompt, sample index).

A sample's random numbers depend on nothing else, so the same sample comes out whatever batch it was drawn in (up to
the rounding of the logits). Nothing is filtered unless asked: top-k and top-p are off by default.
"""

from __future__ import annotations

import hashlib
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from penchant.engine.attention import unwrap
from penchant.engine.merged import merged_adapters
from penchant.engine.pick import pick
from penchant.engine.rows import CACHE, Rows, fresh_cache, rows_like
from penchant.engine.score import evaluating
from penchant.errors import InputError

MAX_ROWS = 128  # sequences decoded together: beyond that a CPU gains little
CACHE_TOKENS = 2**15  # fewer rows where more tokens than this could come together
REFILL = 0.25  # of the places must be free before more prompts are run: a few at a time would cost as much as many
MAX_PREFILL = 4096  # tokens of the prompts computed together, padding included


@dataclass(frozen=True, slots=True)
class Sampling:
    """How to draw.

    Attributes:
        n: samples a prompt.
        temperature: divides the logits; 0 takes the most likely token.
        max_new_tokens: length at which a sample is cut (it is then not finished).
        top_k, top_p: keep only the k likeliest tokens, or the smallest set of mass p; 0 and 1.0 keep all.
        seed: with the prompt and the sample's index it fixes the draw.
    """

    n: int = 1
    temperature: float = 1.0
    max_new_tokens: int = 64
    top_k: int = 0
    top_p: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        limits = {
            "n": self.n >= 1,
            "temperature": 0 <= self.temperature < float("inf"),
            "max_new_tokens": self.max_new_tokens >= 1,
            "top_k": self.top_k >= 0,
            "top_p": 0 < self.top_p <= 1,
        }
        for name, good in limits.items():
            if not good:
                raise InputError(f"sampling: {name}={getattr(self, name)} is out of range")


Drawn = tuple[tuple[int, ...], bool]  # token ids (the end token included where drawn), and whether it ended itself
Sampler = Callable[..., list[list[Drawn]]]  # `draw`, or what takes the same arguments


def draw(
    model: nn.Module,
    prompts: Sequence[tuple[int, ...]],
    sampling: Sampling,
    *,
    end_ids: frozenset[int],
    progress: Callable[[int], None] | None = None,
) -> list[list[Drawn]]:
    """n samples a prompt, in the order of the prompts, each list in the order of the sample index.

    Args:
        model: a causal language model.
        prompts: token ids, none empty.
        end_ids: tokens that end a sample.
        progress: called with the number of samples finished since the last call.

    Raises:
        InputError: a prompt that leaves no room in the model's context.
    """
    check_room(model, prompts, sampling)
    shares = Counter(prompts)
    unique = list(shares)

    def ended(number: int) -> None:
        if progress:
            progress(shares[unique[number]])

    with evaluating(model), merged_adapters(model):
        drawn = dict(zip(unique, _Drawing(model, unique, sampling, end_ids, ended).run(), strict=True))
    return [list(drawn[prompt]) for prompt in prompts]


def check_room(model: nn.Module, prompts: Sequence[tuple[int, ...]], sampling: Sampling) -> None:
    """Refuse a prompt that leaves no room for its samples in the model's context.

    Raises:
        InputError: says which prompt.
    """
    limit = getattr(unwrap(model).config.get_text_config(), "max_position_embeddings", None)
    for number, prompt in enumerate(prompts):
        if limit and len(prompt) + sampling.max_new_tokens > limit:
            raise InputError(
                f"prompt {number} has {len(prompt)} tokens: with max_new_tokens={sampling.max_new_tokens} that is more "
                f"than the model's context of {limit}; shorten it or lower max_new_tokens"
            )


@dataclass
class _Row:
    """A sample on its way: of which prompt, its random numbers, and what was drawn so far."""

    prompt: int
    sample: int
    uniforms: np.ndarray
    drawn: list[int]

    @property
    def uniform(self) -> float:
        """The number that decides the next token."""
        return float(self.uniforms[len(self.drawn)])


@dataclass(frozen=True)
class _Prefilled:
    """Prompts that were run: the logits of their first token, their cache, its mask; a row a prompt."""

    logits: Tensor
    cache: Any
    mask: Tensor


class _Drawing:
    """Decodes as many rows at a time as there are places; waiting rows take those of rows that ended.

    Attributes:
        left: prompts not yet run, from long to short: those of one forward pass are alike, and a later prompt never
            needs more columns than the rows that it joins.
        waiting: samples of the prompts that were run last, each with its prompt's row there.
        live: what each row of the cache is.
        ended: called with the prompt's number for each sample that is done.
        results: samples by prompt and index.
    """

    def __init__(
        self,
        model: nn.Module,
        prompts: list[tuple[int, ...]],
        sampling: Sampling,
        end_ids: frozenset[int],
        ended: Callable[[int], None],
    ) -> None:
        self.model, self.prompts, self.sampling = unwrap(model), prompts, sampling
        self.end_ids, self.ended = end_ids, ended
        self.device = next(model.parameters()).device
        self.left = deque(sorted(range(len(prompts)), key=lambda i: (-len(prompts[i]), i)))
        self.waiting: deque[tuple[int, _Row]] = deque()
        self.live: list[_Row] = []
        self.prefilled: _Prefilled | None = None
        self.rows: Rows | None = None
        self.results: list[list[Drawn]] = [[((), False)] * sampling.n for _ in prompts]

    def run(self) -> list[list[Drawn]]:
        """Decode until every sample has ended or reached its length."""
        while self._refill():
            assert self.rows is not None
            self.rows.advance()
            out = self.model(
                input_ids=self._column([row.drawn[-1] for row in self.live]),
                attention_mask=self.rows.mask,
                position_ids=self._column([len(self.prompts[row.prompt]) + len(row.drawn) - 1 for row in self.live]),
                use_cache=True,
                **{CACHE: self.rows.cache},
            )
            going = self._extend(self.live, out.logits[:, -1])
            if len(going) < len(self.live):
                order = _packed(going)
                self.live = [self.live[place] for place in order]
                self.rows.keep(order)
        return self.results

    def _column(self, numbers: list[int]) -> Tensor:
        return torch.tensor(numbers, device=self.device)[:, None]

    def _extend(self, rows: Sequence[_Row], logits: Tensor) -> list[int]:
        """Draw each row's next token; the places of those that go on, the others are results."""
        uniforms = torch.tensor([row.uniform for row in rows], dtype=torch.float64, device=self.device)
        going = []
        for place, (row, token) in enumerate(zip(rows, pick(logits, uniforms, self.sampling).tolist(), strict=True)):
            row.drawn.append(token)
            finished = token in self.end_ids
            if finished or len(row.drawn) == self.sampling.max_new_tokens:
                self.results[row.prompt][row.sample] = (tuple(row.drawn), finished)
                self.ended(row.prompt)
            else:
                going.append(place)
        return going

    def _refill(self) -> bool:
        """Fill the free places if it is time to; whether any row is live."""
        places = self._places()
        worth_it = not self.live or places - len(self.live) >= REFILL * places
        while (free := places - len(self.live)) > 0 and (self.waiting or (self.left and worth_it)):
            if self.live and self.rows is not None and not self.rows.joins:
                break
            prefilled = self.prefilled if self.waiting else self._prefill(free)
            taken = [self.waiting.popleft() for _ in range(min(free, len(self.waiting)))]
            # kept only while samples wait for it
            self.prefilled = prefilled if self.waiting else None
            assert prefilled is not None
            self.rows = self.rows or rows_like(prefilled.cache)
            first = [place for place, _ in taken]
            going = self._extend([row for _, row in taken], prefilled.logits[first])
            if going:
                self.rows.admit(prefilled.cache, prefilled.mask, [first[i] for i in going], places)
                self.live += [taken[i][1] for i in going]
        return bool(self.live)

    def _places(self) -> int:
        """How many rows may be live: as many as CACHE_TOKENS hold if all reach their full length."""
        following = [row.prompt for _, row in islice(self.waiting, 1)] + list(islice(self.left, 1))
        longest = max((len(self.prompts[i]) for i in [*(row.prompt for row in self.live), *following]), default=0)
        places = min(MAX_ROWS, max(1, CACHE_TOKENS // (longest + self.sampling.max_new_tokens)))
        # in steps, since more places mean new buffers
        return min(places - places % 16 or places, len(self.prompts) * self.sampling.n)

    def _prefill(self, free: int) -> _Prefilled:
        """Run the next prompts, each once, as many as their samples fill the free places."""
        cache = fresh_cache(self.model)
        longest = len(self.prompts[self.left[0]])
        count = min(len(self.left), -(-free // self.sampling.n), max(1, MAX_PREFILL // longest))
        numbers = [self.left.popleft() for _ in range(count)]
        ids = torch.zeros(count, longest, dtype=torch.long)
        mask = torch.zeros(count, longest, dtype=torch.long)
        for place, number in enumerate(numbers):  # padded on the left, so that all rows end together
            prompt = self.prompts[number]
            ids[place, longest - len(prompt) :] = torch.tensor(prompt)
            mask[place, longest - len(prompt) :] = 1
            for sample in range(self.sampling.n):
                uniforms = _uniforms(self.sampling.seed, prompt, sample, self.sampling.max_new_tokens)
                self.waiting.append((place, _Row(number, sample, uniforms, [])))
        ids, mask = ids.to(self.device), mask.to(self.device)
        out = self.model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=(mask.cumsum(-1) - 1).clamp_min(0),
            use_cache=True,
            logits_to_keep=1,
            **{CACHE: cache},
        )
        return _Prefilled(out.logits[:, -1], out[CACHE], mask)


def _packed(going: Sequence[int]) -> list[int]:
    """The places of rows that go on, in an order that moves few: those from beyond the new end fill the holes."""
    staying = set(going)
    beyond = iter([place for place in going if place >= len(going)])
    return [place if place in staying else next(beyond) for place in range(len(going))]


def _uniforms(seed: int, prompt: tuple[int, ...], index: int, count: int) -> np.ndarray:
    """`count` numbers in [0, 1) that depend on seed, prompt and sample index alone."""
    digest = hashlib.blake2b(f"{seed}|{prompt}|{index}".encode(), digest_size=16).digest()
    generator = np.random.Generator(np.random.Philox(key=int.from_bytes(digest, "little")))
    return generator.random(count)
