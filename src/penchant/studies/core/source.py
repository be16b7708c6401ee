"""The digest of the source that some of our modules reach: equal code gives an equal digest, whatever its comments.

A module reaches what it imports, wherever in it, as its syntax tree says, and what that imports. Imports for type
checkers alone do not count; an `__init__` that only lists does not either: a name that is imported through it counts as
imported from where it lies. A registry imports all of its entries and uses those that are named, so its entries are
reached by their names alone: `ENTRIES`. An entry may be one row of a table, `module:row`: the module without what that
row does not name, so that a new row makes none of the others stale. Imports no torch.
"""

from __future__ import annotations

import ast
import hashlib
import json
import logging
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from penchant.files import atomic_write, cache_folder
from penchant.losses.settings import PAIR_LOSSES
from penchant.methods import METHODS
from penchant.rewards.names import TOKEN_MEDIA

log = logging.getLogger("penchant")

PACKAGE = "penchant"
LENGTH = 16  # hexadecimal digits
ENTRIES: dict[str, dict[str, str]] = {
    "penchant.judges.load": {},  # by the module of its implementation, which a judge's settings name
    "penchant.rewards.load": {
        "vader": "penchant.rewards.vader",
        **dict.fromkeys(TOKEN_MEDIA, "penchant.rewards.token_media"),
        "verifier": "penchant.rewards.verifiers",
        "classifier": "penchant.rewards.classifier",
        "address": "penchant.rewards.http",
        "learned": "penchant.rewards.learned",
    },
    "penchant.methods": {name: config.__module__ for name, config in METHODS.items()},
    "penchant.losses.dispatch": {name: loss.function.partition(":")[0] for name, loss in PAIR_LOSSES.items()},
    "penchant.train.objectives": {  # by method
        "kto": "penchant.losses.unpaired",
        "reward_model": "penchant.losses.reward",
    },
    "penchant.weak.classifiers.registry": {
        "tfidf": "penchant.weak.classifiers.tfidf",
        "probe": "penchant.weak.classifiers.probe",
        "mlp": "penchant.weak.classifiers.mlp",
        "cnn": "penchant.weak.classifiers.cnn",
        "lm": "penchant.weak.classifiers.language_model",
        "engine": "penchant.weak.classifiers.chess_engine",
        "custom": "penchant.weak.classifiers.custom",
    },
    "penchant.tasks.load": {},  # by the row of its table: `penchant.tasks.TABLE:NAME`
}
"""Registries: the module of each entry by its name. What a registry imports of these does not count by itself."""
ALL_ENTRIES_BY_DEFAULT = ("penchant.losses.dispatch", "penchant.train.objectives", "penchant.weak.classifiers.registry")
"""Registries of which all entries count where settings name none: a stage that trains may use any of them."""


@dataclass(frozen=True)
class Facts:
    """The content of one file as far as digests need it.

    Attributes:
        code: a digest of its syntax tree without docstrings.
        imports: (module, name) of each import inside the package; the name is empty for `import module`.
        lists: whether it only lists: imports, `__all__`, constants, and what makes imports lazy.
        texts: its constants that name a module of the package, such as lazy imports have.
    """

    code: str
    imports: tuple[tuple[str, str], ...]
    lists: bool
    texts: tuple[tuple[str, str], ...]


@dataclass
class Tree:
    """A package's source.

    Attributes:
        read: a module's name -> its file's content, or None where there is no such module.
        is_package: whether a module is a package, whose file is an `__init__`.
        known_facts: facts by the digest of a file's bytes, so that a file is parsed once in its life.
    """

    read: Callable[[str], bytes | None]
    is_package: Callable[[str], bool]
    known_facts: dict[str, Facts] = field(default_factory=dict)
    _facts: dict[str, Facts | None] = field(default_factory=dict)

    def facts(self, module: str) -> Facts | None:
        """Return what a module's file says, or of `module:row` that row of it; None where there is no such module."""
        if module not in self._facts:
            file, _, row = module.partition(":")
            content = self.read(file)
            if content is None:
                self._facts[module] = None
            else:
                package = self.is_package(file)
                # the name counts too: equal files import relatively from different packages
                key = hashlib.sha256(f"{module}\0{package}\0".encode() + content).hexdigest()
                if key not in self.known_facts:
                    self.known_facts[key] = parse(content, file, is_package=package, row=row)
                self._facts[module] = self.known_facts[key]
        return self._facts[module]


def digest_source(roots: Iterable[str], names: Mapping[str, Iterable[str]] | None = None) -> str:
    """Return the digest of the code that modules of ours reach.

    Args:
        roots: the modules, such as `penchant.studies.core.prompt_stage`.
        names: of each registry in `ENTRIES`, by its module, the entries that are reached by name.
    """
    # hashable for the cache, and sorted, so that one set of names is one entry in whatever order it came
    entry_names = tuple(sorted((registry, tuple(sorted(set(entries)))) for registry, entries in (names or {}).items()))
    return _digest_source(tuple(sorted(set(roots))), entry_names)


