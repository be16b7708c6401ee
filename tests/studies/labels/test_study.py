"""The study of labels from its settings to its page: digits, and texts of a stand-in of USB."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from penchant.config import load_config
from penchant.errors import InputError
from penchant.reports.kit.render import render_page
from penchant.studies.core.definition import preset_file
from penchant.studies.core.executor import Workers
from penchant.studies.core.job import StageJob
from penchant.studies.core.report import study_report
from penchant.studies.core.study import StudyResult, run_study
from penchant.studies.core.summary import read_summary
from penchant.studies.core.trial import as_trial
from penchant.studies.labels import cells
from penchant.studies.labels.cells import LabeledRows, rows_of_seed
from penchant.studies.labels.grid import CHOSEN, Condition, label_of, labels_grid
from penchant.studies.labels.page import PAGE, _tables, _what_to_do
from penchant.studies.labels.settings import LabelsConfig
from penchant.studies.labels.stage_settings import GROUPS, TRAIN_GROUPS, CellSettings, Noise
from penchant.studies.labels.stored import StoredRows, linear_predictions
from penchant.studies.labels.study import STUDY
from penchant.studies.labels.summarize import _groups, _labels_of, _Measured, _method
from penchant.studies.labels.summary import LabelsSummary
from penchant.studies.labels.training import Trained
from penchant.studies.labels.words import NO_CONTROL, equal_labels, findings
from penchant.studies.labels.wrong import clean_rows, wrong_labels
from penchant.weak.semi_supervised.settings import (
    AnyAlgorithm,
    ConfidentLearning,
    DivideMix,
    FixedThreshold,
    FixMatch,
    SelfTraining,
    Uda,
)
from penchant.weak.settings import Cnn

TINY: dict[str, Any] = {"steps": 12, "batch_size": 8}
WRONG = {"kinds": ["symmetric", "asymmetric", "model"], "rates": [0.4, 0.6], "model_rows": [20]}
WORDS = (("dull", "awful", "cold"), ("fine", "lovely", "warm"))


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> LabelsConfig:
    return LabelsConfig(
        tasks=["digits"],
        train=100,
        test=40,
        seeds=[0, 1],
        pictures={**TINY, "width": 8},
        few={"counts": [20], "algorithms": ["fixmatch"]},
        wrong={"kinds": ["symmetric"], "rates": [0.4], "algorithms": []},
        together={"algorithms": ["supervised"]},
        out=str(tmp_path_factory.mktemp("labels") / "study"),
    )


@pytest.fixture(scope="module")
def result(digits: LabelsConfig, workers: Workers) -> StudyResult:
    return run_study(digits, workers=workers)


@pytest.fixture(scope="module")
def summary(result: StudyResult) -> LabelsSummary:
    read = read_summary(STUDY.summary, result.numbers, result.path / "study.json")
    assert isinstance(read, LabelsSummary)
    return read


def test_every_method_stands_beside_its_controls_at_every_place(result: StudyResult, summary: LabelsSummary) -> None:
    assert result.failures == ()
    (task,) = summary.tasks
    assert (task.train, task.test, len(task.classes)) == (100, 40, 10)
    few, symmetric, together = task.conditions
    assert [item.method for item in few.methods] == ["supervised", "linear classifier", "FixMatch"]
    assert (few.part, few.clean, few.labels, few.unlabeled, few.wrong) == ("few", 20, 20, 80, 0)
    assert (symmetric.kind, symmetric.rate, symmetric.labels) == ("symmetric", 0.4, 90)
    assert 0.3 < symmetric.wrong < 0.5
    assert [item.method for item in symmetric.methods] == [
        "supervised",
        "supervised, best epoch",
        "linear classifier",
    ]
    # what one can do with either kind of labels alone stands beside what uses both
    assert [item.method for item in together.methods] == [
        "supervised: clean labels",
        "linear classifier: clean labels",
        "FixMatch: clean labels",
        "supervised: wrong labels",
        "supervised, best epoch: wrong labels",
        "linear classifier: wrong labels",
        "supervised: both",
        "supervised, best epoch by clean labels",
    ]


@pytest.mark.slow
def test_every_kind_of_wrong_label_and_every_algorithm(digits: LabelsConfig, tmp_path: Path, workers: Workers) -> None:
    wrong = {**WRONG, "algorithms": [{"name": "divide_mix", "warm_up": 1}, {"name": "confident_learning", "folds": 2}]}
    divide_mix = {"name": "divide_mix", "warm_up": 1}
    together = {"kind": "model", "model_rows": 20, "algorithms": ["supervised", divide_mix, "confident_learning"]}
    # more than the steps of an epoch, after which DivideMix divides first
    pictures = {**TINY, "width": 8, "steps": 20}
    every = {"few": {"counts": [20, 40]}, "wrong": wrong, "together": together, "pictures": pictures}
    result = run_study(LabelsConfig(**{**digits.model_dump(), **every, "out": str(tmp_path)}), workers=workers)
    assert result.failures == ()
    conditions = [
        (item["part"], item["clean"], item["kind"], item["rate"]) for item in result.numbers["tasks"][0]["conditions"]
    ]
    assert conditions == [
        ("few", 20, None, None),
        ("few", 40, None, None),
        ("wrong", None, "symmetric", 0.4),
        ("wrong", None, "symmetric", 0.6),
        # more than half of a class would have the label of another one
        ("wrong", None, "asymmetric", 0.4),
        ("wrong", None, "model", 20),
        ("together", 20, "model", 20),
        ("together", 40, "model", 20),
    ]
    assert len(result.numbers["tasks"][0]["conditions"][0]["methods"]) == 9


def test_gains_are_paired_and_those_of_many_wider(result: StudyResult, summary: LabelsSummary) -> None:
    def right(name: str) -> Any:
        (folder,) = (result.path / "stages").glob(name)
        return np.load(folder / "last.npy")

    item = summary.tasks[0].conditions[0].method("linear classifier")
    assert item is not None
    assert item.gain is not None
    assert item.gain_of_many is not None
    expected = right("digits-few-20-clean-linear-*").mean() - right("digits-few-20-clean-supervised-*").mean()
    assert item.gain.value == pytest.approx(expected)
    assert (item.gain.low, item.gain.high) != (item.gain_of_many.low, item.gain_of_many.high)
    assert item.gain_of_many.low < item.gain.low  # type: ignore[operator]


def test_the_same_call_trains_nothing_and_another_count_only_its_cells(
    digits: LabelsConfig, result: StudyResult, workers: Workers
) -> None:
    again = run_study(digits, workers=workers)
    assert again.ran == 0
    assert again.numbers == result.numbers
    more = digits.replace(few=digits.few.replace(counts=(20, 30)))  # type: ignore[union-attr]
    before = {stage.address for stage in labels_grid(digits).stages()}
    added = [stage.label for stage in labels_grid(more).stages() if stage.address not in before]
    assert len(added) == 3 + 2
    assert all("30-clean" in label for label in added)


def test_the_page_says_what_to_do(result: StudyResult, summary: LabelsSummary, tmp_path: Path) -> None:
    page = study_report(result.path, tmp_path / "page.html").read_text()
    names = sorted(path.name for path in (tmp_path / "page-figures").iterdir())
    assert names == ["few-0.png", "together-0.png", "wrong-symmetric-0.png"]
    for words in ("20 clean, 80 without label", "do this", "Bonferroni", "handwritten digits"):
        assert words in page
    hostile = replace(summary.tasks[0], title="<b>reviews</b>", source="<script>alert(1)</script>")
    context = PAGE.context(replace(summary, tasks=(hostile,)), PAGE.pictures(summary))
    html = render_page(PAGE.template, {"folder": None, "lead": None, **context})
    assert "<b>reviews" not in html
    assert "<script>alert" not in html


def test_without_its_control_a_condition_gets_no_advice(summary: LabelsSummary) -> None:
    (task,) = summary.tasks
    few = replace(task.conditions[0], methods=task.conditions[0].methods[1:])
    alone = replace(summary, tasks=(replace(task, conditions=(few,)),))
    headline = PAGE.context(alone, {})["headline"]
    assert NO_CONTROL in headline[0]  # type: ignore[index]
    assert _what_to_do(alone).rows[0][1] == NO_CONTROL
    assert not any("above" in sentence or "below" in sentence for sentence in findings(alone))


def test_clean_labels_that_choose_an_epoch_are_counted_among_those_one_has() -> None:
    facts = {"labels": 80, "wrong": [0.5, 0.25]}
    condition = Condition("together", clean=20, kind="symmetric", rate=0.4)
    right = np.ones((2, 3))
    assert _labels_of(_Measured(CHOSEN, right, facts), condition) == (100, pytest.approx(0.3))
    assert _labels_of(_Measured("supervised", right, facts), condition) == (80, pytest.approx(0.375))


def test_algorithms_that_differ_have_names_that_differ() -> None:
    algorithms: tuple[AnyAlgorithm, ...] = (
        SelfTraining(),
        SelfTraining(labels="hard"),
        SelfTraining(balance="none"),
        SelfTraining(growth=({"width": 8}, {"width": 16})),
        Uda(),
        Uda(annealing="log"),
        ConfidentLearning(treatment="reweight"),
        FixMatch(threshold=FixedThreshold(threshold=0.8)),
    )
    assert [label_of(algorithm) for algorithm in algorithms] == [
        "self-training, 3 rounds",
        "self-training, 3 rounds, labels hard",
        "self-training, 3 rounds, balance none",
        "self-training, 3 rounds, growth width: 8, width: 16",
        "UDA",
        "UDA, annealing log",
        "confident learning, reweight",
        "FixMatch, threshold 0.8",
    ]


def test_seeds_have_as_many_labels_where_a_weak_model_knew_clean_rows(tmp_path: Path) -> None:
    """Of 40 rows 8 are clean and 6 were known to the weak model, some of them clean too."""
    truth = np.arange(40, dtype=np.int64) % 2
    learned = [clean_rows(truth, 6, 1_000_000 + seed) for seed in range(4)]
    np.save(tmp_path / "learned.npy", np.array(learned))
    np.save(tmp_path / "labels.npy", np.tile(1 - truth, (4, 1)))
    settings = CellSettings(
        network=Cnn(),
        algorithm=DivideMix(),
        seeds=(0, 1, 2, 3),
        clean=8,
        noise=Noise(kind="model", rate=None),
        clean_use="learn",
    )
    rows = StoredRows(tmp_path, truth, 40, 2)
    parts = [rows_of_seed(settings, rows, seed, {"weak": tmp_path}) for seed in settings.seeds]
    shared = [len(np.intersect1d(part.labeled[:8], known)) for part, known in zip(parts, learned, strict=True)]
    assert len(set(shared)) > 1  # or the seeds would agree by luck
    assert [len(part.labeled) for part in parts] == [34] * 4
    assert all((part.labels[:8] == truth[part.labeled[:8]]).all() for part in parts)
    assert all((part.labels[8:] != truth[part.labeled[8:]]).all() for part in parts)
    with pytest.raises(InputError, match="leave no other rows"):
        rows_of_seed(replace(settings, clean=34), rows, 0, {"weak": tmp_path})


def test_rows_that_choose_an_epoch_have_no_related_ones_among_those_that_are_learned(tmp_path: Path) -> None:
    """Of 60 rows, three share a question: whole questions are held out, and all seeds learn from as many rows."""
    truth = np.arange(60, dtype=np.int64) % 2
    noise = Noise(kind="symmetric", rate=0.2)
    settings = CellSettings(network=Cnn(), algorithm=DivideMix(), seeds=(0, 1, 2), noise=noise, held_out=0.2)
    alone = [rows_of_seed(settings, StoredRows(tmp_path, truth, 60, 2), seed, {}) for seed in settings.seeds]
    groups = np.random.default_rng(0).permutation(60) // 3
    np.save(tmp_path / TRAIN_GROUPS, groups)
    rows = StoredRows(tmp_path, truth, 60, 2)
    parts = [rows_of_seed(settings, rows, seed, {}) for seed in settings.seeds]
    for part in parts:
        assert not set(groups[part.chosen_by]) & set(groups[part.labeled])
        assert (len(part.chosen_by), len(part.labeled)) == (12, 46)  # two are left out, so that all seeds have as many
        assert (part.labels == wrong_labels(truth, 2, "symmetric", 0.2, part_seed(parts, part))[part.labeled]).all()
    assert any(set(groups[part.chosen_by]) & set(groups[part.labeled]) for part in alone)
    assert [len(part.labeled) for part in alone] == [48] * 3


def part_seed(parts: list[LabeledRows], part: LabeledRows) -> int:
    return next(seed for seed, other in enumerate(parts) if other is part)


def test_the_shrinkage_of_a_linear_classifier_is_chosen_on_unrelated_rows() -> None:
    """Noise, each row twice: whoever may look at a copy takes too little shrinkage, and learns it by heart."""
    generator = np.random.default_rng(0)
    features = torch.as_tensor(np.repeat(generator.normal(size=(150, 40)), 2, axis=0)).float()
    labels = np.repeat(generator.integers(0, 2, 150), 2)
    rows, groups = np.arange(300), np.repeat(np.arange(150), 2)

    def fit(groups: np.ndarray[Any, np.dtype[np.intp]] | None) -> float:
        predicted = linear_predictions(features, rows, np.eye(2)[labels], features, 0, groups)
        return float((predicted == labels).mean())

    assert fit(None) > fit(groups)


def test_looks_that_choose_an_epoch_are_no_part_of_the_time(
    result: StudyResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([10.0, 22.0])
    monkeypatch.setattr(cells.time, "process_time", lambda: next(clock))
    monkeypatch.setattr(cells, "_train", lambda *_: Trained(np.ones((1, 40), dtype=bool), look_seconds=5.0))
    (folder,) = (result.path / "stages").glob("digits-rows-*")
    settings = CellSettings(
        network=Cnn(), algorithm=DivideMix(), seeds=(0,), noise=Noise(kind="symmetric", rate=0.2), held_out=0.2
    )
    job = StageJob("label_cell", settings, {}, {"rows": folder}, tmp_path)
    assert cells.cell_stage(job, tmp_path)["processor_seconds"] == 7.0


def test_the_first_warning_stands_on_the_page(summary: LabelsSummary) -> None:
    (task,) = summary.tasks
    condition = task.conditions[0]
    warned = replace(condition.methods[-1], warnings=1, first_warning="one class takes over")
    changed = replace(condition, methods=(*condition.methods[:-1], warned))
    tables = _tables(replace(task, conditions=(changed, *task.conditions[1:])))
    assert tables[-1].rows[0][1:] == (warned.method, "1", "one class takes over")
    quiet = [replace(method, warnings=0, first_warning="") for method in condition.methods]
    calm = replace(task, conditions=(replace(condition, methods=tuple(quiet)),))
    assert not any("was warned of" in table.caption for table in _tables(calm))


def test_related_test_rows_count_as_one(tmp_path: Path) -> None:
    """Of 20 test rows, pairs are right or wrong together: the interval is that of 10."""
    right = np.tile(np.repeat([1.0, 0.0, 1.0, 0.0, 1.0, 1.0, 0.0, 1.0, 0.0, 1.0], 2), (2, 1))
    facts = {"warnings": [], "mask_rates": [], "processor_seconds": 1.0}
    control, item = _Measured("supervised", 1 - right, facts), _Measured("FixMatch", right, facts)
    np.save(tmp_path / GROUPS, np.arange(20) // 2)
    assert _groups(tmp_path / "none.npy") is None
    alone, related = (_method(item, control, 1, groups) for groups in (None, _groups(tmp_path / GROUPS)))
    assert (alone.accuracy.clusters, related.accuracy.clusters) == (20, 10)
    for name in ("accuracy", "gain", "gain_of_many"):
        first, second = getattr(alone, name), getattr(related, name)
        assert second.value == first.value
        assert second.high - second.low > 1.2 * (first.high - first.low)


def test_a_study_of_nothing_yet_has_a_page(summary: LabelsSummary) -> None:
    empty = replace(summary, tasks=())
    assert PAGE.context(empty, PAGE.pictures(empty))["headline"][0] == "Nothing was measured yet."  # type: ignore[index]


def test_texts_with_back_translations_are_read_and_resumed(tiny_model: str, tmp_path: Path, workers: Workers) -> None:
    generator = np.random.default_rng(0)
    folder = tmp_path / "ag_news"
    folder.mkdir()
    texts = [f"film {n} was {generator.choice(WORDS[n % 2])} and {generator.choice(WORDS[n % 2])}" for n in range(90)]
    rows = [
        {"ori": text, "aug_0": f"so {text}", "aug_1": f"and {text}", "label": str(n % 2)}
        for n, text in enumerate(texts)
    ]
    (folder / "train.json").write_text(json.dumps(dict(enumerate(rows[:60]))))
    (folder / "test.json").write_text(json.dumps(dict(enumerate(rows[60:]))))
    config = LabelsConfig(
        tasks=[f"usb:{folder}"],
        train=None,
        test=None,
        seeds=[0, 1],
        texts={**TINY, "model": tiny_model},
        few={"counts": [10], "algorithms": ["fixmatch"]},
        wrong=None,
        together=None,
        out=str(tmp_path / "study"),
    )
    result = run_study(config, workers=workers)
    assert result.failures == ()
    (features,) = (result.path / "stages").glob("*features*")
    assert np.load(features / "strong.npy").shape[:2] == (2, 60)
    assert np.load(features / "plain.npy").shape[0] == 90
    assert result.numbers["tasks"][0]["views"].endswith("the back-translations of the data set")
    # moved, with one cell lost: that cell alone is done again
    (cell,) = (result.path / "stages").glob("*fixmatch*")
    kept = np.load(cell / "last.npy")
    for file in sorted(cell.iterdir()):
        file.unlink()
    cell.rmdir()
    again = run_study(config, workers=workers)
    assert again.ran == 1
    (cell,) = (result.path / "stages").glob("*fixmatch*")
    assert (np.load(cell / "last.npy") == kept).all()


def test_more_labels_than_rows_are_a_failure_that_is_named(tmp_path: Path, workers: Workers) -> None:
    config = LabelsConfig(
        tasks=["digits"],
        train=50,
        test=50,
        seeds=[0],
        pictures={**TINY, "width": 8},
        few={"counts": [60], "algorithms": []},
        wrong=None,
        together=None,
        out=str(tmp_path / "study"),
    )
    result = run_study(config, workers=workers)
    assert len(result.failures) == 2
    assert "60 clean labels are asked for, and there are 50 rows" in result.failures[0][1]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"tasks": ["digit"]}, "did you mean"),
        ({"tasks": ["digits", "digits"]}, "more than once"),
        ({"few": None, "wrong": None}, "nothing to compare"),
        ({"few": None}, "set `together: null` too"),
        ({"texts": {"model": "minilm-l6", "algorithm": "fixmatch"}}, "few.algorithms"),
        ({"pictures": {"rows": 20}}, "few.counts"),
        ({"wrong": {"rates": [1.0]}}, "below 1, got 1.0"),
        ({"wrong": {"rates": [-0.1]}}, "below 1, got -0.1"),
        ({"seeds": [1, 1]}, "more than once"),
        ({"few": {"algorithms": [{"name": "label_vectors", "vectors": ["a"]}]}}, "few.algorithms.*other attributes"),
        ({"few": {"algorithms": [{"name": "self_training", "noise": ["word_dropout"]}]}}, "changes texts"),
        ({"wrong": {"algorithms": ["fixmatch"]}}, "wrong.algorithms.*belongs to `few.algorithms`"),
        ({"together": {"algorithms": ["self_training"]}}, "together.algorithms.*every row has one"),
        ({"wrong": {"kinds": ["asymmetric"], "rates": [0.6]}}, "wrong.rates.*below 0.5"),
        ({"together": {"kind": "asymmetric", "rate": 0.5}}, "together.rate.*below 0.5"),
        ({"texts": {"model": "minilm-l6", "views": {"strong": ["mine.py:shout"]}}}, "a function of your own"),
    ],
)
def test_settings_that_make_no_sense_are_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        LabelsConfig(**changes)


def test_presets_are_whole() -> None:
    presets = {name: load_config(LabelsConfig, preset_file(name, "labels")) for name in STUDY.presets["labels"]}
    assert list(presets) == ["demo", "small", "full", "usb"]
    # ready to run on a machine that has nothing
    assert presets["demo"].tasks == ("digits",)
    assert labels_grid(presets["demo"]).stages()
    assert (presets["small"].train, presets["small"].texts.views.copies) == (3000, 2)
    with pytest.raises(InputError, match=r"lacks train.json"):
        labels_grid(presets["usb"])


def test_a_trial_has_few_rows_and_steps_and_every_class_among_its_tests() -> None:
    trial = as_trial(load_config(LabelsConfig, preset_file("full", "labels")).replace(limit=2))
    assert (trial.train, trial.test, trial.seeds) == (200, 100, (0,))
    assert (trial.texts.steps, trial.pictures.steps, trial.texts.batch_size) == (2, 2, 2)
    assert trial.few is not None
    assert trial.wrong is not None
    # fewer than classes would be refused; numbers that are capped alike are one
    assert (trial.few.counts, trial.wrong.model_rows) == ((10, 20), (20,))
    assert as_trial(trial) == trial


def test_labels_of_a_level_curve_are_the_fewest_that_are_as_good() -> None:
    assert equal_labels([(4, 1.0), (10, 1.0)], 1.0) == "about 4 clean labels"
    assert equal_labels([(10, 0.5), (40, 0.7)], 0.7) == "about 40 clean labels"


def test_labels_of_a_curve() -> None:
    curve = [(10, 0.5), (100, 0.7), (1000, 0.7)]
    assert equal_labels(curve, 0.4) == "fewer than 10 clean labels"
    assert equal_labels(curve, 0.6) == "about 30 clean labels"
    assert equal_labels(curve, 0.9) == "more than 1,000 clean labels"
