"""Reads GGUF files back with a mapping of its own: networks, and token ids as llama.cpp would make them.

Nothing here is shared with `penchant.export`. Rows are put back by their index, rotary scaling is applied to the
frequencies themselves, and texts are split by the patterns of llama.cpp (`llama-vocab.cpp`, by `tokenizer.ggml.pre`).
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import regex
import torch
from gguf import GGUFReader
from gguf.quants import dequantize
from torch import Tensor

BLOCK_NAMES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
GEMMA_NAMES = {
    "post_attention_norm": "post_attention_layernorm",
    "ffn_norm": "pre_feedforward_layernorm",
    "post_ffw_norm": "post_feedforward_layernorm",
}
GPT2_NAMES = {
    "attn_norm": "ln_1",
    "attn_qkv": "attn.c_attn",
    "attn_output": "attn.c_proj",
    "ffn_norm": "ln_2",
    "ffn_up": "mlp.c_fc",
    "ffn_down": "mlp.c_proj",
}


class File:
    """The values and tensors of a GGUF file."""

    def __init__(self, path: Path) -> None:
        reader = GGUFReader(path)
        self.values: dict[str, Any] = {name: field.contents() for name, field in reader.fields.items()}
        self.tensors = {
            tensor.name: torch.from_numpy(np.array(dequantize(tensor.data, tensor.tensor_type)))
            for tensor in reader.tensors
        }
        self.types = {tensor.name: tensor.tensor_type.name for tensor in reader.tensors}
        self.architecture: str = self.values["general.architecture"]

    def of(self, key: str, default: Any = None) -> Any:
        """Return a value of the architecture."""
        return self.values.get(f"{self.architecture}.{key}", default)


def read_network(path: Path) -> Any:
    """Return a network of `transformers` with the weights and settings of a GGUF file."""
    file = File(path)
    network = _empty(file)
    state = network.state_dict()
    for name, values in file.tensors.items():
        if name == "rope_freqs.weight":
            network.model.rotary_emb.inv_freq /= values
            continue
        target = _target(file, name)
        assert state[target].shape == values.shape or state[target].shape == values.T.shape, name
        state[target].copy_(_restored(file, name, values).float())
    if "output.weight" not in file.tensors:
        network.lm_head.weight.data.copy_(file.tensors["token_embd.weight"].float())
    if file.of("rope.scaling.type") == "linear" and file.architecture != "gemma3":
        network.model.rotary_emb.inv_freq /= file.of("rope.scaling.factor")
    return network.eval()


def _empty(file: File) -> Any:
    from transformers import AutoModelForCausalLM, GPT2Config

    rows = len(file.values["tokenizer.ggml.tokens"])
    heads, width = file.of("attention.head_count"), file.of("embedding_length")
    if file.architecture == "gpt2":
        sizes = {
            "n_embd": width,
            "n_layer": file.of("block_count"),
            "n_head": heads,
            "n_positions": file.of("context_length"),
        }
        epsilon = file.of("attention.layer_norm_epsilon")
        config: Any = GPT2Config(
            vocab_size=rows, n_inner=file.of("feed_forward_length"), layer_norm_epsilon=epsilon, **sizes
        )
        return AutoModelForCausalLM.from_config(config)
    from transformers import AutoConfig

    kind = {"gemma3": "gemma3_text"}.get(file.architecture, file.architecture)
    rope: dict[str, Any] = {"rope_type": "default", "rope_theta": file.of("rope.freq_base")}
    if file.of("rope.scaling.type") == "yarn":
        rope |= {"rope_type": "yarn", "factor": file.of("rope.scaling.factor")}
        rope["original_max_position_embeddings"] = file.of("rope.scaling.original_context_length")
    extra: dict[str, Any] = {}
    if file.architecture == "gemma3":
        local = {"rope_type": "default", "rope_theta": 10000.0}
        if (factor := file.of("rope.scaling.factor")) is not None:
            rope |= {"rope_type": file.of("rope.scaling.type"), "factor": factor}
        rope = {"full_attention": rope, "sliding_attention": local}
        extra = {
            "sliding_window": file.of("attention.sliding_window"),
            "query_pre_attn_scalar": file.of("attention.key_length"),
        }
    config = AutoConfig.for_model(
        kind,
        vocab_size=rows,
        hidden_size=width,
        intermediate_size=file.of("feed_forward_length"),
        num_hidden_layers=file.of("block_count"),
        num_attention_heads=heads,
        num_key_value_heads=file.of("attention.head_count_kv"),
        head_dim=file.of("attention.key_length"),
        max_position_embeddings=file.of("context_length"),
        rms_norm_eps=file.of("attention.layer_norm_rms_epsilon"),
        rope_parameters=rope,
        attention_bias="blk.0.attn_q.bias" in file.tensors,
        tie_word_embeddings=False,
        **dict.fromkeys(("bos_token_id", "eos_token_id", "pad_token_id")),
        **extra,
    )
    return AutoModelForCausalLM.from_config(config)


def _target(file: File, name: str) -> str:
    if file.architecture == "gpt2":
        ends = {"token_embd": "transformer.wte", "position_embd": "transformer.wpe", "output_norm": "transformer.ln_f"}
        names, prefix = GPT2_NAMES, "transformer.h"
    else:
        ends = {"token_embd": "model.embed_tokens", "output_norm": "model.norm"}
        names, prefix = BLOCK_NAMES | (GEMMA_NAMES if file.architecture == "gemma3" else {}), "model.layers"
    ends["output"] = "lm_head"
    stem, _, kind = name.rpartition(".")
    if stem in ends:
        return f"{ends[stem]}.{kind}"
    _, number, inner = stem.split(".")
    return f"{prefix}.{number}.{names[inner]}.{kind}"


def _restored(file: File, name: str, values: Tensor) -> Tensor:
    if file.architecture in ("llama", "smollm3") and (".attn_q." in name or ".attn_k." in name):
        heads = file.of("attention.head_count" if ".attn_q." in name else "attention.head_count_kv")
        size = file.of("attention.key_length")
        # neighbours 2j and 2j + 1 of a head are what `transformers` has at j and at j + half
        rows = [
            head * size + 2 * (place % (size // 2)) + place // (size // 2)
            for head in range(heads)
            for place in range(size)
        ]
        return values[rows]
    if file.architecture == "gemma3" and "norm" in name:
        return values - 1
    if file.architecture == "gpt2" and name.startswith("blk.") and values.dim() == 2:
        return values.T
    return values


# -- texts to ids ---------------------------------------------------------------------------------------------------

GPT2_SPLIT = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_CASES = r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])"
_TAIL = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_CASED_TAIL = r" ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_UP = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]"
_LOW = r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
LLAMA3_SPLIT = rf"{_CASES}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}{{1,3}}|{_TAIL}"
PATTERNS = {
    "gpt-2": [GPT2_SPLIT],
    "smollm": [r"\p{N}", GPT2_SPLIT],
    "qwen2": [rf"{_CASES}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}|{_TAIL}"],
    "llama-bpe": [LLAMA3_SPLIT],
    "smaug-bpe": [LLAMA3_SPLIT],
    "tekken": [rf"[^\r\n\p{{L}}\p{{N}}]?{_UP}*{_LOW}+|[^\r\n\p{{L}}\p{{N}}]?{_UP}+{_LOW}*|\p{{N}}|{_CASED_TAIL}"],
    "gpt-4o": [
        rf"[^\r\n\p{{L}}\p{{N}}]?{_UP}*{_LOW}+{_CASES}?|[^\r\n\p{{L}}\p{{N}}]?{_UP}+{_LOW}*{_CASES}?|\p{{N}}{{1,3}}|{_CASED_TAIL}"
    ],
}
SKIPS_MERGES = {"llama-bpe", "tekken"}


def read_ids(path: Path, text: str) -> list[int]:
    """Return a text's token ids by the tokenizer of a GGUF file, which has no added tokens in it."""
    values = File(path).values
    pieces: list[str] = values["tokenizer.ggml.tokens"]
    numbers = {piece: number for number, piece in enumerate(pieces)}
    if values["tokenizer.ggml.model"] == "llama":
        ids = _sentencepiece(text, values, numbers)
    else:
        ids = _byte_level(text, values, numbers)
    start = [values["tokenizer.ggml.bos_token_id"]] if values["tokenizer.ggml.add_bos_token"] else []
    end = [values["tokenizer.ggml.eos_token_id"]] if values["tokenizer.ggml.add_eos_token"] else []
    return [*start, *ids, *end]


