"""The training loop: AdamW on packed rows, resumable to the bit."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import LlamaConfig, LlamaForCausalLM

from penchant.engine.memory import keep_freed_memory
from penchant.errors import InputError
from penchant.runs.progress import progress_bar
from pretraining.chess_tokens import MoveRows
from pretraining.shapes import Shape, Training
from pretraining.tokens import Rows

STATE = "state.pt"

Look = Callable[[LlamaForCausalLM], float]


def new_model(shape: Shape, *, vocabulary: int, end: int) -> LlamaForCausalLM:
    """A model with random weights: the same ones for the same seed."""
    torch.manual_seed(shape.training.seed)
    settings = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=shape.width,
        intermediate_size=shape.inner,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        max_position_embeddings=shape.training.context,
        initializer_range=0.02,
        tie_word_embeddings=True,
        bos_token_id=end,
        eos_token_id=end,
        pad_token_id=None,
    )
    model = LlamaForCausalLM(settings)
    # residual branches add up: their last layers start smaller, as in GPT-2
    for name, parameter in model.named_parameters():
        if name.endswith(("o_proj.weight", "down_proj.weight")):
            with torch.no_grad():
                parameter /= math.sqrt(2 * shape.layers)
    return model


def train(
    model: LlamaForCausalLM,
    rows: Rows | MoveRows,
    settings: Training,
    folder: Path,
    identity: str,
    look: Look | None = None,
) -> dict[str, Any]:
    """Train to the end, from the folder's checkpoint if there is one.

    Args:
        rows: what is trained on.
        folder: where the checkpoint (`state.pt`) and the log (`log.jsonl`) lie.
        identity: names model, settings and corpus; a checkpoint of another identity is refused.
        look: held-out nats per token, asked every `look_every` steps and at the end.

    Returns:
        `steps`, `tokens`, `seconds` of computing (over all sessions) and `looks` (step, train and held-out nats).

    Raises:
        InputError: the folder holds a checkpoint of something else, or the loss is not finite.
    """
    keep_freed_memory()
    folder.mkdir(parents=True, exist_ok=True)
    steps = round(settings.epochs * rows.steps_per_epoch)
    restart = steps if settings.restart_at is None else round(settings.restart_at * rows.steps_per_epoch)
    optimizer = _optimizer(model, settings)
    state = _resume(folder, identity, model, optimizer)
    step, looks, spent, recent = state["step"], state["looks"], state["seconds"], state["recent"]
    began = time.monotonic()
    model.train()
    with progress_bar(folder.name, steps, "steps", done=step) as advance:
        while step < steps:
            begun, ends = (0, restart) if step < restart else (restart, steps)
            rate = settings.learning_rate * schedule(step - begun, ends - begun, settings.warmup_share)
            for group in optimizer.param_groups:
                group["lr"] = rate
            loss = _step(model, optimizer, rows.batch_of(step), settings.clip, rows.skipped)
            if not math.isfinite(loss):
                raise InputError(f"the loss of step {step} is {loss}; lower learning_rate (checkpoint: {folder})")
            step += 1
            recent = loss if step == 1 else 0.98 * recent + 0.02 * loss
            if look is not None and (step % settings.look_every == 0 or step == steps):
                looks.append({"step": step, "train_nats": round(recent, 4), "held_out_nats": round(look(model), 4)})
                _log(folder, looks[-1])
                model.train()
            if step % settings.checkpoint_every == 0 or step == steps:
                seconds = spent + time.monotonic() - began
                _save(folder, identity, model, optimizer, step=step, looks=looks, seconds=seconds, recent=recent)
            advance(note=f"loss {recent:.3f}" + (f", held out {looks[-1]['held_out_nats']:.3f}" if looks else ""))
    tokens = steps * rows.batch * rows.context
    return {"steps": steps, "tokens": tokens, "seconds": round(spent + time.monotonic() - began, 1), "looks": looks}


def schedule(step: int, steps: int, warmup_share: float) -> float:
    """The share of the peak learning rate at a step: linear up, then a cosine down to 0.1."""
    warmup = max(1, round(steps * warmup_share))
    if step < warmup:
        return (step + 1) / warmup
    return 0.55 + 0.45 * math.cos(math.pi * (step - warmup) / max(1, steps - warmup))


def _optimizer(model: LlamaForCausalLM, settings: Training) -> torch.optim.AdamW:
    """AdamW; the norms' scales are not decayed."""
    matrices = [p for p in model.parameters() if p.dim() > 1]
    scales = [p for p in model.parameters() if p.dim() == 1]
    groups = [{"params": matrices}, {"params": scales, "weight_decay": 0.0}]
    return torch.optim.AdamW(
        groups, lr=settings.learning_rate, betas=settings.betas, weight_decay=settings.weight_decay, fused=True
    )


def _step(model: LlamaForCausalLM, optimizer: torch.optim.AdamW, batch: Tensor, clip: float, skipped: int) -> float:
    learned = batch[:, 1 + skipped :]
    logits = model(input_ids=batch[:, :-1], use_cache=False, logits_to_keep=learned.shape[1]).logits
    loss = cross_entropy(logits.flatten(0, 1), learned.flatten())
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
    optimizer.step()
    optimizer.zero_grad()
    return loss.item()


def _resume(folder: Path, identity: str, model: LlamaForCausalLM, optimizer: torch.optim.AdamW) -> dict[str, Any]:
    path = folder / STATE
    if not path.exists():
        return {"step": 0, "looks": [], "seconds": 0.0, "recent": 0.0}
    state: dict[str, Any] = torch.load(path, weights_only=True)
    if state["identity"] != identity:
        raise InputError(f"{path} is of another model, corpus or setting: remove its folder, or choose another --out")
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    return state


def _save(folder: Path, identity: str, model: LlamaForCausalLM, optimizer: torch.optim.AdamW, **progress: Any) -> None:
    building = folder / f".{STATE}.new"
    parts = {"identity": identity, "model": model.state_dict(), "optimizer": optimizer.state_dict()}
    torch.save({**parts, **progress}, building)
    os.replace(building, folder / STATE)


def _log(folder: Path, line: dict[str, Any]) -> None:
    with (folder / "log.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")
