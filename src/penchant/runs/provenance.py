"""What a run was made of: versions, machine, data, weights, seed, command."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from penchant.digests import digest_file
from penchant.redact import hide_credentials

if TYPE_CHECKING:
    from penchant.models.learner import Learner
    from penchant.runs.input_digests import ModelIdentity
    from penchant.train.settings import RunConfig
    from penchant.typed_json import JsonObject

PACKAGES = (
    "penchant",
    "torch",
    "transformers",
    "accelerate",
    "peft",
    "tokenizers",
    "datasets",
    "numpy",
    "scikit-learn",
    "scipy",
    "choix",
    "krippendorff",
)


def provenance(
    config: RunConfig,
    policy: Learner,
    start: ModelIdentity,
    reference: ModelIdentity,
    inputs: Mapping[str, str],
) -> JsonObject:
    """Return the content of `provenance.json`.

    Args:
        start: the policy as it was loaded.
        inputs: digests of what else decides the numbers, see `penchant.runs.input_digests`.
    """
    sizes = [(parameter.numel(), parameter.requires_grad) for parameter in policy.model.parameters()]
    return {
        **surroundings(),
        "data": _file_record(config.data.path),
        "model": {
            "name": start.name,
            "fingerprint": start.weights,
            "parameters": sum(size for size, _ in sizes),
            "trainable_parameters": sum(size for size, trains in sizes if trains),
            "dtype": str(next(policy.model.parameters()).dtype).removeprefix("torch."),
        },
        "reference": {"name": reference.name, "fingerprint": reference.weights},
        "inputs": dict(inputs),
        **_invocation(config.seed),
    }


def provenance_of_files(files: Sequence[str], seed: int) -> JsonObject:
    """Return the content of `provenance.json` of a command that reads files and trains nothing."""
    return {**_invocation(seed), "data": [_file_record(file) for file in files], **surroundings()}


def _invocation(seed: int) -> JsonObject:
    return {
        "seed": seed,
        "command": hide_credentials(" ".join(sys.argv)),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def surroundings() -> JsonObject:
    """Return `versions` and `machine`.

    A command that never loaded torch used no accelerator, and need not wait for one.
    """
    torch = sys.modules.get("torch")
    return {
        "versions": {"python": platform.python_version()} | {name: _version(name) for name in PACKAGES},
        "machine": {
            "cpu": processor(),
            "cores": os.cpu_count(),
            "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
            "accelerator": torch.cuda.get_device_name() if torch and torch.cuda.is_available() else None,
        },
    }


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def processor() -> str:
    """Return the CPU's name."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _file_record(path: str) -> dict[str, str | None]:
    return {"path": path, "sha256": _file_digest(Path(path).expanduser())}


def _file_digest(path: Path) -> str | None:
    """Return a file's digest; None for a hub id, whose content the data set's own cache names."""
    if not path.is_file():
        return None
    log = path.with_name(f"{path.name}-wal")  # where the last changes of a database stand
    return digest_file(path, log) if log.is_file() else digest_file(path)
