"""Python code of the user's: a file, loaded by its path, or an installed package. No folder goes on the module path.

A folder on the module path would let any file in it stand for any module: a `select.py` among downloaded data would
run as soon as something imports `select`. So a file is loaded by its path alone. What it imports by a name that a file
beside it has is loaded by that file's path too, for this file's imports and for nobody else's.
"""

from __future__ import annotations

import ast
import builtins
import hashlib
import importlib
import importlib.util
import inspect
import logging
import pkgutil
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from penchant.clean_text import clean
from penchant.errors import InputError, did_you_mean

log = logging.getLogger("penchant.extension")

ASYNC = "it is `async`, so that a call does nothing: write `def`, and `asyncio.run(...)` for what has to be awaited"
"""Why a coroutine is refused: a call of it would warn that nobody awaited it, and give no answer."""
Refuse = Callable[[str], InputError]
"""Makes the error of a reason: it knows what the user asked for."""


def load_module(source: str, refuse: Refuse) -> ModuleType:
    """Load a Python file of the user's, anew each time, or import an installed module.

    Args:
        source: a path that ends in `.py`; or a module's name, for which a file of that name in the current folder
            (`a.b` for `a/b.py`) stands as well as for what is installed.
        refuse: makes the error of a reason.

    Raises:
        InputError: there is no such file or module, or both, or it fails while it is imported, by `sys.exit` too.
    """
    _refuse_ambiguous(source, refuse)
    file = find_file(source)
    if file is None and source.endswith(".py"):
        raise refuse(_absent_file(source))
    try:
        return _load_file(file) if file is not None else importlib.import_module(source)
    except ModuleNotFoundError as error:
        # an import inside the module that fails is another matter than a module that is not there
        if file is not None or error.name is None or not f"{source}.".startswith(f"{error.name}."):
            reason = f"{clean(str(error))}{_absent_sibling(file, error)}"
            raise refuse(f"{file or source} cannot be imported: {reason}") from error
        raise refuse(_absent(source)) from None
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a module may raise anything while it is imported, and `sys.exit` is an exception
        advice = raising_line(error, source) + _relative_import_advice(file, error)
        raise refuse(f"{file or source} cannot be imported: {describe_error(error)}{advice}") from error


def find_file(source: str) -> Path | None:
    """Return the user's file that a path or a module's name stands for; None where there is none."""
    if source.endswith(".py"):
        path = Path(source).expanduser()
        return path if path.is_file() else None
    parts = source.split(".")
    if not all(part.isidentifier() for part in parts):
        return None
    return module_file(Path.cwd().joinpath(*parts))


def _refuse_ambiguous(source: str, refuse: Refuse) -> None:
    """Refuse a module's name that a file here and an installed module share.

    A `json.py` among downloaded data must not run because `json:loads` was meant.
    """
    file = find_file(source)
    if file is None or source.endswith(".py"):
        return
    if module_spec(source) is not None and installed_file(source) != file.resolve():
        raise refuse(
            f"{file} and an installed module are both called `{source}`: write the file's path, `./{file.name}:...`, "
            "or start in another folder"
        )


def check_function(source: str, name: str, refuse: Refuse) -> None:
    """Refuse a function that cannot be there, without running any code of the user's.

    Raises:
        InputError: there is no such file or module, the file is no Python, or it binds no such name.
    """
    _refuse_ambiguous(source, refuse)
    file = find_file(source) or installed_file(source)
    if file is None:  # a module of Python's own in C has no file, and is there all the same
        if source.endswith(".py") or not _is_installed(source):
            load_module(source, refuse)  # says what is missing, and what is like it
        return
    if file.suffix != ".py":  # compiled: only running it tells what is in it
        return
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError) as error:
        raise refuse(f"{file} cannot be imported: {describe_error(error)}") from error
    bound = _bound_names(tree)
    if bound is not None and name not in bound:
        raise refuse(f"{source} has no `{name}`{suggest(name, sorted(bound))}")


def describe_error(error: BaseException) -> str:
    """Return the kind and the words of an error of the user's code."""
    if isinstance(error, SystemExit):
        return f"it ended the program (sys.exit({error.code!r})): raise an exception instead"
    # its text may hold escape codes, which would move or colour what a terminal shows around it
    return clean(f"{type(error).__name__}: {error}")


