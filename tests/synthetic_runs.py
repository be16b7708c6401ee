"""Synthetic run directories that keep to the contract of a run directory, realistic enough to look at."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from penchant.metrics import cluster_mean
from penchant.studies.core.report import study_report

OPENINGS = [
    "The first half hour of this film is",
    "I went in expecting",
    "What makes the performance work is",
    "Nobody told me that the ending",
    "My sister and I both thought that",
    "With a budget this small",
    "The score, for once,",
    "Halfway through the second act",
]
GOOD = ["a", "quiet,", "generous", "surprise,", "and", "the", "two", "leads", "are", "wonderful", "together"]
PLAIN = ["long", "and", "rather", "uneven,", "with", "a", "plot", "that", "keeps", "changing", "its", "mind"]


@dataclass(frozen=True)
class Story:
    """How a synthetic run goes.

    Attributes:
        speed: nats of KL a step; 0.1 is calm, 1 runs away.
        reward: whether samples have one; `gain`: how much of it 10 nats bring.
        prompts: of samples and held-out data.
    """

    method: str = "dpo"
    loss: str = "sigmoid"
    beta: float = 0.1
    steps: int = 72
    every: int = 12
    speed: float = 0.1
    gain: float = 0.3
    reward: bool = True
    held_out: bool = True
    samples: bool = True
    prompts: int = 24
    draws: int = 4
    repeat: float = 0.02
    lengthen: float = 0.0
    overfit: float = 0.0
    learns: float = 0.15
    seed: int = 0


def write_run(path: Path, story: Story | None = None, **changes: Any) -> Path:
    """Write a run directory; `changes` are fields of the story."""
    told = Story(**{**(vars(story) if story else {}), **changes})
    path.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(told.seed)
    evals = [_eval(told, step, rng) for step in range(0, told.steps + 1, told.every)]
    train = [_train(told, step, rng) for step in range(1, told.steps + 1)]
    lines = sorted([*(line for line, _ in evals), *train], key=lambda row: (row["step"], row["kind"] == "eval"))
    sampled = [row for _, rows in evals for row in rows]
    (path / "config.yaml").write_text(yaml.safe_dump(_config(told, path), sort_keys=False))
    (path / "provenance.json").write_text(json.dumps(_provenance(told)))
    (path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    if told.samples:
        (path / "samples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in sampled))
    (path / "result.json").write_text(json.dumps(_result(told, evals[0][0], evals[-1][0])))
    return path


def _config(told: Story, path: Path) -> dict[str, Any]:
    config: dict[str, Any] = {"method": told.method, "model": "smollm2-135m", "data": {"path": "prefs.jsonl"}}
    if told.method != "sft":
        config["loss"] = {"name": told.loss, "beta": told.beta, "label_smoothing": 0.0, "nll_weight": 0.0}
    return {**config, "learning_rate": 5e-6, "epochs": 2, "seed": told.seed, "out": str(path)}


def _provenance(told: Story) -> dict[str, Any]:
    return {
        "versions": {"penchant": "0.1.0", "python": "3.11.9", "torch": "2.9.1", "transformers": "5.1.0"},
        "machine": {"cpu": "AMD EPYC 9654", "cores": 2, "memory_gib": 15.6, "accelerator": None},
        "data": {"path": "prefs.jsonl", "sha256": "9f2c" * 16},
        "model": {
            "name": "smollm2-135m",
            "fingerprint": "ab12cd34",
            "parameters": 134_515_008,
            "trainable_parameters": 134_515_008 if told.reward else 921_600,
            "dtype": "float32",
        },
        "reference": {"name": "smollm2-135m", "fingerprint": "ab12cd34"},
        "seed": told.seed,
        "command": "penchant train dpo config.yaml",
        "started": "2026-11-23T20:14:05+00:00",
    }


def _result(told: Story, first: dict[str, Any], final: dict[str, Any]) -> dict[str, Any]:
    return {
        "method": told.method,
        "status": "done",
        "steps": told.steps,
        "seconds": 1.8 * told.steps,
        "peak_memory_bytes": 2_470_000_000,
        "data": {
            "groups": 72,
            "comparisons": 432,
            "responses": 288,
            "ties": 4,
            "contradictions": 0,
            "dropped_too_long": 0,
            "truncated": 0,
            "unstable_boundaries": 0,
            "held_out_groups": told.prompts if told.held_out else 0,
            "layout": "groups",
        },
        "first": first,
        "final": final,
        "best_step": told.steps,
        "warnings": [],
    }


def _margin(told: Story, step: int) -> float:
    return 1.4 * (1 - np.exp(-3 * step * told.speed / 0.1 / 72)) * told.learns / 0.15


def _train(told: Story, step: int, rng: np.random.Generator) -> dict[str, Any]:
    margin = _margin(told, step) + rng.normal(0, 0.12)
    row = {
        "kind": "train",
        "step": step,
        "epoch": 2 * step / told.steps,
        "loss": float(np.log1p(np.exp(-margin)) + rng.normal(0, 0.03)),
        "grad_norm": float(4 * np.exp(rng.normal(0, 0.2))),
        "learning_rate": 5e-6,
        "seconds": 1.8,
        "tokens_per_s": float(190 + rng.normal(0, 8)),
    }
    if told.method == "sft":
        loss = 3.1 - 0.5 * (1 - np.exp(-step / 20)) + rng.normal(0, 0.05)
        return {**row, "loss": float(loss), "responses": 6, "mean_logps": float(-loss)}
    progress = step * told.speed
    return {
        **row,
        "pairs": 36,
        "chosen_logps": float(-78 - 0.5 * progress + rng.normal(0, 2)),
        "rejected_logps": float(-80 - 2.2 * progress + rng.normal(0, 2)),
        "margin": float(margin),
        "accuracy": float(np.clip(0.5 + told.learns * margin + rng.normal(0, 0.05), 0, 1)),
        "chosen_tokens": 20.0,
        "rejected_tokens": 20.0,
    }


def _estimate(values: np.ndarray, clusters: np.ndarray) -> dict[str, Any]:
    return cluster_mean(values, clusters, resamples=200).as_dict()


def _eval(told: Story, step: int, rng: np.random.Generator) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    line: dict[str, Any] = {"kind": "eval", "step": step, "epoch": 2 * step / told.steps}
    rows: list[dict[str, Any]] = []
    if told.held_out:
        line["held_out"] = _held_out(told, step)
    if told.samples:
        rows = _sampled(told, step, rng)
        line["samples"] = _measured(rows, told)
    return line, rows


def _held_out(told: Story, step: int) -> dict[str, Any]:
    rng = np.random.default_rng(told.seed + 100)  # the same held-out data at each evaluation
    clusters = np.repeat(np.arange(told.prompts), 6)
    ease = rng.normal(0, 1.2, told.prompts)[clusters] + rng.normal(0, 1.6, len(clusters))
    margin = _margin(told, step) * (0.75 + 0.9 * ease) * 0.6
    turn = told.overfit * max(0, step - told.steps / 2) / told.steps
    if told.method == "sft":
        loss = 3.15 - 0.4 * (1 - np.exp(-step / 20)) + turn + 0.3 * ease
        return {"loss": _estimate(loss, clusters)}
    right = margin > 0 if step else rng.random(len(clusters)) < 0.5
    progress = step * told.speed
    return {
        "loss": _estimate(np.log1p(np.exp(-margin)) + turn, clusters),
        "accuracy": _estimate(right.astype(float), clusters),
        "margin": _estimate(margin, clusters),
        "chosen_logps": _estimate(-79 - 0.55 * progress + 4 * ease, clusters),
        "rejected_logps": _estimate(-80 - 2.0 * progress + 4 * ease, clusters),
        "chosen_tokens": _estimate(20 + 0.2 * ease, clusters),
        "rejected_tokens": _estimate(20 - 0.2 * ease, clusters),
        "longest_wins": _estimate((rng.random(len(clusters)) < 0.52).astype(float), clusters),
    }


def _sampled(told: Story, step: int, rng: np.random.Generator) -> list[dict[str, Any]]:
    still = np.random.default_rng(told.seed + 7)
    rows = []
    for k in range(told.prompts):
        theirs = [_draw(PLAIN, float(np.tanh(still.normal(0.15, 0.35))), 20, told) for _ in range(told.draws)]
        kls = step * told.speed * np.exp(rng.normal(0, 0.3, told.draws))
        ours = []
        for draw, kl in zip(theirs, kls, strict=True):
            reward = None if draw["reward"] is None else min(0.99, draw["reward"] + told.gain * float(kl) / 10)
            length = round(20 * (1 + told.lengthen * step / told.steps))
            ours.append({**_draw(GOOD if kl > 2 else PLAIN, reward, length, told), "kl_nats": float(kl)})
        prompt = f"{OPENINGS[k % len(OPENINGS)]}{'' if k < len(OPENINGS) else f' ({k // len(OPENINGS) + 1})'}"
        rows.append(
            {"step": step, "prompt": prompt, "source": f"prefs.jsonl:{k + 1}", "policy": ours, "reference": theirs}
        )
    return rows


def _draw(words: list[str], reward: float | None, tokens: int, told: Story) -> dict[str, Any]:
    text = " ".join((words * 9)[:tokens])
    return {"text": text, "reward": reward if told.reward else None, "tokens": tokens, "finished": tokens % 3 == 0}


def _measured(rows: list[dict[str, Any]], told: Story) -> dict[str, Any]:
    rng = np.random.default_rng(3)
    measured: dict[str, Any] = {}
    for side in ("policy", "reference"):
        draws = [(draw, k) for k, row in enumerate(rows) for draw in row[side]]
        clusters = np.array([k for _, k in draws])
        step = rows[0]["step"] if side == "policy" else 0
        noise = np.abs(rng.normal(0, 0.01, len(draws)))
        repeated = 0.01 + noise + told.repeat * step / told.steps
        numbers = {"tokens": [d["tokens"] + rng.normal(0, 1) for d, _ in draws], "repetition": repeated}
        numbers |= {"distinct_2": 0.97 - repeated, "finished": [float(d["finished"]) for d, _ in draws]}
        if told.reward:
            numbers["reward"] = [d["reward"] for d, _ in draws]
        if side == "policy":
            numbers["kl_nats"] = [d["kl_nats"] for d, _ in draws]
        measured[side] = {key: _estimate(np.asarray(values, float), clusters) for key, values in numbers.items()}
    return measured


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Path]:
    """`make_run("name", **story)` writes a run directory under the test's folder."""
    return lambda name="run", **changes: write_run(tmp_path / name, **changes)


@pytest.fixture
def page(tmp_path: Path) -> Callable[[dict[str, Any]], str]:
    """`page(numbers)` is the HTML of a study with them, written as `page.html` under the test's folder."""

    def make(numbers: dict[str, Any]) -> str:
        (tmp_path / "study.json").write_text(json.dumps(numbers))
        return study_report(tmp_path, tmp_path / "page.html").read_text()

    return make
