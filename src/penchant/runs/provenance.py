"""Records of what a run was made of: versions, machine, data, weights, seed, command."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from penchant.data.sources.files import source_files
from penchant.data.sources.folders import is_pattern
from penchant.digests import digest_file
from penchant.redact import hide_credentials
from penchant.session.store import session_path
from penchant.typed_json import INLINED, OMITTED

if TYPE_CHECKING:
    from penchant.models.learner import Learner
    from penchant.runs.input_digests import ModelIdentity
    from penchant.train.settings import RunConfig

# all packages that may change a number; a warning names fewer of them when they differ (`input_digests.DECIDING`)
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


@dataclass(frozen=True)
class FileRecord:
    """A data file and its digest; a hub id has none, since its data set's own cache names its content."""

    path: str = ""
    sha256: str | None = None


@dataclass(frozen=True)
class ModelRecord:
    """A model by its name and the fingerprint of its weights; its sizes are recorded where it trains."""

    name: str = ""
    fingerprint: str | None = None
    parameters: Annotated[int | None, OMITTED] = None
    trainable_parameters: Annotated[int | None, OMITTED] = None
    dtype: Annotated[str | None, OMITTED] = None


@dataclass(frozen=True)
class Machine:
    """The machine that computed; `accelerator` is None where none was used."""

    cpu: str | None = None
    cores: int | None = None
    memory_gib: float | None = None
    accelerator: str | None = None


@dataclass(frozen=True)
class Surroundings:
    """What else decides the last digits of numbers: versions of packages, and the machine."""

    versions: Mapping[str, str | None] = field(default_factory=dict)
    machine: Machine = Machine()


@dataclass(frozen=True)
class Invocation:
    """How a command was started; `started` is UTC."""

    seed: int = 0
    command: str = ""
    started: str = ""


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """The content of a run's `provenance.json`; what an earlier version did not write has its default.

    Attributes:
        inputs: digests of what else decides the numbers, see `penchant.runs.input_digests`.
    """

    surroundings: Annotated[Surroundings, INLINED]
    data: FileRecord
    model: ModelRecord
    reference: ModelRecord
    inputs: Mapping[str, str] = field(default_factory=dict)
    invocation: Annotated[Invocation, INLINED]


@dataclass(frozen=True)
class FilesRecord:
    """The content of `provenance.json` of a command that reads files and trains nothing."""

    invocation: Annotated[Invocation, INLINED]
    data: tuple[FileRecord, ...]
    surroundings: Annotated[Surroundings, INLINED]
    inputs: Annotated[Mapping[str, str] | None, OMITTED] = None


def provenance(
    config: RunConfig,
    policy: Learner,
    start: ModelIdentity,
    reference: ModelIdentity,
    inputs: Mapping[str, str],
) -> RunRecord:
    """Return the record of what a run begins with.

    Args:
        start: the policy as it was loaded.
        inputs: digests of what else decides the numbers, see `penchant.runs.input_digests`.
    """
    # counted from the weights: a name, or a configuration, says nothing of which of them train
    sizes = [(parameter.numel(), parameter.requires_grad) for parameter in policy.model.parameters()]
    return RunRecord(
        surroundings=surroundings(),
        # of several sources each has a digest among the inputs, so that a message can name the one that changed
        data=FileRecord(config.data.title)
        if config.data.sources
        else _file_record(config.data.path, config.data.split),
        model=ModelRecord(
            name=start.name,
            fingerprint=start.weights,
            parameters=sum(size for size, _ in sizes),
            trainable_parameters=sum(size for size, trains in sizes if trains),
            dtype=str(next(policy.model.parameters()).dtype).removeprefix("torch."),
        ),
        reference=ModelRecord(reference.name, reference.weights),
        inputs=inputs,
        invocation=_invocation(config.seed),
    )


def provenance_of_files(files: Sequence[str], seed: int, inputs: Mapping[str, str] | None = None) -> FilesRecord:
    """Return the record of a command that reads files and trains nothing."""
    return FilesRecord(_invocation(seed), tuple(_file_record(file) for file in files), surroundings(), inputs)


def _invocation(seed: int) -> Invocation:
    # a reward's address on the command line may hold a password
    return Invocation(seed, hide_credentials(" ".join(sys.argv)), datetime.now(UTC).isoformat(timespec="seconds"))


def surroundings() -> Surroundings:
    """Return the versions and the machine of this process.

    A command that never loaded torch used no accelerator, and need not wait for one.
    """
    torch = sys.modules.get("torch")
    return Surroundings(
        versions={"python": platform.python_version()} | {name: _version(name) for name in PACKAGES},
        machine=Machine(
            cpu=processor(),
            cores=os.cpu_count(),
            memory_gib=round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
            accelerator=torch.cuda.get_device_name() if torch and torch.cuda.is_available() else None,
        ),
    )


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def processor() -> str:
    """Return the CPU's name."""
    info = Path("/proc/cpuinfo")
    # `platform.processor()` gives no more than the architecture on Linux
    if info.exists():
        for line in info.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _file_record(path: str, split: str = "train") -> FileRecord:
    return FileRecord(path, digest_data(path, split))


def digest_data(data: str, split: str = "train") -> str | None:
    """Return the digest of a file, or of the files of a folder; None for a hub id, whose cache names its content."""
    path = Path(session_path(data)).expanduser()
    if path.is_dir() or is_pattern(path):
        files = source_files(path, split)
        return digest_file(files[0], *files[1:])
    if not path.is_file():
        return None
    # SQLite writes to its log first: the file itself may be as it was although rows have changed
    log = path.with_name(f"{path.name}-wal")  # where the last changes of a database stand
    return digest_file(path, log) if log.is_file() else digest_file(path)
