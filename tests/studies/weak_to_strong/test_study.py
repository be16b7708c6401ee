"""The weak-to-strong study: what is shared, what reaches a student, its numbers and what stops it."""

from __future__ import annotations

import gzip
import json
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from penchant.cli.main import main
from penchant.config import to_yaml
from penchant.errors import InputError
from penchant.losses.weak_settings import CrossEntropy
from penchant.metrics import pgr
from penchant.studies.core.executor import Workers
from penchant.studies.core.study import StudyResult, run_study
from penchant.studies.weak_to_strong.grid import weak_grid
from penchant.studies.weak_to_strong.settings import WeakToStrongConfig
from penchant.studies.weak_to_strong.stages import halves_of
from penchant.studies.weak_to_strong.students import leak_labels, leaked_label_features, prepend_leaked_label
from penchant.studies.weak_to_strong.summary import WeakToStrongSummary
from penchant.studies.weak_to_strong.truth import Truth, errors_first
from penchant.studies.weak_to_strong.words import findings
from penchant.tasks.load import data_folder
from penchant.typed_json import from_json
from penchant.types import LabeledExample, PromptGroup
from penchant.weak.classifiers.probe_fit import fit_probes

ALL = ("cross_entropy", "confidence", "product", "adaptive_confidence", "filtered")
GOOD, BAD = ("fine", "lovely", "warm", "bright"), ("dull", "awful", "cold", "grey")


def _write(folder: Path, flip: float = 0.0) -> Path:
    """SST-2's files with made-up rows; a share of the labels of the rows to train on is wrong."""
    rng = np.random.default_rng(0)
    for part, size in (("train", 240), ("test", 120)):
        lines = []
        for number in range(size):
            label = number % 2
            words = rng.choice((BAD, GOOD)[label], 2)
            wrong = part == "train" and rng.random() < flip
            lines.append(f"{label ^ int(wrong)} {words[0]} and {words[1]} film {part} {number}\n")
        file = folder / "sst2" / f"{part}.txt.gz"
        file.parent.mkdir(exist_ok=True, parents=True)
        file.write_bytes(gzip.compress("".join(lines).encode()))
    return folder


@pytest.fixture
def make(stories: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., WeakToStrongConfig]:
    monkeypatch.setenv("PENCHANT_DATA", str(_write(tmp_path / "data")))
    base = {
        "weak": [{"name": "tfidf", "rows": 20}, {"name": "probe", "model": stories, "layer": 1, "rows": 40}],
        "strong": [{"model": stories}],
        "seeds": [0, 1],
        "steps": 12,
        "few_rows": None,  # a stage more for each model, which only its own tests look at
        "out": str(tmp_path / "study"),
    }
    return lambda **changes: WeakToStrongConfig(**{**base, **changes})


def cell(result: StudyResult, loss: str = "naive", weak: str = "TF-IDF on 20 rows") -> dict[str, Any]:
    (found,) = (one for one in result.numbers["cells"] if (one["loss"], one["weak"]) == (loss, weak))
    return dict(found)


@pytest.mark.slow
def test_the_study_from_end_to_end(make: Callable[..., WeakToStrongConfig], workers: Workers) -> None:
    config = make()
    result = run_study(config, workers=workers)
    assert not result.failures
    assert len(result.numbers["cells"]) == 2 * 2
    one = cell(result)
    assert one["learned_from"] == 20
    assert one["labelled"] == 120
    # 120 labels choose an l2 by eight fits; the 20 rows of the weaker supervisor choose nothing
    l2 = result.numbers["l2"]
    assert l2["fits"] % 8 == 0
    assert 0 < l2["fits"] < 8 * sum(l2["chosen"].values())
    gap = one["ceiling"]["value"] - one["supervisor"]["value"]
    assert one["gap"]["value"] == pytest.approx(gap)
    assert one["gain"]["value"] == pytest.approx(one["student"]["value"] - one["supervisor"]["value"])
    if one["pgr"]["value"] is not None:
        assert one["pgr"]["value"] == pytest.approx(one["gain"]["value"] / gap)
    parts = one["agreement"]
    assert parts["fixed"]["value"] + parts["inherited"]["value"] == pytest.approx(1 - one["supervisor"]["value"])
    assert parts["inherited"]["value"] + parts["new"]["value"] == pytest.approx(1 - one["student"]["value"])
    assert cell(result, "confidence 0.5")["over_naive"]["value"] == pytest.approx(
        cell(result, "confidence 0.5")["student"]["value"] - one["student"]["value"]
    )
    assert one["random"]["value"] < one["ceiling"]["value"] - 0.2  # labels that know nothing teach nothing

    assert run_study(config, workers=workers).ran == 0
    # another loss runs the students of both supervisors again, and neither ceiling, activations nor supervisors
    wider = make(losses=[{"name": name} for name in ("cross_entropy", "confidence", "product")])
    assert run_study(wider, workers=workers).ran == 2
    again = cell(run_study(wider, workers=workers))
    for key in ("pgr", "student", "ceiling", "agreement", "curve", "random"):
        assert again[key] == one[key], key  # whatever the batch that they were trained in


def test_a_student_equals_the_ceiling_where_the_supervisor_is_always_right(
    make: Callable[..., WeakToStrongConfig], workers: Workers, tmp_path: Path
) -> None:
    """With hard labels from a supervisor that makes no error, student and ceiling see the same labels."""
    config = make(weak=[{"name": "tfidf"}], losses=[{"name": "cross_entropy", "labels": "hard"}], seeds=[0])
    result = run_study(config, workers=workers)
    (grid,) = weak_grid(config)
    ceiling, taught = grid.students[0].stages()
    predicted = {
        name: array
        for task in (ceiling, taught)
        for name, array in load_file(Path(config.out or "") / task.path / "test.safetensors").items()
    }
    assert result.numbers["cells"][0]["supervisor"]["value"] == 1  # easy words: it makes no error
    np.testing.assert_allclose(predicted["weak|0"], predicted["ceiling|0"], atol=1e-5)
    np.testing.assert_allclose(predicted["noise weak|0"], predicted["ceiling|0"], atol=1e-5)
    assert result.numbers["cells"][0]["pgr"]["reason"].startswith("no gap")


