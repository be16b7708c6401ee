"""Which weights of an architecture become which tensors of a GGUF file, and which settings stand beside them.

Each layout was verified: a model of random weights that is written by it scores as the original does, read back by
`transformers` where that knows the architecture, and by a reader of the tests that has its own mapping. llama.cpp
computes by the settings that stand here alone, so a model with any other (another activation, a scaled residual) is
refused by the name of that setting.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from torch import Tensor

from penchant.errors import InputError

Metadata = dict[str, int | float | str | bool]
"""Values of a GGUF file by key, without the architecture's name before it."""
Change = Literal["", "interleave", "plus_one", "transpose"]


class ModelSettings(Protocol):
    """A configuration of `transformers`, of a model that reads text alone."""

    model_type: str
    num_hidden_layers: int
    vocab_size: int
    max_position_embeddings: int

    def to_dict(self) -> dict[str, object]:
        """Return the settings by name."""


@dataclass(frozen=True)
class TensorRule:
    """The name of a weight in the file, and what is done to its values: its rotary halves interleaved, 1 added, ..."""

    name: str
    change: Change = ""


@dataclass(frozen=True)
class Layout:
    """An architecture of GGUF.

    Attributes:
        architecture: its name there.
        ends: rules for what lies outside of the blocks, by the weight's name without `.weight`.
        blocks: rules for the weights of a block, by their names below it.
        metadata: returns the settings of a model.
        expected: settings that llama.cpp takes for granted, with the values that they may have.
        block_prefix: what stands before a block's number.
        position_factors: whether rotary frequencies may be scaled by a table (`rope_type: llama3`).
    """

    architecture: str
    ends: Mapping[str, TensorRule]
    blocks: Mapping[str, TensorRule]
    metadata: Callable[[ModelSettings], Metadata]
    expected: Mapping[str, tuple[object, ...]] = field(default_factory=dict)
    block_prefix: str = "model.layers."
    position_factors: bool = False

    def rule(self, weight: str) -> TensorRule | None:
        """Return the rule for a weight of `transformers`, with its full name in the file; None where none fits."""
        stem, _, kind = weight.rpartition(".")
        if kind not in ("weight", "bias"):
            return None
        if stem in self.ends:
            rule = self.ends[stem]
            return TensorRule(f"{rule.name}.{kind}", rule.change)
        number, _, inner = stem.removeprefix(self.block_prefix).partition(".")
        if not stem.startswith(self.block_prefix) or not number.isdigit() or inner not in self.blocks:
            return None
        rule = self.blocks[inner]
        return TensorRule(f"blk.{number}.{rule.name}.{kind}", rule.change)


# -- settings of models -------------------------------------------------------------------------------------------


def _value(settings: ModelSettings, *names: str) -> object:
    values = settings.to_dict()
    return next((values[name] for name in names if values.get(name) is not None), None)


def _number(settings: ModelSettings, *names: str) -> float:
    value = _value(settings, *names)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise InputError(f"the model's configuration has no number under {' or '.join(names)}, got {value!r}")
    return value


def head_width(settings: ModelSettings) -> int:
    """Return the width of an attention head."""
    width = _value(settings, "head_dim")
    heads = int(_number(settings, "num_attention_heads", "n_head"))
    return int(width) if isinstance(width, int) else int(_number(settings, "hidden_size", "n_embd")) // heads


def rotary(settings: ModelSettings) -> Mapping[str, object]:
    """Return how a model turns positions into angles: `rope_type`, `rope_theta` and what the type needs."""
    parameters = _value(settings, "rope_parameters", "rope_scaling")
    scaling = dict(parameters) if isinstance(parameters, Mapping) else {}
    scaling.setdefault("rope_theta", _value(settings, "rope_theta") or 10000.0)
    scaling.setdefault("rope_type", scaling.get("type", "default"))
    return scaling


