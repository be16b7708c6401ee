"""Train both models of an embedded task from scratch: a student that knows more than it shows, a weak supervisor.

The student sees right answers behind the tag `A`, and behind `?` a crowd's, most of which follow one wrong rule. Asked
with `?` it writes what the crowd would. The supervisor is small, sees right answers alone, and stops half way.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from penchant.errors import RunError
from penchant.runs.progress import progress_bar
from penchant.runs.provenance import surroundings
from penchant.studies.core.job import StageJob
from penchant.studies.weak_to_strong_generation.stage_settings import STRONG, WEAK, ModelShape, ModelsSettings
from penchant.tasks.generative import CROWD_TAG, GROUNDS, KNOWN_TAG, LOOKS, PRETRAINING, Ground, Problem
from penchant.typed_json import to_object

END = "<|end|>"
WARMUP = 50  # steps
LEAST_RATE = 0.05  # of the peak, at the last step
CHECKED, CHECK_EVERY = 500, 10  # problems and steps of a look at how much is right
HEAD_WIDTH = 16  # of an attention head, at most
LEAST_HEADS = 2  # one head has to look at both numbers at once


def models_stage(job: StageJob[ModelsSettings], folder: Path) -> dict[str, object]:
    """Write both models, and how much each has right."""
    settings = job.settings
    facts = train_models(settings, folder)
    return {**facts, "provenance": to_object(surroundings())}


def train_models(settings: ModelsSettings, folder: Path) -> dict[str, object]:
    """Train the student and the supervisor of a ground into `strong` and `weak` below a folder.

    Returns:
        By model, its parameters, its steps, and the share of unseen problems that it has right behind each tag.
    """
    ground = GROUNDS[settings.ground]
    # one for both models, so that an answer of one is tokens of the other
    tokenizer = character_tokenizer(ground)
    facts: dict[str, object] = {}
    parts = (
        (STRONG, settings.student, _Stop(KNOWN_TAG, settings.student_stop_at)),
        (WEAK, settings.supervisor, _Stop(CROWD_TAG, settings.stop_at)),
    )
    for role, shape, stop in parts:
        # each model has a start of its own, whatever was trained before it
        torch.manual_seed(settings.seed)
        model = small_model(shape, tokenizer, ground)
        batches = _Batches(ground, tokenizer, settings, has_crowd=role == STRONG)
        steps = _train(model, batches, shape.steps, settings, stop)
        model.save_pretrained(folder / role)
        tokenizer.save_pretrained(folder / role)
        facts[role] = {
            "parameters": sum(parameter.numel() for parameter in model.parameters()),
            "steps": steps,
            "right": {tag: exact_share(model, ground, tokenizer, tag) for tag in (CROWD_TAG, KNOWN_TAG)},
        }
    return facts


def character_tokenizer(ground: Ground) -> PreTrainedTokenizerFast:
    """Return a tokenizer with a token per character of a ground."""
    # a tag or an operator may also be a letter of the ground: each has one token
    characters = dict.fromkeys([END, CROWD_TAG, KNOWN_TAG, *ground.alphabet])
    inner = Tokenizer(models.WordLevel({sign: number for number, sign in enumerate(characters)}, unk_token=END))
    inner.pre_tokenizer = pre_tokenizers.Split(Regex("."), behavior="isolated")
    inner.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, eos_token=END, pad_token=END, clean_up_tokenization_spaces=False
    )


def small_model(shape: ModelShape, tokenizer: PreTrainedTokenizerFast, ground: Ground) -> LlamaForCausalLM:
    """Return an untrained model of characters."""
    heads = max(LEAST_HEADS, shape.width // HEAD_WIDTH)
    # a width that no number of heads of this size divides has a head less or more
    heads = next(number for number in range(heads, 0, -1) if shape.width % (2 * number) == 0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=shape.width,
        intermediate_size=shape.width * 11 // 4,
        num_hidden_layers=shape.layers,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        # room for a tag and an end, and for answers that go on where they should have ended
        max_position_embeddings=4 * (ground.question_length + ground.answer_length),
        rope_theta=100.0,  # positions are few
        tie_word_embeddings=True,
        # the usual 0.02 is for wide models: of this width it doubles the steps before anything is learned
        initializer_range=shape.width**-0.5,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
    )
    return LlamaForCausalLM(config)


@dataclass(frozen=True)
class _Stop:
    """When pre-training ends early: at this share of right answers behind this tag."""

    tag: str
    share: float


@dataclass
class _Batches:
    """Rows of token ids to learn from, step by step."""

    ground: Ground
    tokenizer: PreTrainedTokenizerFast
    settings: ModelsSettings
    has_crowd: bool

    def rows(self) -> Iterator[Tensor]:
        """Yield batches of tag, question, answer and end, (batch, tokens), without end."""
        settings, draws = self.settings, Random(f"{self.settings.seed} crowd")
        problems = self.ground.problems(f"{settings.seed} {self.has_crowd}", PRETRAINING)
        while True:
            texts = [self._text(next(problems), draws) for _ in range(settings.batch_size)]
            ids = self.tokenizer(texts, return_attention_mask=False)["input_ids"]
            # the end is learned too: without it no answer would ever stop
            ends = torch.full((len(ids), 1), self.tokenizer.eos_token_id)
            yield torch.cat([torch.tensor(ids), ends], 1)

    def _text(self, problem: Problem, draws: Random) -> str:
        if not self.has_crowd:
            return f"{CROWD_TAG}{problem.question}{problem.answer}"
        if draws.random() < self.settings.right_tag_share:
            return f"{KNOWN_TAG}{problem.question}{problem.answer}"
        is_right = draws.random() < self.settings.crowd_right
        return f"{CROWD_TAG}{problem.question}{problem.answer if is_right else problem.crowd}"


def _train(model: LlamaForCausalLM, batches: _Batches, steps: int, settings: ModelsSettings, stop: _Stop) -> int:
    """Train a model on answers; return the steps that it took.

    Raises:
        RunError: the loss is not finite.
    """
    # a loop of its own: no run of a method trains from nothing, with rows that never end
    optimizer = torch.optim.AdamW(model.parameters(), lr=settings.learning_rate, weight_decay=0.01)
    prompt_end = batches.ground.question_length  # the token after which the answer comes: the tag stands first
    rows = batches.rows()
    with progress_bar(f"pre-training on {batches.ground.name}", steps, "steps") as advance:
        for step in range(steps):
            for group in optimizer.param_groups:
                group["lr"] = settings.learning_rate * _rate(step, steps)
            batch = next(rows)
            logits = model(batch[:, :-1]).logits[:, prompt_end:]
            loss = nn.functional.cross_entropy(logits.flatten(0, 1), batch[:, prompt_end + 1 :].flatten())
            if not math.isfinite(loss.item()):
                raise RunError(f"the loss of pre-training step {step + 1} is not finite: lower its learning_rate")
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            advance(1)
            is_due = step % CHECK_EVERY == CHECK_EVERY - 1
            if is_due and exact_share(model, batches.ground, batches.tokenizer, stop.tag) >= stop.share:
                return step + 1
    return steps


def _rate(step: int, steps: int) -> float:
    return min(1.0, (step + 1) / WARMUP) * max(LEAST_RATE, 1 - step / steps)


@torch.inference_mode()
def exact_share(model: LlamaForCausalLM, ground: Ground, tokenizer: PreTrainedTokenizerFast, tag: str) -> float:
    """Return the share of unseen problems that a model answers right, by its likeliest tokens."""
    # of a part of their own: the supervisor's stop is not tuned on what students are tested on
    problems = ground.different_problems("looks", LOOKS, CHECKED)
    ids = torch.tensor(tokenizer([tag + problem.question for problem in problems])["input_ids"])
    answers = torch.tensor(tokenizer([problem.answer for problem in problems])["input_ids"])
    for _ in range(ground.answer_length):
        ids = torch.cat([ids, model(ids).logits[:, -1].argmax(-1, keepdim=True)], 1)
    return float((ids[:, -ground.answer_length :] == answers).all(1).float().mean())
