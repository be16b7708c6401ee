"""The scripts are no part of the package: their folder has to be on the path."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))


@pytest.fixture(scope="session")
def data(shared_data: Callable[[str], Path]) -> Path:
    """The folder of the shared data, with the corpora in it."""
    for name in ("imdb5000", "nltk", "sst2", "vader"):
        shared_data(name)
    return shared_data("imdb5000").parent


@pytest.fixture(scope="session")
def corpus(data: Path) -> Any:
    """The whole corpus, as the models were trained on it; built once a session, in seconds."""
    from pretraining.corpus import build

    return build(data)
