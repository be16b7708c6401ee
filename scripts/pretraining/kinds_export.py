"""`penchant-kinds` as it is shipped: weights, tokenizer, codecs, record of the training, model card."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, LlamaForCausalLM, PreTrainedTokenizerBase

from penchant.codecs.pictures import decode_pictures, new_picture_decoder, new_picture_recogniser, recognise_pictures
from penchant.codecs.sounds import new_sound_recogniser, recognise_sounds
from penchant.codecs.store import FILE
from penchant.codecs.tokens import CLASSES, WORDS, picture_prompt, read_picture, read_sound, sound_prompt
from penchant.files import atomic_folder
from pretraining.command import environment
from pretraining.evaluation import perplexity
from pretraining.kinds_pictures import PictureCodec
from pretraining.kinds_sounds import SoundCodec
from pretraining.kinds_training import KindsDocuments
from pretraining.shapes import Training
from pretraining.training import TrainingRun

NAME = "penchant-kinds"
CARD = Path(__file__).with_name("kinds_card.md")
SAMPLES = 20
"""Samples per class and per word, at temperature 1, by which the record says how good they are."""


def export_kinds(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerBase,
    pictures: PictureCodec,
    sounds: SoundCodec,
    documents: KindsDocuments,
    run: TrainingRun,
    settings: Training,
    to: Path,
) -> Path:
    """Write the folder `to`/penchant-kinds anew, measure what lies in it, and describe it."""
    with atomic_folder(to / NAME) as building:
        copy.deepcopy(model).to(torch.bfloat16).save_pretrained(building)
        tokenizer.save_pretrained(building)
        tensors = {**pictures.tensors, **sounds.tensors}
        save_file({name: tensor.half().contiguous() for name, tensor in tensors.items()}, building / FILE)
        shipped = AutoModelForCausalLM.from_pretrained(building, dtype=torch.float32)
        record = {
            "name": NAME,
            "parameters": sum(parameter.numel() for parameter in shipped.parameters()),
            "vocabulary": len(tokenizer),
            "settings": asdict(settings),
            "documents": {kind: len(rows) for kind, rows in documents.train.items()},
            "training": run.described(),
            "pictures": pictures.facts,
            "sounds": sounds.facts,
            "held_out": {
                kind: perplexity(shipped, tokenizer, rows, context=settings.context).described()
                for kind, rows in documents.held_out.items()
            },
            "samples": _sampled(shipped, tokenizer, pictures, sounds, settings.seed),
            **environment("torch", "transformers", "tokenizers"),
        }
        (building / "record.json").write_text(json.dumps(record, indent=1) + "\n")
        (building / "README.md").write_text(_card(record))
    return to / NAME


def _sampled(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerBase, pictures: PictureCodec, sounds: SoundCodec, seed: int
) -> dict[str, float]:
    """Return how many samples are whole, and how many of these are recognised as what was asked for."""
    decoder, seer, hearer = new_picture_decoder(), new_picture_recogniser(), new_sound_recogniser()
    for network, prefix, tensors in (
        (decoder, "picture.decoder.", pictures.tensors),
        (seer, "picture.recogniser.", pictures.tensors),
        (hearer, "sound.recogniser.", sounds.tensors),
    ):
        rows = {name.removeprefix(prefix): row for name, row in tensors.items() if name.startswith(prefix)}
        network.load_state_dict(rows)
    torch.manual_seed(seed)
    shown = [
        (number, read_picture(text)) for number, text in _draw(model, tokenizer, list(map(picture_prompt, CLASSES)))
    ]
    said = [(number, read_sound(text)) for number, text in _draw(model, tokenizer, list(map(sound_prompt, WORDS)))]
    whole_shown = [(number, codes) for number, codes in shown if codes is not None]
    whole_said = [(number, codes) for number, codes in said if codes is not None]
    seen = recognise_pictures(decode_pictures([codes for _, codes in whole_shown], decoder), seer).argmax(1)
    heard = recognise_sounds([codes for _, codes in whole_said], sounds.tensors["sound.codebook"], hearer).argmax(1)
    return {
        "whole_pictures": len(whole_shown) / len(shown),
        "pictures_of_the_class": float((seen == np.array([number for number, _ in whole_shown])).mean()),
        "whole_sounds": len(whole_said) / len(said),
        "sounds_of_the_word": float((heard == np.array([number for number, _ in whole_said])).mean()),
    }


@torch.no_grad()
def _draw(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerBase, prompts: list[str]) -> list[tuple[int, str]]:
    drawn = []
    for number, prompt in enumerate(prompts):
        ids = torch.tensor([tokenizer(prompt)["input_ids"]] * SAMPLES)
        out = model.generate(
            ids, attention_mask=torch.ones_like(ids), do_sample=True, top_k=0, max_new_tokens=64, pad_token_id=0
        )
        drawn += [(number, text) for text in tokenizer.batch_decode(out[:, ids.shape[1] :], skip_special_tokens=True)]
    return drawn


def _card(record: Mapping[str, Any]) -> str:
    held = record["held_out"]
    numbers = {f"{kind}_tokens": f"{row['perplexity_per_token']:.1f}" for kind, row in held.items()}
    return CARD.read_text().format(
        **record,
        **numbers,
        count=f"{record['parameters']:,}",
        minutes=f"{record['training']['seconds'] / 60:.0f}",
        tokens=f"{record['training']['tokens'] / 1e6:.1f} million",
    )
