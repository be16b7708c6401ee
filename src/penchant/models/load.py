"""Models from a name, a folder, a GGUF file or the hub; LoRA, dtype and device, once, for every method."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from penchant.cache_use import use_cache_while_alive
from penchant.data.options import Overflow, RenderOptions, Template, TemplateArgs, Thoughts
from penchant.data.rendering.template_source import shown_name
from penchant.engine.foreign_types import AutoClass, PeftModel, PreTrainedConfig, PreTrainedModel, Tokenizer
from penchant.errors import InputError
from penchant.models.added_tokens import add_marks, add_rows, check_trained, set_end_ids
from penchant.models.device import check_attention, check_placed, choose_device
from penchant.models.locate import locate
from penchant.models.network import cannot_load, check_saved_files, read_network, root_model, stated_end_ids, with_lora
from penchant.models.parts import train_only_parts
from penchant.models.saved_template import read_saved_template, resolve_template
from penchant.models.settings import Dtype, LoRA, ModelConfig
from penchant.models.vision import VisionReader, load_vision_reader, picture_config
from penchant.models.weights import check_kind

if TYPE_CHECKING:
    from penchant.data.rendering.renderer import Renderer
    from penchant.models.policy import Policy
    from penchant.types import RunResult


def load_policy(
    model: str | Path | RunResult | Policy | ModelConfig,
    *,
    lora: LoRA | None = None,
    dtype: Dtype = "auto",
    device: str = "auto",
    trust_remote_code: bool = False,
    template: Template = "auto",
    template_args: TemplateArgs | None = None,
    thoughts: Thoughts = "score",
    max_length: int | None = None,
    overflow: Overflow = "error",
    rendering: RenderOptions | None = None,
) -> Policy:
    """Load a policy: a causal language model with its tokenizer, ready to score, sample and train.

    Args:
        model: a built-in name (`smollm2-135m`), a folder, a GGUF file, a hub id, or a `ModelConfig`, which
            settles `lora`, `dtype`, `device` and `trust_remote_code` as well, and may have `train_top` and
            `sampler`. The result of a run stands for its checkpoint, and a policy for a copy of its weights. A folder
            with LoRA adapters is opened with the adapters merged into their base.
        lora: train low-rank adapters.
        dtype: `float32`, `bfloat16`, `float16`, or `auto`: float32, but bfloat16 under LoRA on a GPU that has it.
        device: `auto` takes a GPU if there is one.
        trust_remote_code: run Python code that comes with the model; off unless asked.
        template, template_args, thoughts, max_length, overflow: how prompts and responses are rendered, see
            `penchant.data.options.RenderOptions`. What a checkpoint was trained with is its default.
        rendering: all of these at once, in their place.

    Raises:
        InputError: no such model, a broken one, a tokenizer without an end token, a device that is not there,
            a `train_top` that does not fit the model, a sampler that cannot run here.
    """
    from penchant.engine.generate import draw
    from penchant.models.policy import Policy
    from penchant.models.vllm import VLLM

    if not isinstance(model, ModelConfig):
        model = ModelConfig(name=model, lora=lora, dtype=dtype, device=device, trust_remote_code=trust_remote_code)
    sampler = draw if model.sampler == "penchant" else VLLM()
    rendering = rendering or RenderOptions(template, template_args or {}, thoughts, max_length, overflow)
    network, renderer = open_network(model, rendering)
    return Policy(network, renderer, model.name, sampler)


def open_network(
    model: ModelConfig,
    rendering: RenderOptions | None = None,
    *,
    scalar: bool = False,
    fresh_head: bool = False,
) -> tuple[PreTrainedModel | PeftModel, Renderer]:
    """Return a network on its device, adapters and frozen blocks as asked for, and the renderer of its texts.

    Args:
        rendering: how texts are rendered; what a checkpoint was trained with is the default.
        scalar: with a head that gives one number (a sequence classifier with one label) instead of the vocabulary's.
        fresh_head: that head is made where the model has none.

    Raises:
        InputError: as `load_policy`.
    """
    from penchant.data.rendering.renderer import Renderer
    from penchant.data.rendering.vocabulary import embedding_rows
    from penchant.engine.frozen import train_only_top
    from penchant.engine.lengths import context_length

    torch_device = choose_device(model.device)
    check_attention(model, torch_device)
    folder = locate(model.name)
    check_saved_files(Path(folder))
    rendering = rendering or RenderOptions()
    if not scalar:
        check_kind(Path(folder), "policy")
        if rendering.media is not False and _reads_pictures(folder, model.trust_remote_code):
            return _open_vision(folder, model, rendering, torch_device)
    _refuse_for_texts(model, rendering)
    tokenizer, saved = open_tokenizer(folder, model), read_saved_template(folder)
    template_name = shown_name(rendering.template)
    options, is_new = resolve_template(tokenizer, saved, rendering)
    added = add_marks(tokenizer, options.template_args, template_name) if is_new else None
    check_trained(added, model.train_top, model.lora.targets if model.lora is not None else "")
    network: PreTrainedModel | PeftModel = read_network(
        folder, model, torch_device, _text_class(scalar), fresh_head=fresh_head
    )
    use_cache_while_alive(network, Path(folder))
    if model.device_map is not None:
        torch_device = check_placed(network, model.device_map)
    if added is not None:
        add_rows(network, added)
    context = context_length(network.config.get_text_config())
    renderer = Renderer(
        tokenizer,
        end_ids=stated_end_ids(network, folder) | (frozenset(saved.end_ids) if saved is not None else frozenset()),
        template=options.template,
        template_args=options.template_args,
        thoughts=options.thoughts,
        # a model takes no more than its context, whatever is asked for
        max_length=min(filter(None, (options.max_length, context)), default=None),
        overflow=options.overflow,
        context=context,
        embeddings=embedding_rows(network),
        template_name=template_name,
    )
    if is_new:
        set_end_ids(network, tokenizer, renderer.end_ids)
    if tokenizer.pad_token_id is None:  # only fills rows, masks go by length: any token will do
        tokenizer.pad_token = tokenizer.eos_token
    if model.lora is not None:
        network = with_lora(network, model.lora, scalar=scalar)
    if model.train_top is not None:
        train_only_top(network, model.train_top)
        if scalar:  # the head lies above all blocks
            network.score.requires_grad_(True)
    return network.to(torch_device), renderer


def _text_class(scalar: bool) -> AutoClass:
    from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

    return AutoModelForSequenceClassification if scalar else AutoModelForCausalLM


def reads_pictures(name: str, *, trust_remote_code: bool = False) -> bool:
    """Return whether a model reads pictures beside text, by its configuration; False for what cannot be read."""
    try:
        return _reads_pictures(locate(name), trust_remote_code)
    except InputError:  # whoever loads it says what is wrong
        return False


def _reads_pictures(folder: str, trust_remote_code: bool) -> bool:
    # of adapters the model below them says it
    return picture_config(root_model(folder)[0], trust_remote_code=trust_remote_code) is not None


def _open_vision(
    folder: str, model: ModelConfig, rendering: RenderOptions, device: torch.device
) -> tuple[PreTrainedModel | PeftModel, Renderer]:
    """Return a network that reads pictures, and the renderer of its prompts; as `open_network`."""
    from transformers import AutoModelForImageTextToText

    from penchant.data.rendering.vocabulary import embedding_rows

    _refuse_for_pictures(model, rendering)
    reader = load_vision_reader(model, folder)
    network: PreTrainedModel | PeftModel = read_network(folder, model, device, AutoModelForImageTextToText)
    use_cache_while_alive(network, Path(folder))
    parts = model.parts or "both"
    if model.lora is not None:
        network = with_lora(network, model.lora, parts=parts)
    else:
        train_only_parts(network, parts)
    saved = read_saved_template(folder)
    end_ids = stated_end_ids(network, folder) | {reader.tokenizer.eos_token_id}
    end_ids |= frozenset(saved.end_ids) if saved is not None else frozenset()
    renderer = _vision_renderer(reader, rendering, end_ids, embedding_rows(network))
    return network.to(device), renderer


def _refuse_for_texts(model: ModelConfig, rendering: RenderOptions) -> None:
    """Refuse settings that mean nothing for a model of texts.

    Raises:
        InputError: names the first of them.
    """
    if rendering.media or model.parts is not None:
        setting = "data.media=true" if rendering.media else f"model.parts={model.parts}"
        raise InputError(
            f"{model.name} has no tower for pictures, so it reads text alone: leave {setting} out, or take a model "
            "that sees pictures"
        )


def _vision_renderer(
    reader: VisionReader, rendering: RenderOptions, end_ids: frozenset[int], rows: int | None
) -> Renderer:
    """Return the renderer of a model that reads pictures.

    Args:
        rows: of the model's embeddings; None where that is not known.
    """
    from penchant.data.rendering.renderer import Renderer

    max_length = min(filter(None, (rendering.max_length, reader.context)), default=None)
    return Renderer(
        reader.tokenizer,
        end_ids=end_ids,
        template="plain",
        max_length=max_length,
        overflow=rendering.overflow,
        context=reader.context,
        embeddings=rows,
        media=replace(reader, max_length=max_length, end_ids=end_ids),
    )


def _refuse_for_pictures(model: ModelConfig, rendering: RenderOptions) -> None:
    """Refuse settings that mean nothing for a model that reads pictures.

    Raises:
        InputError: names the first of them.
    """
    unusable = {
        "data.template": rendering.template not in ("auto", "chat"),
        "data.template_args": bool(rendering.template_args),
        "data.thoughts": rendering.thoughts != "score",
        "model.train_top": model.train_top is not None,
        "model.device_map": model.device_map is not None,
        "model.sampler": model.sampler != "penchant",
    }
    if wrong := [name for name, is_set in unusable.items() if is_set]:
        raise InputError(
            f"{model.name} reads pictures, and its processor writes the prompts: {wrong[0]} cannot be set for it"
        )


def load_renderer(
    model: str | Path,
    *,
    template: Template = "auto",
    rendering: RenderOptions | None = None,
    trust_remote_code: bool = False,
) -> Renderer:
    """Return the renderer of a model without its weights, to look at data.

    Args:
        rendering: how texts are rendered, in the place of `template`; its `max_length` is taken as it is.

    Raises:
        InputError: no such model, a tokenizer without an end token.
    """
    from penchant.data.rendering.renderer import Renderer

    settings = ModelConfig(name=str(model), trust_remote_code=trust_remote_code)
    folder = locate(settings.name)
    check_saved_files(Path(folder), weights=False)
    rendering = rendering or RenderOptions(template)
    if rendering.media is not False and _reads_pictures(folder, trust_remote_code):
        _refuse_for_pictures(settings, rendering)
        reader, saved = load_vision_reader(settings, folder), read_saved_template(folder)
        end_ids = stated_end_ids(None, folder) | (frozenset(saved.end_ids) if saved is not None else frozenset())
        end_ids |= {reader.tokenizer.eos_token_id}
        return _vision_renderer(reader, rendering, end_ids, _stated_rows(folder, settings))
    tokenizer, saved = open_tokenizer(folder, settings), read_saved_template(folder)
    template_name = shown_name(rendering.template)
    options, is_new = resolve_template(tokenizer, saved, rendering)
    rows = _stated_rows(folder, settings)
    if is_new and add_marks(tokenizer, options.template_args, template_name) is not None and rows is not None:
        rows = max(rows, len(tokenizer))  # whoever loads the weights gives them rows
    return Renderer(
        tokenizer,
        end_ids=stated_end_ids(None, folder) | (frozenset(saved.end_ids) if saved is not None else frozenset()),
        template=options.template,
        template_args=options.template_args,
        thoughts=options.thoughts,
        max_length=options.max_length,
        overflow=options.overflow,
        embeddings=rows,
        template_name=template_name,
    )


def stated_context(model: str | Path, *, trust_remote_code: bool = False) -> int | None:
    """Return the tokens that a model takes at once by its configuration, without its weights; None where it is silent.

    Raises:
        InputError: no such model.
    """
    from penchant.engine.lengths import context_length

    settings = ModelConfig(name=str(model), trust_remote_code=trust_remote_code)
    config = _stated_config(locate(settings.name), settings)
    return None if config is None else context_length(config)


def _stated_rows(folder: str, model: ModelConfig) -> int | None:
    """Return how many rows a configuration gives the embeddings; None for adapters, and where it does not say."""
    rows: int | None = getattr(_stated_config(folder, model), "vocab_size", None)
    return rows


def _stated_config(folder: str, model: ModelConfig) -> PreTrainedConfig | None:
    """Return the configuration of a model's text part; None for adapters, and where it cannot be read."""
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=model.trust_remote_code)
    except Exception:  # no configuration, or one that only the weights' loader may refuse
        return None
    text_config: PreTrainedConfig = config.get_text_config()
    return text_config


def open_tokenizer(folder: str, model: ModelConfig) -> Tokenizer:
    """Return a folder's or hub id's tokenizer.

    Raises:
        InputError: there is none, or a broken one.
    """
    from transformers import AutoTokenizer
    from transformers.utils import logging as hub_logging

    hub_logging.disable_progress_bar()  # a bar for every file of a model tells nothing
    try:
        return AutoTokenizer.from_pretrained(folder, trust_remote_code=model.trust_remote_code)
    except Exception as error:
        raise cannot_load("the tokenizer of", model, error) from error
