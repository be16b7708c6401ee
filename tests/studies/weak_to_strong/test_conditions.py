"""Label drift, easy rows before hard ones, prompted models, and what is asked of every student."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from penchant.errors import InputError
from penchant.studies.core.executor import Workers
from penchant.studies.core.study import run_study
from penchant.studies.weak_to_strong.grid import weak_grid
from penchant.studies.weak_to_strong.settings import WeakToStrongConfig

Make = Callable[..., WeakToStrongConfig]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Settings of a study of SST-2's files with made-up rows, of which some say the opposite of their label."""
    words, rng = (("dull", "awful", "cold", "grey"), ("fine", "lovely", "warm", "bright")), np.random.default_rng(0)
    folder = tmp_path / "data" / "sst2"
    folder.mkdir(parents=True)
    for part, size in (("train", 200), ("test", 80)):
        lines = []
        for number in range(size):
            first, second = rng.choice(words[(number % 2) ^ int(rng.random() < 0.2)], 2)
            lines.append(f"{number % 2} {first} and {second} film {part} {number}\n")
        (folder / f"{part}.txt.gz").write_bytes(gzip.compress("".join(lines).encode()))
    monkeypatch.setenv("PENCHANT_DATA", str(tmp_path / "data"))
    base = {
        "weak": [{"name": "tfidf", "rows": 40}],
        "strong": ["tfidf"],
        "losses": ["cross_entropy"],
        "seeds": [0, 1],
        "steps": 12,
        "few_rows": None,
        "controls": False,
        "out": str(tmp_path / "study"),
    }
    return lambda **changes: WeakToStrongConfig(**{**base, **changes})


def _cells(config: WeakToStrongConfig, workers: Workers) -> list[dict[str, Any]]:
    result = run_study(config, workers=workers)
    assert not result.failures
    return [dict(cell) for cell in result.numbers["cells"]]


@pytest.mark.slow
def test_a_drift_of_nothing_is_the_plain_study_and_a_larger_one_is_not(
    make: Make, workers: Workers, stories: str
) -> None:
    config = make(strong=["tfidf", {"model": stories}], drift=[0.0, 0.7], weak=["tfidf"])
    cells = _cells(config, workers)
    assert config.loss_columns == [
        "naive",
        "label drift 0%",
        "as many rows as label drift 0%",
        "label drift 70%",
        "as many rows as label drift 70%",
    ]
    for student in ("TF-IDF", "stories260K"):
        naive, same, as_same, drifted, as_many = (cell for cell in cells if cell["strong"] == student)
        for cell in (same, as_same):
            for key in ("student", "supervisor", "pgr", "agreement", "brier", "learned_from"):
                assert cell[key] == naive[key], (student, key)
        assert same["over_control"]["value"] == 0
        # as many rows as the supervisor has left, and another supervisor, whose students are compared with it
        assert drifted["learned_from"] == as_many["learned_from"] < naive["learned_from"]
        assert drifted["supervisor"]["value"] < as_many["supervisor"]["value"] - 0.05
        assert drifted["over_control"]["value"] == pytest.approx(
            drifted["student"]["value"] - as_many["student"]["value"]
        )


def test_other_conditions_leave_the_addresses_of_the_others(make: Make, stories: str) -> None:
    strong = ["tfidf", {"model": stories}]
    plain, other = (
        {stage.address for stage in weak_grid(make(strong=strong, **changes))[0].stages()}
        for changes in ({}, {"drift": [0.5], "prompted": {}})
    )
    assert plain < other
    # of two seeds two supervisors, whose students are two word counts each and one stage of probes; a prompted model
    assert len(other - plain) == 2 * 2 + 2 * 2 + 2 + 1


@pytest.mark.slow
def test_easy_rows_of_all_rows_are_the_plain_study_and_of_some_are_not(make: Make, workers: Workers) -> None:
    (plain,) = _cells(make(), workers)
    for cell in _cells(make(easy_to_hard={"share": 1.0}), workers):
        assert cell.pop("task") in ("sst2, easy to hard", "sst2, any rows to hard")
        assert cell == {key: value for key, value in plain.items() if key != "task"}
    result = run_study(make(easy_to_hard={"share": 0.5}), workers=workers)
    assert [task["title"] for task in result.numbers["tasks"]] == ["SST-2, easy to hard", "SST-2, any rows to hard"]
    assert {(task["train"], task["test"]) for task in result.numbers["tasks"]} == {(100, 40)}
    easy, control = result.numbers["cells"]
    # half of the hard rows say the opposite of what the easy ones taught
    assert easy["supervisor"]["value"] < plain["supervisor"]["value"]
    assert easy["brier"] != control["brier"]


@pytest.mark.slow
def test_a_model_is_asked_in_words_before_anything_is_trained(make: Make, workers: Workers, stories: str) -> None:
    probes = [{"model": stories, "layer": layer} for layer in (1, 3)]
    words = {"prompt": "Review: {text}\nSentiment:"}
    config = make(strong=[*probes, "tfidf"], prompted=words)
    assert len(weak_grid(config)[0].prompted) == 1  # of both layers and seeds: nothing is drawn
    cells = {cell["strong"]: cell.get("prompted_accuracy") for cell in _cells(config, workers)}
    first, second = (cells[f"stories260K, layer {layer}"] for layer in (1, 3))
    assert first == second
    assert 0 < first["value"] < 1
    assert first["n"] == 80
    assert cells["TF-IDF"] is None
    assert len(weak_grid(make(strong=probes, prompted=words | {"shots": 2}))[0].prompted) == 2


@pytest.mark.slow
def test_every_kind_of_student_has_what_a_good_generalization_is_asked_for(
    make: Make, workers: Workers, stories: str
) -> None:
    tuned = {"name": "lm", "model": stories, "training": {"epochs": 1}, "device": "cpu"}
    network = {"name": "mlp", "model": stories, "steps": 20}
    students = [
        {"model": stories},
        "tfidf",
        tuned,
        {**tuned, "lora": {}},
        network,
        {**network, "algorithm": "fixmatch", "confident_share": 0.5},
    ]
    cells = _cells(make(strong=students, seeds=[0], few_rows=12, templates=["Film: {text}"]), workers)
    assert len(cells) == len(students)
    for cell in cells:
        assert cell["agreement"]["where_wrong"] is not None, cell["strong"]
        assert cell["prior_agreement"] is not None, cell["strong"]
        assert cell["consistency"] is not None, cell["strong"]
    # what a model knew does not hang on the algorithm, nor on how its weights are trained
    prior = {cell["strong"]: cell["prior_accuracy"] for cell in cells}
    assert prior["stories260K, small network"] == prior["stories260K, small network, FixMatch"]
    assert prior["stories260K, fine-tuned"] == prior["stories260K, fine-tuned, LoRA"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"tasks": ["chess_puzzles"], "weak": ["engine"], "strong": ["smollm2-135m"], "drift": [0.5]},
            "`drift` changes",
        ),
        (
            {"tasks": ["hh_harmless"], "weak": ["smollm2-135m"], "strong": ["smollm2-135m"], "easy_to_hard": {}},
            "no opt",
        ),
        ({"easy_to_hard": {"by": "column"}}, "is for files of your own"),
        ({"tasks": ["a.csv"], "columns": {"difficulty": "d"}}, r"is read with easy_to_hard\.by=column alone"),
        ({"drift": [0.5, 0.5]}, "`drift` has one of its values twice"),
        ({"drift": [1.0]}, "less than 1|below 1"),
    ],
)
def test_conditions_that_cannot_be(make: Make, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make(**changes)
