"""Folders that earlier versions wrote (`tests/fixtures/COMMIT`), unpacked for a test. Not a test itself."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

from repository import FIXTURES

C111D53 = FIXTURES / "c111d53"
FOLDER = "/folder"
"""How archived texts name the directory that the commands ran in."""


def unpack(folder: Path, *kinds: str, version: Path = C111D53) -> Path:
    """Put the inputs and the folders of these kinds into a folder, where relative paths find each other.

    The kinds are the archives beside `inputs.tar.gz`: `dpo`, `unfinished`, `lora`, `reward`, `top`, `ppo`,
    `ppo-unfinished`, `online`, `study`, `judge`, `weak`, `activations`, `collect`, and `cache`.
    """
    for kind in ("inputs", *kinds):
        with tarfile.open(version / f"{kind}.tar.gz") as archive:
            archive.extractall(folder, filter="data")
    for file in (file for file in folder.rglob("*") if file.suffix in (".json", ".yaml")):
        text = file.read_text()
        if FOLDER in text:  # adapters and studies name their inputs by absolute paths
            file.write_text(text.replace(FOLDER, str(folder.resolve())))
    return folder


def expected(version: Path = C111D53) -> dict[str, Any]:
    """Return the numbers of the runs that nobody interrupted."""
    numbers: dict[str, Any] = json.loads((version / "expected.json").read_text())
    return numbers
