"""Fine-tuning through the loop of all runs: the numbers of a plain loop, resumed to the same bits, begun anew."""

from __future__ import annotations

import logging
import math
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from penchant.losses.weak_settings import Confidence, CrossEntropy, WeakLoss
from penchant.models.load import load_policy
from penchant.runs.run_lines import read_rows
from penchant.train import loop
from penchant.weak.classifiers.fine_tune import fine_tune
from penchant.weak.classifiers.language_model import LanguageModelClassifier
from penchant.weak.classifiers.looks import Look
from penchant.weak.classifiers.reading import HeadReading
from penchant.weak.settings import LanguageModel, Training

TEXTS = [f"{who} {what}" for who in ("Tom", "A cat", "The old man") for what in ("ran.", "was sad and cold.")] + [
    "They sat by the fire and felt warm.",
    "A dull day.",
]
FIRST = torch.tensor([0.9, 0.2, 0.7, 0.1, 0.6, 0.4, 0.8, 0.3])
WEAK = torch.stack([FIRST, 1 - FIRST], 1)  # each class is half of them, so that half of a batch is hardened to it
TRAINING = Training(epochs=3, batch_size=4, learning_rate=1e-3, early_stopping=True)
TOLERANCE = 1e-5
"""Of losses in nats and of probabilities: passes of padded rows round otherwise than passes of single ones."""


def plain_loop(stories: str, alpha: float) -> tuple[list[float], Tensor]:
    """Train as `fine_tune` is documented to, text by text; return each step's loss and the probabilities at the end."""
    policy = load_policy(stories, device="cpu", template="plain")
    network = policy.model.train()
    head = torch.nn.Linear(network.config.hidden_size, 2)
    torch.nn.init.zeros_(head.weight)
    torch.nn.init.zeros_(head.bias)
    weights, steps, losses = list(network.parameters()), 6, []
    optimizer = torch.optim.AdamW(
        [{"params": weights, "peak": 1e-3}, {"params": head.parameters(), "peak": 1e-3}], weight_decay=0.0
    )

    def logits_of(places: list[int]) -> Tensor:
        ids = [torch.tensor([policy.renderer.prompt_ids(TEXTS[place])]) for place in places]
        states = [network(input_ids=row, output_hidden_states=True).hidden_states[-1][0, -1] for row in ids]
        return head(torch.stack(states))

    for step in range(steps):
        epoch, half = divmod(step, 2)
        batch = np.random.default_rng([7, epoch]).permutation(8)[4 * half : 4 * half + 4].tolist()
        for group in optimizer.param_groups:
            group["lr"] = group["peak"] * 0.5 * (1 + math.cos(math.pi * step / steps))
        logits = logits_of(batch)
        surest = (logits[:, 1] - logits[:, 0]).argsort(descending=True, stable=True)[:2]
        hardened = torch.tensor([[1.0, 0.0]]).repeat(4, 1)
        hardened[surest] = torch.tensor([0.0, 1.0])
        share = alpha * min(1.0, step / (0.2 * steps))
        target = (1 - share) * WEAK[batch] + share * hardened
        loss = -(target * logits.log_softmax(-1)).sum(-1).mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_([*weights, *head.parameters()], 1.0)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
    with torch.no_grad():
        return losses, logits_of(list(range(8))).softmax(-1)


@pytest.mark.parametrize("loss", [CrossEntropy(), Confidence(alpha=0.5)])
def test_the_loop_of_runs_gives_the_numbers_of_a_plain_one(
    stories: str, tmp_path: Path, loss: CrossEntropy | Confidence
) -> None:
    made = fitted(stories, tmp_path / "training", loss=loss, early_stopping=False)
    losses, probabilities = plain_loop(stories, loss.alpha if isinstance(loss, Confidence) else 0.0)
    rows = [row for row in read_rows(tmp_path / "training" / "metrics.jsonl") if row["kind"] == "train"]
    assert [row["loss"] for row in rows] == pytest.approx(losses, abs=TOLERANCE)
    np.testing.assert_allclose(made.predict_proba(TEXTS), probabilities, atol=TOLERANCE)


def classifier(stories: str, folder: Path | None, loss: WeakLoss | None = None, **changes: Any) -> Any:
    training = TRAINING.model_dump() | {"head_learning_rate": None} | changes
    lora = training.pop("lora", None)
    settings = LanguageModel(model=stories, device="cpu", training=training, lora=lora)
    return LanguageModelClassifier(settings, seed=7, loss=loss, folder=folder)


