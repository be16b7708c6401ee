"""What a stage of a study is made of, as a digest: equal inputs give an equal address, and nothing else does.

Content counts, never a name or a place: the bytes of prompt files, of a local model and of a reward's code, the
settings, the addresses of the stages before, and Penchant's own source as far as it computes. Imports no torch.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import json
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import penchant
from penchant.models.builtin import BUILT_IN

LENGTH = 12  # hexadecimal digits of an address
WEIGHTS = ("*.safetensors", "*.json", "*.model", "*.txt")  # files of a model's folder that decide what it does
COMPUTES = ("config", "data", "engine", "losses", "methods", "models", "rewards", "tasks", "train")
OF_STUDIES = ("studies/recipes.py", "studies/stages.py")


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
    return _digest(b"\0".join(str(file.relative_to(root)).encode() + b"\0" + file.read_bytes() for file in files))


def data_content(path: str) -> str:
    """Of a data file; a hub id stands for itself."""
    return _file(Path(path).expanduser()) if Path(path).expanduser().is_file() else path


def model_content(name: str) -> str:
    """Of a local model, whose weights may change under one name; other names stand for themselves."""
    path = Path(name).expanduser()
    if name in BUILT_IN or not path.exists():
        return name
    if path.is_file():
        return _file(path)
    files = sorted(file for pattern in WEIGHTS for file in path.glob(pattern))
    return _digest("".join(f"{file.name} {_file(file)} " for file in files).encode())


def reward_content(spec: str) -> str:
    """Of a reward: the bytes of the Python file, module or classifier behind it, or the lexicon's version."""
    if spec == "vader":
        return f"vader {importlib.metadata.version('vaderSentiment')}"
    kind, _, rest = spec.partition(":")
    if kind == "classifier":
        return f"classifier {model_content(rest)} {model_content(rest.rpartition(':')[0])}"
    source = spec.rpartition(":")[0]
    if source.endswith(".py"):
        return data_content(source)
    if source.replace(".", "").isidentifier():
        try:
            found = importlib.util.find_spec(source)
        except (ImportError, ValueError):  # what is wrong with it is said where it is loaded
            return spec
        return _file(Path(found.origin)) if found and found.origin and Path(found.origin).is_file() else spec
    return spec if not Path(spec).expanduser().is_dir() else model_content(spec)


@cache
def _file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:LENGTH]


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:LENGTH]
