"""The numbers of a folder of Python files, from their syntax trees and tokens. Files are parsed, never imported."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from counting.words import is_vague, opens_with_noun, opens_with_verb

# Directives for tools explain nothing to a reader.
DIRECTIVE = re.compile(r"#\s*(noqa|type:|fmt:|ruff:|mypy:|pragma|pylint|-\*-|!)")

Function = ast.FunctionDef | ast.AsyncFunctionDef
Definition = Function | ast.ClassDef


@dataclass(frozen=True, order=True)
class Location:
    """Something that stands in a line of a file."""

    path: str
    line: int
    name: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.name}"


@dataclass(frozen=True)
class FunctionSize:
    """A function and its lines, from `def` to its end."""

    lines: int
    location: Location


@dataclass
class Docstrings:
    """How many public things of a kind have a docstring, and where one opens as it should not."""

    defined: int = 0
    documented: int = 0
    misfits: list[Location] = field(default_factory=list)

    @property
    def percent(self) -> float:
        """Percentage of the docstrings that open as they should."""
        return 100 * (1 - len(self.misfits) / self.documented) if self.documented else 100.0


@dataclass
class Counts:
    """The numbers of a folder of Python files."""

    lines: dict[str, int] = field(default_factory=dict)
    code_lines: int = 0
    comments: int = 0
    functions: list[FunctionSize] = field(default_factory=list)
    any_in_annotations: int = 0
    any_elsewhere: int = 0
    dict_any: dict[str, int] = field(default_factory=lambda: {"dict": 0, "Mapping": 0})
    docstrings: dict[str, Docstrings] = field(
        default_factory=lambda: {kind: Docstrings() for kind in ("functions", "properties", "classes")}
    )
    bindings: int = 0
    vague: list[Location] = field(default_factory=list)

    @property
    def total_lines(self) -> int:
        """All lines of all files."""
        return sum(self.lines.values())

    @property
    def any_per_1000(self) -> float:
        """Uses of the name `Any`, in annotations and elsewhere, per 1,000 code lines."""
        return 1000 * (self.any_in_annotations + self.any_elsewhere) / max(self.code_lines, 1)

    @property
    def vague_percent(self) -> float:
        """Percentage of the bindings that have a vague name."""
        return 100 * len(self.vague) / max(self.bindings, 1)

    @property
    def comments_per_100(self) -> float:
        """Comments per 100 code lines."""
        return 100 * self.comments / max(self.code_lines, 1)


def find_bindings(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Yield each name that is bound, and its line: by assignment, argument, loop, comprehension, `def` or `class`.

    `self.name = ...` binds a name too. `self`, `cls`, `_` and names such as `__init__` are no choice of the author
    and imported names are another's: they do not count.
    """
    for node in ast.walk(tree):
        match node:
            case (
                ast.Name(id=name, ctx=ast.Store())
                | ast.Attribute(value=ast.Name(id="self"), attr=name, ctx=ast.Store())
                | ast.arg(arg=name)
                | ast.ExceptHandler(name=str(name))
                | ast.MatchAs(name=str(name))
                | ast.MatchStar(name=str(name))
                | ast.FunctionDef(name=name)
                | ast.AsyncFunctionDef(name=name)
                | ast.ClassDef(name=name)
            ):
                if name not in ("self", "cls", "_") and not (name.startswith("__") and name.endswith("__")):
                    yield name, node.lineno


def find_definitions(body: Iterable[ast.stmt], prefix: str = "") -> Iterator[tuple[str, Definition, bool]]:
    """Yield each function and class with its full name and whether it is public.

    A name is public if neither it nor a name around it begins with an underscore. What stands within a function is
    private.
    """
    for node in body:
        if isinstance(node, Definition):
            name = f"{prefix}{node.name}"
            within_function = not isinstance(node, ast.ClassDef)
            yield name, node, not any(part.startswith(("_", "<")) for part in name.split("."))
            yield from find_definitions(node.body, f"{name}.<locals>." if within_function else f"{name}.")
        else:
            for attribute in ("body", "orelse", "finalbody", "handlers", "cases"):
                yield from find_definitions(getattr(node, attribute, []), prefix)


