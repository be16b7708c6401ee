"""The folder or hub id that a model's name stands for. Imports no torch."""

from __future__ import annotations

from pathlib import Path

from penchant.errors import InputError, did_you_mean
from penchant.models.builtin import BUILT_IN, ENCODERS, built_in, convert_gguf
from penchant.models.hub import adapter_folder, pinned_folder
from penchant.session.store import session_path


def locate(name: str) -> str:
    """Return the folder, or the hub id of a whole model, that `from_pretrained` is to open.

    Built-in names, GGUF files and hub ids of adapters become folders.

    Raises:
        InputError: a path that does not exist, with near names.
    """
    name = str(session_path(name))
    check_model(name)
    if name in BUILT_IN:
        return str(built_in(name))
    if name in ENCODERS:
        raise InputError(f"{name!r} is an encoder, which predicts no text: it can be probed (`name: probe`), no more")
    path = Path(name).expanduser()
    if path.suffix == ".gguf":
        return str(convert_gguf(path))
    if path.is_dir():  # wins over a hub id of the same name
        return str(path.resolve())  # adapters note their base's path, which must hold from any folder
    return adapter_folder(name) or pinned_folder(name) or name


def check_model(name: str) -> None:
    """Refuse a name that stands for no model, without opening one. A hub id may stand for one that is not there.

    Raises:
        InputError: a path that does not exist, with near names; a file or a folder that is no model.
    """
    name = str(session_path(name))
    if name in BUILT_IN or name in ENCODERS:
        return
    path = Path(name).expanduser()
    if path.suffix == ".gguf":
        if not path.is_file():
            raise InputError(f"no such GGUF file: {path}")
        return
    if path.is_dir():
        if not (path / "config.json").exists() and not (path / "adapter_config.json").exists():
            inner = path / "checkpoint"
            suggestion = f"; did you mean {inner}?" if inner.is_dir() else ""
            raise InputError(f"{path} holds no model (no config.json){suggestion}")
        return
    if path.exists():
        raise InputError(f"{path} is a file; a model is a folder with config.json, a .gguf file, or a hub id")
    # a name with a slash may be a hub id or a path that is gone: only the form tells
    looks_like_hub = name.count("/") <= 1 and not name.startswith((".", "/", "~")) and not name.endswith("/")
    if "/" not in name or not looks_like_hub:
        suggestion = did_you_mean(name, BUILT_IN, form=repr)
        raise InputError(
            f"no model {name!r}: neither a built-in name ({', '.join(BUILT_IN)}), nor a folder, nor a hub id "
            f"(owner/name){suggestion}"
        )
