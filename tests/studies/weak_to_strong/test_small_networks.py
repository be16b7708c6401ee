"""Small networks as students of the weak-to-strong study, with and without an algorithm for rows without labels."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import penchant as pt
from penchant.errors import InputError
from penchant.studies.weak_to_strong.grid import weak_grid
from penchant.studies.weak_to_strong.settings import WeakToStrongConfig


@pytest.mark.slow
def test_they_learn_from_the_labels_of_a_supervisor(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    words = (("dull", "awful", "cold"), ("fine", "lovely", "warm"))
    rows = [
        {
            "text": f"film {number} was {rng.choice(words[number % 2])} and {rng.choice(words[number % 2])}",
            "label": number % 2,
        }
        for number in range(240)
    ]
    (tmp_path / "mine.jsonl").write_text("\n".join(map(json.dumps, rows)))
    network = {"name": "mlp", "model": "minilm-l6", "steps": 40}
    config = WeakToStrongConfig(
        tasks=(str(tmp_path / "mine.jsonl"),),
        weak=({"name": "tfidf", "rows": 20},),
        strong=(network, {**network, "algorithm": "fixmatch", "confident_share": 0.5}),
        losses=({"name": "cross_entropy"},),
        seeds=(0,),
        controls=False,
        out=str(tmp_path / "study"),
    )
    result = pt.study(config)
    assert result.failures == ()
    students = result.numbers["strong"]
    assert isinstance(students, list)
    assert [(student["label"], student["how"]) for student in students] == [  # type: ignore[call-overload, index]
        ("minilm-l6, small network", "small network"),
        ("minilm-l6, small network, FixMatch", "small network"),
    ]
    # of one seed, one supervisor and one loss: a cell for each student
    assert len(result.numbers["cells"]) == 2  # type: ignore[arg-type]


def test_augmentations_whose_content_no_address_holds_are_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("text,label\n" + "".join(f"film {n},{n % 2}\n" for n in range(40)))
    for noise in ("mine.py:louder", {"name": "back_translation", "model": "any"}):
        student = {"name": "tfidf", "algorithm": {"name": "self_training", "noise": [noise]}}
        config = WeakToStrongConfig(tasks=(str(tmp_path / "mine.csv"),), weak=("tfidf",), strong=(student,))
        with pytest.raises(InputError, match="are no augmentations of a study yet"):
            weak_grid(config)
