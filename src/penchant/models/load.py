"""Models from a name, a folder, a GGUF file or the hub; LoRA, dtype and device, once, for every method."""

from __future__ import annotations

import logging
import warnings
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from penchant.cache_use import use_cache_while_alive
from penchant.data.options import Overflow, RenderOptions, Template, TemplateArgs, Thoughts
from penchant.data.rendering.template_source import shown_name
from penchant.digests import SUMS, check_files, has_own_sums, read_sums, warn_without_digests
from penchant.engine.foreign_types import AutoClass, PeftModel, PreTrainedConfig, PreTrainedModel, Tokenizer
from penchant.errors import InputError
from penchant.models import adapters
from penchant.models.added_tokens import add_marks, add_rows, added_tokens, check_trained, set_end_ids, token_layers
from penchant.models.builtin import BUILT_IN
from penchant.models.device import check_attention, check_placed, choose_device, weights_type
from penchant.models.hub import adapter_folder
from penchant.models.locate import locate
from penchant.models.saved_template import read_saved_template, resolve_template
from penchant.models.settings import Dtype, LoRA, ModelConfig
from penchant.models.weights import check_kind, complete

if TYPE_CHECKING:
    from penchant.data.rendering.renderer import Renderer
    from penchant.models.policy import Policy
    from penchant.types import RunResult

