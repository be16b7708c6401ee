"""Encoders, such as MiniLM: networks that read a text whole and predict no next token. They are probed, not trained."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from penchant.engine.foreign_types import PreTrainedModel, Tokenizer
from penchant.models.builtin import ENCODERS, IMAGE_ENCODERS, packaged
from penchant.models.device import choose_device, weights_type
from penchant.models.load import open_tokenizer
from penchant.models.locate import locate
from penchant.models.network import cannot_load
from penchant.models.settings import ModelConfig
from penchant.models.weights import complete


@dataclass(frozen=True)
class Encoder:
    """An encoder with its tokenizer.

    Attributes:
        context: tokens that it takes at once, those that it puts around a text included.
    """

    model: nn.Module
    tokenizer: Tokenizer
    device: torch.device
    context: int


def is_encoder(name: str, *, trust_remote_code: bool = False) -> bool:
    """Return whether a model is an encoder, by its configuration: it fills in words and is not made to continue texts.

    Raises:
        InputError: no such model.
    """
    if name in ENCODERS:
        return name not in IMAGE_ENCODERS
    from transformers import AutoConfig
    from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES

    folder = locate(name)
    if (Path(folder) / "adapter_config.json").exists():  # of a language model: we train no others
        return False
    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=trust_remote_code)
    except Exception as error:
        raise cannot_load("", ModelConfig(name=name), error) from error
    # BERT's type has decoders too: their class, which the configuration names, ends in LMHeadModel
    generates = any(
        "CausalLM" in architecture or "LMHead" in architecture for architecture in config.architectures or ()
    )
    fills_in = config.model_type in MODEL_FOR_MASKED_LM_MAPPING_NAMES and not config.is_encoder_decoder
    return fills_in and not generates


def load_encoder(settings: ModelConfig) -> Encoder:
    """Load an encoder, ready to read.

    Raises:
        InputError: no such model, or a broken one.
    """
    from transformers import AutoModel

    device = choose_device(settings.device)
    name = settings.name
    folder = str(packaged(name, *ENCODERS[name])) if name in ENCODERS else locate(name)
    options = {"dtype": weights_type(settings, device), "trust_remote_code": settings.trust_remote_code}
    try:
        # the pooler is what a head for pairs of sentences starts from; states are read before it
        model = complete(
            AutoModel,
            folder,
            {**options, "use_safetensors": True},
            may_lack="pooler.",
            may_drop_head=True,
            clear_lacking=True,
        )
    except Exception as error:
        raise cannot_load("", settings, error) from error
    tokenizer = open_tokenizer(folder, settings)
    # a tokenizer that knows no limit states a huge number
    return Encoder(model.eval().to(device), tokenizer, device, min(_positions(model), tokenizer.model_max_length))


def _positions(model: PreTrainedModel) -> int:
    """Return how many tokens have a position; RoBERTa counts positions from the one after its padding's."""
    size = int(model.config.max_position_embeddings)
    for name, module in model.named_modules():
        if name.endswith("position_embeddings") and getattr(module, "padding_idx", None) is not None:
            return size - int(module.padding_idx) - 1
    return size
