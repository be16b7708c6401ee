"""A tiny encoder for all tests of classifiers, and files for the tests of the two commands."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

import penchant as pt
from weak_files import write_pairs, write_texts

WORDS = (
    *("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"),
    *("tom", "ran", "slept", "home", "film", "ann", "bob"),
    *("fine", "lovely", "warm", "dull", "awful", "cold", "long", "slow", "endless"),
)


@pytest.fixture(scope="session")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One with random weights, as its makers would publish it: without the pooler."""
    torch.manual_seed(0)
    shape = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    model = BertModel(BertConfig(vocab_size=len(WORDS), max_position_embeddings=12, **shape), add_pooling_layer=False)
    inner = Tokenizer(models.WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="[UNK]"))
    inner.normalizer, inner.pre_tokenizer = normalizers.Lowercase(), pre_tokenizers.BertPreTokenizer()
    inner.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    named = {"cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]", "unk_token": "[UNK]"}
    folder = tmp_path_factory.mktemp("encoder")
    model.save_pretrained(folder)
    PreTrainedTokenizerFast(tokenizer_object=inner, model_max_length=12, **named).save_pretrained(folder)
    return str(folder)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    sizes = {"train": (0, 40), "data": (100, 120), "test": (300, 60)}
    return {name: write_texts(tmp_path / f"{name}.jsonl", *of, labels=name != "data") for name, of in sizes.items()}


@pytest.fixture
def weak(files: dict[str, str], tmp_path: Path) -> str:
    out = str(tmp_path / "weak.jsonl")
    pt.weak_label(pt.WeakLabel(data=files["data"], train=files["train"], out=out))
    return out


@pytest.fixture
def pairs(tmp_path: Path) -> dict[str, str]:
    sizes = {"train": (0, 30), "data": (100, 90), "test": (300, 40)}
    return {name: write_pairs(tmp_path / f"{name}.jsonl", *of, labels=name != "data") for name, of in sizes.items()}
