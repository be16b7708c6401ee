"""How many steps a run has at least, and what is said where it has fewer."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

import penchant as pt
from penchant.cli.main import main
from penchant.train.step_counts import choose_batch_size, choose_epochs, few_steps_advice


def test_a_batch_that_holds_all_rows_is_named_with_settings_that_give_more_steps() -> None:
    # 54 rows in batches of 4 are 14 steps per epoch, and 3 epochs 42
    assert few_steps_advice(54, batch_size=64, epochs=2) == (
        "the run has 2 optimizer steps (a batch of 64 holds all 54 rows), which hardly moves a model: "
        "try batch_size=4 epochs=3 (42 steps)"
    )


def test_few_steps_per_epoch_are_named_too() -> None:
    # 300 rows in batches of 8 are 38 steps; 64 at once are 5
    assert few_steps_advice(300, batch_size=64, epochs=1) == (
        "the run has 5 optimizer steps (300 rows, 64 each), which hardly moves a model: try batch_size=8 (38 steps)"
    )


@pytest.mark.parametrize(
    ("units", "batch_size", "epochs", "max_steps"),
    [(1280, 64, 1, None), (54, 64, 20, None), (54, 64, 9, 5), (0, 64, 1, None)],
)
def test_enough_steps_and_a_limit_of_the_users_own_say_nothing(
    units: int, batch_size: int, epochs: int, max_steps: int | None
) -> None:
    assert not few_steps_advice(units, batch_size=batch_size, epochs=epochs, max_steps=max_steps)


def test_a_file_of_one_row_has_no_better_settings() -> None:
    assert few_steps_advice(1, batch_size=1, epochs=10).endswith("hardly moves a model: more rows would help")


def test_what_is_advised_is_not_warned_of() -> None:
    for units in range(8, 3000):
        batch_size = choose_batch_size(units)
        assert not few_steps_advice(units, batch_size=batch_size, epochs=choose_epochs(units, batch_size))


def test_training_its_dry_run_and_init_say_it(
    tiny_model: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [{"prompt": f"Film {n} was", "chosen": "good", "rejected": "dull"} for n in range(6)]
    Path("prefs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    settings = [f"model={tiny_model}", "data=prefs.jsonl", "data.held_out=0", "evaluate.samples=null"]
    assert main(["train", "dpo", *settings, "--dry-run"]) == 0
    few = "the run has 1 optimizer step (a batch of 64 holds all 6 rows)"
    # of a cell that does not begin with a space: the sentence of `data check`, once
    joined = "reads 'wasgood'. For such a model begin responses with a space"
    planned = capsys.readouterr().out
    assert (planned.count(few), planned.count(joined), planned.count("straddles")) == (1, 1, 0)
    with caplog.at_level(logging.WARNING, "penchant"):
        config = pt.DPO(
            model=tiny_model, data={"path": "prefs.jsonl", "held_out": 0}, evaluate={"samples": None}, out="run"
        )
        run = pt.train(config)
    texts = [record.message for record in caplog.records]
    assert sum(few in text for text in texts) == 1
    assert sum(joined in text for text in texts) == 1
    # what a reader of the result needs is kept there
    assert sum(joined in text for text in run.metrics["warnings"]) == 1
    Path("two.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows[:2]))
    assert main(["init", "two.jsonl", f"model={tiny_model}"]) == 0
    assert "warning: the run has 10 optimizer steps (a batch of 4 holds all 2 rows)" in capsys.readouterr().out