def _common(settings: ModelSettings) -> Metadata:
    heads = int(_number(settings, "num_attention_heads"))
    kv_heads = _value(settings, "num_key_value_heads")
    window = _value(settings, "sliding_window")
    length = settings.max_position_embeddings
    # llama.cpp knows no window here: up to its length, attention is the same without it
    if isinstance(window, int) and settings.model_type == "mistral":
        length = min(length, window)
    return {
        "block_count": settings.num_hidden_layers,
        "context_length": length,
        "embedding_length": int(_number(settings, "hidden_size")),
        "feed_forward_length": int(_number(settings, "intermediate_size")),
        "attention.head_count": heads,
        "attention.head_count_kv": kv_heads if isinstance(kv_heads, int) else heads,
        "attention.key_length": head_width(settings),
        "attention.value_length": head_width(settings),
        "attention.layer_norm_rms_epsilon": _number(settings, "rms_norm_eps"),
        "vocab_size": settings.vocab_size,
    }


def _rotary_metadata(settings: ModelSettings) -> Metadata:
    parameters = rotary(settings)
    kind, base = parameters["rope_type"], parameters["rope_theta"]
    values: Metadata = {"rope.freq_base": float(str(base)), "rope.dimension_count": head_width(settings)}
    if kind == "linear":
        values |= {"rope.scaling.type": "linear", "rope.scaling.factor": float(str(parameters["factor"]))}
    elif kind == "yarn":
        # other values of these change the angles, and llama.cpp computes by its defaults
        for name, default in (("beta_fast", 32), ("beta_slow", 1), ("attention_factor", None), ("mscale", None)):
            if parameters.get(name, default) not in (default, None):
                raise _unknown_value(f"rope_parameters.{name}", parameters[name], (default,))
        values |= {"rope.scaling.type": "yarn", "rope.scaling.factor": float(str(parameters["factor"]))}
        original = parameters.get("original_max_position_embeddings") or settings.max_position_embeddings
        values["rope.scaling.original_context_length"] = int(str(original))
    elif kind not in ("default", "llama3"):
        raise _unknown_value("rope_parameters.rope_type", kind, ("default", "linear", "llama3", "yarn"))
    return values


def _llama_like(settings: ModelSettings) -> Metadata:
    return _common(settings) | _rotary_metadata(settings)


def _smollm3(settings: ModelSettings) -> Metadata:
    # llama.cpp leaves the angles out of every fourth layer, whatever the configuration says
    expected = [int((layer + 1) % 4 != 0) for layer in range(settings.num_hidden_layers)]
    if _value(settings, "no_rope_layers") != expected:
        raise _unknown_value("no_rope_layers", _value(settings, "no_rope_layers"), (expected,))
    return _llama_like(settings)


def _gemma3(settings: ModelSettings) -> Metadata:
    layers = ["full_attention" if (layer + 1) % 6 == 0 else "sliding_attention"
              for layer in range(settings.num_hidden_layers)]  # fmt: skip
    if _value(settings, "layer_types") != layers:
        raise _unknown_value("layer_types", _value(settings, "layer_types"), (layers,))
    if _number(settings, "query_pre_attn_scalar") != head_width(settings):
        raise _unknown_value(
            "query_pre_attn_scalar", _value(settings, "query_pre_attn_scalar"), (head_width(settings),)
        )
    parameters = rotary(settings)
    full, local = parameters.get("full_attention"), parameters.get("sliding_attention")
    if not isinstance(full, Mapping) or not isinstance(local, Mapping):
        raise _unknown_value("rope_parameters", dict(parameters), ("one for each kind of layer",))
    if local.get("rope_theta") != 10000.0 or local.get("rope_type", "default") != "default":
        raise _unknown_value("rope_parameters.sliding_attention", dict(local), ("10000, default",))
    values = _common(settings) | {"rope.freq_base": float(full["rope_theta"])}
    values |= {"attention.sliding_window": int(_number(settings, "sliding_window"))}
    if full.get("rope_type", "default") == "linear":
        values |= {"rope.scaling.type": "linear", "rope.scaling.factor": float(full["factor"])}
    elif full.get("rope_type", "default") != "default":
        raise _unknown_value("rope_parameters.full_attention.rope_type", full["rope_type"], ("default", "linear"))
    return values