def raising_line(error: BaseException, source: str) -> str:
    """Return the last line of the user's own file that an error passed, as " (mine.py, line 3)"; empty where none."""
    file = find_file(source) or installed_file(source)
    if file is None:
        return ""
    # the last frame of all may lie in a library that the user's code called
    passed = [
        frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(file.resolve())
    ]
    return f" ({file.name}, line {passed[-1]})" if passed else ""


def call_problem(function: Callable[..., object], arguments: int, names: Mapping[str, object] | None = None) -> str:
    """Return why a function cannot be called with so many values and these named ones; empty where it can.

    Asked of the signature alone: nothing is called.
    """
    if is_async(function):
        return ASYNC
    try:
        inspect.signature(function).bind(*range(arguments), **(names or {}))
    except TypeError as error:
        return str(error)
    except ValueError:  # code in C says nothing of its arguments
        return ""
    return ""


def is_async(function: object) -> bool:
    """Return whether a call of a function, or of an object that can be called, only makes what is to be awaited."""
    calls = (function, type(function).__call__) if callable(function) else ()
    return any(inspect.iscoroutinefunction(call) or inspect.isasyncgenfunction(call) for call in calls)


def suggest(word: str, choices: Sequence[str]) -> str:
    """Return a question that names the choices that are most like a word; empty where none is."""
    return did_you_mean(word, choices, form="`{}`".format, count=3)


# -- files ---------------------------------------------------------------------------------------------------------


def _load_file(file: Path) -> ModuleType:
    """Run a file as a module of its own; a file of a package, as that package's module."""
    file = file.resolve()
    if file.name != "__init__.py" and (file.parent / "__init__.py").is_file():
        return importlib.import_module(f"{_load_package(file.parent).__name__}.{file.stem}")
    return _load_package(file.parent) if file.name == "__init__.py" else _run(file, {})


def _load_package(folder: Path) -> ModuleType:
    """Load the package of a folder, inside the packages around it, so that its relative imports hold."""
    if (folder.parent / "__init__.py").is_file():
        outer = _load_package(folder.parent)
        return importlib.import_module(f"{outer.__name__}.{folder.name}")
    return _run(folder / "__init__.py", {})


def _run(file: Path, loaded: dict[Path, ModuleType]) -> ModuleType:
    """Run a file as a module under a name that no import statement reaches.

    Args:
        loaded: the files of this load so far, so that two that import each other run once each.
    """
    package = file.name == "__init__.py"
    name = _own_name(file)
    # modules of the package that were loaded before would be found again, although their files were edited since
    for submodule in [key for key in sys.modules if key.startswith(f"{name}.")]:
        del sys.modules[submodule]
    spec = importlib.util.spec_from_file_location(
        name, file, submodule_search_locations=[str(file.parent)] if package else None
    )
    assert spec is not None  # a .py file always has a loader
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    vars(module)["__builtins__"] = {**vars(builtins), "__import__": _importer(folder_of_imports(file), loaded)}
    loaded[file] = sys.modules[name] = module  # dataclasses and pickle look their module up there
    try:
        spec.loader.exec_module(module)
    except BaseException:  # half a module must not be found by whoever imports it next
        sys.modules.pop(name, None)
        raise
    return module


def _own_name(file: Path) -> str:
    # the digest keeps two files of one name apart, such as `a/mine.py` and `b/mine.py`
    stem = file.parent.name if file.name == "__init__.py" else file.stem
    return f"penchant_user_{stem}_{hashlib.sha256(str(file).encode()).hexdigest()[:8]}"


def folder_of_imports(file: Path) -> Path:
    """Return the folder whose files a file imports by name."""
    # a package's own modules are imported relatively; by name it imports what lies beside its folder
    return file.parent.parent if file.name == "__init__.py" else file.parent


