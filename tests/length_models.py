"""Tiny models whose rotary frequencies depend on the length of the pass."""

from __future__ import annotations

from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM, Phi3Config, Phi3ForCausalLM

VOCABULARY, THRESHOLD = 50, 16
LONGROPE = {
    "rope_type": "longrope",
    "rope_theta": 10000.0,
    "short_factor": [1.0] * 4,
    "long_factor": [1.5, 3.0, 6.0, 12.0],
    "original_max_position_embeddings": THRESHOLD,
    "partial_rotary_factor": 1.0,
}
SIZES = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "initializer_range": 0.4,
}


def longrope(vocab_size: int = VOCABULARY, threshold: int = THRESHOLD, context: int = 96) -> Any:
    """Two sets of frequencies, for passes up to the threshold and longer ones."""
    torch.manual_seed(0)
    config = Phi3Config(
        **SIZES | {"vocab_size": vocab_size},
        max_position_embeddings=context,
        original_max_position_embeddings=threshold,
        rope_parameters=LONGROPE | {"original_max_position_embeddings": threshold},
        pad_token_id=0,
        sliding_window=None,
    )
    return Phi3ForCausalLM(config).eval()


def dynamic() -> Any:
    """Frequencies from the length of the pass, for passes longer than 16 tokens."""
    torch.manual_seed(0)
    rope = {"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 4.0}
    return LlamaForCausalLM(LlamaConfig(**SIZES, max_position_embeddings=THRESHOLD, rope_parameters=rope)).eval()
