"""The reference of a run: the check at step 0, and which rows are scored before it."""

from __future__ import annotations

import json
import math
import sqlite3
from pathlib import Path
from typing import Any

import pytest
import torch

import penchant as pt
from length_models import longrope
from penchant.engine.score import score
from penchant.errors import RunError
from penchant.train.inputs.reference_table import check_identity
from penchant.types import PromptGroup

GROUPS = [
    PromptGroup("Once upon a time there was a dog and a cat.", [" They ran.", " It was sad."]),
    PromptGroup("Tom", [" was sad.", " sang."]),
]


def test_a_policy_that_scores_as_the_table_says_passes(story_policy: Any) -> None:
    rendered = [story_policy.renderer.render(group) for group in GROUPS]
    numbers = score(story_policy.scorer, rendered)
    check_identity(story_policy.scorer, rendered, numbers, budget=1024, half=False)
    wrong = [row + 0.1 for row in numbers]
    with pytest.raises(RunError, match=r"scores .* differently"):
        check_identity(story_policy.scorer, rendered, wrong, budget=1024, half=False)
    check_identity(
        story_policy.scorer, rendered, wrong, budget=1024, half=True
    )  # within the rounding of half precision
    check_identity(story_policy.scorer, [], [], budget=1024, half=False)


def test_a_short_run_scores_only_the_rows_it_takes(
    tiny_model: str, preference_file: Path, own_cache: Path, tmp_path: Path
) -> None:
    def run(steps: int | None) -> tuple[float, int]:
        """The loss of the first step after the weights moved, and how many rows the table then holds."""
        settings: dict[str, Any] = {"path": str(preference_file), "held_out": 2, "template": "plain"}
        optimizer = {"name": "rmsprop", "learning_rate": 1e-3}
        out = str(tmp_path / str(steps))
        config = pt.DPO(
            model={"name": tiny_model, "device": "cpu"},  # type: ignore[arg-type]
            data=settings,  # type: ignore[arg-type]
            optimizer=optimizer,  # type: ignore[arg-type]
            evaluate={"samples": None},  # type: ignore[arg-type]
            batch_size=8,
            max_steps=steps,
            out=out,
        )
        pt.train(config)
        lines = [json.loads(line) for line in (tmp_path / str(steps) / "metrics.jsonl").read_text().splitlines()]
        (table,) = (own_cache / "reference").glob("*.sqlite")
        with sqlite3.connect(table) as db:
            (rows,) = db.execute("SELECT count(*) FROM scores").fetchone()
        return next(line["loss"] for line in lines if line["kind"] == "train" and line["step"] == 2), rows

    first, few = run(2)
    assert few == 4 * (4 + 2)  # two steps of two groups of four comparisons, and the two that are held out
    whole, all_rows = run(None)
    assert all_rows == 4 * 12
    torch.testing.assert_close(first, whole)


def longrope_folder(tiny_model: str, folder: Path) -> str:
    """A random Phi-3 whose rotary frequencies change beyond 32 tokens, with the tiny model's tokenizer."""
    from transformers import AutoTokenizer, Phi3ForCausalLM

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    network = longrope(vocab_size=len(tokenizer), threshold=32, context=160)
    assert isinstance(network, Phi3ForCausalLM)
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.mark.parametrize(
    ("loss", "model"),
    [({}, {}), ({"name": "ld_dpo", "alpha": 0.5}, {}), ({}, {"lora": {"rank": 2}}), ({}, {"train_top": 1})],
)
def test_a_run_of_a_longrope_model_starts_at_ln_2(
    loss: dict[str, Any], model: dict[str, Any], tiny_model: str, tmp_path: Path
) -> None:
    """Rows on both sides of the threshold in one batch; the reference was scored in other passes."""
    rows = [
        {"prompt": "The " + "very " * (8 * (i % 2)) + f"big dog {i}", "chosen": " ran.", "rejected": " sat" * 9}
        for i in range(8)
    ]
    data = tmp_path / "rows.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = pt.DPO(
        model={"name": longrope_folder(tiny_model, tmp_path / "model"), "device": "cpu"} | model,  # type: ignore[arg-type]
        loss=loss or {"name": "sigmoid"},  # type: ignore[arg-type]
        data={"path": str(data), "held_out": 2, "template": "plain"},  # type: ignore[arg-type]
        evaluate={"samples": None},  # type: ignore[arg-type]
        batch_size=6,
        max_steps=1,
        tokens_per_batch=200,
        out=str(tmp_path / "run"),
    )
    pt.train(config)
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    (first,) = (line for line in lines if line["kind"] == "train")
    assert first["loss"] == pytest.approx(math.log(2), abs=1e-6)


def test_every_row_of_the_first_batch_is_compared(story_policy: Any) -> None:
    rendered = [story_policy.renderer.render(group) for group in GROUPS]
    for group, response in ((0, 1), (1, 0), (1, 1)):
        numbers = [row.clone() for row in score(story_policy.scorer, rendered)]
        numbers[group][response] += 0.1
        with pytest.raises(RunError, match=rf"\(response {response}\) differently .* Delete the reference table"):
            check_identity(story_policy.scorer, rendered, numbers, budget=1024, half=False)


def test_scores_that_depend_on_their_neighbours_are_named_so(
    story_policy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rendered = [story_policy.renderer.render(group) for group in GROUPS]
    numbers = score(story_policy.scorer, rendered)
    monkeypatch.setitem(check_identity.__globals__, "score", lambda *_, **__: [row + 0.1 for row in numbers])
    with pytest.raises(RunError, match=r"depends on the rows beside it: .* please report its type"):
        check_identity(story_policy.scorer, rendered, numbers, budget=1024, half=False)
