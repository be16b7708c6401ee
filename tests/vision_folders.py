"""Tiny models of pictures and text as folders with the files of their own processors, as a hub has them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tokenizers import pre_tokenizers
from transformers import AutoModelForImageTextToText, PreTrainedTokenizerFast

from byte_tokenizers import byte_tokenizer
from tiny_vision import TEMPLATE, config_of, spread_weights

QWEN = {"image": "<|image_pad|>", "video": "<|video_pad|>", "start": "<|vision_start|>", "end": "<|vision_end|>"}
QWEN_SIZES = {"patch_size": 4, "temporal_patch_size": 2, "merge_size": 2}
SQUARE = {"height": 32, "width": 32}
# by family, what its processor is, the settings of its parts, and what a template writes for a picture
PROCESSORS: dict[str, tuple[str, dict[str, Any], str]] = {
    "llava": (
        "LlavaProcessor",
        {
            "patch_size": 8,
            "vision_feature_select_strategy": "default",
            "num_additional_image_tokens": 1,
            "image_processor": {
                "image_processor_type": "CLIPImageProcessor",
                "size": {"shortest_edge": 32},
                "crop_size": SQUARE,
            },
        },
        "<image>",
    ),
    "llava_next": (
        "LlavaNextProcessor",
        {
            "patch_size": 8,
            "vision_feature_select_strategy": "default",
            "num_additional_image_tokens": 1,
            "image_processor": {
                "image_processor_type": "LlavaNextImageProcessor",
                "size": {"shortest_edge": 32},
                "crop_size": SQUARE,
                "image_grid_pinpoints": [[32, 64], [64, 32]],
            },
        },
        "<image>",
    ),
    "idefics3": (
        "Idefics3Processor",
        {
            "image_seq_len": 4,
            "image_processor": {
                "image_processor_type": "Idefics3ImageProcessor",
                "size": {"longest_edge": 64},
                "max_image_size": {"longest_edge": 32},
            },
        },
        "<image>",
    ),
    "paligemma": (
        "PaliGemmaProcessor",
        {"image_processor": {"image_processor_type": "SiglipImageProcessor", "size": SQUARE, "image_seq_length": 16}},
        "<image>",
    ),
    "gemma3": (
        "Gemma3Processor",
        {"image_seq_length": 4, "image_processor": {"image_processor_type": "Gemma3ImageProcessor", "size": SQUARE}},
        "<start_of_image>",
    ),
    "internvl": (
        "InternVLProcessor",
        {
            "image_seq_length": 4,
            "image_processor": {
                "image_processor_type": "GotOcr2ImageProcessor",
                "size": SQUARE,
                "crop_to_patches": True,
                "max_patches": 3,
            },
            "video_processor": {"video_processor_type": "InternVLVideoProcessor", "size": SQUARE},
        },
        "<IMG_CONTEXT>",
    ),
}
PROCESSORS["smolvlm"] = (
    "SmolVLMProcessor",
    {
        "image_seq_len": 4,
        "image_processor": {
            **PROCESSORS["idefics3"][1]["image_processor"],
            "image_processor_type": "SmolVLMImageProcessor",
        },
        "video_processor": {
            "video_processor_type": "SmolVLMVideoProcessor",
            "size": {"longest_edge": 32},
            "max_image_size": {"longest_edge": 32},
        },
    },
    "<image>",
)
for _name, _prefix in (("qwen2_vl", "Qwen2VL"), ("qwen2_5_vl", "Qwen2_5_VL"), ("qwen3_vl", "Qwen3VL")):
    _pixels = {"size": {"shortest_edge": 64, "longest_edge": 4096}, **QWEN_SIZES}
    _videos = "Qwen3VL" if _name == "qwen3_vl" else "Qwen2VL"
    PROCESSORS[_name] = (
        f"{_prefix}Processor",
        {
            "image_processor": {"image_processor_type": "Qwen2VLImageProcessor", **_pixels},
            "video_processor": {
                "video_processor_type": f"{_videos}VideoProcessor",
                "cap_pixels_per_frame": False,
                **_pixels,
            },
        },
        "<|vision_start|><|image_pad|><|vision_end|>",
    )
TOKENS = {
    "gemma3": {"image": "<image_soft_token>", "boi": "<start_of_image>", "eoi": "<end_of_image>"},
    "internvl": {
        "context_image": "<IMG_CONTEXT>", "start_image": "<img>", "end_image": "</img>", "video": "<video>",
    },
}  # fmt: skip
"""Special tokens by the name that a family's tokenizer has for them."""
IDS = {
    "gemma3": {"image_token_id": "image", "boi_token_index": "boi", "eoi_token_index": "eoi"},
    "internvl": {"image_token_id": "context_image"},
}
"""Settings of a family's configuration that hold the id of a token."""


def save_family(name: str, folder: Path) -> Path:
    """A tiny model of a family with random weights, its tokenizer, template and processor's settings."""
    is_qwen = name.startswith("qwen")
    marks = QWEN if is_qwen else TOKENS.get(name, {"image": "<image>"})
    tokenizer = _tokenizer(name, marks, folder)
    processor, settings, picture = PROCESSORS[name]
    video = "<|vision_start|><|video_pad|><|vision_end|>" if is_qwen else "<video>"
    template = TEMPLATE.replace(
        "<image>{% else %}", f"{picture}{{% elif part['type'] == 'video' %}}{video}{{% else %}}"
    )
    (folder / "chat_template.jinja").write_text(template)
    (folder / "processor_config.json").write_text(json.dumps({"processor_class": processor, **settings}))
    config = config_of(name)
    text = config.get_text_config()
    text.vocab_size, text.eos_token_id = len(tokenizer), tokenizer.eos_token_id
    text.max_position_embeddings = 1024
    ids = {"image_token_id": "image"} if not is_qwen else {f"{side}_token_id": side for side in ("image", "video")}
    if is_qwen:
        ids |= {"vision_start_token_id": "start", "vision_end_token_id": "end"}
    for setting, mark in IDS.get(name, ids).items():
        setattr(config, setting, tokenizer.convert_tokens_to_ids(marks[mark]))
    spread_weights(AutoModelForImageTextToText.from_config(config)).save_pretrained(folder)
    return folder


def _tokenizer(name: str, marks: dict[str, str], folder: Path) -> Any:
    """Save the tokenizer of a family, and return it as it is read."""
    tokenizer = byte_tokenizer(pre_tokenizers.ByteLevel(add_prefix_space=False))
    tokenizer.add_special_tokens({"additional_special_tokens": [*marks.values()], "pad_token": "<|end|>"})
    if name in ("idefics3", "smolvlm"):  # its processor adds the marks of a picture's tiles when it is made
        tiles = [f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7)]
        added = ["<fake_token_around_image>", "<end_of_utterance>", "<global-img>", *tiles]
        tokenizer.add_special_tokens({"additional_special_tokens": [*marks.values(), *added]})
    if name == "paligemma":
        tokenizer.bos_token = "<|end|>"
        tokenizer.add_tokens([f"<loc{place:04}>" for place in range(1024)] + [f"<seg{part:03}>" for part in range(128)])
    tokenizer.save_pretrained(folder)
    stored = json.loads((folder / "tokenizer_config.json").read_text())
    if name not in ("idefics3", "smolvlm", "llava", "llava_next"):
        stored["extra_special_tokens"] = {
            f"{key}_token": mark for key, mark in marks.items() if key not in ("start", "end")
        }
    (folder / "tokenizer_config.json").write_text(json.dumps(stored))
    return PreTrainedTokenizerFast.from_pretrained(folder)
