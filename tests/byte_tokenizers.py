"""Byte-level BPE tokenizers that learned a few merges."""

from __future__ import annotations

from typing import Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

CORPUS = [
    "Once upon a time there was a dog. It's 1984.",
    "They'll sing again and again, naïve 日本 friends met 12 or 345 more!",
] * 3


def byte_tokenizer(*steps: Any, ignore_merges: bool = False) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer that learned a few merges."""
    inner = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    inner.pre_tokenizer = pre_tokenizers.Sequence(list(steps)) if len(steps) != 1 else steps[0]
    inner.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=340, initial_alphabet=alphabet, special_tokens=["<|end|>"], show_progress=False
    )
    inner.train_from_iterator(CORPUS, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="<|end|>")
