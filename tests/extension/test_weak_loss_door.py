"""A loss on weak labels of the user's: named as `module:function`, tried before training, part of every digest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import penchant as pt
from penchant.errors import InputError, RunMismatchError
from penchant.losses.weak_custom import check_weak_loss, custom_target
from penchant.losses.weak_settings import Confidence, CustomWeakLoss
from penchant.studies.weak_to_strong.grid import weak_grid
from penchant.studies.weak_to_strong.settings import WeakToStrongConfig
from penchant.weak import train as weak_train_module
from penchant.weak.classifiers.probe_fit import fit_probes
from penchant.weak.classifiers.training_folder import FineTuneConfig
from penchant.weak.labels import loss_labels

LOSS = """
def trust(logits, labels, progress, most=0.5):
    return (1 - most * progress) * labels + most * progress * logits.softmax(-1)

def weak(logits, labels, progress):
    return labels

def mean(logits, labels, progress):
    return labels.mean(0)

def number(logits, labels, progress):
    return 1.0

def classes(logits, labels, progress):
    return labels.argmax(-1)

def twice(logits, labels, progress):
    return 2 * labels

def fails(logits, labels, progress):
    raise SystemExit(3)

def in_place(logits, labels, progress):
    logits.zero_()
    return labels.copy_(labels.flip(0)).flip(0)

constant = 3
"""
LABELS = torch.tensor([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.3, 0.7], [0.5, 0.5]])
LOGITS = torch.tensor([[1.0, 0.0], [0.0, 2.0], [0.0, 0.0], [3.0, 1.0], [-1.0, 1.0]])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a file of losses."""
    (tmp_path / "mine.py").write_text(LOSS)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_target_is_what_the_function_returns(folder: Path) -> None:
    loss = CustomWeakLoss(function="mine.py:trust", settings={"most": 0.8})
    expected = 0.6 * LABELS + 0.4 * LOGITS.softmax(-1)
    torch.testing.assert_close(custom_target(loss, LOGITS.clone().requires_grad_(), LABELS, 0.5), expected)


def test_a_probe_with_the_weak_labels_as_target_is_the_naive_one_to_the_bit(folder: Path) -> None:
    features = torch.tensor(np.random.default_rng(0).normal(size=(5, 3)))
    naive, own = (
        fit_probes(features, LABELS[None], losses, l2=0.3, steps=20)
        for losses in (None, [CustomWeakLoss(function="mine.py:weak")])
    )
    assert torch.equal(own.weight, naive.weight)


def test_a_name_stands_for_it_alone_and_in_a_list(folder: Path) -> None:
    alone = pt.WeakTrain(data="x", student={"name": "tfidf"}, loss="mine.py:trust").loss
    study = WeakToStrongConfig(
        strong=[{"model": "m"}], losses=["confidence", {"name": "mine.py:trust", "settings": {"most": 0.1}}]
    )
    assert alone == FineTuneConfig(model="m", data="x", loss="mine.py:trust").loss
    assert alone == CustomWeakLoss(function="mine.py:trust")
    assert study.losses == (Confidence(), CustomWeakLoss(function="mine.py:trust", settings={"most": 0.1}))
    assert loss_labels(study.losses) == ["confidence 0.5", "mine.py:trust"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mine.py:trusty", "mine.py has no `trusty`; did you mean `trust`"),
        ("nothing.py:trust", "there is no file nothing.py"),
        ("mine.py:constant", "expected a function, but it is a int"),
        ("mine.py:fails", r"failed: it ended the program \(sys.exit\(3\)\)"),
        ("mine.py:number", "it returned a float, expected a tensor"),
        ("mine.py:classes", "it returned torch.int64 numbers, expected a tensor of probabilities"),
        ("mine.py:mean", r"it returned the shape \(2,\), expected \(4, 2\): for each example"),
        ("mine.py:twice", "rows must be probabilities that sum to 1 .* got .1.79"),
    ],
)
def test_what_breaks_the_contract_is_refused_before_training(folder: Path, name: str, message: str) -> None:
    with pytest.raises(InputError, match=f"the loss `{name}`: {message}"):
        check_weak_loss(CustomWeakLoss(function=name), LABELS)


def test_the_nearest_built_in_name_is_told() -> None:
    with pytest.raises(InputError, match="confidence"):
        pt.WeakTrain(data="x", student={"name": "tfidf"}, loss="confidense")


def test_a_function_that_works_in_place_changes_nothing_of_ours(folder: Path) -> None:
    logits, labels = LOGITS.clone(), LABELS.clone()
    custom_target(CustomWeakLoss(function="mine.py:in_place"), logits, labels, 0.0)
    assert torch.equal(logits, LOGITS)
    assert torch.equal(labels, LABELS)


def test_an_edited_file_is_another_stage_and_another_place_is_not(
    folder: Path, tmp_path: Path, shared_data: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PENCHANT_DATA", str(shared_data("README.md").parent))

    def addresses(name: str) -> set[str]:
        config = WeakToStrongConfig(strong=[{"model": "penchant-5m"}], losses=["cross_entropy", name])
        return {stage.address for stage in weak_grid(config).stages() if stage.kind == "students"}

    before = addresses("mine.py:trust")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "mine.py").write_text(LOSS)
    assert addresses("elsewhere/mine.py:trust") == before
    (tmp_path / "mine.py").write_text(LOSS + "\nOTHER = 1\n")
    assert addresses("mine.py:trust") != before
    with pytest.raises(InputError, match="did you mean `trust`"):
        addresses("mine.py:trusty")


def test_weak_train_takes_it_and_resumes_no_run_of_other_code(
    folder: Path, stories: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [{"text": f"a {('dull', 'fine')[n % 2]} film {n}", "label": ("bad", "good")[n % 2]} for n in range(60)]
    (folder / "weak.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = pt.WeakTrain(data="weak.jsonl", student={"model": stories}, loss="mine.py:trust", out="run", templates=())
    assert pt.weak_train(config.replace(out="other")).metrics["status"] == "done"

    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(weak_train_module, "fit_to_rows", interrupt)
        with pytest.raises(KeyboardInterrupt):
            pt.weak_train(config)
    (folder / "mine.py").write_text(LOSS + "\nOTHER = 1\n")
    with pytest.raises(RunMismatchError, match=r"the loss mine\.py:trust changed since the run in"):
        pt.weak_train(config, resume=True)