def _sentencepiece(text: str, values: dict[str, Any], numbers: dict[str, int]) -> list[int]:
    scores = values["tokenizer.ggml.scores"]
    symbols = list(((" " if values["tokenizer.ggml.add_space_prefix"] else "") + text).replace(" ", "▁"))
    while True:  # the two neighbours whose whole scores highest are merged, the leftmost of equals
        pairs = [(scores[numbers[a + b]], -place) for place, (a, b) in enumerate(pairwise(symbols)) if a + b in numbers]
        if not pairs:
            break
        place = -max(pairs)[1]
        symbols[place : place + 2] = [symbols[place] + symbols[place + 1]]
    ids: list[int] = []
    for symbol in symbols:
        ids += [numbers[symbol]] if symbol in numbers else [numbers[f"<0x{byte:02X}>"] for byte in symbol.encode()]
    return ids


def _byte_level(text: str, values: dict[str, Any], numbers: dict[str, int]) -> list[int]:
    pre = values["tokenizer.ggml.pre"]
    ranks = {tuple(merge.split(" ")): rank for rank, merge in enumerate(values["tokenizer.ggml.merges"])}
    words = [text]
    for pattern in PATTERNS[pre]:  # each splits what those before left; what none matches stays a word too
        words = [part for word in words for part in _isolated(pattern, word)]
    ids: list[int] = []
    for word in words:
        symbols = [_byte_letters()[byte] for byte in word.encode()]
        if pre in SKIPS_MERGES and "".join(symbols) in numbers:
            symbols = ["".join(symbols)]
        while True:
            pairs = [(ranks[pair], place) for place, pair in enumerate(pairwise(symbols)) if pair in ranks]
            if not pairs:
                break
            place = min(pairs)[1]
            symbols[place : place + 2] = [symbols[place] + symbols[place + 1]]
        ids += [numbers[symbol] for symbol in symbols]
    return ids


def _isolated(pattern: str, word: str) -> list[str]:
    parts, end = [], 0
    for match in regex.finditer(pattern, word):
        parts += [word[end : match.start()], match.group()]
        end = match.end()
    return [part for part in [*parts, word[end:]] if part]


def _byte_letters() -> dict[int, str]:
    """GPT-2's letters for bytes: printable ones stand for themselves, the others from 256 up."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return {byte: chr(byte) for byte in printable} | {byte: chr(256 + place) for place, byte in enumerate(others)}
