"""A tokenizer for chess prompts in which every square has its own token at its own place, and rows for training."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors
from torch import Tensor
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from pretraining.tokens import END

UNKNOWN = "<|unknown|>"
LENGTH = 75
"""Tokens of any position with its answer: the end token, 64 squares, side, castling, en passant, the last move (3), the
question, the answer (2), the end token again."""
ASKED_AT = 71
"""The token after which the answer comes."""
_SQUARES = ["".join(pair) for pair in product("abcdefgh", "12345678")]
_PROMOTIONS = [f"{file}{rank}{piece}" for file, rank, piece in product("abcdefgh", "18", "qrbn")]
_PIECES = [*"pnbrqkPNBRQK_"]
_CASTLING = [
    "".join(part for part, is_allowed in zip("KQkq", rights, strict=True) if is_allowed)
    for rights in product((True, False), repeat=4)
]
_WORDS = ["\nLast move:", "\nBest move:", " w", " b"]
_SPLIT = r"\nLast move:|\nBest move:| [a-h][1-8]|[a-h][18][qrbn]|[a-h][1-8]| [KQkq]+| [wb-]|/.|."


def chess_tokenizer() -> PreTrainedTokenizerFast:
    """Return the tokenizer of every model. What is no chess becomes an unknown token."""
    pieces = [
        *(END, UNKNOWN, *_PIECES, *(f"/{piece}" for piece in _PIECES), *_WORDS, " -"),
        *(f" {rights}" for rights in _CASTLING if rights),
        *(_SQUARES + [f" {square}" for square in _SQUARES] + _PROMOTIONS),
    ]
    inner = Tokenizer(models.WordLevel({piece: number for number, piece in enumerate(pieces)}, unk_token=UNKNOWN))
    inner.pre_tokenizer = pre_tokenizers.Split(Regex(_SPLIT), behavior="isolated")
    inner.decoder = decoders.Fuse()
    inner.post_processor = processors.TemplateProcessing(single=f"{END} $A", special_tokens=[(END, 0)])
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        bos_token=END,
        eos_token=END,
        unk_token=UNKNOWN,
        model_max_length=4 * LENGTH,
        clean_up_tokenization_spaces=False,
    )


def table_of(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> np.ndarray:
    """Return prompts with answers as ids, (texts, LENGTH), 16-bit."""
    # every prompt has the same number of tokens, so that a table without padding holds them
    rows = tokenizer(list(texts), return_attention_mask=False)["input_ids"]
    assert {len(row) for row in rows} == {LENGTH - 1}, "a prompt is not in the task's format"
    ends = np.full((len(rows), 1), tokenizer.eos_token_id)
    return np.concatenate([np.array(rows), ends], axis=1).astype(np.uint16)


class MoveRows:
    """Positions as rows, shuffled anew each epoch; as `pretraining.tokens.Rows`, but only the answers are learned."""

    context = LENGTH - 1
    skipped = ASKED_AT

    def __init__(self, table: np.ndarray, *, batch: int, seed: int) -> None:
        self.table, self.batch, self.seed = table, batch, seed
        self.steps_per_epoch = len(table) // batch
        if not self.steps_per_epoch:
            raise ValueError(f"{len(table)} positions do not fill a batch of {batch}")

    def batch_of(self, step: int) -> Tensor:
        """Return the rows of a step, counted from 0: (batch, LENGTH)."""
        epoch, index = divmod(step, self.steps_per_epoch)
        order = np.random.default_rng([self.seed, epoch]).permutation(len(self.table))
        return torch.from_numpy(self.table[order[index * self.batch : (index + 1) * self.batch]].astype(np.int64))
