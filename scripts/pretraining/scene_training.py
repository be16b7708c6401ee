"""The training loop of the captioner of scenes: AdamW on pictures that are drawn anew, resumable to the bit."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch.nn.functional import cross_entropy
from transformers import LlavaForConditionalGeneration, PreTrainedTokenizerFast

from penchant.engine.memory import keep_freed_memory
from penchant.errors import InputError
from penchant.files import atomic_path
from penchant.runs.progress import progress_bar
from penchant.tasks.collages import Clothes
from pretraining.scene_rows import NOT_LEARNED, SceneBatch, SceneTraining, batches_of
from pretraining.training import STATE, TrainingRun, schedule

Look = Callable[[LlavaForConditionalGeneration], dict[str, float]]


def train_captioner(
    model: LlavaForConditionalGeneration,
    tokenizer: PreTrainedTokenizerFast,
    clothes: Clothes,
    settings: SceneTraining,
    folder: Path,
    identity: str,
    look: Look,
) -> TrainingRun:
    """Train to the end, from the folder's checkpoint if there is one.

    Args:
        folder: where the checkpoint and the log lie. identity: names model and settings; another one is refused.
        look: numbers of held-out pictures, asked every `look_every` steps and at the end.

    Raises:
        InputError: the folder holds a checkpoint of something else, or the loss is not finite.
    """
    keep_freed_memory()
    folder.mkdir(parents=True, exist_ok=True)
    optimizer = _optimizer(model, settings)
    run = _resume(folder, identity, model, optimizer)
    started, spent, recent = time.monotonic(), run.seconds, 0.0
    tokens = run.tokens
    model.train()
    with progress_bar(folder.name, settings.steps, "steps", done=run.steps) as advance:
        for step in range(run.steps, settings.steps):
            rate = settings.learning_rate * schedule(step, settings.steps, settings.warmup_share)
            for group in optimizer.param_groups:
                group["lr"] = rate
            batches = batches_of(step, settings, clothes, tokenizer)
            loss = _step(model, optimizer, batches, settings.clip)
            if not math.isfinite(loss):
                raise InputError(f"the loss of step {step} is {loss}; lower the learning rate (checkpoint: {folder})")
            recent = loss if not recent else 0.98 * recent + 0.02 * loss
            tokens += sum(batch.ids.numel() for batch in batches)
            done, looks = step + 1, run.looks
            if done % settings.look_every == 0 or done == settings.steps:
                entry = {"step": done, "train_nats": round(recent, 4)} | look(model.eval())
                looks = [*looks, entry]
                with (folder / "log.jsonl").open("a") as file:
                    file.write(json.dumps(entry) + "\n")
                model.train()
            run = TrainingRun(done, tokens, round(spent + time.monotonic() - started, 1), looks)
            if done % settings.checkpoint_every == 0 or done == settings.steps:
                _save(folder, identity, model, optimizer, run)
            advance(note=f"loss {recent:.3f}")
    return run


def _optimizer(model: LlavaForConditionalGeneration, settings: SceneTraining) -> torch.optim.AdamW:
    matrices = [weight for weight in model.parameters() if weight.dim() > 1]
    scales = [weight for weight in model.parameters() if weight.dim() == 1]
    groups = [{"params": matrices}, {"params": scales, "weight_decay": 0.0}]
    return torch.optim.AdamW(
        groups, lr=settings.learning_rate, betas=settings.betas, weight_decay=settings.weight_decay, fused=True
    )


def _step(
    model: LlavaForConditionalGeneration, optimizer: torch.optim.AdamW, batches: Sequence[SceneBatch], clip: float
) -> float:
    count = sum(batch.weight * int((batch.targets != NOT_LEARNED).sum()) for batch in batches)
    total = 0.0
    for batch in batches:
        # rows are padded behind their ends, which no earlier token sees
        logits = model(input_ids=batch.ids, pixel_values=batch.pixels, use_cache=False).logits
        targets = batch.targets[:, 1:].flatten()
        summed = cross_entropy(logits[:, :-1].flatten(0, 1), targets, ignore_index=NOT_LEARNED, reduction="sum")
        loss = batch.weight * summed / count
        loss.backward()
        total += loss.item()
    torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
    optimizer.step()
    optimizer.zero_grad()
    return total


def _resume(
    folder: Path, identity: str, model: LlavaForConditionalGeneration, optimizer: torch.optim.AdamW
) -> TrainingRun:
    path = folder / STATE
    if not path.exists():
        return TrainingRun()
    state = torch.load(path, weights_only=True)
    if state["identity"] != identity:
        raise InputError(f"{path} is of another model or setting: remove its folder, or choose another --out")
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    return TrainingRun(state["step"], state["tokens"], state["seconds"], state["looks"])


def _save(
    folder: Path,
    identity: str,
    model: LlavaForConditionalGeneration,
    optimizer: torch.optim.AdamW,
    run: TrainingRun,
) -> None:
    progress = {"step": run.steps, "tokens": run.tokens, "seconds": run.seconds, "looks": run.looks}
    parts = {"identity": identity, "model": model.state_dict(), "optimizer": optimizer.state_dict()}
    with atomic_path(folder / STATE) as building:  # whoever stops the training now resumes from the one before
        torch.save(parts | progress, building)