@cache
def _digest_source(roots: tuple[str, ...], names: tuple[tuple[str, tuple[str, ...]], ...]) -> str:
    tree = _our_tree()
    # the store is written only where a file was parsed, for most processes find every file in it
    before = len(tree.known_facts)
    digest = tree_digest(tree, reach_modules(tree, roots, dict(names)))
    if len(tree.known_facts) > before:
        _write_store(tree)
    return digest


def tree_digest(tree: Tree, modules: Iterable[str]) -> str:
    """Return the digest of the code of these modules."""
    content = [(module, facts.code) for module in sorted(modules) if (facts := tree.facts(module)) is not None]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:LENGTH]


def reach_modules(tree: Tree, roots: Iterable[str], names: Mapping[str, Iterable[str]]) -> set[str]:
    """Return the modules that some modules reach; arguments as for `digest_source`."""
    modules: set[str] = set()
    waiting = list(roots)
    while waiting:
        module = waiting.pop()
        facts = tree.facts(module)
        if module in modules or facts is None:
            continue
        modules.add(module)
        # a name counts as imported from where it lies: else an `__init__` that lists would tie all modules together
        targets = {target for imported in facts.imports for target in _targets(tree, *imported)}
        # a registry imports all of its entries, of which a stage uses those that its settings name
        if module in ENTRIES:
            targets -= set(ENTRIES[module].values())
            default = ENTRIES[module] if module in ALL_ENTRIES_BY_DEFAULT else ()
            targets |= {_entry(module, name) for name in names.get(module, default)}
        # `import a.b.c` runs the `__init__` of `a` and of `a.b`; those that only list change nothing by that
        parents = {parent for target in targets for parent in _parents(target) if not _lists(tree, parent)}
        waiting += [*targets, *parents]
    return modules


def parse(content: bytes, module: str, *, is_package: bool, row: str = "") -> Facts:
    """Return the facts of a file; for a row of a table, those of the file without what the row does not name."""
    tree = ast.parse(content)
    if row:
        tree.body = _reached_statements(tree, row)
    package = module if is_package else module.rpartition(".")[0]
    imports: list[tuple[str, str]] = []
    _collect(tree, package, imports)
    lists = is_package and all(_is_listing(node) for node in tree.body)
    texts = tuple(pair for node in tree.body if isinstance(node, ast.Assign) for pair in _lazy(node.value))
    # comments are not in a syntax tree, and docstrings are taken out: a better sentence makes no stage stale
    _drop_docstrings(tree)
    code = hashlib.sha256(ast.dump(tree).encode(errors="surrogatepass")).hexdigest()[:LENGTH]
    return Facts(code, tuple(sorted(set(imports))), lists, texts)


# -- imports -------------------------------------------------------------------------------------------------------


def _collect(node: ast.AST, package: str, imports: list[tuple[str, str]]) -> None:
    """Add the imports inside a node that are made while the code runs."""
    # what only a type checker imports is never run; the `else` of it is
    if isinstance(node, ast.If) and _is_type_checking(node.test):
        for statement in node.orelse:
            _collect(statement, package, imports)
        return
    if isinstance(node, ast.Import):
        imports += [(alias.name, "") for alias in node.names if _is_in_package(alias.name)]
    elif isinstance(node, ast.ImportFrom):
        base = node.module or ""
        if node.level:  # `from ..b import c`: as many packages up, less the one that it stands in
            above = package.rsplit(".", node.level - 1)[0]
            base = f"{above}.{base}" if base else above
        if _is_in_package(base):
            imports += [(base, alias.name) for alias in node.names]
    for child in ast.iter_child_nodes(node):
        _collect(child, package, imports)


def _targets(tree: Tree, module: str, name: str) -> list[str]:
    """Return the modules that one import reaches."""
    if not name:
        return [module]
    # `from package import module` and `from module import name` look alike; a file decides
    if tree.facts(f"{module}.{name}") is not None:
        return [f"{module}.{name}"]
    facts = tree.facts(module)
    if facts is None:
        return []
    registry = module in ENTRIES and tree.is_package(module)  # a package whose `__init__` is a registry
    if facts.lists or registry:
        listed = [pair for pair in facts.imports if name == "*" or pair[1] == name]
        if listed:
            return [target for pair in listed for target in _targets(tree, *pair)]
        # a lazy `__getattr__` finds the module by name in a table of constants
        lazy = [target for key, target in facts.texts if key == name]
        return lazy or [module]
    return [module]


def _entry(registry: str, name: str) -> str:
    """Return the module of a registry's entry; a registry without a table has its entries by their modules' names."""
    table = ENTRIES[registry]
    return table[name] if table else name


def _parents(module: str) -> list[str]:
    """Return the packages around a module, whose `__init__` runs before it."""
    parts = module.split(".")
    return [".".join(parts[:end]) for end in range(1, len(parts))]


def _lists(tree: Tree, package: str) -> bool:
    facts = tree.facts(package)
    return facts is None or facts.lists