def test_no_truth_reaches_a_student(make: Callable[..., WeakToStrongConfig], workers: Workers, tmp_path: Path) -> None:
    """Other labels of the rows that the supervisor labels change the ceiling, and no student by one bit."""
    from penchant.studies.core.job import StageJob
    from penchant.studies.weak_to_strong.students import students_stage

    _write(data_folder(), flip=0.3)  # so that the supervisor makes errors
    config = make(losses=[{"name": name} for name in ALL])
    run_study(config, workers=workers)
    (grid,) = weak_grid(config)
    study = Path(config.out or "")
    rows = json.loads((study / grid.rows.path / "rows.json").read_text())
    for row in rows["train"][::3]:  # of all rows at once, labels that are dealt out would stay the same
        row["label"] = 1 - row["label"]
    other = tmp_path / "turned"
    other.mkdir()
    (other / "rows.json").write_text(json.dumps(rows))
    for task in grid.students[0].stages():
        needs = {role: study / need.path for role, need in task.needs.items()} | {"rows": other}
        into = tmp_path / task.label
        into.mkdir()
        students_stage(StageJob(task.kind, task.settings, task.inputs, needs, into), into)
        before, after = (load_file(folder / "test.safetensors") for folder in (study / task.path, into))
        assert len(before) == (len(ALL) + 1 if task.settings.supervised else 2)
        for name in before:
            same = np.array_equal(before[name], after[name])
            # random labels are learned with the l2 that the ceiling's labels, the truth, have chosen
            assert same == name.startswith("weak|") or name == "random|0", name


@pytest.mark.parametrize("classes", [2, 4])
def test_labels_dealt_out_keep_the_confidences_of_right_and_of_wrong_rows(classes: int) -> None:
    """Each row's label is another one's, turned: what was right stays right, what was wrong stays wrong."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, classes, 400)
    labels = rng.dirichlet(np.ones(classes), 400) * 0.6 + 0.4 * np.eye(classes)[truth]
    made = Truth(truth, np.full(400, classes), classes).dealt(labels, 0)
    before, after = (of.argmax(-1) == truth for of in (labels, made))
    assert before.sum() == after.sum()
    assert 0 < before.sum() < 400
    for right in (True, False):
        sure = [np.sort(of[hit == right].max(-1)) for of, hit in ((labels, before), (made, after))]
        np.testing.assert_array_equal(*sure)
    rows = np.arange(400)
    np.testing.assert_array_equal(np.sort(labels[rows, truth]), np.sort(made[rows, truth]))
    agree = float((before == after).mean())  # which rows are wrong is drawn anew
    assert agree < 1
    assert agree == pytest.approx(before.mean() ** 2 + (1 - before.mean()) ** 2, abs=0.1)
    assert not np.array_equal(made, Truth(truth, np.full(400, classes), classes).dealt(labels, 1))


def test_options_are_dealt_out_among_rows_with_as_many() -> None:
    answers = np.array([2, 3] * 50)
    truth = np.array([1, 2] * 50)
    labels = np.where(np.arange(3) < answers[:, None], np.random.default_rng(0).random((100, 3)), 0)
    labels /= labels.sum(-1, keepdims=True)
    made = Truth(truth, answers, 3).dealt(labels, 0)
    assert (made[answers == 2, 2] == 0).all()
    np.testing.assert_allclose(made.sum(-1), 1)
    for count in (2, 3):
        sizes = [(of[answers == count].argmax(-1) == truth[answers == count]).sum() for of in (labels, made)]
        assert sizes[0] == sizes[1]


FINE_TUNED = {"name": "lm", "device": "cpu", "training": {"epochs": 1, "batch_size": 8, "learning_rate": 1e-3}}


@pytest.mark.slow
def test_fine_tuned_students_and_a_chain(
    make: Callable[..., WeakToStrongConfig], workers: Workers, stories: str
) -> None:
    """Each has its ceiling and controls; the student of a chain of two stands beside one that trained as long, and all
    stop by weak labels."""
    stops = FINE_TUNED | {"model": stories, "training": FINE_TUNED["training"] | {"early_stopping": True}}
    given: dict[str, Any] = {
        "weak": [{"name": "tfidf", "rows": 20}],
        "strong": [stops, {"model": stories}],
        "bootstrap": [{"model": stories, "layer": 1}, {"model": stories}],
        "test": 40,
    }
    config = make(**given)
    result = run_study(config, workers=workers)
    assert not result.failures
    assert [one["loss"] for one in result.numbers["cells"]] == 2 * [
        "naive",
        "confidence 0.5",
        "bootstrapped",
        "as long, no chain",
    ]
    tuned = result.numbers["cells"][:4]
    assert {one["strong"] for one in tuned} == {"stories260K, fine-tuned, early stopping"}
    assert [len(one["curve"]) for one in tuned] == [4, 4, 4, 12]  # the last trains three times as long
    assert all(one["oracle"] and one["random"] and one["noise"] for one in tuned)
    for one in tuned:  # what it has in the end are the weights of its best look, and no oracle's
        assert one["early"] == pytest.approx(one["student"]["value"])
        assert one["early"] <= one["oracle"]["accuracy"] + 0.1  # that is of the mean over seeds, this of each
    assert [one["over_longer"] is not None for one in tuned] == [False, False, True, False]
    assert tuned[0]["student"] != tuned[2]["student"] or tuned[0]["brier"] != tuned[2]["brier"]
    assert tuned[0]["ceiling"] == tuned[2]["ceiling"]
    (grid,) = weak_grid(config)
    links = [grid.labels[name, 0].path for name in ("weak-0", "weak-0-chain-0", "weak-0-chain-1")]
    labels = [np.load(Path(config.out or "") / place / "labels.npy") for place in links]
    assert {each.shape for each in labels} == {labels[0].shape}
    assert not any(np.allclose(one, other) for one, other in combinations(labels, 2))
    assert "stopped by weak labels" in _page(config)
    assert run_study(config, workers=workers).ran == 0
    assert run_study(make(**given, controls=False), workers=workers).ran == 2  # the probes, which are two stages


def _write_comparisons(folder: Path) -> None:
    """HH's file with made-up rows: the answer with a good word is preferred."""
    rng, rows = np.random.default_rng(0), []
    for number in range(200):
        better, worse = (f"Human: Film {number}?\n\nAssistant: A {rng.choice(words)} one." for words in (GOOD, BAD))
        rows.append(json.dumps({"chosen": f"\n\n{better}", "rejected": f"\n\n{worse}"}) + "\n")
    file = folder / "hh_rlhf" / "harmless-base.test.jsonl.gz"
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(gzip.compress("".join(rows).encode()))


