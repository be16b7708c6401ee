"""Models that the hub's client keeps: the folder that a hub id stands for. Imports no torch."""

from __future__ import annotations

from functools import cache
from pathlib import Path

SETTINGS = ("adapter_config.json", "config.json", "penchant_template.json")
"""Files that tell what a model is; to fetch one of them settles the commit that a revision stands for."""
ADAPTER = ("adapter_model.safetensors", "*.json", "*.jinja", "*.model", "*.txt")
"""Files of adapters and of the tokenizer beside them."""


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
    return _fetched(name, revision, SETTINGS, _cache_folder()) if is_hub_id(name) else None


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
