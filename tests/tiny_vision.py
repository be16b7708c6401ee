"""Tiny models of pictures and text with random weights, one per family of processors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers
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


SIDE = {"image_size": 32, "patch_size": 8}
LONG = {**TEXT, "num_key_value_heads": 2, "vocab_size": 300, "max_position_embeddings": 256}
ROPE = {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 10_000.0}
QWEN_IDS = {"image_token_id": 299, "video_token_id": 298, "vision_start_token_id": 297, "vision_end_token_id": 296}
QWEN_TEXT = {**LONG, "rope_parameters": ROPE, "bos_token_id": 0, "eos_token_id": 0}
QWEN_TOWER = {
    "depth": 2, "hidden_size": 16, "out_hidden_size": 32, "num_heads": 2, "patch_size": 4, "intermediate_size": 32,
    "spatial_merge_size": 2, "temporal_patch_size": 2,
}  # fmt: skip
FAMILIES = (
    "llava", "llava_next", "idefics3", "smolvlm", "paligemma", "gemma3",
    "qwen2_vl", "qwen2_5_vl", "qwen3_vl", "internvl",
)  # fmt: skip
TOKENS = {"llava": 16, "llava_next": 52, "paligemma": 16}
"""Tokens of one picture, where they are not four."""


def config_of(name: str) -> Any:
    """The configuration of a tiny model of a family."""
    match name:
        case "llava" | "llava_next":
            tower = CLIPVisionConfig(**TOWER, **SIDE, projection_dim=16)
            pins = {"image_grid_pinpoints": [[32, 64], [64, 32]]} if name == "llava_next" else {}
            kind = getattr(transformers, "LlavaNextConfig" if pins else "LlavaConfig")
            return kind(vision_config=tower, text_config=LlamaConfig(**LONG), image_token_index=299, **pins)
        case "idefics3" | "smolvlm":
            kind = getattr(transformers, "Idefics3Config" if name == "idefics3" else "SmolVLMConfig")
            text = {**LONG, "model_type": "llama"}
            return kind(
                text_config=text, vision_config={**TOWER, **SIDE}, image_token_id=299, scale_factor=2, pad_token_id=0
            )
        case "paligemma":
            tower = {
                **TOWER,
                **SIDE,
                "model_type": "siglip_vision_model",
                "vision_use_head": False,
                "projection_dim": 32,
            }
            text = {**LONG, "model_type": "gemma", "head_dim": 16}
            return transformers.PaliGemmaConfig(
                text_config=text, vision_config=tower, image_token_index=299, projection_dim=32, pad_token_id=0
            )
        case "gemma3":
            text = {**LONG, "head_dim": 16, "sliding_window": 64, "query_pre_attn_scalar": 16}
            marks = {"image_token_index": 299, "boi_token_index": 298, "eoi_token_index": 297}
            return transformers.Gemma3Config(
                text_config=text, vision_config={**TOWER, **SIDE}, mm_tokens_per_image=4, **marks
            )
        case "qwen2_vl":
            tower = {**QWEN_TOWER, "embed_dim": 16, "hidden_size": 32, "mlp_ratio": 2}
            return transformers.Qwen2VLConfig(text_config=QWEN_TEXT, vision_config=tower, **QWEN_IDS)
        case "qwen2_5_vl":
            tower = {**QWEN_TOWER, "window_size": 16, "fullatt_block_indexes": [1]}
            return transformers.Qwen2_5_VLConfig(text_config=QWEN_TEXT, vision_config=tower, **QWEN_IDS)
        case "qwen3_vl":
            tower = {**QWEN_TOWER, "num_position_embeddings": 16, "deepstack_visual_indexes": [0]}
            text = {**QWEN_TEXT, "head_dim": 16}
            return transformers.Qwen3VLConfig(text_config=text, vision_config=tower, **QWEN_IDS)
        case _:
            tower = {**TOWER, "image_size": [32, 32], "patch_size": [8, 8]}
            text = {**LONG, "model_type": "qwen2"}
            return transformers.InternVLConfig(text_config=text, vision_config=tower, image_token_id=299)


def features_of(name: str, pictures: int) -> dict[str, Tensor]:
    """What the towers of a family read of some pictures."""
    generator = torch.Generator().manual_seed(1)

    def noise(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    if name.startswith("qwen"):
        grid = torch.tensor([[1, 4, 4]] * pictures)
        return {"pixel_values": noise(16 * pictures, 96), "image_grid_thw": grid}
    if name == "llava_next":  # a picture twice as wide as high: the whole of it, and two halves
        return {"pixel_values": noise(pictures, 3, 3, 32, 32), "image_sizes": torch.tensor([[32, 64]] * pictures)}
    if name in ("idefics3", "smolvlm"):
        seen = torch.ones(1, pictures, 32, 32, dtype=torch.long)
        return {"pixel_values": noise(1, pictures, 3, 32, 32), "pixel_attention_mask": seen}
    return {"pixel_values": noise(pictures, 3, 32, 32)}


def family(name: str, pictures: int = 1) -> tuple[nn.Module, tuple[int, ...], dict[str, Tensor], dict[str, Tensor]]:
    """A model of a family, a prompt's tokens with pictures, what its tower reads, and the kinds of tokens."""
    model = spread_weights(AutoModelForImageTextToText.from_config(config_of(name)))
    picture = [299] * TOKENS.get(name, 4)
    if name.startswith("qwen"):
        picture = [297, *picture, 296]
    elif name == "gemma3":
        picture = [298, *picture, 297]
    # PaliGemma's pictures stand before all text, in one block with it
    prompt = [*picture * pictures, 1, 2, 3] if name == "paligemma" else [1, *[*picture, 2] * pictures, 3]
    kinds: dict[str, Tensor] = {}
    if name == "paligemma":
        kinds["token_type_ids"] = torch.zeros(1, len(prompt), dtype=torch.long)
    elif name == "gemma3" or name.startswith("qwen"):
        argument = "token_type_ids" if name == "gemma3" else "mm_token_type_ids"
        kinds[argument] = (torch.tensor([prompt]) == 299).long()
    return model, tuple(prompt), features_of(name, pictures), kinds
