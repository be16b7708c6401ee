"""Random models of the families that people train, a few thousand weights each, none of them at its start value."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

SIZES = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "initializer_range": 0.3,
}
LLAMA3_ROPE = {
    "rope_type": "llama3",
    "rope_theta": 10000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}
YARN = {"rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0, "original_max_position_embeddings": 32}
GEMMA_ROPE = {
    "full_attention": {"rope_type": "linear", "rope_theta": 1000000.0, "factor": 8.0},
    "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
}
GEMMA = {"num_hidden_layers": 7, "head_dim": 8, "query_pre_attn_scalar": 8, "sliding_window": 16}
FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("llama", {"tie_word_embeddings": False}),
    "llama-tied": ("llama", {"tie_word_embeddings": True, "attention_bias": True}),
    "llama-3.2": ("llama", {"rope_parameters": LLAMA3_ROPE, "tie_word_embeddings": True, "head_dim": 16}),
    "llama-linear": ("llama", {"rope_parameters": {"rope_type": "linear", "rope_theta": 10000.0, "factor": 2.0}}),
    "mistral": ("mistral", {"sliding_window": None, "head_dim": 8}),
    "smollm3": ("smollm3", {"num_hidden_layers": 5, "tie_word_embeddings": True}),
    "qwen2": ("qwen2", {"tie_word_embeddings": True}),
    # transformers reads no head width of Qwen3 from GGUF: it takes its default of 128
    "qwen3": ("qwen3", {"head_dim": 128, "tie_word_embeddings": True}),
    "qwen3-yarn": ("qwen3", {"head_dim": 16, "rope_parameters": YARN}),
    # nor the scale of its attention, which is that of heads of 256
    "gemma3": ("gemma3_text", {**GEMMA, "head_dim": 256, "query_pre_attn_scalar": 256}),
    "gemma3-linear": ("gemma3_text", {**GEMMA, "rope_parameters": GEMMA_ROPE}),
    "gpt2": ("gpt2", {}),
}  # fmt: skip


def make_family(name: str, tokenizer: Any, folder: Path) -> Path:
    """Write a random model with a tokenizer into a folder, and return it."""
    from transformers import AutoConfig, AutoModelForCausalLM, GPT2Config

    kind, settings = FAMILIES[name]
    common = {
        "vocab_size": len(tokenizer) + 3,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }
    if kind == "gpt2":
        config: Any = GPT2Config(n_embd=32, n_layer=2, n_head=2, n_positions=128, initializer_range=0.3, **common)
    else:
        config = AutoConfig.for_model(kind, **{**SIZES, **common, "pad_token_id": None, **settings})
    torch.manual_seed(7)
    network = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for weight in network.parameters():
            if weight.dim() == 1:  # norms and biases start at 1 or 0, where a wrong one would not show
                weight.add_(torch.randn_like(weight) * 0.3)
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
