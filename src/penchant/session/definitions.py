"""The statement of a source that made a function or a class, found by its line, and lambdas of a line by columns."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from types import CodeType, FunctionType

Node = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda


class Unreadable(Exception):
    """Raised where Python has no source of an object."""


@dataclass(frozen=True)
class Definition:
    """What made a function or a class.

    Attributes:
        node: the part of the syntax tree, which nobody else has.
        source: its lines as they were typed.
    """

    node: Node
    source: str

    @property
    def decorators(self) -> int:
        """How many decorators stand above it."""
        return 0 if isinstance(self.node, ast.Lambda) else len(self.node.decorator_list)

    def statement(self, name: str, *, changed: bool) -> str:
        """Return the statement that binds a name to what was made.

        Args:
            changed: whether the node was changed, so that the lines as they were typed are not what it says.
        """
        if isinstance(self.node, ast.Lambda):
            return f"{name} = {ast.unparse(self.node)}"
        if self.node.name != name:
            self.node.name, changed = name, True
        return ast.unparse(self.node) if changed else self.source


def find_definition(value: object) -> Definition:
    """Return what made a function or a class.

    Raises:
        Unreadable: Python has no source of it.
    """
    functions = [value] if isinstance(value, FunctionType) else list(methods(value)) if isinstance(value, type) else []
    # a class without methods of its own has no code that would say where it was written
    if not functions:
        raise Unreadable
    code = functions[0].__code__
    try:
        # by a function's code: of a class in a notebook `inspect` knows no file
        lines, _ = inspect.findsource(code)
        tree = ast.parse("".join(lines))
    except (OSError, TypeError, SyntaxError, ValueError):
        raise Unreadable from None
    node = _class(tree, value, code.co_firstlineno) if isinstance(value, type) else _function(tree, code)
    # a lambda is a part of a line, and the rest of the line says nothing of it
    if isinstance(node, ast.Lambda):
        return Definition(node, "")
    first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
    return Definition(node, textwrap.dedent("".join(lines[first - 1 : node.end_lineno])).rstrip())


def methods(kind: type) -> Iterator[FunctionType]:
    """Yield the functions that a class's own body defines."""
    for member in vars(kind).values():
        function = getattr(member, "__func__", member)  # of a class method
        if isinstance(function, FunctionType):
            yield function


def _class(tree: ast.Module, kind: type, line: int) -> ast.ClassDef:
    """Return the class around a line; a cell may define one name several times, and the last need not be this one."""
    around = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and node.name == kind.__name__ and node.lineno <= line
        and line <= (node.end_lineno or 0)
    ]  # fmt: skip
    if not around:
        raise Unreadable
    return around[-1]


def _function(tree: ast.Module, code: CodeType) -> ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda:
    """Return the function of a code, by its line."""
    nodes = list(ast.walk(tree))
    if code.co_name == "<lambda>":
        lambdas = [node for node in nodes if isinstance(node, ast.Lambda) and node.lineno == code.co_firstlineno]
        # several in a line are told apart by the columns that the code remembers
        matching = lambdas if len(lambdas) == 1 else [node for node in lambdas if _span(node.body) == _code_span(code)]
        if len(matching) != 1:
            raise Unreadable
        return matching[0]
    for node in nodes:
        # a function's line is that of its first decorator
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == code.co_name:
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            if first == code.co_firstlineno:
                return node
    raise Unreadable


Span = tuple[tuple[int, int], tuple[int, int]]
"""Line and column of the beginning and of the end."""


def _span(node: ast.expr) -> Span:
    return (node.lineno, node.col_offset), (node.end_lineno or 0, node.end_col_offset or 0)


def _code_span(code: CodeType) -> Span | None:
    """Return from where to where a code's instructions were written; None where Python was told to forget it."""
    starts, ends = [], []
    for line, end_line, column, end_column in code.co_positions():
        # the first instruction stands for the whole and has no width
        if line is None or end_line is None or column is None or end_column is None:
            continue
        if (line, column) != (end_line, end_column):
            starts.append((line, column))
            ends.append((end_line, end_column))
    return (min(starts), max(ends)) if starts else None
