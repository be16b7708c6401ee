"""Tiny models of pictures and text with random weights, one per family of processors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tokenizers import pre_tokenizers
from torch import Tensor, nn
from transformers import AutoModelForImageTextToText, CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaProcessor
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from byte_tokenizers import byte_tokenizer

IMAGE = "<image>"
TEMPLATE = (
    "{% for message in messages %}{{ message['role'] }}: {% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}{% endfor %}"
    "{% if message['role'] == 'assistant' %}<|end|>{% endif %}{{ '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)
# as Idefics3's and SmolVLM's do with content that is a text: the question vanishes
DROPPING = TEMPLATE.replace("{{ part['text'] }}", "")
TEXT = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}
TOWER = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}


def spread_weights(model: nn.Module) -> nn.Module:
    """Weights so large that a wrong mask is seen: fresh ones give all tokens nearly the same probability."""
    generator = torch.Generator().manual_seed(0)
    for weight in model.parameters():
        if weight.ndim > 1:
            weight.data = torch.randn(weight.shape, generator=generator) * 0.3
    return model.eval()


def llava(vocabulary: int = 300, image_token: int = 299, context: int = 256) -> nn.Module:
    """A LLaVA: 16 tokens per picture of 32 x 32 pixels."""
    tower = CLIPVisionConfig(**TOWER, image_size=32, patch_size=8, projection_dim=16)
    text = LlamaConfig(**TEXT, num_key_value_heads=2, vocab_size=vocabulary, max_position_embeddings=context)
    config = LlavaConfig(vision_config=tower, text_config=text, image_token_index=image_token)
    return spread_weights(AutoModelForImageTextToText.from_config(config))


def save_llava(folder: Path, template: str | None = TEMPLATE, context: int = 256) -> Path:
    """A LLaVA with its processor, as a folder that the auto classes read."""
    tokenizer = byte_tokenizer(pre_tokenizers.ByteLevel(add_prefix_space=False))
    tokenizer.add_special_tokens({"additional_special_tokens": [IMAGE], "pad_token": "<|end|>"})
    LlavaProcessor(
        image_processor=CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}),
        tokenizer=tokenizer,
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=template,
    ).save_pretrained(folder)
    llava(len(tokenizer), tokenizer.convert_tokens_to_ids(IMAGE), context).save_pretrained(folder)
    return folder


def family(name: str) -> tuple[nn.Module, tuple[int, ...], dict[str, Tensor], dict[str, Tensor]]:
    """A model of a family, a prompt's tokens with one picture, what its tower reads, and the kinds of tokens."""
    generator = torch.Generator().manual_seed(1)
    square = torch.randn(1, 3, 32, 32, generator=generator)
    if name == "llava":
        return llava(), (1, *[299] * 16, 2, 3), {"pixel_values": square}, {}
    if name == "gemma3":
        from transformers import Gemma3Config

        text = {**TEXT, "num_key_value_heads": 2, "head_dim": 16, "vocab_size": 300, "max_position_embeddings": 256}
        config: Any = Gemma3Config(
            text_config={**text, "sliding_window": 64, "query_pre_attn_scalar": 16},
            vision_config={**TOWER, "image_size": 32, "patch_size": 8},
            mm_tokens_per_image=4,
            image_token_index=299,
            boi_token_index=298,
            eoi_token_index=297,
        )
        kinds = {"token_type_ids": torch.tensor([[0, 0, 1, 1, 1, 1, 0, 0, 0]])}
        model = spread_weights(AutoModelForImageTextToText.from_config(config))
        return model, (1, 298, *[299] * 4, 297, 2, 3), {"pixel_values": square}, kinds
    from transformers import Qwen2VLConfig

    rope = {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 10_000.0}
    text = {**TEXT, "num_key_value_heads": 2, "vocab_size": 300, "max_position_embeddings": 256}
    config = Qwen2VLConfig(
        text_config={**text, "rope_parameters": rope, "bos_token_id": 0, "eos_token_id": 0},
        vision_config={
            "depth": 2, "embed_dim": 16, "hidden_size": 32, "num_heads": 2, "patch_size": 4, "mlp_ratio": 2,
            "spatial_merge_size": 2, "temporal_patch_size": 2,
        },
        image_token_id=299,
        video_token_id=298,
        vision_start_token_id=297,
        vision_end_token_id=296,
    )  # fmt: skip
    features = {
        "pixel_values": torch.randn(16, 96, generator=generator),
        "image_grid_thw": torch.tensor([[1, 4, 4]]),
    }
    kinds = {"mm_token_type_ids": torch.tensor([[0, 0, 1, 1, 1, 1, 0, 0, 0]])}
    return (
        spread_weights(AutoModelForImageTextToText.from_config(config)),
        (1, 297, *[299] * 4, 296, 2, 3),
        features,
        kinds,
    )
