"""Tiny networks of every causal type of `transformers`, with random weights.

A configuration is its class's default one with small sizes: every field whose name says what it counts is set, in the
configuration itself and in those inside it. What a class then still refuses is given by hand in `SPECIAL`.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PretrainedConfig
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

VOCABULARY = 160
WINDOW = 8
LARGEST = 8_000_000  # parameters; a network with more was not made small

SIZES: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "n_words": VOCABULARY,
    "unpadded_vocab_size": VOCABULARY,
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
    "init_std": 0.3,
    "embed_init_std": 0.3,
    "kv_lora_rank": 16,
    "q_lora_rank": 16,
    "o_lora_rank": 16,
    "o_groups": 2,
    "qk_rope_head_dim": 8,
    "qk_nope_head_dim": 8,
    "v_head_dim": 8,
    "rotary_dim": 4,
    "index_n_heads": 4,
    "index_head_dim": 16,
    "index_topk": 16,
    "expert_ffn_hidden_size": 16,
    "zero_expert_num": 2,
    "moe_topk": 2,
    "num_expert_group": 1,
    "num_experts_per_token": 2,
    "mamba_n_heads": 8,
    "mamba_d_head": 8,
    "mamba_d_state": 8,
    "mamba_chunk_size": 16,
    "mamba_num_heads": 8,
    "mamba_head_dim": 8,
    "mamba_headdim": 8,
    "mamba_dt_rank": 4,
    "mamba_ngroups": 1,
    "n_mamba_heads": 8,
    "ssm_state_size": 8,
    "time_step_rank": 4,
    "n_groups": 1,
    "chunk_size": 16,
    "attention_head_dim": 16,
    "attn_layer_period": 2,
    "attn_layer_offset": 1,
    "expert_layer_period": 2,
    "expert_layer_offset": 1,
    "linear_head_dim": 8,
    "linear_num_heads": 4,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "swa_num_attention_heads": 4,
    "swa_num_key_value_heads": 2,
    "swa_head_dim": 8,
    "sliding_window_size": WINDOW,
    "rel_extent": 16,
    "hidden_size_per_layer_input": 8,
    "laurel_rank": 8,
    "num_kv_shared_layers": 0,
    "pronunciation_embed_dim": 16,
    "pronunciation_vocab_size": 64,
    "shape_embed_dim": 16,
    "shape_vocab_size": 64,
    "model_max_length": 256,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "is_decoder": True,
    "dropout": 0.0,
}
"""What the fields of configurations count, made small."""

LISTS = ("layer_types", "layers_block_type", "mlp_layer_types", "block_types", "indexer_types")
"""Fields that name the kind of each layer."""

EXPERTS = {"n_routed_experts": 4, "n_shared_experts": 1, "num_experts_per_tok": 2, "first_k_dense_replace": 1}

INDEXER = {
    "indexer_n_heads": 4,
    "indexer_kv_heads": 1,
    "indexer_head_dim": 8,
    "indexer_budget": 16,
    "indexer_compress_ratio": 4,
}

SPECIAL: dict[str, dict[str, Any]] = {
    "bamba": {"attn_layer_indices": [1]},
    "codegen": {"n_ctx": 256},
    "dots1": EXPERTS,
    "cohere": {"logit_scale": 1.0},
    "cohere2": {"logit_scale": 1.0},
    "cohere2_moe": {"logit_scale": 1.0},
    "cohere_compass_text": {"rope_parameters": {"full_attention": {"rope_type": "default", "rope_theta": 1e4}}},
    "falcon_h1": {"mamba_d_ssm": 64},
    "granitemoehybrid": {"layer_types": ["linear_attention", "full_attention"], "shared_intermediate_size": 16},
    "hunyuan_v1_dense": {"head_dim": 8},
    "hunyuan_v1_moe": {"head_dim": 8},
    "lfm2": {"full_attn_idxs": [1], "layer_types": ["conv", "full_attention"]},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"], "num_dense_layers": 1},
    "mamba2": {"num_heads": 8},
    "ministral": {"head_dim": 8},
    "nemotron": {"num_key_value_heads": 2},
    "reformer": {
        "axial_pos_embds_dim": [16, 16],
        "axial_pos_shape": [16, 16],
        "attention_head_size": 8,
        "feed_forward_size": 64,
        "local_attn_chunk_length": 8,
        "lsh_attn_chunk_length": 8,
        "num_buckets": 4,
        "attn_layers": ["local", "lsh"],
    },
    "qwen4_exp_text": INDEXER,
    "qwen4_exp": {"text_config": INDEXER},
    "roc_bert": {"concat_input": True},
    "xlstm": {"hidden_size": 128, "embedding_dim": 128, "num_heads": 4, "chunk_size": 16},
    "xmod": {"default_language": "en_XX"},
    "zamba": {
        "n_mamba_heads": 2,
        "attention_hidden_size": 64,
        "num_hidden_layers": 4,
        "layers_block_type": ["linear_attention", "hybrid"] * 2,
    },
    "zamba2": {"n_mamba_heads": 8, "attention_hidden_size": 64, "hybrid_layer_ids": [1]},
}
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
    reasons = []
    for way in (_by_arguments, _by_attributes):
        for unset_too in (False, True):
            try:
                return _network(way(model_type, SPECIAL.get(model_type, {}) | changes, unset_too), seed)
            except Exception as error:  # each class has its own ways
                text = str(error).strip()
                reasons.append(f"{type(error).__name__}: {text.splitlines()[0] if text else ''}")
    raise NotBuilt(reasons[0])


def _network(config: Any, seed: int) -> Any:
    """Build a network and see that it runs."""
    with torch.device("meta"):
        size = sum(p.numel() for p in AutoModelForCausalLM.from_config(copy.deepcopy(config)).parameters())
    if size > LARGEST:
        raise ValueError(f"it has {size:,} parameters even when made small")
    torch.manual_seed(seed)
    network = AutoModelForCausalLM.from_config(config).float().eval()
    with torch.no_grad():
        network(input_ids=torch.arange(3, 15)[None])
    return network


def _by_arguments(model_type: str, special: dict[str, Any], unset_too: bool) -> Any:
    """Make a configuration by its constructor, so that what follows from a field follows from the small one."""
    default = AutoConfig.for_model(model_type)
    return AutoConfig.for_model(model_type, **_small(default.to_dict(), unset_too) | special)


def _by_attributes(model_type: str, special: dict[str, Any], unset_too: bool) -> Any:
    """Change a default configuration field by field."""
    config = AutoConfig.for_model(model_type)
    _set(config, _small(config.to_dict(), unset_too) | special)
    return config


def _set(config: Any, values: dict[str, Any]) -> None:
    for name, value in values.items():
        inner = getattr(config, name, None)
        if isinstance(inner, PretrainedConfig) and isinstance(value, dict):
            _set(inner, value)
        else:
            setattr(config, name, value)


def _small(settings: dict[str, Any], unset_too: bool) -> dict[str, Any]:
    """Return the fields of a configuration that have a small size; `unset_too` gives one to fields that are None."""
    lists = {name: list(dict.fromkeys(settings[name])) for name in LISTS if isinstance(settings.get(name), list)}
    layers = max([2, *map(len, lists.values())])
    small: dict[str, Any] = {name: (kinds * layers)[:layers] for name, kinds in lists.items()}
    for name, value in settings.items():
        if isinstance(value, dict) and "model_type" in value:
            small[name] = _small(value, unset_too)
            if name != "text_config":
                small[name].pop("is_decoder", None)
        elif name in SIZES and (value is not None or unset_too):
            size = SIZES[name]
            if "layer" in name and size == 2 and name.startswith(("num_hidden", "num_layers", "n_layer")):
                size = layers
            small[name] = [size] * layers if isinstance(value, list) else size
    if "kv_lora_rank" in settings:  # latent attention: every head has its key
        small["num_key_value_heads"] = SIZES["num_attention_heads"]
    return small