@pytest.mark.slow
def test_reward_models_supervise_reward_models(
    make: Callable[..., WeakToStrongConfig], workers: Workers, stories: str
) -> None:
    """On comparisons: probes of the difference, and scalar heads, with the models that read the texts first beside;
    probes that see what the supervisor said imitate it, and others are told it in words."""
    _write_comparisons(data_folder())
    weak = [FINE_TUNED | {"model": stories, "rows": 10}]
    strong = [{"model": stories}, FINE_TUNED | {"model": stories}]
    one = {"losses": [{"name": "cross_entropy"}], "seeds": [0], "test": 40, "steps": 60}
    config = make(tasks=["hh_harmless"], weak=weak, strong=strong, generative={"texts": "all"}, imitation=[1.0], **one)
    result = run_study(config, workers=workers)
    assert not result.failures
    assert len(result.numbers["cells"]) == 4 * 2
    for naive, shown in zip(result.numbers["cells"][::2], result.numbers["cells"][1::2], strict=True):
        assert shown["loss"] == "shown 100%"
        assert shown["brier"] != naive["brier"]
        if not shown["strong"].startswith("stories260K, fine-tuned"):  # which learns it from more than 80 rows only
            assert shown["agreement"]["overall"]["value"] > 0.99
    (task,) = result.numbers["tasks"]
    assert task["chance"] == 0.5
    assert task["classes"] == []
    probed = [one for one in result.numbers["cells"] if one["strong"] == "stories260K"]
    assert all(one["ceiling"]["value"] > 0.9 for one in probed)
    assert all(one["noise"] and abs(one["random"]["value"] - 0.5) < 0.35 for one in probed)
    (grid,) = weak_grid(config)
    (start,) = grid.tuned.values()
    texts = (Path(config.out or "") / start.path / "texts.jsonl").read_text().splitlines()
    assert len(texts) == 2 * (task["train"] + task["test"])
    assert all("label" not in line for line in texts)


@pytest.mark.slow
def test_an_engine_supervises_and_who_knows_no_chess_has_no_gap(
    make: Callable[..., WeakToStrongConfig], workers: Workers, stories: str, stockfish: str
) -> None:
    (data_folder() / "chess").symlink_to(Path(stories).parent / "chess")
    training = {"epochs": 1, "learning_rate": 1e-3}
    strong = {"name": "lm", "model": stories, "reading": {"name": "words"}, "training": training, "device": "cpu"}
    one = {"tasks": ["chess_puzzles"], "weak": [{"name": "engine"}], "strong": [strong], "train": 40, "test": 40}
    result = run_study(make(**one, losses=[{"name": "cross_entropy"}], seeds=[0], controls=False), workers=workers)
    assert not result.failures
    (found,) = result.numbers["cells"]
    assert found["weak"] == "stockfish, depth 1"
    assert found["supervisor"]["value"] > 0.5
    assert found["pgr"]["value"] is None
    assert found["pgr"]["reason"].startswith("no gap")
    (task,) = result.numbers["tasks"]
    assert task["chance"] < 0.1


@pytest.mark.slow
def test_students_whose_model_learned_the_texts_first(
    make: Callable[..., WeakToStrongConfig], workers: Workers, stories: str
) -> None:
    strong = [{"model": stories}, FINE_TUNED | {"model": stories}]
    settings = {"weak": [{"name": "tfidf", "rows": 20}], "strong": strong, "seeds": [0], "controls": False, "test": 40}
    losses = [{"name": "cross_entropy"}]
    config = make(**settings, losses=losses, generative={"learning_rate": 1e-3})
    result = run_study(config, workers=workers)
    assert not result.failures
    names = [one["strong"] for one in result.numbers["cells"]]
    assert names == [name + end for end in ("", ", texts first") for name in ("stories260K", "stories260K, fine-tuned")]
    (grid,) = weak_grid(config)
    (task,) = grid.tuned.values()
    before, after = json.loads((Path(config.out or "") / task.path / "stage.json").read_text())["held_out_loss"]
    assert after < before - 0.1
    scores = [one["brier"]["value"] for one in result.numbers["cells"]]
    assert scores[0] != scores[2]
    assert scores[1] != scores[3]


@pytest.mark.slow
def test_students_are_asked_in_other_words(
    make: Callable[..., WeakToStrongConfig], workers: Workers, stories: str
) -> None:
    """A template that changes nothing gives full consistency; other activations of test rows alone are computed."""
    strong = [{"model": stories}, FINE_TUNED | {"model": stories}]
    settings = {"weak": [{"name": "tfidf", "rows": 20}], "strong": strong, "seeds": [0], "test": 40, "controls": False}
    result = run_study(make(**settings, templates=["{text}"]), workers=workers)
    assert not result.failures
    assert [one["consistency"]["value"] for one in result.numbers["cells"]] == [1.0] * 4
    config = make(**settings, templates=["Never mind the rest, this is awful and dull: {text}"])
    result = run_study(config, workers=workers)
    assert not result.failures
    assert all(0 < one["consistency"]["value"] < 1 for one in result.numbers["cells"][:2])
    assert [one["moved"] is None for one in result.numbers["cells"]] == [True, True, False, False]
    assert all(0 < one["moved"] < 1 for one in result.numbers["cells"][2:])
    (grid,) = weak_grid(config)
    (wording,) = grid.wordings
    (file,) = (Path(config.out or "") / wording.path).glob("activations-*.npy")
    assert np.load(file, mmap_mode="r").shape[1] == 40
    page = _page(config)
    assert "the same in other words" in page
    assert "weights moved by" in page


def test_students_that_would_read_alike_say_where_they_differ(make: Callable[..., WeakToStrongConfig]) -> None:
    one = FINE_TUNED | {"model": "m"}
    other = one | {"training": {"epochs": 1, "batch_size": 8, "learning_rate": 3e-3}}
    assert make(strong=[one, other]).student_labels == [
        "m, fine-tuned, learning rate 0.001",
        "m, fine-tuned, learning rate 0.003",
    ]
    assert make(strong=[one]).student_labels == ["m, fine-tuned"]
    with pytest.raises(ValueError, match="twice"):
        make(strong=[one, one])


