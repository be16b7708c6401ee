"""What code stands behind a reward of the user's, as a digest.

Counted are the reward's own file, all files of the package around it, and the files of the user's that these import,
wherever an import statement stands: beside the file, on the module path, or in an editable installation. Of a package
that was installed as a copy the version counts.

Not counted is what no import statement shows: a module that is imported by `importlib`, a file that the code reads
(a word list, weights), an environment variable, a server's answer, and the versions of the packages that it imports,
Penchant's among them.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from penchant.digests import digest_file
from penchant.extension.user_code import (
    find_file,
    find_sibling,
    folder_of_imports,
    installed_file,
    module_file,
    module_spec,
)

COPIES = ("site-packages", "dist-packages")
"""Folders that installers copy packages into; an editable installation leaves its files where the user has them."""


def code_content(source: str) -> str:
    """Return a digest of the code behind a path or a module's name; empty where nothing is found.

    Files count by their content and by their place in their package, not by the folder that they lie in.
    """
    file = find_file(source)
    if file is not None:
        return _digest(*_described(reached_files(file)))
    installed = installed_file(source)
    if installed is None:
        return ""
    if _is_users(installed):  # an editable installation changes without a new version
        return _digest(source, *_described(reached_files(installed)))
    # the file too: a module that no distribution lists has no version
    names = importlib.metadata.packages_distributions().get(source.partition(".")[0], [])
    versions = sorted(f"{name} {importlib.metadata.version(name)}" for name in set(names))
    return _digest(source, digest_file(installed), *versions)


def reached_files(file: Path) -> dict[Path, str]:
    """Return the files of the user's that loading a file may run, each with its place in its package."""
    files: dict[Path, str] = {}
    packages: set[Path] = set()
    waiting = [file.resolve()]
    while waiting:
        path = waiting.pop()
        if path in files:
            continue
        package = outermost_package(path)
        files[path] = path.name if package is None else str(path.relative_to(package.parent))
        if package is not None and package not in packages:  # its `__init__` may import any of them
            packages.add(package)
            waiting += (inner.resolve() for inner in package.rglob("*.py"))
        waiting += _imported_files(path)
    return files


def outermost_package(file: Path) -> Path | None:
    """Return the folder of the package around all packages around a file; None for a file outside of packages."""
    package = None
    for folder in file.parents:
        if not (folder / "__init__.py").is_file():
            break
        package = folder
    return package


def _imported_files(file: Path) -> Iterator[Path]:
    """Yield the files of the user's that the import statements of a file lead to."""
    for level, parts in _imports(file):
        if level:  # a dot is the file's own folder, each further one a folder up
            yield from _modules_along(file.parents[min(level, len(file.parents)) - 1], parts)
            continue
        if parts[0] == "penchant" or parts[0] in sys.stdlib_module_names:
            continue  # also where Penchant itself is an editable installation: another version of it is no other reward
        sibling = find_sibling(folder_of_imports(file), parts[0])
        if sibling is not None:
            yield sibling
            continue
        spec = module_spec(parts[0])
        if (module_path := installed_file(parts[0])) is not None:
            yield from [module_path] * _is_users(module_path)
        elif spec is not None:  # a folder without `__init__.py` on the module path
            for location in map(Path, spec.submodule_search_locations or ()):
                yield from filter(_is_users, _modules_along(location, parts[1:]))


def _modules_along(folder: Path, parts: tuple[str, ...]) -> Iterator[Path]:
    """Yield the modules that a dotted name goes through, from a folder on; the last part may be no module."""
    for end in range(1, len(parts) + 1):
        if (file := module_file(folder.joinpath(*parts[:end]))) is not None:
            yield file


def _imports(file: Path) -> set[tuple[int, tuple[str, ...]]]:
    """Return what a file imports, wherever in it: how many folders up (0 for a name from the top), and the name."""
    if file.suffix != ".py":
        return set()
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):  # loading it will say what is wrong
        return set()
    imported: set[tuple[int, tuple[str, ...]]] = set()
    for node in ast.walk(tree):  # inside of functions too, where heavy imports stand
        if isinstance(node, ast.Import):
            imported |= {(0, tuple(alias.name.split("."))) for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = tuple(node.module.split(".")) if node.module else ()
            imported |= {(node.level, (*module, alias.name)) for alias in node.names}
    return imported


def _is_users(file: Path) -> bool:
    """Return whether a file is the user's own, and no part of Python or of a package that was copied."""
    if any(part in COPIES for part in file.parts):
        return False
    standard = (Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib"))
    return not any(file.is_relative_to(folder) for folder in standard)


def _described(files: dict[Path, str]) -> list[str]:
    return sorted(f"{relative_path} {digest_file(path)}" for path, relative_path in files.items())


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", errors="surrogatepass")).hexdigest()[:16]
