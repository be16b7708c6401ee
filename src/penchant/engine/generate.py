"""Sampling: each prompt computed once for its n samples, every draw keyed by (seed, prompt, sample index).

A sample's random numbers depend on nothing else, so the same sample comes out whatever batch it was drawn in (up to
the rounding of the logits). Nothing is filtered unless asked: top-k and top-p are off by default.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from penchant.engine.attention import unwrap
from penchant.engine.score import evaluating
from penchant.engine.tree import fill
from penchant.errors import InputError

MAX_ROWS = 64  # sequences decoded together: beyond that a CPU gains little
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
    limit = getattr(unwrap(model).config.get_text_config(), "max_position_embeddings", None)
    for number, prompt in enumerate(prompts):
        if limit and len(prompt) + sampling.max_new_tokens > limit:
            raise InputError(
                f"prompt {number} has {len(prompt)} tokens: with max_new_tokens={sampling.max_new_tokens} that is more "
                f"than the model's context of {limit}; shorten it or lower max_new_tokens"
            )
    results: list[list[Drawn]] = [[] for _ in prompts]
    per_batch = max(1, MAX_ROWS // sampling.n)
    with evaluating(model):
        for alike in fill([len(prompt) for prompt in prompts], MAX_PREFILL):
            for start in range(0, len(alike), per_batch):
                picked = alike[start : start + per_batch]
                rows = _Batch(model, [prompts[i] for i in picked], sampling, end_ids).run(progress)
                for place, index in enumerate(picked):
                    results[index] = rows[place * sampling.n : (place + 1) * sampling.n]
    return results


class _Batch:
    """Some prompts, decoded together. Rows are (prompt, sample), samples of a prompt side by side."""

    def __init__(
        self, model: nn.Module, prompts: list[tuple[int, ...]], sampling: Sampling, end_ids: frozenset[int]
    ) -> None:
        self.model, self.prompts, self.sampling = unwrap(model), prompts, sampling
        self.device = next(model.parameters()).device
        self.end_ids = torch.tensor(sorted(end_ids), device=self.device)
        keys = [(prompt, index) for prompt in prompts for index in range(sampling.n)]
        uniforms = np.stack([_uniforms(sampling.seed, p, i, sampling.max_new_tokens) for p, i in keys])
        self.uniforms = torch.from_numpy(uniforms).to(self.device)

    def run(self, progress: Callable[[int], None] | None) -> list[Drawn]:
        """Decode until every row has ended or reached its length; rows that ended leave the batch."""
        logits, cache, mask = self._prefill()
        drawn: list[list[int]] = [[] for _ in range(len(self.uniforms))]
        alive = torch.arange(len(self.uniforms), device=self.device)
        finished: set[int] = set()
        for step in range(self.sampling.max_new_tokens):
            tokens = pick(logits, self.uniforms[alive, step], self.sampling)
            for row, token in zip(alive.tolist(), tokens.tolist(), strict=True):
                drawn[row].append(token)
            ended = torch.isin(tokens, self.end_ids)
            if ended.any():
                finished.update(alive[ended].tolist())
                if progress:
                    progress(int(ended.sum()))
                keep = (~ended).nonzero().squeeze(1)
                alive, tokens, mask = alive[keep], tokens[keep], mask[keep]
                if not len(alive):
                    break
                cache.batch_select_indices(keep)
            if step + 1 == self.sampling.max_new_tokens:
                break
            mask = torch.cat([mask, mask.new_ones(len(mask), 1)], dim=1)
            logits = self._step(tokens[:, None], mask, cache)
        if progress and len(alive):
            progress(len(alive))
        return [(tuple(ids), row in finished) for row, ids in enumerate(drawn)]

    def _prefill(self) -> tuple[Tensor, Any, Tensor]:
        """Run each prompt once, then give every sample its own view of the cache."""
        longest = max(map(len, self.prompts))
        ids = torch.zeros(len(self.prompts), longest, dtype=torch.long)
        mask = torch.zeros(len(self.prompts), longest, dtype=torch.long)
        for row, prompt in enumerate(self.prompts):  # padded on the left, so that all rows end together
            ids[row, longest - len(prompt) :] = torch.tensor(prompt)
            mask[row, longest - len(prompt) :] = 1
        ids, mask = ids.to(self.device), mask.to(self.device)
        out = self.model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=_positions(mask),
            use_cache=True,
            logits_to_keep=1,
        )
        n = self.sampling.n
        if n > 1:
            out.past_key_values.batch_repeat_interleave(n)
        return out.logits[:, -1].repeat_interleave(n, 0), out.past_key_values, mask.repeat_interleave(n, 0)

    def _step(self, tokens: Tensor, mask: Tensor, cache: Any) -> Tensor:
        out = self.model(
            input_ids=tokens,
            attention_mask=mask,
            position_ids=_positions(mask)[:, -1:],
            past_key_values=cache,
            use_cache=True,
        )
        return out.logits[:, -1]


def _positions(mask: Tensor) -> Tensor:
    return (mask.cumsum(-1) - 1).clamp_min(0)


def _uniforms(seed: int, prompt: tuple[int, ...], index: int, count: int) -> np.ndarray:
    """`count` numbers in [0, 1) that depend on seed, prompt and sample index alone."""
    digest = hashlib.blake2b(f"{seed}|{prompt}|{index}".encode(), digest_size=16).digest()
    generator = np.random.Generator(np.random.Philox(key=int.from_bytes(digest, "little")))
    return generator.random(count)


def pick(logits: Tensor, uniforms: Tensor, sampling: Sampling) -> Tensor:
    """One token a row by inverting the cumulative distribution at that row's uniform number.

    Args:
        logits: (rows, vocabulary). uniforms: (rows,) in [0, 1), float64.
    """
    if sampling.temperature == 0:
        return logits.argmax(-1)
    scaled = logits.float() / sampling.temperature
    if sampling.top_k:
        kth = scaled.topk(min(sampling.top_k, scaled.shape[-1]), dim=-1).values[:, -1:]
        scaled = scaled.masked_fill(scaled < kth, -torch.inf)
    probabilities = scaled.softmax(-1)
    if sampling.top_p < 1:
        ordered, places = probabilities.sort(descending=True, stable=True)
        # a token stays while the mass before it is below p, so at least one does
        outside = (ordered.cumsum(-1) - ordered) >= sampling.top_p
        probabilities = probabilities.scatter(-1, places, ordered.masked_fill(outside, 0))
    cumulative = probabilities.cumsum(-1, dtype=torch.float64)  # float32 would lose the tail of a large vocabulary
    thresholds = uniforms[:, None] * cumulative[:, -1:]
    return torch.searchsorted(cumulative, thresholds, right=True).squeeze(1).clamp_max(logits.shape[-1] - 1)
