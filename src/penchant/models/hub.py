"""Models that the hub's client keeps: the folder that a hub id stands for. Imports no torch."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from penchant.data.sources.hub_table import pinned_model
from penchant.errors import InputError

SETTINGS = ("adapter_config.json", "config.json", "penchant_template.json")
"""Files that tell what a model is; to fetch one of them settles the commit that a revision stands for."""
ADAPTER = ("adapter_model.safetensors", "*.json", "*.jinja", "*.model", "*.txt")
"""Files of adapters and of the tokenizer beside them."""
MODEL_FILES = ("*.safetensors", *ADAPTER[1:])
"""Files of a whole model. Weights in `.bin` are fetched only where there are no others."""


def is_hub_id(name: str) -> bool:
    """Return whether a name can only be that of a model on the hub, `owner/name`."""
    path = Path(name).expanduser()
    looks_like_path = name.startswith((".", "/", "~")) or name.endswith("/") or path.suffix == ".gguf"
    return name.count("/") == 1 and not looks_like_path and not path.exists()


def adapter_folder(name: str, revision: str | None = None) -> str | None:
    """Return the folder of adapters that a hub id stands for, fetched where need be; None for whole models and paths.

    `transformers` opens such a hub id too: unmerged, and without a look at what is missing.

    Args:
        revision: a branch, a tag or a commit; None for the main branch.
    """
    revision = revision or pinned_model(name) or None
    folder = kept_folder(name, revision)
    if folder is None or not (folder / SETTINGS[0]).is_file():
        return None
    return str(_fetched(name, revision, ADAPTER, _cache_folder()) or folder)


def kept_folder(name: str, revision: str | None = None) -> Path | None:
    """Return the folder of a hub id's current commit in the cache; None for paths, and where there is none.

    It has the settings, and as many other files as were used before. The hub is asked once per process; where it does
    not answer, the folder is that of the commit which the cache knows.
    """
    # the folder is an argument of the cached call, so that another one is another answer
    revision = revision or pinned_model(name) or None
    return _fetched(name, revision, SETTINGS, _cache_folder()) if is_hub_id(name) else None


def pinned_folder(name: str) -> str | None:
    """Return the folder of the commit that `hub_table.yaml` pins for a hub id; None where it pins none.

    Raises:
        InputError: neither the hub nor its cache has that commit. Another one would be another model.
    """
    commit = pinned_model(name) if is_hub_id(name) else ""
    if not commit:
        return None
    folder = _fetched(name, commit, MODEL_FILES, _cache_folder())
    if folder is not None and not any(folder.glob("*.safetensors")):
        folder = _fetched(name, commit, (*MODEL_FILES, "*.bin"), _cache_folder())
    if folder is None:
        raise InputError(f"{name}: neither the hub nor its cache has the commit {commit}, which hub_table.yaml pins")
    return str(folder)


@cache
def _fetched(name: str, revision: str | None, files: tuple[str, ...], cache_folder: str) -> Path | None:
    from huggingface_hub import snapshot_download
    from huggingface_hub.utils import disable_progress_bars

    disable_progress_bars()  # a bar for every file of a model tells nothing
    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=list(files), cache_dir=cache_folder))
    except Exception:  # no network, no such model, no access: whoever loads it says so
        return None


def _cache_folder() -> str:
    from huggingface_hub import constants

    return str(constants.HF_HUB_CACHE)
