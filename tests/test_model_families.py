"""The whole way by command line, on a tiny random model of each family with an imitation of its chat template.

Train by DPO, kill and resume, sample, judge, score, export, and open the export with `transformers`: the scores are
those of a plain forward of the conversation as the tokenizer's own `apply_chat_template` writes it.
"""

from __future__ import annotations

import json
import re
import signal
import sys
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from repository import REPOSITORY
from template_families import FAMILIES, family_tokenizer

sys.path.append(str(REPOSITORY / "benchmarks"))  # the tiny networks of the sweep over model types

from tiny_types import build_tiny

LONGROPE = {
    "rope_type": "longrope",
    "rope_theta": 1e4,
    "short_factor": [1.0, 1.1, 1.2, 1.3],
    "long_factor": [2.0, 3.0, 4.0, 5.0],
    "original_max_position_embeddings": 1024,
    "factor": 2.0,
}
MODELS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "Qwen3": ("qwen3", "qwen3", {}),
    "Qwen3.5": ("qwen3_5", "qwen3_5_text", {}),
    "GLM4-MoE": ("glm4_moe", "glm4_moe", {}),
    "GPT-OSS": ("gpt_oss", "gpt_oss", {}),
    "Gemma3": ("gemma3", "gemma3_text", {}),
    "Llama-3.2": ("llama32", "llama", {}),
    "Phi-4-mini": ("phi4_mini", "phi3", {"rope_parameters": LONGROPE}),
    "LFM2": ("lfm2", "lfm2", {}),
    "SmolLM3": ("smollm3", "smollm3", {}),
}
"""By the name people use: the template's family, the type in `transformers`, and changes of its configuration."""
QUESTIONS = (
    "Name a river.",
    "Why is the sky blue?",
    "Two plus two?",
    "A word for red?",
    "Who wrote it?",
    "Where is Rome?",
)
DAY = date(2026, 1, 31)
TODAY = "template_args={today: 2026-01-31}"
DATED = ("gpt_oss", "llama32", "smollm3")


def make_model(name: str, folder: Path) -> Path:
    """Save a model of the family with its tokenizer."""
    family, model_type, changes = MODELS[name]
    tokenizer = family_tokenizer(family)
    ids = {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.eos_token_id}
    network = build_tiny(model_type, vocab_size=len(tokenizer), max_position_embeddings=2048, **ids, **changes)
    network.generation_config.eos_token_id = tokenizer.eos_token_id
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def write_pairs(family: str, file: Path) -> list[dict[str, Any]]:
    """Write a chat file with a system turn, an earlier answer, and thoughts where the family has them."""
    rows = []
    for number, question in enumerate(QUESTIONS):
        turns = [{"role": "system", "content": "Be brief."}] if number % 2 else []
        if number % 3 == 0:
            turns += [{"role": "user", "content": "Hello!"}, {"role": "assistant", "content": "Hello to you."}]
        turns.append({"role": "user", "content": question})
        chosen, rejected = f"A good answer to {number}.", f"No idea about {number}"
        if FAMILIES[family].thoughts and family != "gpt_oss" and number % 2 == 0:
            chosen = f"<think>\nIt asks for {number}.\n</think>\n\n{chosen}"
        rows.append(
            {
                "prompt": turns,
                "chosen": [{"role": "assistant", "content": chosen}],
                "rejected": [{"role": "assistant", "content": rejected}],
            }
        )
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return rows


def run(penchant: Callable[..., Any], *words: str) -> str:
    process = penchant(*words)
    assert process.wait() == 0, process.stderr
    return str(process.stdout)


def wait_for_checkpoint(folder: Path, step: int) -> None:
    end = time.monotonic() + 240
    while time.monotonic() < end:
        file = folder / "metrics.jsonl"
        if file.exists() and file.read_text().count('"train"') >= step:
            return
        time.sleep(0.02)
    raise AssertionError(f"{folder} never came to step {step}")


