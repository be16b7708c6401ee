"""Held-out perplexity: per token, per word and per byte, so that it can be compared across tokenizers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import PreTrainedTokenizerBase

from pretraining.tokens import encode


@dataclass(frozen=True)
class Perplexity:
    """Summed surprise of documents, in nats, over their tokens (with the end), words and bytes (without)."""

    nats: float
    tokens: int
    words: int
    bytes: int

    @property
    def nats_per_token(self) -> float:
        """The mean surprise of a token."""
        return self.nats / self.tokens

    def described(self) -> dict[str, float]:
        """Return the numbers of a record: per token, and per word and byte, which tokenizers have in common."""
        return {
            "tokens": self.tokens,
            "words": self.words,
            "bytes": self.bytes,
            "perplexity_per_token": round(math.exp(self.nats_per_token), 3),
            "perplexity_per_word": round(math.exp(self.nats / self.words), 2),
            "bits_per_byte": round(self.nats / self.bytes / math.log(2), 4),
        }


def perplexity(
    model: nn.Module, tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], *, context: int, batch: int = 16
) -> Perplexity:
    """Measure documents, each from its start token to its end token, in windows of `context` that do not overlap.

    So a token late in a document sees at most the tokens since its window began, and the numbers are a little worse
    than a sliding window's would be.
    """
    end = tokenizer.eos_token_id
    windows = []
    for ids in encode(tokenizer, texts):
        stream = np.concatenate([[end], ids, [end]]).astype(np.int64)
        windows += [
            torch.from_numpy(stream[start : start + context + 1]) for start in range(0, len(stream) - 1, context)
        ]
    tokens = sum(len(window) - 1 for window in windows)
    windows.sort(key=len)  # so that rows of a batch need little padding
    nats = 0.0
    for first in range(0, len(windows), batch):
        rows = windows[first : first + batch]
        padded = nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=end)
        lengths = torch.tensor([len(row) - 1 for row in rows])
        targets = padded[:, 1:].clone()
        # the end token pads, so that only the length tells a document's own end from padding
        targets[torch.arange(targets.shape[1]) >= lengths[:, None]] = -100
        nats += float(surprise(model, padded[:, :-1], targets))
    return Perplexity(nats, tokens, sum(len(t.split()) for t in texts), sum(len(t.encode()) for t in texts))


@torch.no_grad()
def surprise(model: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
    """Sum the nats of the targets, both (batch, length); a target of -100 counts nothing."""
    logits = model(input_ids=inputs, use_cache=False).logits
    return cross_entropy(logits.flatten(0, 1).float(), targets.flatten(), reduction="sum")