def find_annotations(tree: ast.AST) -> Iterator[ast.expr]:
    """Yield the annotations of arguments, results and variables; a quoted one is parsed."""
    for node in ast.walk(tree):
        annotation = getattr(node, "annotation", None) or getattr(node, "returns", None)
        if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
            try:
                annotation = ast.parse(annotation.value, mode="eval").body
            except SyntaxError:
                continue
        if isinstance(annotation, ast.expr):
            yield annotation


def is_any(node: ast.AST) -> bool:
    """Return whether the node is `Any` or `typing.Any`."""
    return getattr(node, "id", None) == "Any" or (isinstance(node, ast.Attribute) and node.attr == "Any")


def count_lines(source: str, tree: ast.AST) -> tuple[int, int]:
    """Return the number of code lines and of comments.

    A code line carries more than a comment or a part of a docstring; any string that is a whole statement is a
    docstring. A line of a longer string or expression is a code line. Directives (`noqa`, `fmt: off`) are no comments.
    """
    # any string that is a whole statement: also one below a field, which explains it
    docstring_starts = {
        (node.lineno, node.col_offset)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    }
    code: set[int] = set()
    comments = 0
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            comments += not DIRECTIVE.match(token.string)
        elif token.string.strip() and token.start not in docstring_starts:
            code.update(range(token.start[0], token.end[0] + 1))
    return len(code), comments


def count_docstring(counts: Counts, node: Definition, location: Location) -> None:
    """Add a public function's or class's docstring to the counts."""
    docstring = ast.get_docstring(node)
    decorators = {getattr(decorator, "id", getattr(decorator, "attr", "")) for decorator in node.decorator_list}
    if isinstance(node, ast.ClassDef):
        kind, is_fit = "classes", docstring and opens_with_noun(docstring) and not opens_with_verb(docstring)
    elif decorators & {"property", "cached_property"}:  # read like an attribute: ruff's D401 asks for no verb either
        kind, is_fit = "properties", docstring and opens_with_noun(docstring)
    else:
        kind, is_fit = "functions", docstring and opens_with_verb(docstring)
    docstrings = counts.docstrings[kind]
    docstrings.defined += 1
    docstrings.documented += docstring is not None
    if docstring and not is_fit:
        docstrings.misfits.append(location)


def count_any(counts: Counts, tree: ast.AST) -> None:
    """Add the uses of `Any`, and those in `dict[str, Any]` and `Mapping[str, Any]` wherever they stand."""
    # an annotation may hold it several times, and in quotes
    in_annotations = {node for annotation in find_annotations(tree) for node in ast.walk(annotation) if is_any(node)}
    counts.any_in_annotations += len(in_annotations)
    for node in ast.walk(tree):
        counts.any_elsewhere += is_any(node) and node not in in_annotations
        match node:
            case ast.Subscript(value=ast.Name(id=container), slice=ast.Tuple(elts=[ast.Name(id="str"), value])):
                if container in counts.dict_any and is_any(value):
                    counts.dict_any[container] += 1


def count_file(counts: Counts, path: str, source: str) -> None:
    """Add the numbers of one file.

    Raises:
        SyntaxError: if it is not Python.
    """
    tree = ast.parse(source, path)
    counts.lines[path] = len(source.splitlines())
    code_lines, comments = count_lines(source, tree)
    counts.code_lines += code_lines
    counts.comments += comments
    for name, node, is_public in find_definitions(tree.body):
        location = Location(path, node.lineno, name.replace(".<locals>", ""))
        if not isinstance(node, ast.ClassDef):
            counts.functions.append(FunctionSize((node.end_lineno or node.lineno) - node.lineno + 1, location))
        if is_public:
            count_docstring(counts, node, location)
    count_any(counts, tree)
    bindings = list(find_bindings(tree))
    counts.bindings += len(bindings)
    counts.vague += sorted(Location(path, line, name) for name, line in bindings if is_vague(name))


def count_folder(root: Path) -> Counts:
    """Count all Python files below a folder; their paths in the result are relative to it.

    Raises:
        ValueError: if a file is not Python in UTF-8, with the file and the line.
    """
    counts = Counts()
    for path in sorted(root.rglob("*.py")):
        try:
            count_file(counts, path.relative_to(root).as_posix(), path.read_text(encoding="utf-8"))
        except (SyntaxError, ValueError) as error:
            line = error.lineno if isinstance(error, SyntaxError) else 1
            raise ValueError(f"{path}:{line}: not Python in UTF-8: {error}") from error
    return counts