def test_losses_that_would_read_alike_say_where_they_differ(make: Callable[..., WeakToStrongConfig]) -> None:
    losses = [{"name": "confidence"}, {"name": "confidence", "warmup": 0.5}, {"name": "cross_entropy"}]
    assert make(losses=losses).loss_columns == ["confidence 0.5, warmup 0.2", "confidence 0.5, warmup 0.5", "naive"]
    with pytest.raises(ValueError, match=r"`losses` has one of .* twice"):
        make(losses=[losses[0], {"name": "confidence", "alpha": 0.5}])


def test_supervisors_are_named_as_students_are(make: Callable[..., WeakToStrongConfig]) -> None:
    config = make(weak=["tfidf", {"model": "m", "layer": 2}, "n"], strong=["m", "tfidf"], losses=["cross_entropy"])
    assert [one.label for one in config.weak] == ["TF-IDF", "m, layer 2", "n"]
    assert [one.label for one in config.strong] == ["m", "TF-IDF"]
    chess = make(tasks=["chess_puzzles"], weak=["engine"], strong=["m"])
    assert chess.weak[0].label == "stockfish, depth 1"
    with pytest.raises(ValueError, match="expected one of tfidf, probe, mlp, cnn, lm"):
        make(strong=[{"name": "engine"}])


def test_probes_share_activations_up_to_the_last_layer_that_one_of_them_reads(
    make: Callable[..., WeakToStrongConfig], stories: str
) -> None:
    def deepest(*students: dict[str, Any]) -> list[Any]:
        (grid,) = weak_grid(make(weak=[{"name": "tfidf"}], strong=[{"model": stories, **one} for one in students]))
        return [task.settings.deepest for task in grid.activations.values()]

    assert deepest({"layer": 1}) == [1]
    assert deepest({"layer": 1}, {"layer": 3}) == [3]
    assert deepest({"layer": 1}, {"layer": -1}) == [None]
    assert deepest({"layer": 1}, {"layer": 3, "dtype": "bfloat16"}) == [1, 3]


@pytest.mark.slow
def test_what_fails_takes_nobody_elses_students(
    make: Callable[..., WeakToStrongConfig], workers: Workers, stories: str
) -> None:
    """A supervisor that says one thing of everything, a layer that is not there, and a task without its files."""
    mute = {"name": "lm", "model": stories, "reading": {"name": "words", "words": ["a", "xylophone"]}, "training": None}
    strong = [{"model": stories}, {"model": stories, "layer": 99}]
    given: dict[str, Any] = {"losses": ["cross_entropy"], "seeds": [0], "test": 40}
    config = make(tasks=["boolq", "sst2"], weak=[{"name": "tfidf", "rows": 20}, mute], strong=strong, **given)
    result = run_study(config, workers=workers)
    (one,) = result.numbers["cells"]
    assert (one["task"], one["weak"], one["strong"]) == ("sst2", "TF-IDF on 20 rows", "stories260K")
    reasons = dict(result.failures)
    assert any("layer 99 is not there" in reason for reason in reasons.values())
    assert any("most probable class is the same for all rows" in reason for reason in reasons.values())
    assert "it needs boolq-rows, which failed" in reasons.values()


def test_curves_end_with_training(make: Callable[..., WeakToStrongConfig], workers: Workers) -> None:
    given: dict[str, Any] = {"weak": [{"name": "tfidf", "rows": 20}], "losses": ["cross_entropy"], "seeds": [0]}
    (one,) = run_study(make(**given, steps=9), workers=workers).numbers["cells"]
    assert [each["after"] for each in one["curve"]] == [1, 2, 3, 5, 8, 9]
    assert one["oracle"]["last"] == pytest.approx(one["student"]["value"])


def test_encoders_learn_no_texts_first(make: Callable[..., WeakToStrongConfig]) -> None:
    config = make(strong=["minilm-l6", "m", "tfidf"], losses=["cross_entropy"], generative={})
    assert config.student_labels == ["minilm-l6", "m", "TF-IDF", "m, texts first"]
    with pytest.raises(ValueError, match="'minilm-l6' is an encoder"):
        make(strong=[{"name": "lm", "model": "minilm-l6"}])


def test_a_prior_fits_the_classes(make: Callable[..., WeakToStrongConfig]) -> None:
    assert make(losses=[{"name": "confidence", "prior": [0.4, 0.6]}])
    with pytest.raises(ValueError, match="shares of classes that sum to 1"):
        make(losses=[{"name": "confidence", "prior": [0.5, 0.6]}])
    with pytest.raises(ValueError, match="each class of emotion a share, and it has 6"):
        make(tasks=["emotion"], losses=[{"name": "confidence", "prior": [0.5, 0.5]}])


def test_no_loss_reaches_who_does_not_train(make: Callable[..., WeakToStrongConfig], stories: str) -> None:
    shown = {"name": "lm", "model": stories, "reading": {"name": "words", "shots": 2}, "training": None}
    (grid,) = weak_grid(make(weak=["tfidf"], strong=[shown], seeds=[0], bootstrap=["tfidf"]))
    assert [name for name, _ in grid.students[0].single] == [
        "ceiling|0",
        "random|0",
        "weak-0|0",
        "noise weak-0|0",
        "weak-0|bootstrapped",
    ]


def test_long_texts_are_learned_in_pieces(stories: str) -> None:
    from penchant.models.load import load_renderer
    from penchant.studies.weak_to_strong.texts import pieces_of

    renderer = load_renderer(stories)
    texts = ["Tom saw a dog. " * 50, "", "  ", "Tom ran. \U0001f600\u00e9"]
    pieces = pieces_of(renderer, texts, 32)
    assert "".join(pieces) == texts[0] + texts[-1]
    assert pieces[-1] == texts[-1]
    assert len(pieces) > 10
    assert max(len(renderer.prompt_ids(piece)) for piece in pieces) <= 32


