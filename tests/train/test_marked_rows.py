"""The first rows of a run: kept as its model is given them, read back, and on its report."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import penchant as pt
from penchant.data.rendering.marked import MarkedRow
from penchant.runs.marked_rows import MARKED_FILE, MarkedRows, read_marked_rows
from penchant.runs.read import read_runs
from penchant.studies.report import report
from penchant.train.marked_rows import ROWS_OF_RUN, ShownPart, chosen_rows, mark_rows
from penchant.typed_json import to_object


@pytest.fixture(scope="module")
def run(tiny_model: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("marked")
    rows = [
        {"prompt": f"Question {number}?", "chosen": f" Yes {number}. <b>", "rejected": " No."} for number in range(9)
    ]
    (folder / "prefs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = pt.DPO(
        model={"name": tiny_model, "device": "cpu"},
        data={"path": str(folder / "prefs.jsonl"), "held_out": 3},
        evaluate={"samples": None},
        max_steps=1,
        batch_size=2,
        out=str(folder / "run"),
    )
    return pt.train(config).path


def test_a_run_keeps_its_first_rows_as_data_show_has_them(run: Path, tiny_model: str) -> None:
    from penchant.models.load import load_renderer

    groups = pt.load_preferences(run.parent / "prefs.jsonl")
    marked = mark_rows([ShownPart(groups, range(len(groups)), load_renderer(tiny_model))], held_out=3, seed=0)
    trained = [row for row in marked if isinstance(row, MarkedRow) and row.side == "trained on"]
    assert len(trained) == 6
    assert read_marked_rows(run) == tuple(trained[:ROWS_OF_RUN])
    assert MARKED_FILE in (run / "SHA256SUMS").read_text()


def test_a_mixture_keeps_rows_of_every_source() -> None:
    assert chosen_rows(9, []) == [0, 1, 2, 3]
    assert chosen_rows(2, []) == [0, 1]
    assert chosen_rows(9, [0] * 6 + [1] * 3) == [0, 1, 6, 7]
    assert chosen_rows(7, [0, 0, 0, 0, 0, 0, 2]) == [0, 1, 2, 6]
    assert chosen_rows(8, [0, 0, 1, 2, 3, 4, 5, 5]) == [0, 2, 3, 4, 5, 6]


def test_a_run_of_a_mixture_shows_every_source(tiny_model: str, tmp_path: Path) -> None:
    for name in ("first", "second"):
        rows = [{"prompt": f"{name} {i}?", "chosen": f" Yes {i}.", "rejected": " No."} for i in range(6)]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = pt.DPO(
        model={"name": tiny_model, "device": "cpu"},
        data={"sources": [str(tmp_path / f"{name}.jsonl") for name in ("first", "second")], "held_out": 0},
        evaluate={"samples": None},
        max_steps=1,
        batch_size=2,
        out=str(tmp_path / "run"),
    )
    sources = [row.source.rpartition("/")[2].split(".")[0] for row in read_marked_rows(pt.train(config).path)]
    assert sources == ["first", "first", "second", "second"]


def test_the_report_shows_them(run: Path, tmp_path: Path) -> None:
    page = report([run], tmp_path / "page.html").read_text()
    section = page.split('<section id="rendered">')[1].split("</section>")[0]
    assert section.count("<article") == ROWS_OF_RUN
    assert "⋔" in section
    assert "&lt;b&gt;</span>" in section
    assert "<b>" not in section


@pytest.mark.parametrize("content", ["{", "[]", '{"rows": [{"source": 3}]}', '{"rows": "a"}'])
def test_a_damaged_file_is_noted_and_the_rest_is_read(run: Path, tmp_path: Path, content: str) -> None:
    copied = tmp_path / "run"
    copied.mkdir()
    for name in ("config.yaml", "metrics.jsonl", "result.json"):
        (copied / name).write_bytes((run / name).read_bytes())
    (copied / MARKED_FILE).write_text(content)
    (read,) = read_runs([copied])
    assert read.marked == ()
    assert any(MARKED_FILE in note for note in read.notes)
    (copied / MARKED_FILE).unlink()  # as a run of an earlier version
    (read,) = read_runs([copied])
    assert read.marked == ()
    assert not any(MARKED_FILE in note for note in read.notes)


def test_what_is_written_is_read_back(run: Path) -> None:
    rows = read_marked_rows(run)
    assert json.loads((run / MARKED_FILE).read_text()) == json.loads(json.dumps(to_object(MarkedRows(rows))))
