"""Running a model's trunk over trees, and finding out whether its attention can take them.

`transformers` takes a 4-D additive mask as it is, so no model is patched. A model that cannot take one (recurrent
layers, sliding windows, which such a mask would silently override, ALiBi) goes down the plain path, decided by its
configuration and by a numeric probe, and said aloud.
"""

from __future__ import annotations

import logging
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from penchant.data.render import Branch
from penchant.engine.logps import Head, token_logps
from penchant.engine.tree import Tree, TreeBatch, additive_mask, collate, visible
from penchant.errors import InputError

log = logging.getLogger("penchant.engine")

PROBE_TOLERANCE = 1e-2  # nats on one token; a wrong mask is off by whole nats, bfloat16 noise is smaller
LONGEST_PROBE = 1024  # tokens; a declared window beyond that is believed without a probe


def unwrap(model: nn.Module) -> Any:
    """The `transformers` model inside a PEFT wrapper (its adapters stay injected), or the model itself."""
    inner: Any = model
    return inner.get_base_model() if hasattr(inner, "get_base_model") else inner


def predictor_states(model: nn.Module, batch: TreeBatch) -> Float[Tensor, "tokens hidden"]:
    """Final hidden states at the positions that predict a scored token; no logits are computed."""
    trunk = unwrap(model).base_model
    if batch.plain:  # one path a row, padded on the right: the model's own causal mask is right
        out = trunk(input_ids=batch.input_ids, use_cache=False)
    else:
        mask = additive_mask(visible(batch.branch_ids), _mask_dtype(model, batch))
        out = trunk(input_ids=batch.input_ids, attention_mask=mask, position_ids=batch.position_ids, use_cache=False)
    states = out.last_hidden_state
    return states.reshape(-1, states.shape[-1]).index_select(0, batch.predictors)


def _mask_dtype(model: nn.Module, batch: TreeBatch) -> torch.dtype:
    """SDPA wants the mask in the dtype of its queries."""
    device = batch.input_ids.device.type
    if torch.is_autocast_enabled(device):
        return torch.get_autocast_dtype(device)
    return next(p.dtype for p in model.parameters() if p.is_floating_point())


def output_head(model: nn.Module) -> Head:
    """The vocabulary projection with everything that the model's forward pass would do to the logits.

    Adapters on the head are folded into its weight (differentiably), a `modules_to_save` copy is used where active.
    """
    inner = unwrap(model)
    layer = inner.get_output_embeddings()
    if layer is None:
        raise InputError(f"{type(inner).__name__} has no output head: it is not a causal language model")
    if hasattr(layer, "modules_to_save"):
        active = layer.active_adapter
        saved = not layer.disable_adapters and active in layer.modules_to_save
        layer = layer.modules_to_save[active] if saved else layer.original_module
    weight = layer.weight
    if hasattr(layer, "get_delta_weight") and not layer.disable_adapters and not layer.merged:
        for adapter in layer.active_adapters:
            if adapter in layer.lora_A:
                weight = weight + layer.get_delta_weight(adapter)
    config = inner.config.get_text_config()
    scale = float(getattr(config, "logit_scale", None) or 1.0)
    if getattr(config, "logits_scaling", None):  # Granite divides, Cohere multiplies
        scale /= float(config.logits_scaling)
    return Head(weight, getattr(layer, "bias", None), getattr(config, "final_logit_softcapping", None), scale)


def tree_support(model: nn.Module) -> tuple[bool, str]:
    """Whether this model may run trees, and if not, why.

    Raises:
        InputError: the head's arithmetic is not what the model's own forward pass does, so that no path is right.
    """
    inner = unwrap(model)
    reason = _refused_by_config(inner.config.get_text_config())
    window = _widest_window(inner.config.get_text_config())
    if reason is None and window > LONGEST_PROBE:
        reason = f"its attention has a window of {window} tokens"
    was_training = model.training
    model.eval()
    try:
        reason = _probe(model, max(24, window + 8), head_only=reason is not None) or reason
    finally:
        model.train(was_training)
    if reason is not None:
        log.warning("plain path, every response forwarded with its own prompt: %s", reason)
    return reason is None, reason or ""


