"""What a stage of a study is made of, as a digest: equal inputs give an equal address, and nothing else does.

Content counts, never a name or a place: the bytes of prompt files, of a local model and of a reward's code, the
settings, the addresses of the stages before, and Penchant's own source as far as it computes. Imports no torch.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import penchant
from penchant.models.builtin import EMBEDDED, WHEELS
from penchant.rewards.user_code import code_content

LENGTH = 12  # hexadecimal digits of an address
WEIGHTS = ("*.safetensors", "*.json", "*.model", "*.txt")  # files of a model's folder that decide what it does
COMPUTES = ("config", "data", "engine", "judges", "losses", "methods", "models", "rewards", "tasks", "train", "weak")
SUMS_UP = ("metrics", "studies")
WORK = (
    "recipes",
    "stages",
    "order",
    "prompt_stages",
    "transfer_stage",
    "left_out_stage",
    "weak_stages",
    "weak_students",
    "weak_names",
    "win_rate_rows",
    "win_rate_stages",
)
OF_STUDIES = tuple(f"studies/{name}.py" for name in WORK)


def address(kind: str, settings: Mapping[str, Any], needs: Iterable[str]) -> str:
    """The address of a stage of this kind with these settings on top of the stages with those addresses."""
    content = json.dumps([kind, settings, list(needs), source_version()], sort_keys=True, ensure_ascii=False)
    return _digest(content.encode("utf-8", errors="surrogatepass"))


@cache
def source_version() -> str:
    """Of the part of Penchant's source that computes: a change of reports or of words here makes no run stale."""
    root = Path(penchant.__file__).parent
    files = [root / "types.py", *(root / name for name in OF_STUDIES)]
    files += sorted(file for part in COMPUTES for file in (root / part).rglob("*.py"))
    return _code_of(files)


@cache
def summary_version() -> str:
    """Of the part of Penchant's source that makes a study's numbers of what its stages measured."""
    root = Path(penchant.__file__).parent
    return _code_of(sorted(file for part in SUMS_UP for file in (root / part).rglob("*.py")))


def _code_of(files: Iterable[Path]) -> str:
    root = Path(penchant.__file__).parent
    return _digest(b"\0".join(str(file.relative_to(root)).encode() + b"\0" + file.read_bytes() for file in files))


def data_content(path: str) -> str:
    """Of a data file; a hub id stands for itself."""
    return _file(Path(path).expanduser()) if Path(path).expanduser().is_file() else path


def model_content(name: str) -> str:
    """Of a local model, or one that comes with Penchant, whose weights may change under one name; a hub id stands for
    itself."""
    path = EMBEDDED.get(name, Path(name).expanduser())
    if name in WHEELS or not path.exists():
        return name
    if path.is_file():
        return _file(path)
    if (path / "checkpoint").is_dir():  # a run directory
        path = path / "checkpoint"
    files = sorted(file for pattern in WEIGHTS for file in path.glob(pattern))
    return _digest("".join(f"{file.name} {_file(file)} " for file in files).encode())


def reward_content(spec: str) -> str:
    """Of a reward: the bytes of the code or the models behind it, or the lexicon's version; an address stands for
    itself.

    Raises:
        InputError: a module that is not there.
    """
    if spec == "vader":
        return f"vader {importlib.metadata.version('vaderSentiment')}"
    if spec.lower().startswith(("http://", "https://")):
        return spec
    kind, _, model = spec.partition(":")
    if kind == "classifier":
        name, _, label = (model, "", "") if Path(model).expanduser().is_dir() else model.rpartition(":")
        return f"classifier {model_content(name)} {label}" if name else spec
    if all(Path(part).expanduser().is_dir() for part in spec.split(",")):
        return " ".join(map(model_content, spec.split(",")))
    source, _, function = spec.rpartition(":")
    return f"{code_content(source)}:{function}"


def _file(path: Path) -> str:
    now = path.stat()
    return _file_as_of(path, now.st_mtime_ns, now.st_size)


@cache
def _file_as_of(path: Path, changed: int, size: int) -> str:
    """Large weights are read once as long as nobody writes to them."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:LENGTH]


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:LENGTH]