def _importer(folder: Path, loaded: dict[Path, ModuleType]) -> Callable[..., Any]:
    """Return what the import statements of a file in this folder call."""

    def import_name(
        name: str,
        scope: Mapping[str, object] | None = None,
        local: Mapping[str, object] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        top, _, rest = name.partition(".")
        # relative imports (level above 0) are Python's matter: a package was loaded as one
        file = None if level else find_sibling(folder, top)
        if file is None:
            return builtins.__import__(name, scope, local, fromlist or (), level)
        module = loaded.get(file) or _run(file, loaded)
        if not rest:
            for part in fromlist or ():  # `from package import module`
                if hasattr(module, "__path__") and not hasattr(module, part) and part != "*":
                    importlib.import_module(f"{module.__name__}.{part}")
            return module
        # `import a.b` binds `a`, and `from a.b import c` needs `b`: as Python's own `__import__` does it
        inner = importlib.import_module(f"{module.__name__}.{rest}")
        return inner if fromlist else module

    return import_name


def find_sibling(folder: Path, name: str) -> Path | None:
    """Return the file beside it that a file means by an import; None where the name is an installed module's."""
    file = module_file(folder / name)
    # the standard library's names are never taken for a file, so that a `select.py` here stays what it is: data
    if file is None or name in sys.stdlib_module_names:
        return None
    if module_spec(name) is None or installed_file(name) == file:
        return file
    log.warning("%s is not what `import %s` gives, an installed package is: rename the file", file, name)
    return None


def module_file(base: Path) -> Path | None:
    """Return the file of a module that would lie at a path without its ending: `a.py`, or `a/__init__.py`."""
    for path in (base.with_name(f"{base.name}.py"), base / "__init__.py"):
        if path.is_file():
            return path.resolve()
    return None


def _is_installed(name: str) -> bool:
    return name in sys.stdlib_module_names or module_spec(name) is not None


def installed_file(name: str) -> Path | None:
    """Return the file of an installed module; None where there is none, or where it has no file."""
    spec = module_spec(name)
    path = Path(spec.origin) if spec is not None and spec.origin else None
    return path.resolve() if path is not None and path.is_file() else None


def module_spec(name: str) -> importlib.machinery.ModuleSpec | None:
    """Return where an installed module would be loaded from; None where there is none."""
    try:
        return importlib.util.find_spec(name)
    except (ImportError, ValueError, AttributeError):
        # of `a.b` the package `a` is imported to find it, which may fail; `__main__` has no spec
        return None


def _absent_file(source: str) -> str:
    """Return what is wrong with a path that leads to no file: what is there instead, or what is like it."""
    path = Path(source).expanduser()
    if path.is_dir():
        return f"{source} is a folder, expected a file: name one of those in it"
    if path.exists():
        return f"{source} is a device or a pipe, expected a file"
    if path.is_symlink():
        return f"{source} is a link to {path.readlink()}, which is not there"
    return f"there is no file {source}{suggest(path.name, _python_files(path.parent))}"


def _python_files(folder: Path) -> list[str]:
    return [path.name for path in folder.glob("*.py") if path.is_file()]


def _absent(source: str) -> str:
    installed = [module.name for module in pkgutil.iter_modules()]
    local = [name.removesuffix(".py") for name in _python_files(Path.cwd())]
    return f"there is no module `{source}` in {Path.cwd()} or installed{suggest(source, [*local, *installed])}"


def _absent_sibling(file: Path | None, error: ModuleNotFoundError) -> str:
    """Return what to do where a package's own module is imported by an absolute name."""
    if file is None or error.name is None or module_file(file.parent / error.name.partition(".")[0]) is None:
        return ""
    return f" (it is a file of the same package: import it by `from .{error.name} import ...`)"


def _relative_import_advice(file: Path | None, error: BaseException) -> str:
    """Return what to do about `from .helper import ...` in a file that belongs to no package."""
    if file is None or not isinstance(error, ImportError) or "no known parent package" not in str(error):
        return ""
    return (
        f" (it is part of a package only with {file.parent / '__init__.py'}: add that, or import a file beside it "
        "by `import helper`)"
    )


# -- what a file holds, found in its syntax tree --------------------------------------------------------------------


def public_definitions(file: Path) -> list[str]:
    """Return the functions and classes that a file defines at its top level, without running it."""
    try:
        body = ast.parse(file.read_bytes()).body
    except (OSError, SyntaxError, ValueError):
        return []
    definitions = [node.name for node in body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    return [name for name in definitions if not name.startswith("_")]


def _bound_names(tree: ast.Module) -> set[str] | None:
    """Return the names that a module binds at its top level; None where only running it would tell."""
    names: set[str] = set()
    waiting: list[ast.AST] = list(tree.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            # a module's `__getattr__` makes names when they are asked for
            if node.name == "__getattr__":
                return None
            names.add(node.name)
            continue  # what is bound inside is its own
        if isinstance(node, ast.Import | ast.ImportFrom):
            if any(alias.name == "*" for alias in node.names):
                return None
            names |= {alias.asname or alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.Name):
            if node.id in ("exec", "globals", "vars", "setattr"):
                return None
            if isinstance(node.ctx, ast.Store):
                names.add(node.id)
        waiting += ast.iter_child_nodes(node)
    return names
