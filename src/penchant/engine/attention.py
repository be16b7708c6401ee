"""Running a model's trunk over trees, and finding out whether its attention can take them.

Trees need an attention layer that calls the implementation which `transformers` has registered and does nothing of
its own (recurrent layers, sliding windows, ALiBi). Any other model goes down the plain path, decided by its
configuration and by a numeric probe, and said aloud.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from penchant.data.render import Branch
from penchant.engine import kernels
from penchant.engine.logps import Head, token_logps
from penchant.engine.tree import Tree, TreeBatch, collate
from penchant.errors import InputError

log = logging.getLogger("penchant.engine")

PROBE_TOLERANCE = 1e-2  # nats on one token; a wrong mask is off by whole nats, bfloat16 noise is smaller
LONGEST_PROBE = 1024  # tokens; a declared window beyond that is believed without a probe


def unwrap(model: nn.Module) -> Any:
    """The `transformers` model inside a PEFT wrapper (its adapters stay injected), or the model itself."""
    inner: Any = model
    return inner.get_base_model() if hasattr(inner, "get_base_model") else inner


def predictor_states(
    model: nn.Module, batch: TreeBatch, inputs: Float[Tensor, "rows length hidden"] | None = None, first: int = 0
) -> Float[Tensor, "tokens hidden"]:
    """Final hidden states at the positions that predict a scored token; no logits are computed.

    `inputs` are the states that enter block number `first`; None for the whole model.
    """
    return states_at(model, batch, batch.predictors, inputs, first)


def states_at(
    model: nn.Module,
    batch: TreeBatch,
    places: Int[Tensor, " places"],
    inputs: Float[Tensor, "rows length hidden"] | None = None,
    first: int = 0,
) -> Float[Tensor, "places hidden"]:
    """Final hidden states at some flat places of the batch; `inputs` and `first` as in `predictor_states`."""
    if inputs is None:
        states = _trunk_states(model, batch)
    else:
        with _only_blocks(model, first, None):
            states = _trunk_states(model, batch, inputs)
    return states.reshape(-1, states.shape[-1]).index_select(0, places)


def entering_states(model: nn.Module, batch: TreeBatch, block: int) -> Float[Tensor, "rows length hidden"]:
    """The states that enter a block; no more is run than it and those below."""
    kept: list[Tensor] = []

    def keep(_: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
        kept.append(arguments[0] if arguments else named["hidden_states"])

    blocks = trunk_blocks(model)
    assert blocks is not None
    hook = blocks[block].register_forward_pre_hook(keep, with_kwargs=True)
    try:
        with _only_blocks(model, 0, block + 1):
            _trunk_states(model, batch)
    finally:
        hook.remove()
    return kept[0]


def trunk_blocks(model: nn.Module) -> nn.ModuleList | None:
    """The model's blocks from the bottom up, where it keeps them as most do; else None."""
    blocks = getattr(unwrap(model).base_model, "layers", None)
    return blocks if isinstance(blocks, nn.ModuleList) else None


@contextmanager
def _only_blocks(model: nn.Module, start: int, stop: int | None) -> Iterator[None]:
    """The trunk has only some of its blocks for as long as this lasts; they are the modules themselves."""
    trunk, blocks = unwrap(model).base_model, trunk_blocks(model)
    assert blocks is not None
    try:
        trunk.layers = blocks[start:stop]
        yield
    finally:
        trunk.layers = blocks


def _trunk_states(
    model: nn.Module, batch: TreeBatch, inputs: Tensor | None = None
) -> Float[Tensor, "rows length hidden"]:
    options: dict[str, Any] = {}  # one path a row, padded on the right: the model's own causal mask is right
    if batch.spans is not None:
        no_mask = torch.empty(1, 1, 1, 1)  # has four dimensions: `transformers` then builds none of its own
        options = {"attention_mask": no_mask, "position_ids": batch.position_ids, "trees": batch.spans}
    options |= {"input_ids": batch.input_ids} if inputs is None else {"inputs_embeds": inputs}
    states: Tensor = unwrap(model).base_model(use_cache=False, **options).last_hidden_state
    return states


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


