"""The rooms of the package and their order: an import points down the stack, and nothing is imported in a circle."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import penchant

ROOT = Path(penchant.__file__).parent
STACK = (
    ("cli",),
    ("",),  # the package's face
    ("calls",),
    ("studies",),
    ("rounds", "conversion", "upkeep", "drafts"),
    ("web", "raters", "judges", "weak", "methods", "evaluation", "export"),
    ("reports", "train"),
    ("runs", "rewards", "codecs"),
    ("models",),
    ("engine", "tasks"),
    ("data", "losses"),
    ("config", "metrics", "types", "image", "media", "text_alone", "arguments", "thoughts", "thought_tags"),
    (
        "files",
        "cache_use",
        "digests",
        "content",
        "errors",
        "http_client",
        "redact",
        "clean_text",
        "module_path",
        "face",
        "typed_json",
        "extension",
        "session",
        "rich_text",
        "row_names",
        "text_table",
    ),
)
"""Rooms from the top down. Rooms of one line may import each other in one direction."""
LEVEL = {room: level for level, rooms in enumerate(STACK) for room in rooms}


def modules() -> dict[str, Path]:
    """Every module of the package by its dotted name without `penchant.`; the face is the empty name."""
    found = {}
    for path in ROOT.rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


@cache
def imports(module: str) -> frozenset[str]:
    """What a module imports of the package, wherever in it, but for type checkers."""
    return frozenset(_imports(ast.parse(MODULES[module].read_bytes()))) - {module}


def _imports(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
        return
    if isinstance(node, ast.Import):
        for alias in node.names:
            if alias.name.split(".")[0] == "penchant":
                yield alias.name.removeprefix("penchant").lstrip(".")
    elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "penchant":
        base = (node.module or "").removeprefix("penchant").lstrip(".")
        for alias in node.names:
            inner = f"{base}.{alias.name}".lstrip(".")
            yield inner if inner in MODULES else base
    for child in ast.iter_child_nodes(node):
        yield from _imports(child)


def room(module: str) -> str:
    return module.split(".")[0]


def cycles(graph: dict[str, set[str]]) -> list[list[str]]:
    """The strongly connected parts of a graph that are more than a point (Tarjan)."""
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    parts: list[list[str]] = []

    def visit(node: str) -> None:
        order[node] = low[node] = len(order)
        stack.append(node)
        for other in sorted(graph.get(node, ())):
            if other not in order:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], order[other])
        if low[node] == order[node]:
            part = stack[stack.index(node) :]
            del stack[stack.index(node) :]
            if len(part) > 1:
                parts.append(sorted(part))

    for node in sorted(graph):
        if node not in order:
            visit(node)
    return parts


def test_every_room_has_its_place_in_the_stack() -> None:
    assert {room(module) for module in MODULES} == set(LEVEL)


@pytest.mark.parametrize("module", sorted(MODULES))
def test_imports_point_down_the_stack(module: str) -> None:
    up = {other for other in imports(module) if other and LEVEL[room(other)] < LEVEL[room(module)]}
    assert not up


def test_no_module_is_imported_in_a_circle() -> None:
    assert cycles({module: set(imports(module)) - {""} for module in MODULES}) == []


def test_no_folder_is_imported_in_a_circle() -> None:
    """A folder inside a room counts as one; modules beside it count each for itself."""

    def folder(module: str) -> str:
        package = module if MODULES[module].name == "__init__.py" else module.rpartition(".")[0]
        return package if package.count(".") else module

    graph: dict[str, set[str]] = {}
    rooms: dict[str, set[str]] = {}
    for module in MODULES:
        for other in imports(module) - {""}:
            if folder(module) != folder(other):
                graph.setdefault(folder(module), set()).add(folder(other))
            if room(module) != room(other):
                rooms.setdefault(room(module), set()).add(room(other))
    assert cycles(graph) == []
    assert cycles(rooms) == []


def test_a_circle_is_found() -> None:
    assert cycles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [["a", "b", "c"]]