def _gpt2(settings: ModelSettings) -> Metadata:
    width = int(_number(settings, "n_embd"))
    inner = _value(settings, "n_inner")
    return {
        "block_count": settings.num_hidden_layers,
        "context_length": int(_number(settings, "n_positions")),
        "embedding_length": width,
        "feed_forward_length": inner if isinstance(inner, int) else 4 * width,
        "attention.head_count": int(_number(settings, "n_head")),
        "attention.layer_norm_epsilon": _number(settings, "layer_norm_epsilon"),
    }


def _unknown_value(name: str, value: object, accepted: Sequence[object]) -> InputError:
    choices = " or ".join(f"{choice!r}" for choice in accepted)
    return InputError(
        f"no GGUF can be written: the configuration has {name}={value!r}, and the mapping here is for {choices}. "
        "Use llama.cpp's own script (converter=PATH to convert_hf_to_gguf.py), or take format=merged"
    )


# -- layouts ------------------------------------------------------------------------------------------------------

_ENDS = {
    "model.embed_tokens": TensorRule("token_embd"),
    "model.norm": TensorRule("output_norm"),
    "lm_head": TensorRule("output"),
}
_BLOCK = {
    "input_layernorm": TensorRule("attn_norm"),
    "self_attn.q_proj": TensorRule("attn_q"),
    "self_attn.k_proj": TensorRule("attn_k"),
    "self_attn.v_proj": TensorRule("attn_v"),
    "self_attn.o_proj": TensorRule("attn_output"),
    "post_attention_layernorm": TensorRule("ffn_norm"),
    "mlp.gate_proj": TensorRule("ffn_gate"),
    "mlp.up_proj": TensorRule("ffn_up"),
    "mlp.down_proj": TensorRule("ffn_down"),
}
_INTERLEAVED = _BLOCK | {
    "self_attn.q_proj": TensorRule("attn_q", "interleave"),
    "self_attn.k_proj": TensorRule("attn_k", "interleave"),
}
_SILU: Mapping[str, tuple[object, ...]] = {"hidden_act": ("silu", "swish")}
_NO_WINDOW: Mapping[str, tuple[object, ...]] = {**_SILU, "use_sliding_window": (False, None)}
_GEMMA_NORMS = {
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "post_attention_norm",
    "pre_feedforward_layernorm": "ffn_norm",
    "post_feedforward_layernorm": "post_ffw_norm",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
}

LAYOUTS: dict[str, Layout] = {
    "llama": Layout("llama", _ENDS, _INTERLEAVED, _llama_like, _SILU, position_factors=True),
    "mistral": Layout("llama", _ENDS, _INTERLEAVED, _llama_like, _SILU, position_factors=True),
    "smollm3": Layout("smollm3", _ENDS, _INTERLEAVED, _smollm3, _NO_WINDOW, position_factors=True),
    "qwen2": Layout("qwen2", _ENDS, _BLOCK, _llama_like, _NO_WINDOW),
    "qwen3": Layout(
        "qwen3",
        _ENDS,
        _BLOCK | {"self_attn.q_norm": TensorRule("attn_q_norm"), "self_attn.k_norm": TensorRule("attn_k_norm")},
        _llama_like,
        {**_NO_WINDOW, "attention_bias": (False, None)},
    ),
    "gemma3_text": Layout(
        "gemma3",
        _ENDS | {"model.norm": TensorRule("output_norm", "plus_one")},
        _BLOCK | {inner: TensorRule(name, "plus_one") for inner, name in _GEMMA_NORMS.items()},
        _gemma3,
        {
            "hidden_activation": ("gelu_pytorch_tanh",),
            "attn_logit_softcapping": (None,),
            "final_logit_softcapping": (None,),
            "use_bidirectional_attention": (False, None),
            "attention_bias": (False, None),
        },
    ),
    "gpt2": Layout(
        "gpt2",
        {
            "transformer.wte": TensorRule("token_embd"),
            "transformer.wpe": TensorRule("position_embd"),
            "transformer.ln_f": TensorRule("output_norm"),
            "lm_head": TensorRule("output"),
        },
        {
            "ln_1": TensorRule("attn_norm"),
            "attn.c_attn": TensorRule("attn_qkv", "transpose"),
            "attn.c_proj": TensorRule("attn_output", "transpose"),
            "ln_2": TensorRule("ffn_norm"),
            "mlp.c_fc": TensorRule("ffn_up", "transpose"),
            "mlp.c_proj": TensorRule("ffn_down", "transpose"),
        },
        _gpt2,
        {
            "activation_function": ("gelu_new", "gelu_pytorch_tanh"),
            "scale_attn_weights": (True,),
            "scale_attn_by_inverse_layer_idx": (False,),
        },
        block_prefix="transformer.h.",
    ),
}
"""Layouts by `model_type` of `transformers`."""


