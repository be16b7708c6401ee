"""The cards of the shipped models say what their records hold."""

from __future__ import annotations

import json

import pytest
from pretraining.export import card
from pretraining.shapes import SHAPES
from pretraining.sources import CORPORA

from penchant.models.builtin import EMBEDDED


@pytest.mark.parametrize("name", SHAPES)
def test_the_card_is_that_of_the_record(name: str) -> None:
    record = json.loads((EMBEDDED[name] / "record.json").read_text())
    text = (EMBEDDED[name] / "README.md").read_text()
    assert text == card(record)
    assert all(source.licence in text for source in CORPORA)


def test_the_shipped_models_are_of_the_corpus_that_the_script_builds(corpus) -> None:  # type: ignore[no-untyped-def]
    records = [json.loads((folder / "record.json").read_text()) for folder in EMBEDDED.values()]
    assert {record["corpus"]["fingerprint"] for record in records} == {corpus.fingerprint()}


@pytest.mark.parametrize("name", SHAPES)
def test_the_shipped_models_are_trained_as_the_script_would(name: str, corpus) -> None:  # type: ignore[no-untyped-def]
    record = json.loads((EMBEDDED[name] / "record.json").read_text())
    assert record["shape"] == json.loads(json.dumps(SHAPES[name].described()))
    assert record["corpus"]["documents"] == {source: dict(counts) for source, counts in corpus.counts.items()}
