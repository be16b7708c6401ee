"""Networks from a folder or hub id: weights whole, adapters merged, new adapters put on, dropout off."""

from __future__ import annotations

import warnings
from contextlib import suppress
from pathlib import Path

import torch
from torch import nn

from penchant.digests import SUMS, check_files, has_own_sums, read_sums, warn_without_digests
from penchant.engine.foreign_types import AutoClass, PeftModel, PreTrainedModel
from penchant.errors import InputError
from penchant.models import adapters
from penchant.models.added_tokens import add_rows, added_tokens, token_layers
from penchant.models.builtin import BUILT_IN
from penchant.models.device import weights_type
from penchant.models.hub import adapter_folder
from penchant.models.parts import linear_layers
from penchant.models.saved_template import read_saved_template
from penchant.models.settings import LoRA, ModelConfig, Parts
from penchant.models.weights import complete


def read_network(
    folder: str, model: ModelConfig, device: torch.device, kind: AutoClass, *, fresh_head: bool = False
) -> PreTrainedModel:
    """Return the network of a folder or hub id with its weights, its adapters merged in, and no dropout.

    Args:
        kind: the auto class of `transformers` that opens it.
        fresh_head: a scalar head is made where the model has none.

    Raises:
        InputError: it cannot be loaded whole.
    """
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
        root, revision = root_model(folder)
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


def root_model(folder: str, revision: str = "main") -> tuple[str, str]:
    """Return the model below all adapters, and its revision."""
    base = _base(folder)
    return (folder, revision) if base is None else root_model(*base)


def with_lora(network: PreTrainedModel, lora: LoRA, *, scalar: bool = False, parts: Parts | None = None) -> PeftModel:
    """Put new adapters on a network.

    Args:
        scalar: it has a scalar head, which trains too.
        parts: of a model that reads pictures, the parts that get adapters.

    Raises:
        InputError: adapters do not fit it.
    """
    from peft import LoraConfig, get_peft_model

    adapters.check_can_join(network)
    targets = lora.targets if isinstance(lora.targets, str) else list(lora.targets)
    if parts is not None:
        targets = linear_layers(network, parts, lora.targets)
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


def stated_end_ids(network: PreTrainedModel | None, folder: str) -> frozenset[int]:
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
