"""What the scripts that train models have in common: options, names of models, and records of where they ran."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import sys
from collections.abc import Collection
from importlib.metadata import version
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


def add_data_option(parser: argparse.ArgumentParser) -> None:
    """Add the folder of shared data: `PENCHANT_DATA`, or the one beside the repository."""
    shared = Path(os.environ.get("PENCHANT_DATA", REPOSITORY.parent / "shared" / "data"))
    parser.add_argument("--data", type=Path, default=shared)


def add_training_options(
    parser: argparse.ArgumentParser, names: Collection[str], *, out: str, to: str, threads: int
) -> None:
    """Add what every training takes.

    Args:
        names: of the models that may be trained.
        out: the folder of the repository for checkpoints and logs.
        to: that where models are written.
        threads: of torch, unless given.
    """
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(names)}; default: all")
    add_data_option(parser)
    parser.add_argument("--out", type=Path, default=REPOSITORY / out, help="checkpoints and logs")
    parser.add_argument("--to", type=Path, default=REPOSITORY / to, help="where models are written")
    parser.add_argument("--threads", type=int, default=threads)


def select_names(parser: argparse.ArgumentParser, names: Collection[str], models: Collection[str]) -> list[str]:
    """Return the models to train, the smallest first: those named, or all. An unknown name ends the program."""
    if unknown := [name for name in names if name not in models]:
        parser.error(f"no model {unknown[0]!r}; there are {', '.join(models)}")
    return [name for name in models if not names or name in names]


def has_corpora(data: Path) -> bool:
    """Return whether the folder of data has the corpora; say where to name it if not."""
    if (data / "imdb5000").is_dir():
        return True
    print(f"no shared data in {data}: give its folder with --data or PENCHANT_DATA", file=sys.stderr)
    return False


def set_up_torch(threads: int) -> None:
    """Set what holds for the whole process, and so is no part of the training loop."""
    import torch

    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)


def identity_of(*parts: object) -> str:
    """Return a digest of what a training depends on: a checkpoint of another one is refused."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def environment(*packages: str) -> dict[str, object]:
    """Return the machine, and the versions of Python and of packages, for a model's record."""
    import torch

    from penchant.runs.provenance import processor

    return {
        "machine": {"cpu": processor(), "cores": os.cpu_count(), "threads": torch.get_num_threads()},
        "versions": {"python": platform.python_version()} | {name: version(name) for name in packages},
    }
