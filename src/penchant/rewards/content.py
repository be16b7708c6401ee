"""What stands behind the name of a data file, a model or a reward, as a digest. Imports no torch."""

from __future__ import annotations

import hashlib
import importlib.metadata
from functools import cache
from pathlib import Path

from penchant.digests import digest_file
from penchant.models.builtin import EMBEDDED, WHEELS
from penchant.rewards.names import check_reward, classifier_name, function_name, reward_kind
from penchant.rewards.user_code import code_content

LENGTH = 12  # hexadecimal digits
WEIGHTS = ("*.safetensors", "*.json", "*.model", "*.txt", "*.jinja", "*.py")
"""Files of a model's folder that decide what it does."""


def data_content(path: str) -> str:
    """Return the digest of a data file; a hub id stands for itself."""
    return _file(Path(path).expanduser()) if Path(path).expanduser().is_file() else path


def model_content(name: str, *, cached: bool = False) -> str:
    """Return the digest of a local model, or of one that comes with Penchant; a hub id stands for itself.

    Args:
        cached: of a hub id whose model was loaded, the digest of what the hub's client keeps of it.
    """
    path = EMBEDDED.get(name, Path(name).expanduser())
    if cached and not path.exists():
        path = _kept_by_hub(name) or path
    if name in WHEELS or not path.exists():
        return name
    if path.is_file():
        return _file(path)
    if _is_run(name):
        path = path / "checkpoint"
    files = sorted(file for pattern in WEIGHTS for file in path.glob(pattern))
    content = "".join(f"{file.name} {_file(file)} " for file in files)
    return hashlib.sha256(content.encode()).hexdigest()[:LENGTH]


def reward_content(spec: str, *, cached: bool = False) -> str:
    """Return the digest of the code or the models behind a reward, or the lexicon's version; an address stands for
    itself.

    Raises:
        InputError: the name stands for no reward.
    """
    match reward_kind(spec):
        case "built_in":
            return f"vader {importlib.metadata.version('vaderSentiment')}"
        case "address":
            return spec
        case "classifier":
            name, label = classifier_name(spec)
            return f"classifier {model_content(name, cached=cached)} {label or ''}"
        case "learned":
            return " ".join(map(model_content, spec.split(",")))
        case "function":
            source, function = function_name(spec)
            content = code_content(source)
            if not content:
                check_reward(spec)  # says what is not there
            return f"{content}:{function}"


def _kept_by_hub(name: str) -> Path | None:
    """Return the folder in which the hub's client keeps a model; None where it keeps none."""
    from huggingface_hub import try_to_load_from_cache

    file = try_to_load_from_cache(name, "config.json")
    return Path(file).parent if isinstance(file, str) else None


def _is_run(name: str) -> bool:
    return (Path(name).expanduser() / "checkpoint").is_dir()


def _file(path: Path) -> str:
    now = path.stat()
    return _file_as_of(path.resolve(), now.st_ino, now.st_size, now.st_mtime_ns, now.st_ctime_ns)


@cache
def _file_as_of(path: Path, *_: int) -> str:
    """Large weights are read once a process, as long as nobody writes to them: a change of content changes `ctime`."""
    return digest_file(path)[:LENGTH]
