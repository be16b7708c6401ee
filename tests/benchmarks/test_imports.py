"""What benchmarks, scripts and examples import of the package is there: nothing else runs most of them."""

from __future__ import annotations

import ast
from importlib import import_module
from pathlib import Path

import pytest

from repository import REPOSITORY

FILES = [
    file for folder in ("benchmarks", "scripts", "examples") for file in sorted((REPOSITORY / folder).rglob("*.py"))
]


def is_there(module: str, name: str) -> bool:
    try:
        return hasattr(import_module(module), name) or import_module(f"{module}.{name}") is not None
    except ImportError:
        return False


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(REPOSITORY)))
def test_what_a_file_beside_the_package_imports_is_there(file: Path) -> None:
    nodes = [node for node in ast.walk(ast.parse(file.read_bytes())) if isinstance(node, ast.ImportFrom)]
    ours = [
        (node.module, alias.name)
        for node in nodes
        for alias in node.names
        if (node.module or "").startswith("penchant")
    ]
    assert [pair for pair in ours if not is_there(*pair)] == []
