"""What is run again after a stop, and what is not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from side_by_side.environment import code_digest, slug
from side_by_side.state import CodeChanged, RowState, State

ROW = {"settings": {"steps": 3}, "versions": {"torch": "1"}, "threads": 2}


class Counted:
    """A measurement that says how often it was made."""

    def __init__(self) -> None:
        self.made = 0

    def __call__(self) -> dict[str, int]:
        self.made += 1
        return {"made": self.made}


def opened(path: Path, *, code: str = "aaa", **changed: Any) -> RowState:
    return State(path, code=lambda: code).open_row("four-short", **(ROW | changed))


def test_a_known_run_is_not_made_again(tmp_path: Path) -> None:
    path, measure = tmp_path / "results.json", Counted()
    first = opened(path).once("speed", measure, side="penchant", repeat=0)
    assert opened(path).once("speed", measure, side="penchant", repeat=0) == first == {"made": 1}
    opened(path).once("speed", measure, side="penchant", repeat=1)
    opened(path).once("trial", measure, side="penchant", repeat=0)
    assert measure.made == 3


def test_each_run_is_on_disk_at_once(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    opened(path).once("speed", Counted(), repeat=0)
    (run,) = json.loads(path.read_text())["rows"]["four-short"]["runs"]
    assert (run["part"], run["repeat"], run["result"]) == ("speed", 0, {"made": 1})


def test_other_code_settings_libraries_or_threads_run_anew(tmp_path: Path) -> None:
    path, measure = tmp_path / "results.json", Counted()
    for changed in (
        {},
        {"code": "bbb"},
        {"settings": {"steps": 4}},
        {"versions": {"torch": "2"}},
        {"threads": 1},
    ):
        opened(path, **changed).once("speed", measure, repeat=0)
    assert measure.made == 5
    assert len(json.loads(path.read_text())["rows"]["four-short"]["runs"]) == 1  # what is stale goes


def test_runs_of_the_peer_alone_outlive_our_code(tmp_path: Path) -> None:
    path, measure = tmp_path / "results.json", Counted()
    opened(path).once("trial", measure, peer_only=True, trl_batch=6)
    opened(path, code="bbb").once("trial", measure, peer_only=True, trl_batch=6)
    assert measure.made == 1
    opened(path, versions={"torch": "2"}).once("trial", measure, peer_only=True, trl_batch=6)
    assert measure.made == 2


def test_a_run_during_which_the_code_changed_is_not_kept(tmp_path: Path) -> None:
    path, codes = tmp_path / "results.json", iter(["aaa", "bbb", "bbb"])
    row = State(path, code=lambda: next(codes)).open_row("four-short", **ROW)
    with pytest.raises(CodeChanged, match="not kept"):
        row.once("speed", Counted(), repeat=0)
    assert row.entry["runs"] == []
    row.once("trial", Counted(), peer_only=True)  # nothing of ours ran
    assert len(row.entry["runs"]) == 1


def test_fresh_forgets_and_rows_are_kept_apart(tmp_path: Path) -> None:
    path, measure = tmp_path / "results.json", Counted()
    opened(path).once("speed", measure, repeat=0)
    State(path, code=lambda: "aaa").open_row("two-long", **ROW).once("speed", measure, repeat=0)
    assert measure.made == 2
    State(path, code=lambda: "aaa", fresh=True).open_row("four-short", **ROW).once("speed", measure, repeat=0)
    assert measure.made == 3


def test_a_file_of_another_format_counts_for_nothing(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    path.write_text('{"format": 0, "rows": {"four-short": "of old"}}')
    assert State(path, code=lambda: "aaa").content["rows"] == {}


def test_the_code_digest_sees_names_and_contents(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1")
    first = code_digest(tmp_path)
    (tmp_path / "notes.txt").write_text("no code")
    assert code_digest(tmp_path) == first
    (tmp_path / "a.py").write_text("x = 2")
    second = code_digest(tmp_path)
    (tmp_path / "a.py").rename(tmp_path / "b.py")
    assert len({first, second, code_digest(tmp_path)}) == 3


def test_a_machine_is_named_by_its_processor() -> None:
    assert slug({"cpu": "AMD EPYC", "cores": 2}) == "amd-epyc-2-cores"
    assert slug({"cpu": "Intel(R) Xeon(R) CPU @ 2.20GHz", "cores": 8}) == "intel-xeon-8-cores"
    assert slug({"cpu": "AMD EPYC 7763 64-Core Processor", "cores": 4}) == "amd-epyc-7763-4-cores"
