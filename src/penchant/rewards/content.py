"""Digests of the content behind the name of a data file, a model or a reward. Imports no torch."""

from __future__ import annotations

import hashlib
import importlib.metadata
from functools import cache
from pathlib import Path

from penchant.data.sources.hub_table import pinned_parquet
from penchant.digests import digest_file
from penchant.errors import InputError
from penchant.files import read_json
from penchant.models.builtin import EMBEDDED, ENCODERS, WHEELS, packaged
from penchant.models.hub import is_hub_id, kept_folder
from penchant.redact import hide_credentials
from penchant.rewards.names import FUNCTIONS, TOKEN_MEDIA, classifier_name, reward_kind, split_thoughts_mark
from penchant.session.store import session_path

LENGTH = 12  # hexadecimal digits
WEIGHTS = ("*.safetensors", "*.json", "*.model", "*.txt", "*.jinja", "*.py")
"""Files of a model's folder that decide what it does."""
PACKAGES = WHEELS | ENCODERS
VERIFIER_VERSION = 1  # raised where the same response would be judged in another way


def data_content(path: str) -> str:
    """Return the digest of a data file; a hub id stands for itself, with its commit where one is pinned."""
    file = Path(session_path(path)).expanduser()
    if file.is_file():
        return _file(file)
    pinned = pinned_parquet(path.partition(":")[0]) if is_hub_id(path) else ""
    # other rows under the same name are other data
    return f"{path} {pinned}" if pinned else path


def model_content(name: str, *, cached: bool = False) -> str:
    """Return the digest of a local model, or of one that comes with Penchant; a hub id stands for its current commit.

    Adapters stand for their base too. A hub id of which neither hub nor cache knows anything stands for itself.

    Args:
        cached: of a hub id whose model was loaded, the digest of the files that the hub's client keeps of it.
    """
    content, folder = _content_and_folder(name, None, cached)
    # adapters are a part of a model: the same ones on another base compute other numbers
    parts: list[str] = [content]
    seen: set[tuple[str, str | None]] = {(name, None)}
    # adapters may name a base that names them again: each is counted once
    while folder is not None and (base := _base_of(folder)) is not None and base not in seen:
        seen.add(base)
        content, folder = _content_and_folder(*base, cached)
        parts.append(content)
    return content if len(parts) == 1 else hashlib.sha256(" ".join(parts).encode()).hexdigest()[:LENGTH]


def _content_and_folder(name: str, revision: str | None, cached: bool) -> tuple[str, Path | None]:
    """Return the digest of a model without its base, and the folder that may say which base it has."""
    name = str(session_path(name))
    path = EMBEDDED.get(name) or _packaged(name) or Path(name).expanduser()
    cached_folder = None if path.exists() else kept_folder(name, revision)
    if cached_folder is None and not path.exists():
        return f"{name} {revision}" if revision else name, None
    if path.is_file():
        return _file(path), None
    folder = cached_folder or (path / "checkpoint" if _is_run(name) else path)
    # by its commit where its files are not there yet: a study is planned before models are downloaded
    if cached_folder is not None and not cached:
        content = f"{name} {cached_folder.name}"
    else:
        files = sorted(file for pattern in WEIGHTS for file in folder.glob(pattern))
        content = "".join(f"{file.name} {_file(file)} " for file in files)
    return hashlib.sha256(content.encode()).hexdigest()[:LENGTH], folder


def _packaged(name: str) -> Path | None:
    """Return the weights that an installed package carries for a built-in name; None where there are none."""
    try:
        return packaged(name, *PACKAGES[name]) if name in PACKAGES else None
    except InputError:  # not installed: whoever loads it says so
        return None


def _base_of(folder: Path) -> tuple[str, str | None] | None:
    """Return the model that adapters are of, and its revision; None for a folder without adapters."""
    try:
        settings = read_json(folder / "adapter_config.json")
        return str(settings["base_model_name_or_path"]), settings.get("revision")
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # none, or whoever loads it says what is wrong
        return None


def reward_content(spec: str, *, cached: bool = False) -> str:
    """Return the digest of the code or the models behind a reward, or the version of VADER's lexicon.

    An address stands for itself.

    Raises:
        InputError: the name stands for no reward.
    """
    reads_thoughts, spec = split_thoughts_mark(spec)
    if reads_thoughts:  # another reward, wherever a response has thoughts
        return f"thoughts {reward_content(spec, cached=cached)}"
    match reward_kind(spec):
        case "built_in":
            if spec not in TOKEN_MEDIA:
                return f"vader {importlib.metadata.version('vaderSentiment')}"
            # the rule is code of ours, and the codebooks and recognisers are a file
            return f"{spec} {_file(EMBEDDED['penchant-kinds'] / 'codecs.safetensors')}"
        case "verifier":
            return f"verifier {VERIFIER_VERSION} {spec}"
        case "address":
            return hide_credentials(spec)
        case "classifier":
            name, label = classifier_name(spec)
            return f"classifier {model_content(name, cached=cached)} {label or ''}"
        case "learned":
            return " ".join(model_content(name, cached=cached) for name in spec.split(","))
        case "function":
            return FUNCTIONS.content(spec)


def _is_run(name: str) -> bool:
    return (Path(name).expanduser() / "checkpoint").is_dir()


def _file(path: Path) -> str:
    # the arguments are the key of the cache: another size, time or inode is read again
    now = path.stat()
    return _file_as_of(path.resolve(), now.st_ino, now.st_size, now.st_mtime_ns, now.st_ctime_ns)


@cache
def _file_as_of(path: Path, *_: int) -> str:
    """Return a file's digest, computed once per process as long as nobody writes to it.

    A change of content changes `ctime`.
    """
    return digest_file(path)[:LENGTH]