def layout_of(settings: ModelSettings) -> Layout:
    """Return the layout of a model.

    Raises:
        InputError: its architecture, or one of its settings, cannot be written.
    """
    layout = LAYOUTS.get(settings.model_type)
    if layout is None:
        raise InputError(
            f"no GGUF can be written of the architecture {settings.model_type!r}: the mapping here is verified for "
            f"{', '.join(LAYOUTS)}. Name llama.cpp's own script (converter=PATH to convert_hf_to_gguf.py), or take "
            "format=merged"
        )
    values = settings.to_dict()
    for name, accepted in layout.expected.items():
        if name in values and values[name] not in accepted:
            raise _unknown_value(name, values[name], accepted)
    if not layout.position_factors and layout.architecture != "gemma3" and rotary(settings)["rope_type"] == "llama3":
        raise _unknown_value("rope_parameters.rope_type", "llama3", ("default", "linear", "yarn"))
    return layout


def changed(values: Tensor, change: Change, settings: ModelSettings, weight: str) -> Tensor:
    """Return a weight's values as llama.cpp expects them.

    Args:
        change: of its rule.
        weight: its name in `transformers`.
    """
    if change == "plus_one":  # Gemma's norms multiply by 1 + weight; llama.cpp multiplies by what is stored
        return values.float() + 1
    if change == "transpose" and values.dim() == 2:  # GPT-2 stores inputs first
        return values.t().contiguous()
    if change == "interleave":
        queries = int(_number(settings, "num_attention_heads"))
        kv_heads = _value(settings, "num_key_value_heads")
        heads = int(kv_heads) if re.search(r"k_proj", weight) and isinstance(kv_heads, int) else queries
        return interleaved(values, heads)
    return values


def interleaved(values: Tensor, heads: int) -> Tensor:
    """Return the rows of a projection with the two halves of each head taken in turn.

    `transformers` rotates the first half of a head with its second; llama.cpp's `llama` rotates neighbours.
    """
    half = values.shape[0] // heads // 2
    rest = values.shape[1:]
    return values.reshape(heads, 2, half, *rest).transpose(1, 2).reshape(values.shape).contiguous()


def frequency_divisors(settings: ModelSettings) -> list[float] | None:
    """Return what each rotary frequency is divided by (`rope_type: llama3`); None for other types.

    Long waves are divided by `factor`, short ones stay, those between are blended (Llama 3.1's own code).
    """
    parameters = rotary(settings)
    if parameters["rope_type"] != "llama3":
        return None
    names = ("rope_theta", "factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings")
    base, factor, low, high, original = (float(str(parameters[name])) for name in names)
    width = head_width(settings)
    divisors = []
    for index in range(0, width, 2):
        wavelength = 2 * math.pi * base ** (index / width)
        if wavelength < original / high:
            divisors.append(1.0)
        elif wavelength > original / low:
            divisors.append(factor)
        else:
            smooth = (original / wavelength - low) / (high - low)
            divisors.append(1 / ((1 - smooth) / factor + smooth))
    return divisors