def fitted(stories: str, folder: Path | None, loss: WeakLoss | None = None, watch: Any = None, **changes: Any) -> Any:
    made = classifier(stories, folder, loss, **changes)
    made.watch = watch or (lambda epochs, misfit: [round(epochs, 2)])
    return made.fit(TEXTS, WEAK.numpy(), validation=(TEXTS, 1 - WEAK.numpy()))


def weights_of(made: Any) -> Tensor:
    parts = [*made.reading.policy.model.parameters(), *made.reading.head]
    return torch.cat([part.detach().flatten() for part in parts])


@pytest.mark.parametrize("changes", [{}, {"early_stopping": False}, {"lora": {"rank": 2, "dropout": 0.1}}])
def test_a_killed_training_is_resumed_to_the_same_bits(
    stories: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]
) -> None:
    """Killed in its fourth step, three looks after a checkpoint; the best weights lie before that."""
    whole = fitted(stories, None, **changes)
    monkeypatch.setattr(loop, "CHECKPOINT_EVERY_S", -1.0)

    def killed(epochs: float, misfit: float | None) -> list[float]:
        if epochs >= 2:
            raise KeyboardInterrupt
        return [round(epochs, 2)]

    folder = tmp_path / "training"
    with pytest.raises(KeyboardInterrupt):
        fitted(stories, folder, watch=killed, **changes)
    resumed = fitted(stories, folder, **changes)
    assert torch.equal(weights_of(resumed), weights_of(whole))
    assert resumed.looks == whole.looks
    assert [look.watched for look in whole.looks] == [[0.5], [1.0], [1.5], [2.0], [2.5], [3.0]]
    if whole.settings.training.early_stopping:
        losses = [look.loss for look in whole.looks]
        assert min(losses) == losses[0] < losses[-1]
    steps = [row["step"] for row in read_rows(folder / "metrics.jsonl") if row["kind"] == "train"]
    assert steps == [1, 2, 3, 4, 5, 6]


def test_an_interrupted_training_ends_its_step_and_leaves_a_checkpoint(
    stories: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def interrupt(epochs: float, misfit: float | None) -> None:
        if epochs == 1.0:
            os.kill(os.getpid(), signal.SIGINT)

    whole = fitted(stories, None)
    for folder, words in ((tmp_path / "training", "with a checkpoint (again"), (None, "after this step (again")):
        with pytest.raises(KeyboardInterrupt):
            fitted(stories, folder, watch=interrupt)
        assert words in capfd.readouterr().err
    assert (tmp_path / "training" / "checkpoint").is_dir()
    assert torch.equal(weights_of(fitted(stories, tmp_path / "training")), weights_of(whole))


def test_a_short_training_writes_no_checkpoint(stories: str, tmp_path: Path) -> None:
    fitted(stories, tmp_path / "training")
    assert not (tmp_path / "training" / "checkpoint").exists()


@pytest.mark.parametrize("harm", ["another seed", "other labels", "adapters", "damage"])
def test_another_or_a_damaged_training_is_thrown_away(
    stories: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, harm: str
) -> None:
    monkeypatch.setattr(loop, "CHECKPOINT_EVERY_S", -1.0)
    folder = tmp_path / "training"
    fitted(stories, folder)
    made, labels = classifier(stories, folder), WEAK.numpy()
    if harm == "another seed":
        made.seed = 8
    elif harm == "other labels":
        labels = labels[::-1].copy()
    elif harm == "damage":
        file = folder / "checkpoint" / "model.safetensors"
        file.write_bytes(file.read_bytes()[:-1] + b"x")
    else:
        made.settings = made.settings.replace(lora={})
    with caplog.at_level(logging.WARNING, "penchant.weak"):
        made.fit(TEXTS, labels, validation=(TEXTS, 1 - WEAK.numpy()))
    assert "is thrown away and begun again" in caplog.text
    assert len(made.looks) == 6


def test_looks_and_best_weights_of_a_reading_are_returned(stories: str) -> None:
    policy = load_policy(stories, device="cpu", template="plain")
    reading = HeadReading(policy, 2, longest=64)
    looks = fine_tune(reading, TEXTS, WEAK, CrossEntropy(), TRAINING.replace(epochs=1), seed=0)
    assert looks == [Look(0.5, None), Look(1.0, None)]
