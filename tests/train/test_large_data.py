"""Large data: a run from a table of groups is the run from the list of them, bit by bit, and survives a bad cache."""

from __future__ import annotations

import gc
import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from penchant.data.group_table import GroupRows
from penchant.errors import RunMismatchError
from penchant.methods.dpo import DPO
from penchant.methods.dpo import run as run_dpo
from penchant.methods.sft import SFT
from penchant.methods.sft import run as run_sft
from penchant.train import gradient_run
from penchant.train.inputs import kept_source
from penchant.types import PromptGroup

QUICK: dict[str, Any] = {
    "optimizer": {"name": "adamw", "learning_rate": 1e-3},
    "batch_size": 4,
    "evaluate": {"samples": None},
}


def rows_of(path: Path, names: str) -> Path:
    rows = [{"prompt": f"Q{n}?", "chosen": f"yes {n}", "rejected": f"no {n}"} for n in names]
    rows.append({"prompt": "same?", "chosen": "a", "rejected": "b"})
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def numbers(run: Path) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in row.items() if key not in ("seconds", "tokens_per_s")} for row in rows]


@pytest.fixture
def from_tables(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Every data set counts as a large one; of each run whether its groups came from a table."""
    monkeypatch.setattr(kept_source, "LARGE", 1)
    seen: list[bool] = []
    prepare = gradient_run.prepare

    def watched(*arguments: Any) -> Any:
        prepared = prepare(*arguments)
        seen.append(isinstance(prepared.train_groups, GroupRows))
        return prepared

    monkeypatch.setattr(gradient_run, "prepare", watched)
    return seen


def test_a_run_from_a_table_has_the_same_bits(
    tmp_path: Path, tiny_model: str, from_tables: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = {"path": str(rows_of(tmp_path / "a.jsonl", "abcdefgh")), "held_out": 3}
    for name, large in (("list", 10**9), ("first", 1), ("cached", 1)):
        monkeypatch.setattr(kept_source, "LARGE", large)
        run_dpo(DPO(model=tiny_model, data=data, out=str(tmp_path / name), epochs=2, **QUICK))
    assert from_tables == [False, True, True]
    assert numbers(tmp_path / "list") == numbers(tmp_path / "first") == numbers(tmp_path / "cached")
    weights = {
        name: (tmp_path / name / "checkpoint/model.safetensors").read_bytes() for name in ("list", "first", "cached")
    }
    assert len(set(weights.values())) == 1
    results = [json.loads((tmp_path / name / "result.json").read_text())["data"] for name in weights]
    assert results[0] == results[1] == results[2]


def test_the_second_run_reads_no_row(
    tmp_path: Path, tiny_model: str, from_tables: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    from penchant.data.layouts import parse

    data = {"path": str(rows_of(tmp_path / "a.jsonl", "abcd")), "held_out": 1}
    config = DPO(model=tiny_model, data=data, out=str(tmp_path / "first"), **QUICK)
    run_dpo(config)

    def refuse(*_: object) -> None:
        raise AssertionError("a row was read")

    monkeypatch.setattr(parse, "read_rows", refuse)
    run_dpo(config.replace(out=str(tmp_path / "second")))
    with pytest.raises(AssertionError, match="a row was read"):  # other settings of the reader are another table
        run_dpo(config.replace(out=str(tmp_path / "third"), data={**data, "ties": "drop"}))
    rows_of(tmp_path / "a.jsonl", "abce")  # and so is another content
    with pytest.raises(AssertionError, match="a row was read"):
        run_dpo(config.replace(out=str(tmp_path / "fourth")))


def test_a_damaged_table_is_read_anew_and_mended(
    tmp_path: Path, tiny_model: str, from_tables: list[bool], own_cache: Path
) -> None:
    rows = [{"prompt": f"Q{n}", "completion": "yes"} for n in range(6)]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    data = {"path": str(tmp_path / "a.jsonl"), "held_out": 1}
    config = SFT(model=tiny_model, data=data, out=str(tmp_path / "x"), **QUICK)
    run_sft(config)
    (table,) = (own_cache / "groups").iterdir()
    whole = table.read_bytes()
    table.write_bytes(whole[:50] + b"?" + whole[51:])
    run_sft(config.replace(out=str(tmp_path / "y")))
    assert table.read_bytes() == whole
    assert numbers(tmp_path / "x") == numbers(tmp_path / "y")
    assert from_tables == [True, True]


def test_a_full_disk_costs_the_cache_and_not_the_run(
    tmp_path: Path,
    tiny_model: str,
    from_tables: list[bool],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(kept_source, "write_table", full)
    data = {"path": str(rows_of(tmp_path / "a.jsonl", "abcd")), "held_out": 1}
    result = run_dpo(DPO(model=tiny_model, data=data, out=str(tmp_path / "run"), **QUICK))
    assert result.metrics["status"] == "done"
    assert from_tables == [False]
    assert "No space left on device" in caplog.text


def test_a_run_from_a_table_is_resumed_and_refused_like_any_other(
    tmp_path: Path, tiny_model: str, from_tables: list[bool]
) -> None:
    path = rows_of(tmp_path / "a.jsonl", "abcdefgh")
    config = DPO(model=tiny_model, data={"path": str(path), "held_out": 2}, out=str(tmp_path / "run"), **QUICK)
    run_dpo(config)
    inputs = json.loads((tmp_path / "run" / "provenance.json").read_text())["inputs"]
    assert {"the table of rows", "the table of tokens"} <= inputs.keys()
    for name in ("result.json", "SHA256SUMS"):
        (tmp_path / "run" / name).unlink()
    assert run_dpo(config, resume=True).metrics["status"] == "done"
    for name in ("result.json", "SHA256SUMS"):
        (tmp_path / "run" / name).unlink()
    rows_of(path, "abcdefgx")
    with pytest.raises(RunMismatchError, match="changed since the run"):
        run_dpo(config, resume=True)


@pytest.mark.slow
def test_the_rows_of_a_large_file_are_no_objects_of_python(tmp_path: Path, tiny_model: str, own_cache: Path) -> None:
    """Structure, not speed: of each of 20,000 rows a run holds some hundred bytes, and no group is alive."""
    from penchant.train.inputs.sources import preferences
    from penchant.train.mixture import read_source
    from penchant.train.objectives import preference
    from penchant.train.plan import comparison_unit
    from penchant.train.prepare import prepare
    from penchant.train.recipe import Recipe, starting_policy

    count = 20_000
    texts = (("a b " * 10, f"yes {number} " + "c d " * 12, f"no {number} " + "e f " * 12) for number in range(count))
    with (tmp_path / "a.jsonl").open("w") as file:
        for number, (prompt, chosen, rejected) in enumerate(texts):
            file.write(json.dumps({"prompt": f"{number} {prompt}", "chosen": chosen, "rejected": rejected}) + "\n")
    config = DPO(model=tiny_model, data={"path": str(tmp_path / "a.jsonl"), "held_out": 64}, **QUICK)
    recipe = Recipe(
        read=preferences,
        units=lambda group: [comparison_unit(comparison) for comparison in group.comparisons],
        objective=preference(config.loss),
        held_out=lambda *_: {},
    )
    policy = starting_policy(config)
    prepare(config, recipe, read_source(config, recipe), policy)  # the first time the table is written
    gc.collect()
    tracemalloc.start()
    try:
        prepared = prepare(config, recipe, read_source(config, recipe), policy)
        gc.collect()
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(prepared.train_groups) == count - 64
    assert sum(isinstance(thing, PromptGroup) for thing in gc.get_objects()) < 100
    assert held / count < 500, f"{held / count:.0f} bytes per row"
    assert peak / count < 1_500, f"{peak / count:.0f} bytes per row at the peak"