def test_language_modelling_before_keeps_how_a_student_is_loaded(
    make: Callable[..., WeakToStrongConfig], stories: str
) -> None:
    """A probe and a fine-tuned student share it, but for whose code is run and which type weights that train have."""
    lm = {"name": "lm", "model": stories, "device": "cpu", "trust_remote_code": True, "lora": {}}
    probes = [{"model": stories, "dtype": "bfloat16"}, {"model": stories}]
    strong = [*probes, lm, lm | {"trust_remote_code": False}, lm | {"dtype": "bfloat16"}]
    (grid,) = weak_grid(make(weak=["tfidf"], strong=strong, generative={}))
    told = [(task.settings.model, task.inputs["device"]) for task in grid.tuned.values()]
    assert [(of.dtype, of.trust_remote_code, device) for of, device in told] == [
        ("auto", False, "cpu"),
        ("auto", True, "cpu"),
        ("bfloat16", True, "cpu"),
    ]
    assert all(of.lora is None for of, _ in told)


def test_activations_that_other_code_computed_are_not_copied(
    make: Callable[..., WeakToStrongConfig], stories: str, tmp_path: Path, computed: list[int]
) -> None:
    from penchant.studies.core.job import STAGE, StageJob
    from penchant.studies.weak_to_strong.stages import activations_stage, rows_stage

    (grid,) = weak_grid(make(strong=[{"model": stories, "layer": 1}], weak=["tfidf"], train=40, test=20))
    (task,) = grid.activations.values()
    rows, stages = tmp_path / "rows", tmp_path / "stages"
    rows.mkdir()
    rows_stage(StageJob("rows", grid.rows.settings, grid.rows.inputs, {}, rows), rows)

    def run(number: int) -> Path:
        folder = stages / f"sst2-activations-{number}"
        folder.mkdir(parents=True)
        order = StageJob(task.kind, task.settings, task.inputs, {"rows": rows}, folder)
        (folder / STAGE).write_text(json.dumps(activations_stage(order, folder)))
        return folder / STAGE

    first = run(0)
    run(1)
    assert computed == [60, 0]
    for known in (first, stages / "sst2-activations-1" / STAGE):
        known.write_text(json.dumps(json.loads(known.read_text()) | {"code": "of another version"}))
    run(2)
    assert computed == [60, 0, 60]


def test_a_stage_does_not_ask_who_stands_beside_it(make: Callable[..., WeakToStrongConfig], stories: str) -> None:
    """Another supervisor or student before the others, or a model's deeper layer, leaves their stages as they are."""
    probe, tuned = {"model": stories, "layer": 1}, {"name": "lm", "model": stories}
    chain: dict[str, Any] = {"bootstrap": [{"name": "tfidf"}], "templates": ["So: {text}"], "controls": True}

    def places(**settings: Any) -> list[set[str]]:
        (grid,) = weak_grid(make(**chain, **settings))
        singles = {task.path for of in grid.students for task in of.single.values()}
        batches = {task.path for of in grid.students for task in of.batched.values()}
        return [{task.path for task in grid.labels.values()}, singles, batches]

    labels, singles, batches = places(weak=[{"name": "tfidf"}, probe], strong=[probe, tuned])
    more = places(weak=[{"name": "tfidf", "rows": 50}, {"name": "tfidf"}, probe], strong=[tuned, probe])
    assert labels < more[0]
    assert singles < more[1]
    assert batches < more[2]
    deeper = places(weak=[{"name": "tfidf"}, probe], strong=[{"model": stories, "layer": 4}, probe, tuned])
    assert labels == deeper[0]
    assert singles == deeper[1]
    assert batches < deeper[2]


@pytest.mark.parametrize("name", ["tasks", "seeds", "imitation", "templates"])
def test_a_value_twice_is_refused(name: str, make: Callable[..., WeakToStrongConfig]) -> None:
    twice = {"tasks": ["sst2", "sst2"], "seeds": [1, 1], "imitation": [0.5, 0.5], "templates": ["a {text}", "a {text}"]}
    with pytest.raises(ValueError, match=f"`{name}`.*(has one of its values twice|stands in it more than once)"):
        make(**{name: twice[name]})


def test_word_counts_do_not_compare_options(make: Callable[..., WeakToStrongConfig]) -> None:
    with pytest.raises(ValueError, match="rows of hh_harmless have options of their own"):
        make(tasks=["hh_harmless"])


def test_a_supervisor_whose_labels_are_shown_is_imitated(
    make: Callable[..., WeakToStrongConfig], workers: Workers
) -> None:
    """A hint that knows nothing changes little; one that is the supervisor's label makes the student its copy."""
    _write(data_folder(), flip=0.3)  # so that the supervisor makes errors
    config = make(weak=[{"name": "tfidf", "rows": 20}], losses=[{"name": "cross_entropy"}], imitation=[0, 1], steps=60)
    result = run_study(config, workers=workers)
    cells = {one["loss"]: one for one in result.numbers["cells"]}
    assert result.numbers["shown"] == ["shown 0%", "shown 100%"]
    agree = {name: one["agreement"]["overall"]["value"] for name, one in cells.items()}
    assert set(cells) == {"naive", "shown 0%", "shown 100%"}
    assert agree["shown 100%"] > max(agree["naive"], agree["shown 0%"]) + 0.05
    assert abs(agree["shown 0%"] - agree["naive"]) < 0.1
    assert cells["shown 100%"]["curve"] is None
    assert "without it" not in " ".join(
        findings(from_json(WeakToStrongSummary, result.numbers))
    )  # here is no gap to recover


def test_students_that_are_no_probes_are_told_in_words(
    make: Callable[..., WeakToStrongConfig], workers: Workers
) -> None:
    _write(data_folder(), flip=0.3)
    names = ["negative", "positive"]
    config = make(weak=[{"name": "tfidf", "rows": 20}], strong=["tfidf"], losses=[{"name": "cross_entropy"}])
    config = config.model_copy(update={"imitation": (0.0, 1.0), "controls": False})
    result = run_study(config, workers=workers)
    assert not result.failures
    agree = {one["loss"]: one["agreement"]["overall"]["value"] for one in result.numbers["cells"]}
    assert agree["shown 100%"] == 1 > max(agree["naive"], agree["shown 0%"])
    pairs = [PromptGroup("So?", [" Fine.", " Bad."]), PromptGroup("And?", [" A.", " B."])]
    assert prepend_leaked_label(["a film"], np.array([1]), names) == ["Somebody says: positive\na film"]
    assert [[each.text for each in one.responses] for one in prepend_leaked_label(pairs, np.array([0, 1]), ())] == [
        [" Yes. Fine.", " No. Bad."],
        [" No. A.", " Yes. B."],
    ]
    said, answers = np.zeros(2000, dtype=int), np.tile([2, 5], 1000)
    half = leak_labels(said, answers, 0.5, seed=0)
    assert np.array_equal(leak_labels(said, answers, 1.0, seed=0), said)
    assert (half < answers).all()
    assert (half[::2] == 0).mean() == pytest.approx(0.75, abs=0.05)


