"""Say which names `model=` takes: the built-in ones with size, use and licence, and what lies in the hub's cache.

Imports no torch.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from penchant.files import read_json
from penchant.models.builtin import EMBEDDED, ENCODERS, WHEELS, find_packaged, install_command

# what `record.json` has for the embedded ones is read from there; the cards of the others say so
_PARAMETERS = {"smollm2-135m": 134_515_008, "minilm-l6": 22_713_216, "efficientnet-lite0": 3_371_008}
_USES = {
    "penchant-0.5m": "first tries and tests: continues film reviews, trains in seconds on a CPU",
    "penchant-1.5m": "studies on a CPU: continues film reviews",
    "penchant-5m": "studies on a CPU: continues film reviews, the best of the three",
    "penchant-scenes": "describes small pictures, and names what is not there: for the study of hallucinations",
    "penchant-kinds": "studies on a CPU: writes pictures of clothes and spoken words as tokens, beside film reviews",
    "smollm2-135m": "chat in English: the smallest that follows instructions; minutes on a CPU with LoRA",
    "minilm-l6": "an encoder: classifiers of weak labels are trained on it (`name: probe`); predicts no text",
    "efficientnet-lite0": "an image model: classifiers of pictures are trained on it (`name: probe`, `name: mlp`)",
}
LICENCE = "Apache-2.0"  # of every built-in model, by its card


@dataclass(frozen=True)
class BuiltInModel:
    """A model with a short name.

    Attributes:
        parameters: how many weights it has.
        size: of its files as they came, in bytes; None where they are not installed.
        use: what it is for.
        install: the command that installs its weights; empty where they are here.
    """

    name: str
    parameters: int
    size: int | None
    use: str
    licence: str
    install: str = ""


@dataclass(frozen=True)
class CachedModel:
    """A model that the hub's client keeps.

    Attributes:
        size: of its files on disk, in bytes.
        last_used: when one of its files was read, as far as the file system records that.
        problem: why it cannot be used as it is; empty where nothing is known to be missing.
    """

    name: str
    size: int
    last_used: datetime | None
    problem: str = ""


@dataclass(frozen=True)
class HubCache:
    """The cache of the hub's client.

    Attributes:
        folder: where it lies.
        models: by their hub ids.
        problems: what in the folder could not be read.
    """

    folder: Path
    models: tuple[CachedModel, ...]
    problems: tuple[str, ...] = ()


def built_in_models() -> list[BuiltInModel]:
    """Return the models that have a short name, the smallest first."""
    models = [_built_in(name) for name in (*EMBEDDED, *WHEELS, *ENCODERS)]
    return sorted(models, key=lambda model: (model.name in ENCODERS, model.parameters))


def _built_in(name: str) -> BuiltInModel:
    if name in EMBEDDED:
        record = read_json(EMBEDDED[name] / "record.json")
        return BuiltInModel(name, int(record["parameters"]), _size(EMBEDDED[name]), _USES[name], LICENCE)
    module, inner_path, wheel = (WHEELS | ENCODERS)[name]
    path = find_packaged(module, inner_path)
    install = "" if path is not None else install_command(wheel)
    size = _size(path) if path is not None else None
    return BuiltInModel(name, _PARAMETERS[name], size, _USES[name], LICENCE, install)


def _size(path: Path) -> int | None:
    files = [path] if path.is_file() else list(path.rglob("*"))
    return sum(file.stat().st_size for file in files if file.is_file()) or None


def hub_cache() -> HubCache:
    """Return the models in the cache of the hub's client; nothing is fetched, and no weights are read."""
    from huggingface_hub import constants, scan_cache_dir
    from huggingface_hub.errors import CacheNotFound

    folder = Path(constants.HF_HUB_CACHE)
    try:
        scanned = scan_cache_dir(folder)
    except (CacheNotFound, OSError, ValueError) as error:
        # a folder that is not there yet is an empty cache; a file in its place is a problem
        missing = not folder.exists()
        return HubCache(folder, (), () if missing else (f"{folder} cannot be read ({_first_line(error)})",))
    # data sets lie in the same cache, and are no models
    models = [
        CachedModel(
            repository.repo_id,
            repository.size_on_disk,
            datetime.fromtimestamp(repository.last_accessed, UTC) if repository.last_accessed else None,
            _problem([file.file_path for revision in repository.revisions for file in revision.files]),
        )
        for repository in scanned.repos
        if repository.repo_type == "model"
    ]
    problems = tuple(_first_line(warning) for warning in scanned.warnings)
    return HubCache(folder, tuple(sorted(models, key=lambda model: model.name)), problems)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _problem(files: list[Path]) -> str:
    """Return what a kept model lacks, by the names of its files."""
    names = {file.name for file in files}
    if not names & {"config.json", "adapter_config.json"}:
        return "no config.json: other files of it were fetched"
    # a download that was stopped leaves some of the shards that the list names
    index = next((file for file in files if file.name == "model.safetensors.index.json"), None)
    if index is not None:
        try:
            shards = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        except (OSError, ValueError, KeyError, AttributeError):
            return "its list of weight files cannot be read"
        missing = shards - names
        return f"{len(missing)} of {len(shards)} weight files are missing" if missing else ""
    # the settings are fetched by a look at a model alone, so a kept model may be nothing but its settings
    if not any(name.endswith((".safetensors", ".bin", ".gguf")) for name in names):
        return "no weights yet: they are fetched at the first use"
    return ""
