"""Where a model comes from: the base below all runs and adapters, its name on a hub, its licence."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import yaml

from penchant.files import read_file, read_json
from penchant.models.builtin import EMBEDDED, WHEELS, described
from penchant.models.hub import is_hub_id

HUB_NAMES = {"smollm2-135m": "HuggingFaceTB/SmolLM2-135M-Instruct"}
"""Built-in models that a hub has as well."""
LICENSES = {"smollm2-135m": "apache-2.0"}
MOST_STEPS = 20  # of training after training: beyond that, folders name each other in a circle


@dataclass(frozen=True)
class Origin:
    """The base of a model.

    Attributes:
        name: as a reader may see it: no path of this machine.
        hub_id: its name on a hub; None where nobody knows one.
        license: as the hub spells it; None where it is not known.
        steps: methods that trained it since, the first one first, without the last.
    """

    name: str
    hub_id: str | None = None
    license: str | None = None
    steps: tuple[str, ...] = ()


def origin_of(model: str, base: str | None = None) -> Origin:
    """Return the base below a model that a run began with.

    Args:
        model: as the run's configuration names it.
        base: what the user calls the base.
    """
    steps: list[str] = []
    name = model
    for _ in range(MOST_STEPS):
        step = _trained_from(Path(name).expanduser())
        if step is None:
            break
        method, name = step
        steps += [method] if method else []
    public_name = base or (name if is_hub_id(name) or name in EMBEDDED else described(name) if name in WHEELS else "")
    hub_id = (base if is_hub_id(base) else None) if base else name if is_hub_id(name) else HUB_NAMES.get(name)
    return Origin(public_name or Path(name).name, hub_id, license_of(name), tuple(reversed(steps)))


def _trained_from(path: Path) -> tuple[str, str] | None:
    """Return the method that trained a folder's model, and what it began with; None for a base."""
    # a checkpoint's run is the folder around it
    for folder in (path, path.parent if path.name in ("checkpoint", "best") else path):
        with suppress(OSError, ValueError, KeyError, TypeError, yaml.YAMLError):
            content = yaml.safe_load(read_file(folder / "config.yaml"))
            model = content["model"]
            return str(content.get("method", "")), str(model["name"] if isinstance(model, Mapping) else model)
    with suppress(OSError, ValueError, KeyError, TypeError):
        return "", str(read_json(path / "adapter_config.json")["base_model_name_or_path"])
    return None


def license_of(name: str) -> str | None:
    """Return the licence that a model's card states, as the hub spells it; None where none is found."""
    if name in EMBEDDED:
        return _card_license(EMBEDDED[name] / "README.md")
    if name in WHEELS:
        return LICENSES.get(name)
    path = Path(name).expanduser()
    if path.suffix == ".gguf" and path.is_file():
        return _of_gguf(path)
    if path.is_dir():
        return _card_license(path / "README.md")
    return _card_license(card) if is_hub_id(name) and (card := _hub_card(name)) else None


def _hub_card(name: str) -> Path | None:
    from huggingface_hub import hf_hub_download

    try:  # no network, offline mode, no card: the licence is not known, which the user is told
        return Path(hf_hub_download(name, "README.md"))
    except Exception:
        return None


def front_matter(text: str) -> dict[str, object]:
    """Return what stands between the two lines of dashes at the top of a card; empty where nothing can be read."""
    parts = text.lstrip("\ufeff").split("---\n", 2)
    if len(parts) < 3 or parts[0].strip():
        return {}
    with suppress(yaml.YAMLError, ValueError, RecursionError):
        content = yaml.safe_load(parts[1])
        return content if isinstance(content, dict) else {}
    return {}


def _card_license(card: Path) -> str | None:
    try:
        license_name = front_matter(read_file(card).decode("utf-8", errors="replace")).get("license")
    except OSError:
        return None
    return license_name if isinstance(license_name, str) and license_name not in ("", "unknown") else None


def _of_gguf(path: Path) -> str | None:
    from gguf import GGUFReader

    with suppress(Exception):  # a file of anybody's
        field = GGUFReader(path).get_field("general.license")
        return str(field.contents()) if field is not None else None
    return None