@pytest.mark.slow
def test_a_prompted_student_without_examples_recovers_nothing_since_it_learns_nothing(
    make: Callable[..., WeakToStrongConfig], workers: Workers, stories: str
) -> None:
    prompted = {"name": "lm", "model": stories, "reading": {"name": "words"}, "training": None}
    given = {"weak": [{"name": "tfidf", "rows": 20}], "losses": [{"name": "cross_entropy"}], "controls": False}
    config = make(strong=[prompted], test=40, seeds=[0], **given)
    (one,) = run_study(config, workers=workers).numbers["cells"]
    assert one["student"] == one["ceiling"]
    assert one["pgr"]["value"] is None
    assert one["pgr"]["reason"].startswith("learns nothing")
    page = _page(config)
    assert "undefined: learns nothing" in page
    assert "the ceiling is not clearly" not in page


def test_pgr_falls_as_the_supervisors_errors_become_easy_to_imitate() -> None:
    """Features say the truth with noise, errors are at random: a student learns through them, unless it is shown them.
    A hint that repeats the supervisor in half of the rows misleads in the others."""
    found: dict[float, list[tuple[np.ndarray, ...]]] = {share: [] for share in (0.0, 0.5, 1.0)}
    for seed in range(3):
        rng = np.random.default_rng(seed)
        truth = rng.integers(0, 2, 1200)
        features = torch.as_tensor(rng.normal(2 * truth - 1, 1.5, (4, 1200)).T)
        said = np.where(rng.random(1200) < 0.3, 1 - truth, truth)
        learned, tested = slice(0, 600), slice(600, None)

        def right(
            own: torch.Tensor, labels: np.ndarray, truth: np.ndarray = truth, cut: slice = learned, on: slice = tested
        ) -> np.ndarray:
            probes = fit_probes(own[cut], torch.as_tensor(np.eye(2)[labels[cut]])[None])
            return probes.predict_proba(own[on])[0].argmax(-1).numpy() == truth[on]

        for share, seeds in found.items():
            seen = torch.cat([features, leaked_label_features(said, 2, share, seed)], 1)
            seeds.append(((said == truth)[tested], right(seen, said), right(features, truth)))
    ratios = [pgr(*map(np.stack, zip(*seeds, strict=True))) for seeds in found.values()]
    none, half, everywhere = (float(one.value if one.value is not None else np.nan) for one in ratios)
    assert none > 0.7
    assert half < none - 0.3
    assert abs(everywhere) < 0.1  # a copy of its supervisor


@pytest.mark.slow
def test_no_truth_reaches_a_fine_tuned_student(
    make: Callable[..., WeakToStrongConfig], workers: Workers, stories: str, tmp_path: Path
) -> None:
    from penchant.studies.core.job import StageJob
    from penchant.studies.weak_to_strong.students import student_stage

    _write(data_folder(), flip=0.3)  # so that the supervisor makes errors
    config = make(weak=[{"name": "tfidf", "rows": 20}], strong=[FINE_TUNED | {"model": stories}], seeds=[0], test=20)
    run_study(config, workers=workers)
    (grid,) = weak_grid(config)
    study = Path(config.out or "")
    rows = json.loads((study / grid.rows.path / "rows.json").read_text())
    for row in rows["train"][::3]:  # of all rows at once, labels that are dealt out would stay the same
        row["label"] = 1 - row["label"]
    other = tmp_path / "turned"
    other.mkdir()
    (other / "rows.json").write_text(json.dumps(rows))
    for (name, _), task in grid.students[0].single.items():
        needs = {role: study / need.path for role, need in task.needs.items()} | {"rows": other}
        into = tmp_path / task.label
        into.mkdir()
        student_stage(StageJob(task.kind, task.settings, task.inputs, needs, into), into)
        same = np.array_equal(np.load(study / task.path / "test.npy"), np.load(into / "test.npy"))
        assert same == (name.startswith("weak-") or name == "random|0"), name