log = logging.getLogger("penchant.models")


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
    if not scalar:
        check_kind(Path(folder), "policy")
    tokenizer, saved = open_tokenizer(folder, model), read_saved_template(folder)
    rendering = rendering or RenderOptions()
    template_name = shown_name(rendering.template)
    options, is_new = resolve_template(tokenizer, saved, rendering)
    added = add_marks(tokenizer, options.template_args, template_name) if is_new else None
    check_trained(added, model.train_top, model.lora.targets if model.lora is not None else "")
    network: PreTrainedModel | PeftModel = _network(folder, model, torch_device, scalar, fresh_head)
    use_cache_while_alive(network, Path(folder))
    if model.device_map is not None:
        torch_device = check_placed(network, model.device_map)
    if added is not None:
        add_rows(network, added)
    context = context_length(network.config.get_text_config())
    renderer = Renderer(
        tokenizer,
        end_ids=_end_ids(network, folder) | (frozenset(saved.end_ids) if saved is not None else frozenset()),
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
        network = _with_lora(network, model.lora, scalar)
    if model.train_top is not None:
        train_only_top(network, model.train_top)
        if scalar:  # the head lies above all blocks
            network.score.requires_grad_(True)
    return network.to(torch_device), renderer


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
    tokenizer, saved = open_tokenizer(folder, settings), read_saved_template(folder)
    rendering = rendering or RenderOptions(template)
    template_name = shown_name(rendering.template)
    options, is_new = resolve_template(tokenizer, saved, rendering)
    rows = _stated_rows(folder, settings)
    if is_new and add_marks(tokenizer, options.template_args, template_name) is not None and rows is not None:
        rows = max(rows, len(tokenizer))  # whoever loads the weights gives them rows
    return Renderer(
        tokenizer,
        end_ids=_end_ids(None, folder) | (frozenset(saved.end_ids) if saved is not None else frozenset()),
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


def _network(folder: str, model: ModelConfig, device: torch.device, scalar: bool, fresh_head: bool) -> PreTrainedModel:
    from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

    kind = AutoModelForSequenceClassification if scalar else AutoModelForCausalLM
    options: dict[str, object] = {
        "dtype": weights_type(model, device),
        "trust_remote_code": model.trust_remote_code,
        "attn_implementation": "sdpa" if model.attention == "auto" else model.attention,
        "use_safetensors": True,  # never a pickle, which runs code
        **({"device_map": model.device_map} if model.device_map is not None else {}),
    }
    try:
        try:
            network = _opened(kind, folder, options, fresh_head)
        except ValueError as error:
            # a class without SDPA runs its own attention, and then no trees
            if "scaled_dot_product_attention" not in str(error) or model.attention != "auto":
                raise
            network = _opened(kind, folder, {**options, "attn_implementation": "eager"}, fresh_head)
    except Exception as error:
        raise cannot_load("", model, error) from error
    _switch_dropout_off(network)
    return network


def _switch_dropout_off(network: PreTrainedModel) -> None:
    # a loss compares with a reference: dropout would compare noise
    for name in ("attention_dropout", "attn_pdrop", "embd_pdrop", "resid_pdrop", "hidden_dropout"):
        if getattr(network.config, name, 0.0):
            setattr(network.config, name, 0.0)
    for module in network.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        for name in ("attention_dropout", "dropout"):  # attention layers keep their own copy of the probability
            if isinstance(getattr(module, name, None), float):
                setattr(module, name, 0.0)


def _opened(kind: AutoClass, folder: str, options: dict[str, object], fresh_head: bool) -> PreTrainedModel:
    """Return the network of a folder or hub id, with its adapters merged in."""
    # every folder of a chain of adapters is checked, since each is read
    check_saved_files(Path(folder))
    base = _base(folder)
    if base is None:
        return complete(kind, folder, options, may_lack="score." if fresh_head else "", may_drop_head=fresh_head)
    scalar = kind.__name__.endswith("SequenceClassification")
    if scalar and not adapters.has_scalar_head(Path(folder)):  # adapters of a policy: their trunk, a new head
        from transformers import AutoModelForCausalLM

        policy = _opened(AutoModelForCausalLM, folder, options, False)
        root, revision = _root(folder)
        network = complete(kind, root, {**options, "revision": revision}, may_lack="score.", may_drop_head=True)
        if (added := added_tokens(policy)) is not None:
            add_rows(network, added)
        network.base_model.load_state_dict(policy.base_model.state_dict())
        adapters.keep_merged(network, policy)
        return network
    # a reward model's adapters bring the head that their base has not
    name, revision = base
    below = _opened(kind, name, {**options, "revision": revision}, scalar)
    if (saved := read_saved_template(folder)) is not None and saved.added is not None:
        add_rows(below, saved.added)
    return adapters.merge_adapters(adapters.load_adapters(below, folder), folder)


def _base(folder: str) -> tuple[str, str] | None:
    """Return what a folder's adapters build on, as `from_pretrained` takes it, and its revision; None without any."""
    name = adapters.adapter_base(Path(folder))
    if name is None:
        return None
    revision = adapters.base_revision(Path(folder))
    return adapter_folder(name, revision) or name, revision or "main"


def check_saved_files(folder: Path, *, weights: bool = True) -> None:
    """Refuse a saved model whose files are not what was written. One that Penchant did not write is left unchecked.

    Args:
        weights: check them too, and not just tokenizer and settings.

    Raises:
        DamagedFile: they are not.
    """
    if has_own_sums(folder) or ((folder / "resume").is_dir() and (folder / SUMS).exists()):
        names = {name for name in read_sums(folder) or () if "/" not in name}
        names |= {file.name for file in folder.glob("*.safetensors")}
        check_files(folder, sorted(name for name in names if weights or not name.endswith(".safetensors")))
    elif (folder / "resume").is_dir():
        warn_without_digests(folder)


def _root(folder: str, revision: str = "main") -> tuple[str, str]:
    """Return the model below all adapters, and its revision."""
    base = _base(folder)
    return (folder, revision) if base is None else _root(*base)


def _with_lora(network: PreTrainedModel, lora: LoRA, scalar: bool) -> PeftModel:
    from peft import LoraConfig, get_peft_model

    adapters.check_can_join(network)
    targets = lora.targets if isinstance(lora.targets, str) else list(lora.targets)
    settings = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=targets,
        task_type="SEQ_CLS" if scalar else "CAUSAL_LM",  # the former trains the new head too
        # tokens that the base lacks have no other way to be learned
        trainable_token_indices=token_layers(network, adapters.trained_tokens(network)),
    )
    try:
        with warnings.catch_warnings():  # peft asks transformers by a name that the latter is about to drop
            warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is deprecated")
            return get_peft_model(network, settings)
    except ValueError as error:
        raise InputError(f"lora.targets={lora.targets!r} does not fit this model: {error}") from error


def _end_ids(network: PreTrainedModel | None, folder: str) -> frozenset[int]:
    """Return the tokens that end a turn, by the model's generation config (some models have several)."""
    from transformers import GenerationConfig

    # chat models end a turn with another token than the one that ends a text
    generation = getattr(network, "generation_config", None)
    if generation is None:  # a network that is not made for generating: its folder may know all the same
        with suppress(OSError):
            generation = GenerationConfig.from_pretrained(folder)
    ids = generation.eos_token_id if generation is not None else None
    return frozenset(ids if isinstance(ids, list) else [ids]) - {None}


def cannot_load(part: str, model: ModelConfig, error: Exception) -> InputError:
    """Return the error that a user reads where `transformers` gave up."""
    first, *further_lines = str(error).strip().splitlines() or [type(error).__name__]
    # torch names the weights in the line below
    reason = f"{first} {further_lines[0].strip()}" if first.endswith(":") and further_lines else first
    source = f"{part + ' ' if part else ''}model {model.name!r}"
    if "trust_remote_code" in str(error):
        return InputError(
            f"{source} comes with Python code of its own, which runs only "
            "where you say so: set `trust_remote_code: true` for a source that you trust as much as your own code"
        )
    return InputError(
        f"cannot load {source}: {reason} "
        f"(a built-in name is one of: {', '.join(BUILT_IN)}; a hub id needs a network or a filled cache)"
    )
