"""How a byte-level tokenizer cuts texts before it merges: the patterns, by the names that llama.cpp gives them.

A GGUF file names its split (`tokenizer.ggml.pre`) and does not hold it. A wrong one gives other tokens without a word,
so a file is written with the name of its tokenizer's split, and read with the split of its name. The table was read in
llama.cpp's `llama-vocab.cpp`.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tokenizers

log = logging.getLogger("penchant.models")

_CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_WORDS = r"[^\r\n\p{L}\p{N}]?\p{L}+"
_SIGNS = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_CASED = rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+%s|[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*%s"
_CASED_SIGNS = r" ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"

BYTE_LEVEL = "bytes of GPT-2"
"""Stands for the split that the pre-tokenizer `ByteLevel` makes by itself."""
DIGITS = "single digits"
SPLITS: dict[tuple[tuple[str, ...], bool], str] = {
    ((BYTE_LEVEL,), False): "gpt-2",
    ((DIGITS, BYTE_LEVEL), False): "smollm",
    ((rf"{_CONTRACTIONS}|{_WORDS}|\p{{N}}|{_SIGNS}",), False): "qwen2",
    ((rf"{_CONTRACTIONS}|{_WORDS}|\p{{N}}{{1,3}}|{_SIGNS}",), True): "llama-bpe",
    ((rf"{_CONTRACTIONS}|{_WORDS}|\p{{N}}{{1,3}}|{_SIGNS}",), False): "smaug-bpe",
    ((rf"{_CASED % ('', '')}|\p{{N}}|{_CASED_SIGNS}",), True): "tekken",
    ((rf"{_CASED % (f'{_CONTRACTIONS}?', f'{_CONTRACTIONS}?')}|\p{{N}}{{1,3}}|{_CASED_SIGNS}",), False): "gpt-4o",
}
"""llama.cpp's name of a split, by its patterns and by whether a whole word that is a piece skips the merges."""
_SYNONYMS = {
    **dict.fromkeys(("llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2"), "llama-bpe"),
    **dict.fromkeys(("deepseek-r1-qwen", "kormo", "megrez"), "qwen2"),
    **dict.fromkeys(("phi-2", "gigachat", "mellum", "exaone4"), "gpt-2"),
    "llama4": "gpt-4o",
}
"""Other names of llama.cpp for the same split."""


def set_split(tokenizer: tokenizers.Tokenizer, name: str, origin: str) -> None:
    """Make a byte-level tokenizer cut texts as llama.cpp does by a name.

    `transformers` gives the tokenizer of a GGUF file the split of GPT-2 or of its architecture, whatever it names.

    Args:
        name: the value of `tokenizer.ggml.pre`. One that is not in the table leaves the tokenizer as it is, and is
            warned of.
        origin: the file, for the warning.
    """
    from tokenizers import Regex, pre_tokenizers

    name = _SYNONYMS.get(name, name)
    matches = [key for key, split_name in SPLITS.items() if split_name == name]
    if not matches:
        log.warning(
            "%s cuts texts by %r, which is not known here: some texts may become other tokens than those that the "
            "model was trained on. Use the model's own folder instead of the GGUF file",
            origin,
            name,
        )
        return
    ((patterns, ignore_merges),) = matches
    steps: list[pre_tokenizers.PreTokenizer] = []
    for pattern in patterns:
        if pattern == DIGITS:
            steps.append(pre_tokenizers.Digits(individual_digits=True))
        elif pattern != BYTE_LEVEL:
            steps.append(pre_tokenizers.Split(Regex(pattern), behavior="isolated"))
    steps.append(pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=BYTE_LEVEL in patterns))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(steps)
    tokenizer.model.ignore_merges = ignore_merges
