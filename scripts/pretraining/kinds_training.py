"""The training of `penchant-kinds`: its documents of three kinds, its tokenizer, and its first weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import AddedToken
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM, PreTrainedTokenizerBase

from penchant.codecs.tokens import (
    CLASSES,
    PICTURE_CODES,
    SOUND_CODES,
    WORDS,
    picture_prompt,
    picture_text,
    sound_prompt,
    sound_text,
)
from penchant.models.builtin import EMBEDDED
from pretraining.command import identity_of
from pretraining.corpus import Corpus
from pretraining.evaluation import perplexity
from pretraining.kinds_pictures import PictureCodec
from pretraining.kinds_sounds import SoundCodec
from pretraining.shapes import Training
from pretraining.tokens import Rows, encode
from pretraining.training import TrainingRun, train

START = "penchant-0.5m"
SOUND_REPEATS = 4
"""How often each word stands among the documents: there are few, and they are short."""
HELD_OUT = 100
"""Documents of each kind whose surprise the record has."""


@dataclass(frozen=True)
class KindsDocuments:
    """Texts by kind: to train on, and held out."""

    train: dict[str, list[str]]
    held_out: dict[str, list[str]]


def kinds_documents(
    pictures: PictureCodec, sounds: SoundCodec, corpus: Corpus, most_pictures: int, most_reviews: int
) -> KindsDocuments:
    """Return all documents; each picture and word stands behind its prompt."""

    def shown(codes: NDArray[np.int64], labels: Sequence[int], count: int) -> list[str]:
        rows = zip(codes[:count], labels[:count], strict=True)
        return [picture_prompt(CLASSES[label]) + picture_text(row.tolist()) for row, label in rows]

    def said(codes: Sequence[NDArray[np.int64]], labels: Sequence[int]) -> list[str]:
        rows = zip(codes, labels, strict=True)
        return [sound_prompt(WORDS[label]) + sound_text(row.tolist()) for row, label in rows]

    # by name, which is no order of content
    reviews = [document.text for document in corpus.train if document.source == "imdb5000"][:most_reviews]
    unread = [document.text for document in corpus.held_out if document.source == "imdb5000"][:HELD_OUT]
    return KindsDocuments(
        train={
            "pictures": shown(pictures.codes, pictures.labels.tolist(), most_pictures),
            "sounds": said(sounds.codes, sounds.labels) * SOUND_REPEATS,
            "text": reviews,
        },
        held_out={
            "pictures": shown(pictures.test_codes, pictures.test_labels.tolist(), HELD_OUT),
            "sounds": said(sounds.test_codes, sounds.test_labels)[:HELD_OUT],
            "text": unread,
        },
    )


def kinds_tokenizer() -> PreTrainedTokenizerBase:
    """Return the tokenizer of `penchant-0.5m` with a token for each code, which no space separates."""
    tokenizer = AutoTokenizer.from_pretrained(EMBEDDED[START])
    names = [f"<p{code}>" for code in range(PICTURE_CODES)] + [f"<s{code}>" for code in range(SOUND_CODES)]
    tokenizer.add_tokens([AddedToken(name, normalized=False, special=False) for name in names])
    return tokenizer


def first_weights(vocabulary: int, seed: int) -> LlamaForCausalLM:
    """Return `penchant-0.5m` with random rows for the new tokens."""
    model = AutoModelForCausalLM.from_pretrained(EMBEDDED[START], dtype=torch.float32)
    torch.manual_seed(seed)
    former = model.get_input_embeddings().weight.detach().clone()
    model.resize_token_embeddings(vocabulary, mean_resizing=False)
    with torch.no_grad():
        added = torch.randn(vocabulary - len(former), former.shape[1]) * former.std()
        model.get_input_embeddings().weight.copy_(torch.cat([former, added]))
    model.tie_weights()
    return model


def train_kinds(
    documents: KindsDocuments, out: Path, epochs: float, seed: int
) -> tuple[LlamaForCausalLM, PreTrainedTokenizerBase, TrainingRun, Training]:
    """Train on the documents of all kinds, shuffled together."""
    settings = Training(epochs=epochs, batch=8, learning_rate=2e-3, seed=seed, look_every=200)
    tokenizer = kinds_tokenizer()
    model = first_weights(len(tokenizer), seed)
    texts = [text for rows in documents.train.values() for text in rows]
    ids = encode(tokenizer, texts)
    print(f"{len(texts):,} documents, {sum(map(len, ids)):,} tokens", flush=True)
    rows = Rows(ids, end=tokenizer.eos_token_id, context=settings.context, batch=settings.batch, seed=seed)
    looked_at = documents.held_out["pictures"][:50]

    def look(model: LlamaForCausalLM) -> float:
        return perplexity(model, tokenizer, looked_at, context=settings.context).nats_per_token

    identity = identity_of(settings.__dict__ | {"betas": list(settings.betas)}, texts)
    return model, tokenizer, train(model, rows, settings, out, identity, look), settings