def _is_in_package(module: str) -> bool:
    return module == PACKAGE or module.startswith(f"{PACKAGE}.")


# -- syntax --------------------------------------------------------------------------------------------------------


def _is_type_checking(test: ast.expr) -> bool:
    return (isinstance(test, ast.Name) and test.id == "TYPE_CHECKING") or (
        isinstance(test, ast.Attribute) and test.attr == "TYPE_CHECKING"
    )


def _is_listing(node: ast.stmt) -> bool:
    match node:
        case ast.Import() | ast.ImportFrom() | ast.Expr(value=ast.Constant()):
            return True
        case ast.Assign(value=value) | ast.AnnAssign(value=ast.expr() as value):
            return _is_literal(value)
        # these make imports lazy and compute nothing that a stage's numbers hang on
        case ast.FunctionDef(name="__getattr__" | "__dir__"):
            return True
        case ast.If(test=test):
            return _is_type_checking(test)
    return False


def _is_literal(value: ast.expr) -> bool:
    with suppress(ValueError, TypeError, SyntaxError):
        ast.literal_eval(value)
        return True
    return False


def _lazy(value: ast.expr) -> list[tuple[str, str]]:
    """Return the (name, module) pairs of a constant mapping from names to modules of ours."""
    content: dict[str, object] = ast.literal_eval(value) if isinstance(value, ast.Dict) and _is_literal(value) else {}
    return [(key, text) for key, text in content.items() if isinstance(text, str) and _is_in_package(text)]


def _reached_statements(tree: ast.Module, name: str) -> list[ast.stmt]:
    """Return the statements of a module that bind a name, and those that bind what these name, in their order."""
    # until nothing is added: a row's helper may call another helper that stands above it or below
    needed_names, count = {name}, 0
    while len(needed_names) > count:
        count = len(needed_names)
        for statement in tree.body:
            if _bound(statement) & needed_names:
                needed_names |= {node.id for node in ast.walk(statement) if isinstance(node, ast.Name)}
    statements = [statement for statement in tree.body if _bound(statement) & needed_names]
    for statement in statements:
        if isinstance(statement, ast.Import | ast.ImportFrom):  # what other rows import beside it does not count
            statement.names = [alias for alias in statement.names if _bound_by(alias) in needed_names]
    return statements


def _bound(statement: ast.stmt) -> set[str]:
    """Return the names that a statement at a module's top binds."""
    match statement:
        case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
            return {name}
        case ast.Import(names=names) | ast.ImportFrom(names=names):
            return {_bound_by(alias) for alias in names}
    return {node.id for node in ast.walk(statement) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}


def _bound_by(alias: ast.alias) -> str:
    return alias.asname or alias.name.partition(".")[0]


def _drop_docstrings(tree: ast.Module) -> None:
    """Take the docstrings out, those below attributes too."""
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [statement for statement in body if not _is_text(statement)]  # type: ignore[attr-defined]


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


# -- our own files -------------------------------------------------------------------------------------------------


@cache
def _our_tree() -> Tree:
    root = Path(__file__).resolve().parents[2]  # the folder of the package

    def module_path(module: str) -> Path:
        return root.joinpath(*module.split(".")[1:])

    def read(module: str) -> bytes | None:
        path = module_path(module)
        for file in (path / "__init__.py", path.with_name(f"{path.name}.py")):
            if file.is_file():
                return file.read_bytes()
        return None

    return Tree(read, lambda module: (module_path(module) / "__init__.py").is_file(), _read_store())


def _store() -> Path:
    return cache_folder() / "source.json"


def _read_store() -> dict[str, Facts]:
    """Return the facts that an earlier process found, by the digest of the bytes that they are of."""
    try:
        content = json.loads(_store().read_text(encoding="utf-8"))
        if content.pop("maker") != _maker():
            return {}
        # a row is [code, imports, lists, texts]; of 1 and 3 JSON has made lists, which are tuples of pairs again
        pairs = {key: tuple(tuple(tuple(pair) for pair in part) for part in row[1::2]) for key, row in content.items()}
        return {key: Facts(row[0], pairs[key][0], bool(row[2]), pairs[key][1]) for key, row in content.items()}
    except (OSError, ValueError, KeyError, IndexError, TypeError):
        return {}  # none, damaged or of another version: everything is parsed again


def _write_store(tree: Tree) -> None:
    content: dict[str, object] = {
        key: [facts.code, facts.imports, facts.lists, facts.texts] for key, facts in tree.known_facts.items()
    }
    with suppress(OSError):  # a cache that cannot be written: the next process parses again
        _store().parent.mkdir(parents=True, exist_ok=True)
        atomic_write(_store(), json.dumps(content | {"maker": _maker()}), shared=True)


def _maker() -> str:
    """Return a digest of this file and of the version of Python, on which facts depend."""
    return hashlib.sha256(Path(__file__).read_bytes() + sys.version.encode()).hexdigest()
