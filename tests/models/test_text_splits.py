"""How texts are cut before the merges, by the names that llama.cpp gives the splits."""

from __future__ import annotations

import logging

import pytest
from tokenizers import Tokenizer, models

from penchant.models.text_splits import SPLITS, set_split

TEXT = "It's 1234\n\n  Ab"
CUTS = {
    "gpt-2": ["It", "'s", "Ġ1234", "ĊĊĠ", "ĠAb"],
    "smollm": ["It", "'s", "Ġ", "1", "2", "3", "4", "ĊĊĠ", "ĠAb"],
    "qwen2": ["It", "'s", "Ġ", "1", "2", "3", "4", "ĊĊ", "Ġ", "ĠAb"],
    "llama-bpe": ["It", "'s", "Ġ", "123", "4", "ĊĊ", "Ġ", "ĠAb"],
    "gpt-4o": ["It's", "Ġ", "123", "4", "ĊĊ", "Ġ", "ĠAb"],
    "tekken": ["It", "'s", "Ġ", "1", "2", "3", "4", "ĊĊ", "Ġ", "ĠAb"],
}
"""`TEXT` in pieces, a line break written as Ċ and a space as Ġ."""


def cut(name: str) -> list[str]:
    tokenizer = Tokenizer(models.BPE())
    set_split(tokenizer, name, "model.gguf")
    return [piece for piece, _ in tokenizer.pre_tokenizer.pre_tokenize_str(TEXT)]


@pytest.mark.parametrize("name", CUTS)
def test_a_split_cuts_as_its_pattern_says(name: str) -> None:
    assert cut(name) == CUTS[name]


def test_splits_of_other_models_go_by_the_same_patterns() -> None:
    assert set(SPLITS.values()) == {*CUTS, "smaug-bpe"}
    for other, name in {"deepseek-r1-qwen": "qwen2", "lfm2": "llama-bpe", "phi-2": "gpt-2", "llama4": "gpt-4o"}.items():
        assert cut(other) == CUTS[name]


def test_a_split_that_is_not_known_is_warned_of_and_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    tokenizer = Tokenizer(models.BPE())
    with caplog.at_level(logging.WARNING, logger="penchant"):
        set_split(tokenizer, "xyzzy", "model.gguf")
    assert tokenizer.pre_tokenizer is None
    assert "model.gguf cuts texts by 'xyzzy', which is not known here" in caplog.text
