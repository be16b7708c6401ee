"""Sample responses to prompts that show pictures: a prompt with its pictures goes through the model once for n samples.

Each prompt is forwarded alone, towers too, since families differ in how they take several. Samples of many prompts then
go on together, each at the positions that it would have alone. A probe decides whether that gives the model's own
numbers (`engine/media_decode_probe.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from penchant.data.rendering.media_prompt import MediaPrompt
from penchant.engine.attention import last_logits_option, unwrap
from penchant.engine.decoding import CACHE_TOKENS, MAX_ROWS, packed_order
from penchant.engine.foreign_types import Cache
from penchant.engine.media_tree import MediaRow, model_arguments, prompt_positions
from penchant.engine.pick import pick, sample_uniforms
from penchant.engine.rows import CACHE, Rows, fresh_cache, rows_like
from penchant.engine.sampling import Sampling, TokenSample

MediaWay = Literal["cache", "cache by prompt", "no cache"]
"""How samples are computed: those of many prompts together, those of one prompt together, or each by whole passes."""
MEDIA_TOKENS = "image_token_id", "video_token_id", "audio_token_id"


@dataclass(frozen=True)
class MediaStart:
    """A prompt with its media, which samples go on from.

    Attributes:
        ids: with the tokens that stand for the media.
        content: a digest of the media; empty where there are none. With the ids it decides the random numbers.
        kinds: which kinds of media it has, on which the way of decoding depends.
        load: reads and prepares the media.
    """

    ids: tuple[int, ...]
    content: str
    kinds: tuple[str, ...]
    load: Callable[[], MediaRow] = field(compare=False)

    @property
    def key(self) -> object:
        """Return what decides its random numbers: the ids alone where it is text, as of every text."""
        return (self.ids, self.content) if self.content else self.ids

    @classmethod
    def of_prompt(cls, ids: tuple[int, ...], prompt: MediaPrompt) -> Self:
        """Return a prompt as samples go on from it; its media are read when they are needed."""

        def load() -> MediaRow:
            inputs = prompt.load()
            return MediaRow(ids, (), inputs.features, inputs.token_kinds)

        # by content alone: what prepares a picture is part of the model
        return cls(ids, " ".join(part.sha256 for part in prompt.media), prompt.kinds, load)


@dataclass
class _Sample:
    """A sample that is being drawn: its prompt's number in the batch, its own, its random numbers and its tokens."""

    start: int
    sample: int
    uniforms: NDArray[np.float64]
    tokens: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class _Prefix:
    """A prompt with its media after its pass through the model.

    Attributes:
        row: as the model reads it. logits: of the next token, (1, vocabulary). cache: its keys and values, if any.
        position: of the next token. dimensions: of positions; 0 where they have one.
    """

    row: MediaRow
    logits: Tensor
    cache: Cache | None
    position: int
    dimensions: int


