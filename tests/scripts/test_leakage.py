"""Pre-training with and without a task's text: alike in all but that, and what it does to the models."""

from __future__ import annotations

import dataclasses
import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pretraining.leakage import FAMILY, arms, compared, pretrained, study_of
from pretraining.shapes import Shape, Training
from pretraining.tokens import train_tokenizer

from penchant.errors import InputError
from penchant.studies.core.study import run_study

CORPUS = [f"Ann went to town number {n} and bought {n % 9} apples for Bob, who was at home." for n in range(400)]
TASK = [f"a {'fine' if n % 2 else 'dull'} film with a plot that goes to part {n}" for n in range(60)]
TINY = Shape("tiny", 16, 1, 2, 32, Training(epochs=1, batch=4, learning_rate=1e-2, context=32, checkpoint_every=500))


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return train_tokenizer(CORPUS, vocabulary=300, context=32)


def test_both_copies_read_as_much_and_only_one_the_task(tokenizer: Any) -> None:
    held = [*CORPUS, f"Bob said: {TASK[3]}."]
    for tokens in (2600, 2601, 2602, 2603):
        read = arms(tokenizer, held, TASK[:20], tokens=tokens)
        sizes = {arm: sum(len(ids) + 1 for ids in found) for arm, found in read.documents.items()}
        assert set(sizes.values()) == {tokens}
        assert read.overlapping == 1
        texts = {arm: [tokenizer.decode(ids.tolist()) for ids in found] for arm, found in read.documents.items()}
        assert set(TASK[:20]) <= set(texts["with"])
        assert not any("film" in text for text in texts["without"])
        assert 0 < read.leaked < tokens
    twice = arms(tokenizer, held, TASK[:20], tokens=4000, copies=2)
    assert twice.leaked == 2 * read.leaked
    assert twice.fingerprint("with") != twice.fingerprint("without")


def test_too_little_text_is_refused(tokenizer: Any) -> None:
    with pytest.raises(InputError, match="no fewer than the 100 to train on"):
        arms(tokenizer, CORPUS, TASK, tokens=100)
    with pytest.raises(InputError, match="tokens short of the 1,000,000"):
        arms(tokenizer, CORPUS, TASK, tokens=1_000_000)


def test_the_family_is_a_chain_of_sizes() -> None:
    sizes = [shape.parameters() for shape in FAMILY.values()]
    assert sizes == sorted(sizes)
    assert sizes[-1] > 4 * sizes[0]


@pytest.fixture(scope="module")
def family(tokenizer: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    """Two sizes in two copies, on sentences, in seconds: the folder and the records."""
    folder = tmp_path_factory.mktemp("family")
    read = arms(tokenizer, CORPUS, TASK, tokens=4200)
    looked_at = {"task": TASK[44:], "held_out": CORPUS[-5:]}
    shapes = (TINY, dataclasses.replace(TINY, name="wide", width=32))
    return folder, [pretrained(shape, tokenizer, read, folder / "out", folder, looked_at) for shape in shapes]


def test_a_copy_that_met_the_text_knows_it_better(family: tuple[Path, list[dict[str, Any]]]) -> None:
    for found in family[1]:
        known = {arm: record["nats_per_token"]["task"] for arm, record in found.items()}
        assert known["with"] < known["without"] - 0.3
        assert found["with"]["steps"] == found["without"]["steps"] > 20
        assert found["with"]["parameters"] == found["without"]["parameters"]


@pytest.mark.slow
def test_the_study_compares_the_copies(
    family: tuple[Path, list[dict[str, Any]]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for part, texts in (("train", TASK[:44]), ("test", TASK[44:])):
        file = tmp_path / "data" / "sst2" / f"{part}.txt.gz"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(gzip.compress("".join(f"{n % 2} {text}\n" for n, text in enumerate(texts)).encode()))
    monkeypatch.setenv("PENCHANT_DATA", str(tmp_path / "data"))
    config = study_of("sst2", ["tiny", "wide"], family[0], train=40, test=None, seeds=[0, 1])
    result = run_study(config.replace(weak=[{"name": "tfidf", "rows": 12}], out=str(tmp_path / "study")))
    assert not result.failures
    assert {one["strong"] for one in result.numbers["cells"]} == {
        f"{size}-{arm}, fine-tuned" for size in ("tiny", "wide") for arm in ("without", "with")
    }
    assert {one["loss"] for one in result.numbers["cells"]} == {"naive", "shown 100%"}
    told = list(compared(result.numbers))
    assert told[0] == "tiny, supervised by TF-IDF on 12 rows:"
    assert told[1].startswith("  without the task's text: PGR ")
    assert told[2].startswith("  with the task's text: PGR ")
    assert len(told) == 6


def test_undefined_ratios_are_told_as_such() -> None:
    share = {"value": 0.5, "low": 0.4, "high": 0.6}
    one = {"weak": "w", "loss": "naive", "student": share, "ceiling": share}
    cells = [
        one | {"strong": "a-without, fine-tuned", "pgr": {"value": None, "low": None, "high": None}},
        one | {"strong": "a-with, fine-tuned", "pgr": {"value": 0.25, "low": 0.2, "high": 0.3}},
        one | {"strong": "b-with, fine-tuned", "pgr": {"value": 0.25, "low": 0.2, "high": 0.3}},
    ]
    assert list(compared({"losses": ["naive"], "cells": cells})) == [
        "a, supervised by w:",
        "  without the task's text: PGR undefined: no gap, student 50.0% [40.0, 60.0], ceiling 50.0% [40.0, 60.0]",
        "  with the task's text: PGR 0.25 [0.20, 0.30], student 50.0% [40.0, 60.0], ceiling 50.0% [40.0, 60.0]",
    ]


def test_the_tokens_of_a_cut_document_are_its_first(tokenizer: Any) -> None:
    read = arms(tokenizer, CORPUS, TASK[:2], tokens=500)
    last = read.documents["without"][-1]
    whole = tokenizer(CORPUS[len(read.documents["without"]) - 1], add_special_tokens=False)["input_ids"]
    np.testing.assert_array_equal(last[: min(len(last), len(whole)) - 1], whole[: min(len(last), len(whole)) - 1])