@pytest.mark.parametrize("name", ["laptop", "depth", "subjectivity", "small", "medium", "paper"])
def test_presets_ask_for_stages(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from penchant.config import load_config
    from penchant.studies.core.definition import preset_file
    from penchant.studies.weak_to_strong import task_stages

    monkeypatch.setattr(task_stages, "model_content", lambda name: name)
    config = load_config(WeakToStrongConfig, preset_file(name, "weak-to-strong"))
    tasks = [task for grid in weak_grid(config) for task in grid.stages()]
    assert len({task.address for task in tasks}) == len(tasks)
    assert all(need.address in {task.address for task in tasks} for task in tasks for need in task.needs.values())


@pytest.mark.slow
def test_the_paper_s_preset_starts_is_killed_and_resumes_with_stand_ins_for_what_the_hub_has(
    make: Callable[..., WeakToStrongConfig],
    penchant: Callable[..., Any],
    workers: Workers,
    stories: str,
    tmp_path: Path,
) -> None:
    """Its settings but for the models' names, the tasks and the sizes. By SIGKILL while students train: what is done
    stays, and the numbers are those of a quiet run. A second seed runs what the first did not."""
    from penchant.config import load_config
    from penchant.studies.core.definition import preset_file

    given = load_config(WeakToStrongConfig, preset_file("paper", "weak-to-strong"))
    stand_ins = {
        key: tuple(one.model_copy(update={"model": stories, "device": "cpu"}) for one in getattr(given, key)[:1])
        for key in ("weak", "strong")
    }
    sizes = {"tasks": ("sst2",), "train": 40, "test": 20, "out": str(tmp_path / "paper")}
    paper = given.model_copy(update=stand_ins | sizes | {"seeds": (0,)})
    (tmp_path / "paper.yaml").write_text(to_yaml(paper))
    killed = penchant("study", "weak-to-strong", "paper.yaml")
    done = tmp_path / "paper" / "stages"
    _until(lambda: len(list(done.glob("sst2-student-*/stage.json"))) >= 1)
    killed.kill(signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    _until(lambda: not list(done.glob(".*.new")), seconds=5)
    before = {file: file.stat().st_mtime_ns for file in done.glob("*/stage.json")}
    first = run_study(paper, workers=workers)
    assert not first.failures
    assert [one["loss"] for one in first.numbers["cells"]] == [
        "naive",
        *(f"confidence {alpha}, balanced prior" for alpha in (0.5, 0.75)),
    ]
    assert before == {file: file.stat().st_mtime_ns for file in before}
    quiet = run_study(paper.model_copy(update={"out": str(tmp_path / "quiet")}), workers=workers)
    assert 0 < first.ran == quiet.ran - len(before)
    assert first.numbers["cells"] == quiet.numbers["cells"]
    again = run_study(paper.model_copy(update={"seeds": (0, 1)}), workers=workers)
    assert again.ran == quiet.ran - 1  # all but the rows, for the second seed
    assert run_study(paper, workers=workers).ran == 0


def _until(there: Callable[[], bool], seconds: float = 120) -> None:
    ends = time.monotonic() + seconds
    while not there() and time.monotonic() < ends:
        time.sleep(0.02)


def test_a_task_of_too_few_rows_is_refused(make: Callable[..., WeakToStrongConfig], workers: Workers) -> None:
    for part, size in (("train", 16), ("test", 120)):
        lines = "".join(f"{n % 2} a {GOOD[n % 4] if n % 2 else BAD[n % 4]} film {part} {n}\n" for n in range(size))
        (data_folder() / "sst2" / f"{part}.txt.gz").write_bytes(gzip.compress(lines.encode()))
    ((stage, reason),) = run_study(make(), workers=workers).failures[:1]
    assert stage == "sst2-rows"
    assert "16 rows to train on and 120 to test on are left of SST-2, too few" in reason


def _page(config: WeakToStrongConfig) -> str:
    """Of a study that has run: the command finds everything there and writes it."""
    folder = Path(config.out or "")
    file = folder.parent / "study.yaml"
    file.write_text(to_yaml(config))
    assert main(["study", "weak-to-strong", str(file)]) == 0
    return (folder / "report.html").read_text()


@pytest.mark.slow
def test_the_page_says_what_was_measured(
    make: Callable[..., WeakToStrongConfig], workers: Workers, capsys: pytest.CaptureFixture[str]
) -> None:
    config = make()
    run_study(config, workers=workers)
    page = _page(config)
    assert "From weak to strong" in page
    assert "TF-IDF on 20 rows" in page
    table = (Path(config.out or "") / "report-figures" / "table.csv").read_text().splitlines()
    assert len(table) == 1 + 4
    assert table[0].startswith("task,supervisor,student,loss")
    assert r"\midrule" in (Path(config.out or "") / "report-figures" / "table.tex").read_text()


@pytest.mark.parametrize("where", ["class", "topic", "long"])
def test_errors_that_lie_together_are_as_many_and_as_sure(where: Any) -> None:
    rng = np.random.default_rng(0)
    words = ("sea ship sail harbour storm", "king queen crown castle war")
    topics = rng.integers(0, 2, 200)
    texts = [" ".join(rng.choice(words[topic].split(), 4)) + " x" * n for n, topic in enumerate(topics)]
    rows = [LabeledExample(text, int(rng.integers(0, 2))) for text in texts]
    truth = Truth.from_rows(rows, 2)
    sure = rng.uniform(0.5, 1, 200)
    wrong = rng.random(200) < 0.2
    answers = truth.labels ^ wrong
    labels = np.stack([np.where(answers == c, sure, 1 - sure) for c in (0, 1)], 1)
    first = errors_first(where, rows, seed=3)
    dealt = truth.dealt(labels, 3, first)
    now_wrong = dealt.argmax(1) != truth.labels
    assert now_wrong.sum() == wrong.sum()
    np.testing.assert_allclose(np.sort(dealt.max(1)[now_wrong]), np.sort(sure[wrong]))
    # those rows have them that come first, and no other
    assert first[now_wrong].min() >= first[~now_wrong].max()
    if where == "class":
        assert len(set(truth.labels[now_wrong])) == 1
    if where == "topic":
        assert len(set(topics[now_wrong])) == 1


def test_students_under_other_conditions_leave_the_addresses_of_the_others(
    make: Callable[..., WeakToStrongConfig], stories: str
) -> None:
    strong = [{"model": stories}, "tfidf"]
    plain, other = (
        {stage.address for stage in weak_grid(make(losses=["cross_entropy"], strong=strong, **changes))[0].stages()}
        for changes in ({}, {"errors": ["class", "long"], "sees_confidence": True})
    )
    # the probes of each supervisor are one stage, whose address is another; of two seeds each a student in two ways
    assert len(plain - other) == 2
    assert len(other - plain) == 2 + 2 * 2 * 2
    config = make(errors=["class", "long"], sees_confidence=True)
    assert config.loss_columns[-3:] == ["errors by class", "errors in long texts", "sees confidence"]
    with pytest.raises(InputError, match="`sees_confidence` is for probes"):
        make(losses=["cross_entropy"], strong=["tfidf"], sees_confidence=True)


def test_a_probe_that_sees_its_supervisors_confidence_copies_what_is_always_right(stories: str) -> None:
    from penchant.studies.weak_to_strong.stage_settings import SupervisedProbesSettings, TaskClasses
    from penchant.studies.weak_to_strong.students import _one_by_one

    rng = np.random.default_rng(0)
    labels = np.eye(2)[rng.integers(0, 2, 60)] * 0.8 + 0.1
    states = torch.tensor(rng.normal(size=(60, 3)).astype(np.float32))  # know nothing
    settings = SupervisedProbesSettings(
        task=TaskClasses(2, ("a", "b")), l2=0.01, steps=200, seeds=(0,), controls=False, layer=0, rows=None, wordings=0,
        losses=(CrossEntropy(),), chain=0, imitation=(), sees_confidence=True,
    )  # fmt: skip
    jobs = {"weak|0": (labels[:40], CrossEntropy())}
    predicted = _one_by_one(settings, 0, jobs, (states[:40], states[40:]), labels[40:], 0.01)
    assert list(predicted) == ["weak|confidence"]
    np.testing.assert_array_equal(predicted["weak|confidence"].argmax(1), labels[40:].argmax(1))


def test_what_a_model_knows_is_measured_with_a_few_true_labels(
    make: Callable[..., WeakToStrongConfig], stories: str, tmp_path: Path
) -> None:
    """The probe of 12 rows is that of the first 12 rows that the student would learn from, and a stage of its own."""
    from penchant.studies.core.job import StageJob
    from penchant.studies.weak_to_strong.students import students_stage

    strong = [{"model": stories}, "tfidf", {"name": "lm", "model": stories}]
    grids = [weak_grid(make(losses=["cross_entropy"], strong=strong, seeds=[0], few_rows=few))[0] for few in (None, 12)]
    before, after = ({stage.address for stage in grid.stages()} for grid in grids)
    assert before < after
    assert len(after - before) == 3  # of the probe, of word counts, and of a probe for the fine-tuned model
    rng = np.random.default_rng(0)
    states = rng.normal(size=(1, 60, 4)).astype(np.float16)
    np.save(tmp_path / "activations-x.npy", states)
    rows = [{"text": f"film {n}", "label": int(states[0, n, 0] > 0)} for n in range(60)]
    (tmp_path / "rows.json").write_text(json.dumps({"train": rows[:40], "test": rows[40:]}))
    few = grids[1].students[0].batched["few|0"]
    job = StageJob(
        "students", replace(few.settings, layer=0, steps=200), {}, dict.fromkeys(few.needs, tmp_path), tmp_path
    )
    students_stage(job, tmp_path)
    (predicted,) = load_file(tmp_path / "test.safetensors").values()
    _, other = halves_of([LabeledExample(**row) for row in rows[:40]], 0)
    truth = torch.eye(2)[[rows[n]["label"] for n in other[:12]]]
    probes = fit_probes(torch.tensor(states[0, other[:12]]), truth[None], steps=200)
    expected = probes.predict_proba(torch.tensor(states[0, 40:]))
    np.testing.assert_allclose(predicted[0], expected[0].numpy(), atol=1e-5)


def test_a_probe_with_an_algorithm_is_refused(make: Callable[..., WeakToStrongConfig], stories: str) -> None:
    probe = {"name": "probe", "model": stories, "algorithm": "confident_learning"}
    with pytest.raises(InputError, match="a probe of a study has no `algorithm`"):
        make(weak=["tfidf"], strong=[probe])


def test_deeper_students_alone_learn_from_a_probe(make: Callable[..., WeakToStrongConfig], stories: str) -> None:
    probes = [{"name": "probe", "model": stories, "layer": layer} for layer in (1, 3, 5)]
    config = make(weak=[*probes[:2], "tfidf"], strong=probes, pairs="deeper")
    (grid,) = weak_grid(config)
    learned = [sorted(set(students.batched) - {"ceiling|0"}) for students in grid.students]
    assert learned == [["weak-2"], ["weak-0", "weak-2"], ["weak-0", "weak-1", "weak-2"]]
    assert len(grid.activations) == 1  # of all layers in one pass
    with pytest.raises(InputError, match="leaves no pair"):
        make(weak=probes[2:], strong=probes, pairs="deeper")


def test_rows_of_an_own_file_count_by_their_content_and_how_they_are_read(
    make: Callable[..., WeakToStrongConfig], tmp_path: Path
) -> None:
    rows = [{"review": f"film {n}", "stars": n % 2} for n in range(60)]
    file = tmp_path / "mine.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    file.with_name("other.jsonl").write_bytes(file.read_bytes())
    columns = {"text": "review", "label": "stars"}

    def address(**changes: Any) -> str:
        (grid,) = weak_grid(make(**{"tasks": [str(file)], "columns": columns, **changes}))
        return grid.rows.address

    assert address(tasks=[str(file.with_name("other.jsonl"))]) == address()
    assert len({address(), address(test_share=0.5), address(columns=columns | {"split": None})}) == 3
    assert address(tasks=[rows]) == address()  # rows of a session are a file of theirs
    file.write_text(file.read_text().replace("film 1", "movie 1"))
    assert address(tasks=[str(file.with_name("other.jsonl"))]) != address()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tasks": ["sst3"]}, "`tasks` has sst3; there are amazon_polarity"),
        ({"losses": [{"name": "cross_entropy"}, {"name": "cross_entropy"}]}, "`losses` has one of naive, naive twice"),
        ({"strong": [{"name": "tfidf"}]}, "learns with the losses cross_entropy and filtered only"),
        ({"strong": [{"name": "cnn"}]}, "`cnn` reads pictures, and the rows of tasks are texts"),
        ({"weak": [{"name": "engine"}]}, "supervises chess_puzzles, chess_positions, .* alone, and `tasks` has sst2"),
        ({"strong": [{"name": "engine"}]}, "engine"),
        ({"weak": [{"name": "tfidf", "rows": 3}]}, "greater than or equal to 10|at least 10"),
        ({"columns": {"text": "review"}}, "are for a file of your own, and `tasks` names none"),
        ({"tasks": ["a.csv", "b.csv"], "test_file": "c.csv"}, "`test_file` is for one file, and `tasks` names 2"),
        ({"tasks": ["a.csv"], "test_file": "c.csv", "columns": {"split": "s"}}, "both say which rows to test on"),
    ],
)
def test_a_configuration_that_cannot_be(
    make: Callable[..., WeakToStrongConfig], changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        make(**changes)


@pytest.mark.slow
def test_a_layer_that_is_not_there_fails_its_stages_alone(
    make: Callable[..., WeakToStrongConfig], stories: str, workers: Workers
) -> None:
    config = make(strong=[{"model": stories}, {"model": stories, "layer": 9}])
    result = run_study(config, workers=workers)
    assert {reason for _, reason in result.failures} == {
        "layer 9 is not there: this model has layers 1 to 5, and 0, the embedding"
    }
    assert {one["strong"] for one in result.numbers["cells"]} == {"stories260K"}
