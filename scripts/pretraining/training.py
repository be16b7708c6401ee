"""The training loop: AdamW on packed rows, resumable to the bit."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import LlamaConfig, LlamaForCausalLM

from penchant.engine.memory import keep_freed_memory
from penchant.errors import InputError
from penchant.files import atomic_path
from penchant.runs.progress import progress_bar
from pretraining.chess_tokens import MoveRows
from pretraining.shapes import Shape, Training
from pretraining.tokens import Rows

STATE = "state.pt"

Look = Callable[[LlamaForCausalLM], float]


@dataclass(frozen=True)
class TrainingRun:
    """How far a training came.

    Attributes:
        steps, tokens: that were trained on.
        seconds: of computing, over all sessions.
        looks: by step, the running mean of the loss and the held-out loss, both in nats per token.
    """

    steps: int = 0
    tokens: int = 0
    seconds: float = 0.0
    looks: list[dict[str, float]] = field(default_factory=list)

    def described(self) -> dict[str, object]:
        """Return it as a model's record has it."""
        return asdict(self)


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
) -> TrainingRun:
    """Train to the end, from the folder's checkpoint if there is one.

    Args:
        rows: what is trained on.
        folder: where the checkpoint (`state.pt`) and the log (`log.jsonl`) lie.
        identity: names model, settings and corpus; a checkpoint of another identity is refused.
        look: held-out nats per token, asked every `look_every` steps and at the end.

    Raises:
        InputError: the folder holds a checkpoint of something else, or the loss is not finite.
    """
    keep_freed_memory()
    folder.mkdir(parents=True, exist_ok=True)
    steps = round(settings.epochs * rows.steps_per_epoch)
    restart = steps if settings.restart_at is None else round(settings.restart_at * rows.steps_per_epoch)
    optimizer = _optimizer(model, settings)
    tokens_per_step = rows.batch * rows.context
    run, recent = _resume(folder, identity, model, optimizer, tokens_per_step)
    started, spent = time.monotonic(), run.seconds
    model.train()
    with progress_bar(folder.name, steps, "steps", done=run.steps) as advance:
        for step in range(run.steps, steps):
            # warm-up and cosine belong to the part, before or after the restart, that the step lies in
            start, stop = (0, restart) if step < restart else (restart, steps)
            rate = settings.learning_rate * schedule(step - start, stop - start, settings.warmup_share)
            for group in optimizer.param_groups:
                group["lr"] = rate
            loss = _step(model, optimizer, rows.batch_of(step), settings.clip, rows.skipped)
            if not math.isfinite(loss):
                raise InputError(f"the loss of step {step} is {loss}; lower learning_rate (checkpoint: {folder})")
            recent = loss if step == 0 else 0.98 * recent + 0.02 * loss  # a mean over some 50 steps
            done, looks = step + 1, run.looks
            if look is not None and (done % settings.look_every == 0 or done == steps):
                entry = {"step": done, "train_nats": round(recent, 4), "held_out_nats": round(look(model), 4)}
                looks = [*looks, entry]
                with (folder / "log.jsonl").open("a") as file:
                    file.write(json.dumps(entry) + "\n")
                model.train()  # a look puts it into evaluation
            run = TrainingRun(done, done * tokens_per_step, round(spent + time.monotonic() - started, 1), looks)
            if done % settings.checkpoint_every == 0 or done == steps:
                _save(folder, identity, model, optimizer, run, recent)
            advance(note=f"loss {recent:.3f}" + (f", held out {looks[-1]['held_out_nats']:.3f}" if looks else ""))
    return run


def schedule(step: int, steps: int, warmup_share: float) -> float:
    """The share of the peak learning rate at a step: linear up, then a cosine down to 0.1."""
    # at least one step: a division by the steps of the warm-up follows
    warmup = max(1, round(steps * warmup_share))
    if step < warmup:
        return (step + 1) / warmup
    return 0.55 + 0.45 * math.cos(math.pi * (step - warmup) / max(1, steps - warmup))


def _optimizer(model: LlamaForCausalLM, settings: Training) -> torch.optim.AdamW:
    """AdamW; the norms' scales are not decayed."""
    # the scales of the norms have one dimension, matrices and the embedding two
    matrices = [p for p in model.parameters() if p.dim() > 1]
    scales = [p for p in model.parameters() if p.dim() == 1]
    groups = [{"params": matrices}, {"params": scales, "weight_decay": 0.0}]
    return torch.optim.AdamW(
        groups, lr=settings.learning_rate, betas=settings.betas, weight_decay=settings.weight_decay, fused=True
    )


def _step(model: LlamaForCausalLM, optimizer: torch.optim.AdamW, batch: Tensor, clip: float, skipped: int) -> float:
    targets = batch[:, 1 + skipped :]
    logits = model(input_ids=batch[:, :-1], use_cache=False, logits_to_keep=targets.shape[1]).logits
    loss = cross_entropy(logits.flatten(0, 1), targets.flatten())
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
    optimizer.step()
    optimizer.zero_grad()
    return loss.item()


def _resume(
    folder: Path, identity: str, model: LlamaForCausalLM, optimizer: torch.optim.AdamW, tokens_per_step: int
) -> tuple[TrainingRun, float]:
    """Load the folder's checkpoint; return how far it came, and its running mean of the loss."""
    path = folder / STATE
    if not path.exists():
        return TrainingRun(), 0.0
    state = torch.load(path, weights_only=True)
    if state["identity"] != identity:
        raise InputError(f"{path} is of another model, corpus or setting: remove its folder, or choose another --out")
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    step = state["step"]
    return TrainingRun(step, step * tokens_per_step, state["seconds"], state["looks"]), state["recent"]


def _save(
    folder: Path,
    identity: str,
    model: LlamaForCausalLM,
    optimizer: torch.optim.AdamW,
    run: TrainingRun,
    recent: float,
) -> None:
    progress = {"step": run.steps, "seconds": run.seconds, "looks": run.looks, "recent": recent}
    parts = {"identity": identity, "model": model.state_dict(), "optimizer": optimizer.state_dict()}
    with atomic_path(folder / STATE) as building:  # whoever stops the training now resumes from the one before
        torch.save(parts | progress, building)