def plain_scores(model: Path, conversations: list[list[dict[str, str]]]) -> list[float]:
    """The log-probability of what stands behind each prompt, by one forward of `transformers` per conversation.

    That is what a model that is asked writes itself: an empty think block too, then the answer and its end token.
    """
    tokenizer = AutoTokenizer.from_pretrained(model)
    network = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32, attn_implementation="eager").eval()

    # the day that the run was told; `transformers` hands no functions to a template
    tokenizer.chat_template = re.sub(
        r"strftime_now\('([^']*)'\)", lambda call: repr(DAY.strftime(call[1])), str(tokenizer.chat_template)
    )

    def written(turns: list[dict[str, str]], *, asked: bool) -> str:
        return str(tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=asked))

    scores = []
    for turns in conversations:
        full, prompt, answer = written(turns, asked=False), written(turns[:-1], asked=True), turns[-1]["content"]
        assert full.startswith(prompt)
        parts = (prompt, full[: full.rindex(answer) + len(answer)], full)
        given, answered, ids = (tokenizer(text, add_special_tokens=False)["input_ids"] for text in parts)
        # what a template writes behind the end token is no part of the response; GLM writes no end token
        ids = [*answered, *(ids[len(answered) : len(answered) + 1] or [tokenizer.eos_token_id])]
        with torch.no_grad():
            logps = network(torch.tensor([ids])).logits[0].float().log_softmax(-1)
        scores.append(sum(float(logps[place - 1, ids[place]]) for place in range(len(given), len(ids))))
    return scores


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", MODELS)
def test_a_family_from_training_to_its_export(name: str, penchant: Callable[..., Any], tmp_path: Path) -> None:
    family = MODELS[name][0]
    model = make_model(name, tmp_path / "model")
    pairs = write_pairs(family, tmp_path / "pairs.jsonl")
    dated = (TODAY,) if family in DATED else ()
    settings = (
        f"model={model}",
        "model.device=cpu",
        f"data={tmp_path / 'pairs.jsonl'}",
        *(f"data.{setting}" for setting in dated),
        "data.held_out=2",
        "batch_size=2",
        "epochs=4",
        "checkpoint_every=2",
        "optimizer.learning_rate=1e-3",
        "evaluate.samples.max_new_tokens=4",
        "evaluate.samples.n=1",
    )
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    run(penchant, "train", "dpo", *settings, f"out={straight}")
    process = penchant("train", "dpo", *settings, f"out={killed}")
    wait_for_checkpoint(killed, 3)
    process.kill(signal.SIGKILL)
    run(penchant, "train", "dpo", "--resume", f"out={killed}")
    for file in (straight / "checkpoint").glob("*.safetensors"):
        assert file.read_bytes() == (killed / "checkpoint" / file.name).read_bytes()

    file = str(tmp_path / "pairs.jsonl")
    short = ("n=1", "max_new_tokens=6")
    # the run's own arguments are kept beside its checkpoint
    run(penchant, "sample", str(straight / "checkpoint"), file, *short, f"out={tmp_path / 'after.jsonl'}")
    run(penchant, "sample", str(model), file, *short, *dated, f"out={tmp_path / 'before.jsonl'}")
    before, verdicts = (f"{key}={tmp_path / name}" for key, name in (("against", "before.jsonl"), ("out", "verdicts")))
    run(penchant, "judge", str(tmp_path / "after.jsonl"), before, "judge=policy", f"judge.model={model}", verdicts)

    run(penchant, "score", str(straight), file, f"out={tmp_path / 'scores.jsonl'}")
    run(penchant, "export", str(straight), f"out={tmp_path / 'exported'}")
    assert (tmp_path / "exported" / "README.md").is_file()
    again = tmp_path / "exported.jsonl"
    run(penchant, "score", str(tmp_path / "exported"), file, f"out={again}")
    ours, exported = (
        [json.loads(line)["logps"] for line in scored.read_text().splitlines()]
        for scored in (tmp_path / "scores.jsonl", again)
    )
    assert exported == [pytest.approx(scores, abs=1e-4) for scores in ours]
    plain = plain_scores(tmp_path / "exported", [[*pair["prompt"], *pair["rejected"]] for pair in pairs])
    assert [scores[1] for scores in ours] == pytest.approx(plain, abs=2e-3)
