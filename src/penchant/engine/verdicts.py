"""Verdicts of numeric probes, kept per configuration and library version.

A probe asks how a model may be run. Its answer depends on the network's code and configuration, not on its weights, so
it is kept in the cache folder under a digest of all that it depends on. A file that cannot be read is as good as none.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
import transformers

from penchant.engine.foreign_types import PreTrainedModel
from penchant.files import atomic_write, cache_folder
from penchant.typed_json import from_json, to_object

FORGOTTEN_FIELDS = ("_name_or_path", "transformers_version", "architectures")  # of a configuration: decide nothing
MAX_BYTES = 10_000  # a larger file is no verdict


@dataclass(frozen=True, slots=True)
class Verdict:
    """The way in which a probe found that a model may be run.

    Attributes:
        way: its name; "none" where no way gives the model's own numbers.
        reason: why no faster way serves, or none at all; empty for the fastest.
    """

    way: str
    reason: str = ""


_process_verdicts: dict[str, Verdict] = {}  # of this process


def slowest(verdicts: Iterable[Verdict], ways: Iterable[str]) -> Verdict:
    """Return the verdict of the slowest way, where `ways` are from fast to slow."""
    order = [*ways, "none"]
    return max(verdicts, key=lambda verdict: order.index(verdict.way))


def kept_verdict(
    kind: str, network: PreTrainedModel, decide: Callable[[], Verdict], announce: Callable[[Verdict], None]
) -> Verdict:
    """Return the verdict of a probe: from this process or the cache folder where it is known, else decided now.

    Args:
        kind: names the probe.
        network: the model inside any wrapper, with its `config`.
        decide: runs the probe.
        announce: is called with the verdict when this process meets it first.
    """
    key = verdict_key(kind, network)
    if key not in _process_verdicts:
        path = cache_folder() / "verdicts" / f"{key}.json"
        verdict = _read(path)
        if verdict is None:
            verdict = decide()
            _write(path, verdict)
        # announced where it is read as well: every process says once what makes it slow
        _process_verdicts[key] = verdict
        announce(verdict)
    return _process_verdicts[key]


def verdict_key(kind: str, network: PreTrainedModel) -> str:
    """Return a digest of what a verdict depends on: code, configuration, precision, device, versions."""
    config = network.config
    # a model that was switched to trees is the one that was probed under sdpa
    attention = str(getattr(config, "_attn_implementation", None)).replace("penchant_trees", "sdpa")
    weight = next(network.parameters())
    parts = {
        "kind": kind,
        "class": f"{type(network).__module__}.{type(network).__qualname__}",
        "code": _code_digest(type(network).__module__),
        "config": {name: value for name, value in config.to_dict().items() if name not in FORGOTTEN_FIELDS},
        "attention": attention,
        "dtype": str(weight.dtype),
        "device": weight.device.type,
        "versions": [transformers.__version__, torch.__version__, _engine_digest()],
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:32]


@cache
def _engine_digest() -> str:
    """Return a digest of this package's engine: a probe of other code is another probe."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


@cache
def _code_digest(module: str) -> str:
    """Return a digest of the file that is this module; one of `transformers` is known by its version."""
    if module.startswith("transformers.models."):
        return ""
    try:
        source = inspect.getsource(sys.modules[module])
    except (OSError, TypeError, KeyError):  # made in a console
        source = ""
    return hashlib.sha256(source.encode()).hexdigest()


def _read(path: Path) -> Verdict | None:
    try:
        with path.open("rb") as file:
            stored = json.loads(file.read(MAX_BYTES))
        verdict = from_json(Verdict, stored["verdict"])
        return verdict if stored["sha256"] == _digest(verdict) else None
    except (OSError, ValueError, TypeError, KeyError):
        return None  # nothing kept, or damaged: the model is probed again, and the verdict written anew


def _write(path: Path, verdict: Verdict) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(path, json.dumps({"verdict": to_object(verdict), "sha256": _digest(verdict)}) + "\n", shared=True)
    except OSError:
        # The cache only saves time, and may lie on a full or read-only disk (shared machines, CI). This process holds
        # its verdict already; the next one probes again and comes to the same.
        return


def _digest(verdict: Verdict) -> str:
    return hashlib.sha256(json.dumps(to_object(verdict), sort_keys=True).encode()).hexdigest()
