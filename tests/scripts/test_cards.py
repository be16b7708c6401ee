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
