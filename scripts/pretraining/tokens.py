"""The tokenizer, and documents as rows of tokens for training."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from torch import Tensor
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from pretraining.shapes import VOCABULARY

END = "<|end|>"
"""Ends a document, and so stands before the next one: the tokenizer puts it before every text, as a start token."""


def train_tokenizer(texts: Iterable[str], *, vocabulary: int = VOCABULARY, context: int) -> PreTrainedTokenizerFast:
    """Train a byte-level BPE tokenizer: any text has tokens, and they give the text back.

    The same texts give the same tokens.
    """
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[END],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    inner.train_from_iterator(texts, trainer)
    inner.post_processor = processors.TemplateProcessing(
        single=f"{END} $A", special_tokens=[(END, inner.token_to_id(END))]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        bos_token=END,
        eos_token=END,
        model_max_length=context,
        clean_up_tokenization_spaces=False,
    )


def encode(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[np.ndarray]:
    """Return the ids of each text, 16-bit, without the end token."""
    rows = tokenizer(list(texts), add_special_tokens=False, return_attention_mask=False, verbose=False)["input_ids"]
    return [np.asarray(row, dtype=np.uint16) for row in rows]


class Rows:
    """Documents as rows of `context + 1` tokens (inputs and, one further, targets), shuffled anew each epoch.

    The documents of an epoch are shuffled, joined with an end token before each and after the last, and cut; what is
    left over at the end of an epoch is skipped. Attention sees across documents, as it is usual for packed rows. Any
    step's batch follows from (seed, step) alone, so resuming needs no cursor.
    """

    skipped = 0
    """Tokens of a row, after its first, that are read but not learned."""

    def __init__(self, documents: Sequence[np.ndarray], *, end: int, context: int, batch: int, seed: int) -> None:
        self.documents, self.end, self.context, self.batch, self.seed = documents, end, context, batch, seed
        stream = sum(len(document) + 1 for document in documents) + 1
        self.rows = (stream - 1) // context
        self.steps_per_epoch = self.rows // batch
        self._epoch, self._table = -1, torch.empty(0)
        if not self.steps_per_epoch:
            raise ValueError(f"{stream} tokens do not fill a batch of {batch} rows of {context}")

    def batch_of(self, step: int) -> Tensor:
        """Return the rows of a step, counted from 0: (batch, context + 1)."""
        epoch, index = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            self._epoch, self._table = epoch, self._shuffled(epoch)
        return self._table[index * self.batch : (index + 1) * self.batch].long()

    def _shuffled(self, epoch: int) -> Tensor:
        random = np.random.default_rng([self.seed, epoch])
        # the order and the cuts follow from (seed, epoch) alone, so that a resumed training sees the same rows
        stop = np.asarray([self.end], dtype=np.uint16)
        pieces = [
            piece for number in random.permutation(len(self.documents)) for piece in (stop, self.documents[number])
        ]
        stream = np.concatenate([*pieces, stop])
        # neighbouring rows share a token: the last target of the one is the first input of the next
        starts = random.permutation(self.rows) * self.context
        return torch.from_numpy(
            np.stack([stream[start : start + self.context + 1] for start in starts]).astype(np.int32)
        )
