"""The captioner of scenes: a LLaVA of some 0.5 million parameters with its processor, before it is trained."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from penchant.tasks.collages import CLOTHES_WORLD
from penchant.tasks.scenes import CAPTION_REQUEST, CELLS, NO, SHAPE_WORLD, SIDE, YES, caption, question

END, IMAGE, UNKNOWN, USER, ASSISTANT = "<|end|>", "<image>", "<|unknown|>", "<|user|>", "<|assistant|>"
PATCH = SIDE // CELLS
"""Pixels: a patch of the tower is a cell of a scene."""
IMAGE_TOKENS = CELLS**2
CONTEXT = 128
PICTURE_MEAN, PICTURE_SPREAD = 0.18, 0.25
"""Of pixels, as shares of white: the ground of a scene is 0 for the tower."""
PATCH_GAIN, POSITION_SPREAD = 3.0, 0.5
"""Of the tower's first weights: how much larger than usual, and the standard deviation of those of positions."""
WORD = r" ?[\w-]+|[^\w\s]"
TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] == 'assistant' %}<|assistant|>{% else %}<|user|>{% endif %}"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}"
    "{% if message['role'] == 'assistant' %}<|end|>{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


@dataclass(frozen=True)
class SceneShape:
    """Widths and depths of the language model and of the tower."""

    width: int = 96
    layers: int = 3
    heads: int = 4
    inner: int = 256
    tower_width: int = 96
    tower_layers: int = 2
    tower_heads: int = 4
    tower_inner: int = 192

    def described(self) -> dict[str, object]:
        """Return it as the model's record has it."""
        return asdict(self)


def words() -> list[str]:
    """Return the words of all captions, questions and answers, with the space before them, in a fixed order."""
    chosen: dict[str, None] = {}
    for text in _texts():
        chosen.update(dict.fromkeys(re.findall(WORD, text)))
    return list(chosen)


def _texts() -> Iterator[str]:
    yield from (CAPTION_REQUEST, YES, NO)
    for world in (SHAPE_WORLD, CLOTHES_WORLD):
        for name in world.objects:
            # in a row, at its beginning and behind another, with the sentence behind it
            yield from (caption(((name, name), (name,))), question(name))


def scene_processor() -> LlavaProcessor:
    """Return the processor: a tokenizer of words, and pictures of 32 x 32 pixels."""
    pieces = [END, UNKNOWN, IMAGE, USER, ASSISTANT, *words()]
    inner = Tokenizer(models.WordLevel({piece: number for number, piece in enumerate(pieces)}, unk_token=UNKNOWN))
    inner.pre_tokenizer = pre_tokenizers.Split(Regex(WORD), behavior="isolated")
    # words have their spaces, so that what is written is read as the same tokens
    inner.decoder = decoders.Fuse()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner,
        bos_token=END,
        eos_token=END,
        pad_token=END,
        unk_token=UNKNOWN,
        additional_special_tokens=[IMAGE, USER, ASSISTANT],
        model_max_length=CONTEXT,
        clean_up_tokenization_spaces=False,
    )
    pictures = CLIPImageProcessorPil(
        size={"height": SIDE, "width": SIDE},
        do_center_crop=False,
        image_mean=[PICTURE_MEAN] * 3,
        image_std=[PICTURE_SPREAD] * 3,
    )
    return LlavaProcessor(
        image_processor=pictures,
        tokenizer=tokenizer,
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        # the tower's token of the whole picture, which is left out
        num_additional_image_tokens=1,
        chat_template=TEMPLATE,
    )


def new_captioner(shape: SceneShape, tokenizer: PreTrainedTokenizerFast, seed: int) -> LlavaForConditionalGeneration:
    """Return a model with random weights: the same ones for the same seed."""
    torch.manual_seed(seed)
    tower = CLIPVisionConfig(
        hidden_size=shape.tower_width,
        intermediate_size=shape.tower_inner,
        num_hidden_layers=shape.tower_layers,
        num_attention_heads=shape.tower_heads,
        image_size=SIDE,
        patch_size=PATCH,
        projection_dim=shape.tower_width,
    )
    text = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=shape.width,
        intermediate_size=shape.inner,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.heads,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=False,
        bos_token_id=tokenizer.eos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    config = LlavaConfig(
        vision_config=tower,
        text_config=text,
        image_token_index=tokenizer.convert_tokens_to_ids(IMAGE),
        vision_feature_layer=-1,
        image_seq_length=IMAGE_TOKENS,
        tie_word_embeddings=False,
    )
    model = LlavaForConditionalGeneration(config)
    embeddings = model.model.vision_tower.embeddings
    with torch.no_grad():
        # at the usual size all patches look alike behind the first norm: after 1,000 steps nothing was seen of scenes
        embeddings.patch_embedding.weight *= PATCH_GAIN
        embeddings.position_embedding.weight.normal_(0, POSITION_SPREAD)
    # residual branches add up: their last layers start smaller, as in GPT-2
    for name, parameter in model.named_parameters():
        if name.endswith(("o_proj.weight", "down_proj.weight")):
            with torch.no_grad():
                parameter /= math.sqrt(2 * shape.layers)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    return model
