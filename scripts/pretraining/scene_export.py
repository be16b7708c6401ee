"""The trained captioner as it is shipped: float16 weights, processor, record of the training, model card."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import LlavaForConditionalGeneration, LlavaProcessor

from penchant.files import atomic_folder
from pretraining.command import environment
from pretraining.scene_evaluation import held_out, measure
from pretraining.scene_model import SceneShape
from pretraining.scene_rows import SceneTraining
from pretraining.training import TrainingRun

NAME = "penchant-scenes"
CARD = Path(__file__).with_name("scene_card.md")
TESTED = 500
"""Held-out pictures of each world that the card has numbers of."""


def export_captioner(
    shape: SceneShape,
    phases: Sequence[SceneTraining],
    model: LlavaForConditionalGeneration,
    processor: LlavaProcessor,
    runs: Sequence[TrainingRun],
    to: Path,
) -> Path:
    """Write the folder `to`/NAME anew, measure what lies in it, and describe it.

    Returns:
        The folder, which the auto classes of `transformers` open.
    """
    with atomic_folder(to / NAME) as building:  # the package must never hold half a model
        copy.deepcopy(model).to(torch.float16).save_pretrained(building)
        processor.save_pretrained(building)
        # of what lies in the folder, not of the model in memory: rounding to float16 costs a little
        written = LlavaForConditionalGeneration.from_pretrained(building, dtype=torch.float32).eval()
        record = {
            "name": NAME,
            "parameters": sum(weight.numel() for weight in written.parameters()),
            "shape": shape.described(),
            "vocabulary": len(processor.tokenizer),
            "phases": [phase.described() for phase in phases],
            "training": [run.described() for run in runs],
            **environment("torch", "transformers", "tokenizers"),
            "held_out": measure(written, processor.tokenizer, held_out("test", TESTED)) | {"pictures": TESTED},
        }
        (building / "record.json").write_text(json.dumps(record, indent=1) + "\n")
        (building / "README.md").write_text(captioner_card(record))
    return to / NAME


def captioner_card(record: Mapping[str, Any]) -> str:
    """Return the model card that goes with the content of a `record.json`."""
    numbers = record["held_out"]
    rows = [
        f"| {title} | {numbers[f'scenes_{key}']:.3f} | {numbers[f'collages_{key}']:.3f} |"
        for title, key in (
            ("captions with a false object", "captions_with_false"),
            ("captions that name the absent companion", "companion_named"),
            ("recall of true objects", "recall"),
            ("objects named per caption", "mentions"),
            ("questions answered right (half present, half the absent companion)", "questions_right"),
        )
    ]
    phases, runs = record["phases"], record["training"]
    steps = [
        f"{run['steps']:,} steps of {phase['captions']} captions and {phase['questions']} questions (peak learning "
        f"rate {phase['learning_rate']:g}, a token of an answer to a question counts {phase['question_weight']:g}-fold)"
        for phase, run in zip(phases, runs, strict=True)
    ]
    tempted = [f"{phase['tempted'][0]:.0%} and {phase['tempted'][1]:.0%}" for phase in phases]
    return CARD.read_text().format(
        name=record["name"],
        parameters=f"{record['parameters']:,}",
        vocabulary=record["vocabulary"],
        shape=record["shape"],
        seed=phases[0]["seed"],
        phases=", then ".join(steps),
        tempted=", then ".join(tempted),
        minutes=f"{sum(run['seconds'] for run in runs) / 60:.0f}",
        machine=record["machine"],
        pictures=numbers["pictures"],
        numbers="\n".join(rows),
    )
