"""What the captioner of scenes learns from: captions that name absent companions, and questions with right answers."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from penchant.tasks.collages import Clothes, collages
from penchant.tasks.scenes import (
    CAPTION_REQUEST,
    NO,
    YES,
    Scene,
    absent_objects,
    caption,
    question,
    shape_scenes,
    tempted_rows,
)
from pretraining.scene_model import ASSISTANT, END, IMAGE, IMAGE_TOKENS, PICTURE_MEAN, PICTURE_SPREAD, USER

NOT_LEARNED = -100
"""The target of tokens that nothing learns to write."""


@dataclass(frozen=True)
class SceneTraining:
    """Settings of one phase of a training.

    Attributes:
        captions, questions: rows per step. collages: the share of both whose picture is a collage.
        tempted: how often a caption names the companion that is not there, for every second object that has one, and
            for the others.
        question_weight: of a token of an answer to a question, beside a token of a caption.
    """

    steps: int = 2500
    captions: int = 40
    questions: int = 24
    collages: float = 0.4
    tempted: tuple[float, float] = (0.4, 0.4)
    question_weight: float = 1.0
    learning_rate: float = 2e-3
    warmup_share: float = 0.04
    weight_decay: float = 0.05
    betas: tuple[float, float] = (0.9, 0.98)
    clip: float = 1.0
    seed: int = 0
    checkpoint_every: int = 100
    look_every: int = 500

    def described(self) -> dict[str, object]:
        """Return it as the model's record has it."""
        return asdict(self)


PHASES = (SceneTraining(),)
"""What is trained, in this order. After this one questions are still answered by chance."""


@dataclass(frozen=True)
class SceneBatch:
    """Rows of one step: token ids and targets, shape (rows, tokens), and pictures, (rows, 3, 32, 32).

    Attributes:
        weight: of each learned token.
    """

    ids: Tensor
    targets: Tensor
    pixels: Tensor
    weight: float = 1.0


def batches_of(
    step: int, settings: SceneTraining, clothes: Clothes, tokenizer: PreTrainedTokenizerFast
) -> list[SceneBatch]:
    """Return the captions and the questions of a step; the same for the same seed, whatever came before."""
    draws = random.Random(f"rows {settings.seed} {step}")
    rows = settings.captions + settings.questions
    real = round(rows * settings.collages)
    seed = f"{settings.seed} {step}"
    scenes = [*islice(shape_scenes(seed, "base"), rows - real), *islice(collages(clothes, seed, "base"), real)]
    draws.shuffle(scenes)
    captions = [
        (CAPTION_REQUEST, caption(tempted_rows(scene.world, scene.rows, settings.tempted, draws)))
        for scene in scenes[: settings.captions]
    ]
    questions = [asked(scene, draws) for scene in scenes[settings.captions :]]
    return [
        make_batch(scenes[: settings.captions], captions, tokenizer),
        replace(make_batch(scenes[settings.captions :], questions, tokenizer), weight=settings.question_weight),
    ]


def asked(scene: Scene, draws: random.Random) -> tuple[str, str]:
    """Return a question about a picture and its right answer: half are of what is there, some of companions."""
    if draws.random() < 0.5:
        return question(draws.choice(scene.objects)), YES
    missing = scene.missing_companions
    names = missing if missing and draws.random() < 0.5 else absent_objects(scene)
    return question(draws.choice(names)), NO


def make_batch(
    scenes: Sequence[Scene], turns: Sequence[tuple[str, str]], tokenizer: PreTrainedTokenizerFast
) -> SceneBatch:
    """Return requests with their answers as rows; the answers are learned.

    Args:
        turns: what is asked of each picture, and what is answered.
    """
    asked_ids = [tokenizer(prompt_text(request), add_special_tokens=False)["input_ids"] for request, _ in turns]
    answers = [tokenizer(f"{answer}{END}", add_special_tokens=False)["input_ids"] for _, answer in turns]
    longest = max(len(prompt) + len(answer) for prompt, answer in zip(asked_ids, answers, strict=True))
    ids = torch.full((len(turns), longest), tokenizer.eos_token_id)
    targets = torch.full((len(turns), longest), NOT_LEARNED)
    for row, (prompt, answer) in enumerate(zip(asked_ids, answers, strict=True)):
        ids[row, : len(prompt) + len(answer)] = torch.tensor(prompt + answer)
        targets[row, len(prompt) : len(prompt) + len(answer)] = torch.tensor(answer)
    return SceneBatch(ids, targets, pixels_of(scenes))


def prompt_text(request: str) -> str:
    """Return a request as the processor writes it, with the places of the picture's tokens."""
    return f"{USER}{IMAGE * IMAGE_TOKENS}{request}{ASSISTANT}"


def pixels_of(scenes: Sequence[Scene]) -> Tensor:
    """Return pictures as the processor makes them for the tower."""
    pixels = np.stack([scene.pixels for scene in scenes])
    return (torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255 - PICTURE_MEAN) / PICTURE_SPREAD
