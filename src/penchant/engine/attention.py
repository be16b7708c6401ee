"""Running a model's trunk over trees, and the head that turns its states into logits.

Trees need an attention layer that calls the implementation which `transformers` has registered and does nothing of
its own (recurrent layers, sliding windows, ALiBi). Any other model goes down the plain path (`engine/probe.py`).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from penchant.engine.foreign_types import PreTrainedModel
from penchant.engine.logps import Head
from penchant.engine.tree import TreeBatch
from penchant.errors import InputError

READS_HEAD_INPUT = "penchant_reads_head_input"
"""Attribute of a network that does more to the trunk's states before it projects them (BERT's decoders do)."""


def unwrap(model: nn.Module) -> PreTrainedModel:
    """Return the `transformers` model inside a PEFT wrapper (its adapters stay injected), or the model itself."""
    inner: PreTrainedModel = model
    return inner.get_base_model() if hasattr(inner, "get_base_model") else inner


def trunk(model: nn.Module) -> PreTrainedModel:
    """Return the network below the vocabulary head."""
    inner = unwrap(model)
    below = inner.base_model
    return below if below is not inner else getattr(inner, "model", inner)  # Llama 4 names no trunk that it has


@contextmanager
def evaluating(*models: nn.Module) -> Iterator[None]:
    """Switch gradients and dropout off; put the models back in their modes afterwards."""
    modes = [model.training for model in models]
    try:
        with torch.no_grad():
            for model in models:
                model.eval()
            yield
    finally:
        for model, mode in zip(models, modes, strict=True):
            model.train(mode)


def last_logits_option(network: PreTrainedModel, last: int = 1) -> dict[str, int]:
    """Return the argument that asks a network for the logits of the last tokens alone; none where it has none."""
    # a full (batch, length, vocabulary) tensor must never exist (docs/decisions/0005-head.md)
    return {"logits_to_keep": last} if "logits_to_keep" in inspect.signature(network.forward).parameters else {}


def predictor_states(
    model: nn.Module, batch: TreeBatch, inputs: Float[Tensor, "rows length hidden"] | None = None, first: int = 0
) -> Float[Tensor, "tokens hidden"]:
    """Return the states from which the vocabulary head predicts the scored tokens; no logits are computed.

    `inputs` are the states that enter block number `first`; None for the whole model.
    """
    # BERT's decoders do more to the trunk's states before they project them (docs/decisions/0019-decoding.md)
    run = _head_input if getattr(unwrap(model), READS_HEAD_INPUT, False) else _trunk_states
    return states_at(model, batch, batch.predictors, inputs, first, run)


def states_at(
    model: nn.Module,
    batch: TreeBatch,
    positions: Int[Tensor, " positions"],
    inputs: Float[Tensor, "rows length hidden"] | None = None,
    first: int = 0,
    run: Callable[[nn.Module, TreeBatch, Tensor | None], Tensor] | None = None,
) -> Float[Tensor, "positions hidden"]:
    """Return hidden states at some flat positions, into rows * length, of the batch.

    Args:
        inputs, first: as in `predictor_states`.
        run: gives the states of the whole batch; the trunk's final ones if not given.
    """
    with nullcontext() if inputs is None else _only_blocks(model, first, None):
        states = (run or _trunk_states)(model, batch, inputs)
    return states.reshape(-1, states.shape[-1]).index_select(0, positions)


def entering_states(model: nn.Module, batch: TreeBatch, block: int) -> Float[Tensor, "rows length hidden"]:
    """Return the states that enter a block; only it and the blocks below are run."""
    captured: list[Tensor] = []

    def keep(_: nn.Module, arguments: tuple[Tensor, ...], keywords: dict[str, Tensor]) -> None:
        # model classes differ in how they call their blocks
        captured.append(arguments[0] if arguments else keywords["hidden_states"])

    blocks = trunk_blocks(model)
    assert blocks is not None
    # the block whose input is wanted runs too: its hook is what takes the input
    hook = blocks[block].register_forward_pre_hook(keep, with_kwargs=True)
    try:
        with _only_blocks(model, 0, block + 1):
            _trunk_states(model, batch, None)
    finally:
        hook.remove()
    return captured[0]


def trunk_blocks(model: nn.Module) -> nn.ModuleList | None:
    """Return the model's blocks from the bottom up, where it keeps them as most do; else None."""
    blocks = getattr(trunk(model), "layers", None)
    return blocks if isinstance(blocks, nn.ModuleList) else None


