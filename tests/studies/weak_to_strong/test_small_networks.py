"""Small networks as students of the weak-to-strong study, with and without an algorithm for rows without labels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

import penchant as pt
from penchant.errors import InputError
from penchant.studies.weak_to_strong.grid import weak_grid
from penchant.studies.weak_to_strong.settings import WeakToStrongConfig
from penchant.studies.weak_to_strong.stage_settings import StudentSettings
from penchant.weak.classifiers.vectors import refuse_known_rows
from penchant.weak.contract import marks_of
from penchant.weak.semi_supervised.settings import LabelVectors
from penchant.weak.settings import LanguageModel, Mlp

NETWORK = {"name": "mlp", "model": "minilm-l6", "steps": 40}
OWN = "def length(texts):\n    return [[0.9, 0.1] if len(text) % 2 else [0.2, 0.8] for text in texts]\n"


def _rows(folder: Path) -> str:
    rng = np.random.default_rng(0)
    words = (("dull", "awful", "cold"), ("fine", "lovely", "warm"))
    rows = [
        {
            "text": f"film {number} was {rng.choice(words[number % 2])} and {rng.choice(words[number % 2])}",
            "label": number % 2,
        }
        for number in range(240)
    ]
    (folder / "mine.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return str(folder / "mine.jsonl")


def _config(folder: Path, **settings: Any) -> WeakToStrongConfig:
    base: dict[str, Any] = {
        "tasks": (_rows(folder),),
        "weak": ({"name": "tfidf", "rows": 20},),
        "strong": (NETWORK,),
        "losses": ({"name": "cross_entropy"},),
        "seeds": (0,),
        "controls": False,
        "few_rows": None,
        "out": str(folder / "study"),
    }
    return WeakToStrongConfig(**(base | settings))


@pytest.mark.slow
def test_they_learn_from_the_labels_of_a_supervisor(tmp_path: Path) -> None:
    config = _config(tmp_path, strong=(NETWORK, {**NETWORK, "algorithm": "fixmatch", "confident_share": 0.5}))
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
        config = WeakToStrongConfig(
            tasks=(str(tmp_path / "mine.csv"),), weak=("tfidf",), strong=(student,), losses=({"name": "cross_entropy"},)
        )
        with pytest.raises(InputError, match="are no augmentations of a study yet"):
            weak_grid(config)


@pytest.mark.slow
def test_each_algorithm_is_a_student_beside_the_naive_one(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN)
    config = _config(
        tmp_path,
        strong=({"model": "minilm-l6"}, {**NETWORK, "steps": 20}),
        algorithms=(
            "supervised",
            "fixmatch",
            {"name": "self_training", "rounds": 1},
            {"name": "label_vectors", "vectors": [f"{tmp_path / 'own.py'}:length"]},
        ),
    )
    result = pt.study(config)
    assert result.failures == ()
    cells: Any = result.numbers["cells"]
    names = ["naive", *config.algorithm_columns]
    assert [cell["loss"] for cell in cells if "small network" in cell["strong"]] == names
    # probes have none of them
    assert [cell["loss"] for cell in cells if "small network" not in cell["strong"]] == ["naive"]
    # one ceiling for all, and each beside the naive student on the same rows and seeds
    network = [cell for cell in cells if "small network" in cell["strong"]]
    assert len({json.dumps(cell["ceiling"]) for cell in network}) == 1
    for cell in network[1:]:
        gain = cell["student"]["value"] - network[0]["student"]["value"]
        assert cell["over_naive"]["value"] == pytest.approx(gain)


@pytest.mark.slow
def test_a_fine_tuned_model_stands_with_each_algorithm_too(tmp_path: Path, stories: str) -> None:
    model = {"name": "lm", "model": stories, "training": {"epochs": 4}, "views": {"strong": ["word_swap"]}}
    algorithms = ("supervised", {"name": "fixmatch", "unlabeled_ratio": 1}, {"name": "divide_mix", "warm_up": 1})
    plain, config = (_config(tmp_path, strong=(model,), algorithms=names) for names in ((), algorithms))
    (before,), (after,) = weak_grid(plain), weak_grid(config)
    assert {stage.path for stage in before.stages()} < {stage.path for stage in after.stages()}
    result = pt.study(config)
    assert result.failures == ()
    cells: Any = result.numbers["cells"]
    assert [cell["loss"] for cell in cells] == ["naive", *config.algorithm_columns]
    # each learned otherwise, and all are held against the one ceiling
    assert len({json.dumps(cell["ceiling"]) for cell in cells}) == 1
    # a prompted model trains no head
    prompted = {"name": "lm", "model": stories, "training": None, "reading": {"name": "words"}}
    with pytest.raises(ValueError, match=r"`strong` has none"):
        _config(tmp_path, strong=(prompted,), algorithms=algorithms)


def test_an_algorithm_keeps_the_surest_labels_and_leaves_other_students_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN)
    vectors = {"name": "label_vectors", "vectors": [f"{tmp_path / 'own.py'}:length"]}
    plain, wider = (_config(tmp_path, algorithms=names) for names in ((), ("fixmatch", "divide_mix", vectors)))
    assert wider.algorithm_columns == ["FixMatch, surest 50%", "DivideMix", "1 label vectors, surest 50%"]
    (before,), (after,) = weak_grid(plain), weak_grid(wider)
    paths = {stage.path for stage in before.stages()}
    added = [stage for stage in after.stages() if stage.path not in paths]
    assert {stage.path for stage in after.stages()} > paths
    classifiers = [cast(StudentSettings, stage.settings).classifier for stage in added]
    assert [cast(Mlp, each).confident_share for each in classifiers] == [0.5, None, 0.5]
    # the code of the user's counts, and not where it lies
    algorithm = cast(Mlp, classifiers[2]).algorithm
    assert isinstance(algorithm, LabelVectors)
    assert str(tmp_path) not in algorithm.vectors[0]
    assert added[2].inputs[algorithm.vectors[0]] == vectors["vectors"][0]
    (tmp_path / "own.py").write_text(OWN.replace("0.9, 0.1", "0.8, 0.2"))
    (edited,) = weak_grid(wider)
    moved = [stage.label for stage in edited.stages() if stage.path not in {each.path for each in after.stages()}]
    assert moved == [added[2].label]


@pytest.mark.slow
def test_fine_tuned_models_learn_by_vectors_and_by_dividing_labels(tmp_path: Path, stories: str) -> None:
    (tmp_path / "own.py").write_text(OWN)
    model = {"name": "lm", "model": stories, "training": {"epochs": 2}, "views": {"strong": ["word_dropout"]}}
    vectors = {"name": "label_vectors", "vectors": [f"{tmp_path / 'own.py'}:length"], "unlabeled_ratio": 1}
    students = (
        {**model, "algorithm": vectors, "confident_share": 0.5},
        {**model, "algorithm": {"name": "divide_mix", "warm_up": 1}, "lora": {"rank": 2}},
    )
    config = _config(tmp_path, strong=students)
    (grid,) = weak_grid(config)
    first = cast(StudentSettings, next(iter(grid.students[0].single.values())).settings).classifier
    algorithm = cast(LanguageModel, first).algorithm
    assert isinstance(algorithm, LabelVectors)
    assert str(tmp_path) not in algorithm.vectors[0]
    result = pt.study(config)
    assert result.failures == ()
    assert len(result.numbers["cells"]) == 2  # type: ignore[arg-type]


def test_algorithms_need_a_small_network_and_are_named_once(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"`algorithms` are for small networks and fine-tuned language models without"):
        _config(tmp_path, strong=("minilm-l6",), algorithms=("fixmatch",))
    with pytest.raises(ValueError, match=r"`algorithms` are for small networks"):
        _config(tmp_path, strong=({**NETWORK, "algorithm": "uda"},), algorithms=("fixmatch",))
    with pytest.raises(ValueError, match="`algorithms` has one of FixMatch, surest 50%, FixMatch, surest 50% twice"):
        _config(tmp_path, algorithms=("fixmatch", "fixmatch"))
    columns = _config(tmp_path, algorithms=("fixmatch", {"name": "fixmatch", "weight": 0.5})).algorithm_columns
    assert columns == ["FixMatch, weight 1.0, surest 50%", "FixMatch, weight 0.5, surest 50%"]


@pytest.mark.parametrize("name", ["self_training", "confident_learning"])
def test_early_stopping_within_several_trainings_is_refused_at_the_start(name: str) -> None:
    student = {"name": "lm", "model": "penchant-0.5m", "training": {"epochs": 1}}
    stops = {**student, "training": {"epochs": 1, "early_stopping": True}}
    message = rf"`early_stopping` of a student that learns by {name} is not for studies"
    with pytest.raises(ValueError, match=message):
        WeakToStrongConfig(strong=[stops], algorithms=[name])
    with pytest.raises(ValueError, match=message):
        WeakToStrongConfig(strong=[{**stops, "algorithm": {"name": name}}])
    # either alone is fine
    WeakToStrongConfig(strong=[student], algorithms=[name])
    WeakToStrongConfig(strong=[stops])


def test_a_vector_that_knows_rows_of_the_task_is_refused() -> None:
    class Known:
        learned_marks = frozenset(marks_of(["a fine film", "another"]))

        def predict_proba(self, examples: object) -> Any:
            raise AssertionError

    refuse_known_rows([Known()], ["nothing of it"])
    with pytest.raises(InputError, match=r"`vectors\[1\]` learned from 1 of the 2 rows here"):
        refuse_known_rows([FunctionLike(), Known()], ["A fine film!", "nothing of it"])


class FunctionLike:
    learned_marks: frozenset[str] = frozenset()

    def predict_proba(self, examples: object) -> Any:
        raise AssertionError