def tree_support(model: nn.Module, *, head: bool = True) -> tuple[bool, str]:
    """Whether this model may run trees, and if not, why.

    Args:
        head: it has a vocabulary head, which is checked too; else its final states are what is compared.

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
        if head:
            _check_head(model, max(24, window + 8))
        if reason is None:
            kernels.register()
            inner.set_attn_implementation(kernels.NAME)
            reason = _probe(model, max(24, window + 8), head)
            if reason is not None:
                inner.set_attn_implementation("sdpa")
    finally:
        model.train(was_training)
    if reason is not None:
        log.warning("plain path, every response forwarded with its own prompt: %s", reason)
    return reason is None, reason or ""


def _refused_by_config(config: Any) -> str | None:
    if config._attn_implementation not in ("sdpa", kernels.NAME):
        return f"its attention is its own ({config._attn_implementation})"
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


def _check_head(model: nn.Module, path: int) -> None:
    """Compare our log-probabilities of one plain row with the model's own logits.

    Raises:
        InputError: they differ, or are not finite.
    """
    tree, device = _example(model, path, 1)
    with torch.no_grad():
        expected = _model_logps(model, tree, device)
        if not torch.isfinite(expected).all():
            raise InputError(
                "the model's log-probabilities are not finite: its weights are damaged, or too large for their dtype"
            )
        got = _tree_logps(model, tree, device, plain=True)
    if not torch.allclose(got, expected, atol=_probe_tolerance(model)):
        raise InputError(
            f"{type(unwrap(model)).__name__} changes its logits in a way that Penchant does not know "
            f"(off by {float((got - expected).abs().max()):.3g} nats on the probe); please report this model"
        )


def _probe(model: nn.Module, path: int, head: bool) -> str | None:
    """Compare a tree of three branches with the model's own numbers on each path. None if they agree."""
    tree, device = _example(model, path, 3)
    with torch.no_grad():
        try:
            got = _tree_logps(model, tree, device, plain=False) if head else _tree_states(model, tree, device, False)
        except Exception as error:  # whatever a model raises that does not know what we ask for
            return f"its attention cannot be replaced ({type(error).__name__}: {error})"
        if head:
            worst = float((got - _model_logps(model, tree, device)).abs().max())
            return (
                None
                if worst <= _probe_tolerance(model)
                else f"trees differ from plain rows by {worst:.3g} nats a token"
            )
        expected = _tree_states(model, tree, device, True)
        share = float((got - expected).norm() / expected.norm())
    half = any(p.dtype in (torch.float16, torch.bfloat16) for p in model.parameters())
    return None if share <= (0.05 if half else 1e-3) else f"states of trees differ from plain rows' by {share:.1%}"


def _tree_states(model: nn.Module, tree: Tree, device: torch.device, plain: bool) -> Tensor:
    """States that predict the tokens of each path, in float32; `plain` runs each path with the model's own mask."""
    branches = [replace(tree, branches=(b,), slots=(s,)) for b, s in zip(tree.branches, tree.slots, strict=True)]
    batch = collate(branches if plain else [tree], slots=len(tree.slots), plain=plain).to(device)
    return predictor_states(model, batch).float()


def _example(model: nn.Module, path: int, count: int) -> tuple[Tree, torch.device]:
    """A tree of random tokens whose first path is about so many tokens long."""
    config = unwrap(model).config.get_text_config()
    path = max(8, min(path, getattr(config, "max_position_embeddings", None) or path))
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(0, config.vocab_size, (path + 10,), generator=generator).tolist()
    parts = (ids[5:path], ids[path : path + 3], ids[-7:])[:count]
    branches = tuple(Branch(tuple(part), ((0, len(part)),)) for part in parts)
    return Tree(tuple(ids[:5]), branches, tuple(range(count))), next(model.parameters()).device


def _tree_logps(model: nn.Module, tree: Tree, device: torch.device, *, plain: bool) -> Tensor:
    batch = collate([tree], slots=len(tree.slots), plain=plain).to(device)
    return token_logps(predictor_states(model, batch), output_head(model), batch.targets)


def _probe_tolerance(model: nn.Module) -> float:
    half = any(p.dtype in (torch.float16, torch.bfloat16) for p in model.parameters())
    return 0.5 if half else PROBE_TOLERANCE


def _model_logps(model: nn.Module, tree: Tree, device: torch.device) -> Tensor:
    """What the model itself says of each path: the one place where full logits exist, on a few probe tokens."""
    parts = []
    for branch in tree.branches:
        ids = torch.tensor([[*tree.prompt_ids, *branch.ids]], device=device)
        logits = unwrap(model)(input_ids=ids, use_cache=False).logits[0].float()
        logps = torch.log_softmax(logits[len(tree.prompt_ids) - 1 : -1], dim=-1)
        parts.append(logps.gather(1, ids[0, len(tree.prompt_ids) :, None]).squeeze(1))
    return torch.cat(parts)