@contextmanager
def _only_blocks(model: nn.Module, start: int, stop: int | None) -> Iterator[None]:
    """Leave the trunk only some of its blocks, the modules themselves, until the `with` block ends."""
    below, blocks = trunk(model), trunk_blocks(model)
    assert blocks is not None
    # a trunk's forward pass loops over `layers`; masks, positions and the final norm stay as they are
    try:
        below.layers = blocks[start:stop]
        yield
    finally:
        below.layers = blocks


def _trunk_states(model: nn.Module, batch: TreeBatch, inputs: Tensor | None) -> Float[Tensor, "rows length hidden"]:
    states: Tensor = trunk(model)(**_options(batch, inputs)).last_hidden_state
    return states


def _head_input(model: nn.Module, batch: TreeBatch, inputs: Tensor | None) -> Float[Tensor, "rows length hidden"]:
    """Run the whole network with a head that only keeps its input."""
    inner = unwrap(model)
    head = inner.get_output_embeddings()
    captured: list[Tensor] = []

    def keep(states: Tensor, *_: object, **__: object) -> Tensor:
        captured.append(states)
        return states[..., :1]  # stands for the logits, which nobody reads

    before = vars(head).get("forward")  # some libraries put their own there
    head.forward = keep
    try:
        inner(**_options(batch, inputs))
    finally:
        if before is None:
            del head.forward
        else:
            head.forward = before
    if len(captured) != 1 or captured[0].shape[:2] != batch.input_ids.shape:
        raise InputError(f"{type(inner).__name__} calls its output head in a way that Penchant does not know")
    return captured[0]


def _options(batch: TreeBatch, inputs: Tensor | None) -> dict[str, object]:
    """Return the arguments of a forward pass over a batch."""
    # without trees a row is one path, padded on the right, for which the model's own causal mask is right
    options: dict[str, object] = {"use_cache": False}
    if batch.spans is not None:
        no_mask = torch.empty(1, 1, 1, 1)  # has four dimensions: `transformers` then builds none of its own
        options |= {"attention_mask": no_mask, "position_ids": batch.position_ids, "trees": batch.spans}
    return options | ({"input_ids": batch.input_ids} if inputs is None else {"inputs_embeds": inputs})


def output_head(model: nn.Module) -> Head:
    """Return the vocabulary projection with everything that the model's forward pass would do to the logits.

    Adapters on the head are folded into its weight (differentiably), a `modules_to_save` copy is used where active.
    """
    inner = unwrap(model)
    layer = inner.get_output_embeddings()
    if layer is None:
        raise InputError(f"{type(inner).__name__} has no output head: it is not a causal language model")
    if hasattr(layer, "modules_to_save"):
        # peft trains a copy of the whole layer beside the original, and calls one of the two
        active = layer.active_adapter
        saved = not layer.disable_adapters and active in layer.modules_to_save
        layer = layer.modules_to_save[active] if saved else layer.original_module
    # W + B A, differentiable: adapters of the head learn through our own projection, since their forward is not called
    weight = layer.weight
    if hasattr(layer, "token_adapter"):
        # peft trains some rows beside the layer: its `weight` has them put in, unless they are merged or switched off
        rows = layer.token_adapter
        layer = rows.base_layer
        weight = layer.weight if rows.merged else weight
    if hasattr(layer, "get_delta_weight") and not layer.disable_adapters and not layer.merged:
        for adapter in layer.active_adapters:
            if adapter in layer.lora_A:
                weight = weight + layer.get_delta_weight(adapter)
    # what the model's forward pass does behind the projection; a probe finds heads that do more
    config = inner.config.get_text_config()
    scale = float(getattr(config, "logit_scale", None) or 1.0)
    if getattr(config, "logits_scaling", None):  # Granite divides, Cohere multiplies
        scale /= float(config.logits_scaling)
    return Head(weight, getattr(layer, "bias", None), getattr(config, "final_logit_softcapping", None), scale)
