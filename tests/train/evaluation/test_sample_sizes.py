"""How many samples an evaluation draws, and how long they are, where the settings leave that open."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import penchant as pt
from penchant.train.evaluation.sample_sizes import settle_length, settle_prompts
from penchant.train.settings import Samples


def test_length_is_that_of_the_longest_response_where_it_fits() -> None:
    assert settle_length(Samples(), 300).max_new_tokens == 300
    assert settle_length(Samples(max_new_tokens=None), 300).max_new_tokens == 48
    assert settle_length(Samples(max_new_tokens=7), 300).max_new_tokens == 7
    # 256 less a prompt of 100; and never less than it was before
    assert settle_length(Samples(), 300, 256, 100).max_new_tokens == 156
    assert settle_length(Samples(), 300, 256, 250).max_new_tokens == 48
    assert settle_length(Samples(), 20, 256, 250).max_new_tokens == 20


def test_prompts_by_hand() -> None:
    def prompts(trained: float, **settings: int) -> int | None:
        samples = Samples(**settings)  # type: ignore[arg-type]
        return settle_prompts(samples, trained=trained, held_out=1000, prompt=20, response=30).max_prompts

    # a third of three times 16,000 tokens, less twice 1,000: 14,000; a prompt costs 7 passes x 2 draws x 50 tokens
    assert prompts(16_000) == 20
    assert prompts(16_000, n=1) == 32
    assert prompts(1_000) == 10  # what an interval needs
    assert prompts(1_000_000) == 32
    assert prompts(16_000, max_prompts=5) == 5


@pytest.mark.parametrize(("epochs", "prompts"), [(1, 10), (10, 20)])
def test_evaluation_takes_less_than_a_third_of_training_in_tokens(tmp_path: Path, epochs: int, prompts: int) -> None:
    lines = [{"prompt": f"Film {n} was", "chosen": " a joy.", "rejected": " dull."} for n in range(120)]
    (tmp_path / "p.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    run = pt.train(
        pt.DPO(
            model="penchant-0.5m",
            data={"path": str(tmp_path / "p.jsonl"), "held_out": 20},
            epochs=epochs,
            batch_size=100,
            out=str(tmp_path / "run"),
        )
    )
    drawn = [json.loads(line) for line in (tmp_path / "run" / "samples.jsonl").read_text().splitlines()]
    at_end = [row for row in drawn if row["step"] == run.metrics["steps"]]
    assert len(at_end) == prompts
    metrics = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    trained = 3 * sum(line["tokens_per_s"] * line["seconds"] for line in metrics if line["kind"] == "train")
    # draws of the policy, scored by two models, and of the reference once
    sampled = 3 * sum(draw["tokens"] for row in drawn for draw in row["policy"])
    sampled += sum(draw["tokens"] for row in at_end for draw in row["reference"])
    assert epochs == 1 or sampled < trained / 3
