"""The folder or hub id that a model's name stands for. Imports no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from penchant.errors import InputError, did_you_mean
from penchant.files import read_json
from penchant.models.builtin import BUILT_IN, ENCODERS, PICTURE_MODELS, built_in, convert_gguf
from penchant.models.diffusion_names import DIFFUSION, NO_TEXT
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
    if name in PICTURE_MODELS:
        raise InputError(f"{name!r} {NO_TEXT}")
    path = Path(name).expanduser()
    if path.suffix == ".gguf":
        return str(convert_gguf(path))
    if path.is_dir():  # wins over a hub id of the same name
        return str(model_folder(path).resolve())  # adapters note their base's path, which must hold from any folder
    return adapter_folder(name) or pinned_folder(name) or name


def is_picture_model(name: str) -> bool:
    """Return whether a name stands for a diffusion model of ours, by its settings."""
    name = str(session_path(name))
    if name in PICTURE_MODELS:
        return True
    folder = Path(name).expanduser()
    if not folder.is_dir():
        return False
    try:
        settings = read_json(model_folder(folder) / "config.json")
    except (OSError, ValueError):
        return False  # what is wrong with it is said by whoever opens it
    return isinstance(settings, dict) and settings.get("model_type") == DIFFUSION


def picture_folder(name: str) -> Path:
    """Return the folder of a diffusion model.

    Raises:
        InputError: there is no such model, or it is one of another kind.
    """
    if not is_picture_model(name):
        check_model(name)
        raise InputError(
            f"{name!r} is no diffusion model, and pictures are wanted of it: name one ({', '.join(PICTURE_MODELS)}, or "
            "a run of one)"
        )
    return PICTURE_MODELS.get(name) or model_folder(Path(str(session_path(name))).expanduser()).resolve()


def model_folder(path: Path) -> Path:
    """Return the folder with a model's files: of a run directory its `checkpoint`, else the folder itself.

    Whether the run came to its end is for those to ask who need it, with `penchant.models.finished`.
    """
    if any((path / name).exists() for name in ("config.json", "adapter_config.json")):
        return path
    run = policy_run(path)
    is_run = (run / "config.yaml").is_file() and (run / "checkpoint").is_dir()
    return run / "checkpoint" if is_run else path


def policy_run(run: Path) -> Path:
    """Return the run whose weights a run directory stands for: of rounds that of their best or last policy.

    Raises:
        InputError: rounds that made nothing better than the model that they began with.
    """
    if (run / "checkpoint").exists() or not (run / "config.yaml").is_file():
        return run
    # rounds that measure which policy is better name it, and it may not be the last
    result = _result_of(run)
    policy = str(result.get("policy_path") or "")
    if result.get("best_round") == 0:
        raise InputError(
            f"{run} made nothing better than the model that it began with ({policy}): name that, or the policy of a "
            f"round, such as {run / 'round-1' / 'policy'}"
        )
    if policy and (run / policy).is_dir():
        return (run / policy).parent
    rounds = [path for path in run.glob("round-*") if path.name.removeprefix("round-").isdigit()]
    # a round that trained nothing has no policy: the one before stands
    policies = [path / "policy" for path in rounds if (path / "policy" / "config.yaml").is_file()]
    return max(policies, key=lambda path: int(path.parent.name.removeprefix("round-")), default=run)


def _result_of(run: Path) -> dict[str, Any]:
    """Return what a run came to; nothing where it has not ended, or where its record cannot be read."""
    try:
        result = read_json(run / "result.json")
    except (OSError, ValueError):
        return {}
    return result if isinstance(result, dict) else {}


def check_model(name: str) -> None:
    """Refuse a name that stands for no model, without opening one. A hub id may stand for one that is not there.

    Raises:
        InputError: a path that does not exist, with near names; a file or a folder that is no model.
    """
    name = str(session_path(name))
    if name in BUILT_IN or name in ENCODERS or name in PICTURE_MODELS:
        return
    path = Path(name).expanduser()
    if path.suffix == ".gguf":
        if not path.is_file():
            raise InputError(f"no such GGUF file: {path}")
        return
    if path.is_dir():
        path = model_folder(path)
        if not (path / "config.json").exists() and not (path / "adapter_config.json").exists():
            inner = path / "checkpoint"
            advice = f"; did you mean {inner}?" if inner.is_dir() else ""
            if files := sorted(path.glob("*.gguf")):  # what `penchant export format=gguf` wrote
                advice = f"; did you mean {files[0]}?"
            if (path / "config.yaml").is_file():  # of a run that has just begun, or one of rounds or weak labels
                advice = ": this run has no checkpoint (yet), so nothing of it can be opened as a model"
            raise InputError(f"{path} holds no model (no config.json){advice}")
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