def _refused_by_config(config: Any) -> str | None:
    kinds = {str(kind) for kind in getattr(config, "layer_types", None) or ()}
    odd = sorted(kinds - {"full_attention", "attention"})
    if odd:
        return f"it has layers of type {', '.join(odd)}"
    if getattr(config, "sliding_window", None) and getattr(config, "use_sliding_window", True):
        return f"its attention slides over a window of {config.sliding_window} tokens"
    if any(hasattr(config, name) for name in ("state_size", "ssm_cfg", "rwkv_head_size", "mamba_d_state")):
        return "it has recurrent layers"
    return None


def _widest_window(config: Any) -> int:
    """The widest attention window that the configuration mentions under any name, 0 if none."""
    settings = config.to_dict()
    widths = [v for k, v in settings.items() if "window" in k and isinstance(v, int) and not isinstance(v, bool)]
    return max(widths, default=0)


def _probe(model: nn.Module, path: int, *, head_only: bool) -> str | None:
    """Compare a tree of three branches with the model's own logits on each path. None if they agree."""
    inner = unwrap(model)
    config = inner.config.get_text_config()
    limit = getattr(config, "max_position_embeddings", None) or path
    path = max(8, min(path, limit))
    vocabulary = config.vocab_size
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(0, vocabulary, (path + 10,), generator=generator).tolist()
    branches = tuple(Branch(tuple(part), ((0, len(part)),)) for part in (ids[5:path], ids[path : path + 3], ids[-7:]))
    tree = Tree(tuple(ids[:5]), branches[: 1 if head_only else 3], (0, 1, 2)[: 1 if head_only else 3])
    device = next(model.parameters()).device
    head = output_head(model)
    with torch.no_grad():
        expected = torch.cat([_model_logps(model, tree.prompt_ids, branch.ids, device) for branch in tree.branches])
        if not torch.isfinite(expected).all():
            raise InputError(
                "the model's log-probabilities are not finite: its weights are damaged, or too large for their dtype"
            )
        try:
            batch = collate([tree], slots=3).to(device)
            got = token_logps(predictor_states(model, batch), head, batch.targets)
        except Exception as error:  # whatever a model's attention raises on a mask that it does not know
            if head_only:
                raise
            return f"its attention refuses a 4-D mask ({type(error).__name__}: {error})"
        first = len(branches[0].ids)
        if not torch.allclose(got[:first], expected[:first], atol=_probe_tolerance(model)):
            raise InputError(
                f"{type(inner).__name__} changes its logits in a way that Penchant does not know "
                f"(off by {float((got[:first] - expected[:first]).abs().max()):.3g} nats on the probe); "
                "please report this model"
            )
    worst = float((got - expected).abs().max())
    return None if worst <= _probe_tolerance(model) else f"trees differ from plain rows by {worst:.3g} nats a token"


def _probe_tolerance(model: nn.Module) -> float:
    half = any(p.dtype in (torch.float16, torch.bfloat16) for p in model.parameters())
    return 0.5 if half else PROBE_TOLERANCE


def _model_logps(model: nn.Module, prompt: tuple[int, ...], branch: tuple[int, ...], device: torch.device) -> Tensor:
    """What the model itself says of a branch: the one place where full logits exist, on a few probe tokens."""
    ids = torch.tensor([[*prompt, *branch]], device=device)
    logits = unwrap(model)(input_ids=ids, use_cache=False).logits[0].float()
    logps = torch.log_softmax(logits[len(prompt) - 1 : -1], dim=-1)
    return logps.gather(1, ids[0, len(prompt) :, None]).squeeze(1)