class MediaDrawing:
    """A decoder of samples of prompts with media.

    Attributes:
        way: how. on_drawn: called with a prompt, and by how many tokens one of its samples came nearer to its full
            length.
        observe: called with each sample's prompt, what it drew so far, and the logits of its next token.
    """

    def __init__(
        self,
        model: nn.Module,
        sampling: Sampling,
        end_ids: frozenset[int],
        way: MediaWay,
        on_drawn: Callable[[MediaStart, int], None] = lambda start, tokens: None,
        observe: Callable[[tuple[int, ...], tuple[int, ...], Tensor], None] | None = None,
    ) -> None:
        self.model, self.sampling, self.way = unwrap(model), sampling, way
        self.end_ids, self.on_drawn, self.observe = end_ids, on_drawn, observe
        self.device = next(model.parameters()).device
        self.last_logits = last_logits_option(self.model)
        config = self.model.config
        # the mark of a picture that nobody gave cannot be read again, so it cannot be drawn
        marks = {getattr(config, name, None) for name in MEDIA_TOKENS} - {None}
        self.marks = torch.tensor(sorted(marks), dtype=torch.long, device=self.device)

    def run(self, starts: Sequence[MediaStart]) -> list[list[TokenSample]]:
        """Return the samples of each prompt, in the order of their index."""
        results: list[list[TokenSample]] = [[((), False)] * self.sampling.n for _ in starts]
        for numbers in self._batches(starts):
            batch = [starts[number] for number in numbers]
            for number, samples in zip(numbers, self._draw_batch(batch), strict=True):
                results[number] = samples
        return results

    def _batches(self, starts: Sequence[MediaStart]) -> Iterator[list[int]]:
        """Yield the numbers of prompts whose samples go on together, from long to short ones."""
        # rows that join others may not be longer than they are
        order = sorted(range(len(starts)), key=lambda number: -len(starts[number].ids))
        while order:
            count = 1
            if self.way == "cache":
                count = max(1, self._capacity(len(starts[order[0]].ids)) // self.sampling.n)
            yield order[:count]
            order = order[count:]

    def _capacity(self, prompt: int) -> int:
        """Return how many rows behind a prompt of so many tokens are decoded together."""
        return min(MAX_ROWS, max(1, CACHE_TOKENS // (prompt + self.sampling.max_new_tokens)))

    def _draw_batch(self, starts: Sequence[MediaStart]) -> list[list[TokenSample]]:
        prefixes = [self._prefix(start) for start in starts]
        length = self.sampling.max_new_tokens
        # by prompt: each list is what `run` returns of one
        sample_rows: list[list[_Sample]] = [
            [
                _Sample(number, index, sample_uniforms(self.sampling.seed, start.key, index, length))
                for index in range(self.sampling.n)
            ]
            for number, start in enumerate(starts)
        ]
        # more samples of one prompt than are decoded together: its pass still serves all of them
        step = self._capacity(len(starts[0].ids)) if len(starts) == 1 else self.sampling.n
        for first in range(0, self.sampling.n, step):
            samples = [sample for row in sample_rows for sample in row[first : first + step]]
            self._decode(starts, prefixes, samples)
        return [[(tuple(s.tokens), s.tokens[-1] in self.end_ids) for s in row] for row in sample_rows]

    def _prefix(self, start: MediaStart) -> _Prefix:
        """Forward a prompt with its media."""
        row = start.load()
        positions, first = prompt_positions(self.model, row)
        arguments: dict[str, object] = dict(model_arguments(self.model, [(row, row.prompt_ids)]))
        if self.way == "no cache":
            logits = self.model(**arguments, use_cache=False, **self.last_logits).logits[:, -1]
            return _Prefix(row, logits, None, first, 0)
        # positions are given, so that those of the steps behind go on from them in every family
        arguments |= {"position_ids": positions, CACHE: fresh_cache(self.model)}
        # one row without padding: the mask keeps models from looking for the ends of packed rows in the positions
        arguments["attention_mask"] = torch.ones(1, len(row.prompt_ids), dtype=torch.long, device=self.device)
        out = self.model(**arguments, use_cache=True, **self.last_logits)
        dimensions = len(positions) if positions.ndim == 3 else 0
        return _Prefix(row, out.logits[:, -1], out[CACHE], first, dimensions)

    def _decode(self, starts: Sequence[MediaStart], prefixes: Sequence[_Prefix], samples: list[_Sample]) -> None:
        """Draw samples token by token until each has ended or reached its length."""
        first_logits = torch.cat([prefixes[sample.start].logits for sample in samples])
        going = self._extend(starts, samples, first_logits)
        live = [samples[index] for index in going]
        if self.way == "no cache":
            while live:
                logits = torch.cat([self._whole_pass(prefixes[sample.start].row, sample.tokens) for sample in live])
                live = [live[index] for index in self._extend(starts, live, logits)]
            return
        rows = self._rows(prefixes, live)
        while live:
            # room for the token that was drawn, before the pass that reads it
            rows.advance()
            going = self._extend(starts, live, self._step(rows, prefixes, live))
            if len(going) < len(live):
                order = packed_order(going)
                live = [live[index] for index in order]
                rows.keep(order)

    def _rows(self, prefixes: Sequence[_Prefix], live: Sequence[_Sample]) -> Rows:
        """Return the cache of the samples, each behind a copy of its prompt's."""
        rows = rows_like(prefixes[0].cache, joins=self.way == "cache")
        if len(prefixes) > 1 and not rows.joins:
            raise ValueError("its cache holds more than keys and values, so rows cannot join it")
        for number, prefix in enumerate(prefixes):
            if count := sum(sample.start == number for sample in live):
                mask = torch.ones(1, len(prefix.row.prompt_ids), dtype=torch.long, device=self.device)
                rows.admit(prefix.cache, mask, [0] * count, len(live))
        return rows

    def _step(self, rows: Rows, prefixes: Sequence[_Prefix], live: Sequence[_Sample]) -> Tensor:
        """Return the logits behind each sample's last token."""
        positions = [prefixes[sample.start].position + len(sample.tokens) - 1 for sample in live]
        position_ids = torch.tensor(positions, device=self.device)[:, None]
        if dimensions := prefixes[0].dimensions:
            # text has the same position in all of them
            position_ids = position_ids.expand(dimensions, -1, -1)
        options: dict[str, object] = {"position_ids": position_ids, CACHE: rows.cache}
        if self.way == "cache":
            options["attention_mask"] = rows.mask
        tokens = torch.tensor([sample.tokens[-1] for sample in live], device=self.device)[:, None]
        logits: Tensor = self.model(input_ids=tokens, use_cache=True, **options, **self.last_logits).logits
        return logits[:, -1]

    def _whole_pass(self, row: MediaRow, tokens: Sequence[int]) -> Tensor:
        """Return the logits behind a prompt with its media and some tokens, (1, vocabulary)."""
        arguments = model_arguments(self.model, [(row, (*row.prompt_ids, *tokens))])
        logits: Tensor = self.model(**arguments, use_cache=False, **self.last_logits).logits
        return logits[:, -1]

    def _extend(self, starts: Sequence[MediaStart], samples: Sequence[_Sample], logits: Tensor) -> list[int]:
        """Draw each sample's next token and return the places of those that go on."""
        if self.observe:
            for sample, row_logits in zip(samples, logits, strict=True):
                self.observe(starts[sample.start].ids, tuple(sample.tokens), row_logits)
        if len(self.marks):
            logits = logits.index_fill(1, self.marks, -torch.inf)
        uniforms = torch.tensor(
            [float(sample.uniforms[len(sample.tokens)]) for sample in samples], dtype=torch.float64, device=self.device
        )
        going = []
        for index, (sample, token) in enumerate(
            zip(samples, pick(logits, uniforms, self.sampling).tolist(), strict=True)
        ):
            sample.tokens.append(token)
            is_finished = token in self.end_ids
            left = self.sampling.max_new_tokens - len(sample.tokens)
            self.on_drawn(starts[sample.start], left + 1 if is_finished else 1)
            if left and not is_finished:
                going.append(index)
        return going
