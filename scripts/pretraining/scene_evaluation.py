"""Measures of the captioner of scenes on held-out pictures: false objects, recall, questions."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import islice

import numpy as np
import torch
from transformers import LlavaForConditionalGeneration, PreTrainedTokenizerFast

from penchant.tasks.collages import collages, read_clothes
from penchant.tasks.scenes import CAPTION_REQUEST, NO, YES, Part, Scene, mentions, question, shape_scenes
from pretraining.scene_rows import pixels_of, prompt_text

MOST_TOKENS = 48
BATCH = 100


def held_out(part: Part, count: int, seed: str = "0") -> dict[str, list[Scene]]:
    """Return pictures of both worlds in which companions are absent."""
    return {
        "scenes": list(islice(shape_scenes(seed, part, "apart"), count)),
        "collages": list(islice(collages(read_clothes(part), seed, part, "apart"), count)),
    }


def write_answers(
    model: LlavaForConditionalGeneration,
    tokenizer: PreTrainedTokenizerFast,
    scenes: Sequence[Scene],
    requests: Sequence[str],
) -> list[str]:
    """Return the model's likeliest answers to a request for each picture."""
    answers: list[str] = []
    for start in range(0, len(scenes), BATCH):
        texts = [prompt_text(request) for request in requests[start : start + BATCH]]
        # requests of one kind have as many tokens, so that nothing is padded
        ids = torch.tensor(tokenizer(texts, add_special_tokens=False)["input_ids"])
        with torch.no_grad():
            written = model.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                pixel_values=pixels_of(scenes[start : start + BATCH]),
                do_sample=False,
                max_new_tokens=MOST_TOKENS,
            )
        answers += tokenizer.batch_decode(written[:, ids.shape[1] :], skip_special_tokens=True)
    return answers


def measure(
    model: LlavaForConditionalGeneration, tokenizer: PreTrainedTokenizerFast, worlds: dict[str, list[Scene]]
) -> dict[str, float]:
    """Return the numbers of each world: captions with a false object, absent companions, recall, right answers."""
    numbers: dict[str, float] = {}
    for name, scenes in worlds.items():
        captions = write_answers(model, tokenizer, scenes, [CAPTION_REQUEST] * len(scenes))
        said = [mentions(scene.world, text) for scene, text in zip(scenes, captions, strict=True)]
        pairs = list(zip(scenes, said, strict=True))
        draws = random.Random(0)
        present = [question(draws.choice(scene.objects)) for scene in scenes]
        absent = [question(draws.choice(scene.missing_companions)) for scene in scenes]
        right = [
            *(answer == YES for answer in write_answers(model, tokenizer, scenes, present)),
            *(answer == NO for answer in write_answers(model, tokenizer, scenes, absent)),
        ]
        values = {
            "captions_with_false": np.mean(
                [any(word not in scene.objects for word in words) for scene, words in pairs]
            ),
            "companion_named": np.mean(
                [any(word in scene.missing_companions for word in words) for scene, words in pairs]
            ),
            "recall": np.mean([np.mean([word in words for word in scene.objects]) for scene, words in pairs]),
            "mentions": np.mean([len(words) for words in said]),
            "twice": np.mean([len(set(words)) < len(words) for words in said]),
            "questions_right": np.mean(right),
        }
        numbers |= {f"{name}_{key}": round(float(value), 4) for key, value in values.items()}
    return numbers
