"""Tiny networks of every causal type of `transformers`, with random weights.

A configuration is its class's default one with small sizes: every field whose name says what it counts is set, in the
configuration itself and in those inside it. What a class then still refuses is given by hand in `SPECIAL`.
"""

from __future__ import annotations

import copy
import inspect
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PretrainedConfig
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

VOCABULARY = 160
WINDOW = 8
LARGEST = 3_000_000  # parameters; a network with more was not made small

SIZES: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "n_words": VOCABULARY,
    "n_tokens": VOCABULARY,
    "vocab_size_per_layer_input": VOCABULARY,
    "hidden_size": 32,
    "d_model": 32,
    "n_embd": 32,
    "dim_model": 32,
    "emb_dim": 32,
    "embedding_size": 32,
    "embedding_dim": 32,
    "word_embed_proj_dim": 32,
    "input_embedding_size": 32,
    "intermediate_size": 64,
    "n_inner": 64,
    "dff": 64,
    "dim_ff": 64,
    "d_inner": 64,
    "ffn_dim": 64,
    "decoder_ffn_dim": 64,
    "encoder_ffn_dim": 64,
    "ffn_hidden_size": 64,
    "moe_intermediate_size": 16,
    "shared_expert_intermediate_size": 16,
    "num_hidden_layers": 2,
    "num_layers": 2,
    "n_layer": 2,
    "n_layers": 2,
    "decoder_layers": 2,
    "encoder_layers": 2,
    "num_decoder_layers": 2,
    "num_encoder_layers": 2,
    "num_blocks": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "n_head": 4,
    "n_heads": 4,
    "num_heads": 4,
    "dim_head": 8,
    "head_dim": 8,
    "decoder_attention_heads": 4,
    "encoder_attention_heads": 4,
    "num_decoder_attention_heads": 4,
    "num_encoder_attention_heads": 4,
    "max_position_embeddings": 256,
    "n_positions": 256,
    "max_seq_len": 256,
    "max_target_positions": 256,
    "sliding_window": WINDOW,
    "attention_window_size": WINDOW,
    "window_size": WINDOW,
    "attention_chunk_size": WINDOW,
    "num_local_experts": 4,
    "num_experts": 4,
    "n_routed_experts": 4,
    "moe_num_experts": 4,
    "num_experts_per_tok": 2,
    "moe_k": 2,
    "n_group": 1,
    "topk_group": 1,
    "state_size": 8,
    "attention_hidden_size": 32,
    "lru_width": 32,
    "initializer_range": 0.3,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "is_decoder": True,
    "dropout": 0.0,
}
"""What the fields of configurations count, made small."""

SPECIAL: dict[str, dict[str, Any]] = {}
"""Fields by model type, where the small sizes do not fit each other."""


class NotBuilt(Exception):
    """Raised when no tiny network of a type can be made; its text is the reason."""


def causal_types() -> list[str]:
    """Return the model types that `transformers` calls causal."""
    return list(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)


def build_tiny(model_type: str, seed: int = 0, **changes: Any) -> Any:
    """Return a network of this type with random weights, in evaluation mode.

    Raises:
        NotBuilt: the class refuses every configuration that was tried, or stays large.
    """
    try:
        config = tiny_config(model_type, **changes)
        with torch.device("meta"):
            size = sum(p.numel() for p in AutoModelForCausalLM.from_config(copy.deepcopy(config)).parameters())
        if size > LARGEST:
            raise NotBuilt(f"it has {size:,} parameters even when made small")
        torch.manual_seed(seed)
        return AutoModelForCausalLM.from_config(config).float().eval()
    except NotBuilt:
        raise
    except Exception as error:  # each class has its own ways
        raise NotBuilt(f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error) else ''}") from error


def tiny_config(model_type: str, **changes: Any) -> PretrainedConfig:
    """Return the type's default configuration, made small."""
    config = AutoConfig.for_model(model_type)
    _shrink(config)
    for name, value in {**SPECIAL.get(model_type, {}), **changes}.items():
        target = config
        *path, last = name.split(".")
        for part in path:
            target = getattr(target, part)
        setattr(target, last, value)
    return config


def _shrink(config: PretrainedConfig) -> None:
    fields = set(config.to_dict()) | set(inspect.signature(type(config).__init__).parameters)
    layers = None
    for name, value in list(config.to_dict().items()):
        current = getattr(config, name, None)
        if isinstance(current, PretrainedConfig):
            _shrink(current)
        elif name in SIZES and name in fields and (value is not None or name in ("is_decoder",)):
            setattr(config, name, SIZES[name])
        elif name in ("layer_types", "layers_block_type", "mlp_layer_types", "block_types") and value:
            layers = _kinds(list(value))
            setattr(config, name, layers)


def _kinds(layers: list[str]) -> list[str]:
    """Return two layers: one of each kind where there are several."""
    kinds = list(dict.fromkeys(layers))
    return (kinds * 2)[:2]
