"""The source of a function or class as a text that stands alone: with its imports, constants and helpers.

What such a text holds is all that a digest of it covers. What it cannot hold is named: an object that lives in the
session alone (a loaded model, an open file), or code whose source Python cannot read.
"""

from __future__ import annotations
import __future__

import ast
import builtins
import inspect
import sys
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import CodeType, FunctionType, ModuleType

MAX_LITERAL = 10_000  # characters of a constant that a text holds
FUTURE = "from __future__ import annotations"
COPIES = ("site-packages", "dist-packages")


class Unreadable(Exception):
    """Raised where Python has no source of an object."""


@dataclass
class SourceText:
    """A definition and what it needs, in the order in which a file would have them.

    Attributes:
        imports, constants, definitions: lines by the name that they bind.
        missing: what the session alone has, by name, in words such as `a Policy`.
    """

    imports: dict[str, str] = field(default_factory=dict)
    constants: dict[str, str] = field(default_factory=dict)
    definitions: dict[str, str] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The content of the file."""
        lines = [FUTURE, *self.imports.values(), *self.constants.values()]
        # in the digest, so that a text with a gap is never taken for one without
        lines += [f"# not here, for only the session has it: {name}, {words}" for name, words in self.missing.items()]
        return "\n".join(lines) + "\n\n\n" + "\n\n\n".join(self.definitions.values()) + "\n"


def source_text(name: str, value: object) -> SourceText:
    """Return the source of a function or class, and of all that it needs.

    Args:
        name: what the text calls it.

    Raises:
        Unreadable: Python has no source of it.
    """
    text = SourceText()
    _define(text, name, value)
    return text


def _define(text: SourceText, name: str, value: object) -> None:
    definition = _definition(name, value)
    # bound before its helpers are looked at: two functions may call each other
    text.definitions[name] = ""
    scope = _scope(value)
    for free in _free_names(definition):
        if free not in scope or free in (text.imports.keys() | text.constants.keys() | text.definitions.keys()):
            continue  # a name that is nowhere fails where it is used, as it would in the session
        _bind(text, free, scope[free])
    # last: a default or a decorator needs the helper above it
    del text.definitions[name]
    text.definitions[name] = definition


def _bind(text: SourceText, name: str, value: object) -> None:
    """Add what a name of a definition stands for."""
    # a module first: it has a `__name__` too, and is no class or function
    if isinstance(value, ModuleType):
        if is_installed(value.__name__):
            text.imports[name] = f"import {value.__name__} as {name}"
        else:  # a file of the user's lies elsewhere for whoever reads the text
            text.missing[name] = f"the module {value.__name__}"
    elif (imported := _import_line(name, value)) is not None:
        text.imports[name] = imported
    elif (literal := _literal(value)) is not None:
        text.constants[name] = f"{name} = {literal}"
    elif isinstance(value, FunctionType | type):
        try:
            _define(text, name, value)
        except Unreadable:
            text.definitions.pop(name, None)
            text.missing[name] = f"a {type(value).__name__} without source"
    else:
        text.missing[name] = f"a {type(value).__name__}"


def _import_line(name: str, value: object) -> str | None:
    """Return the import that gives an installed package's function or class; None where none does."""
    module, attribute = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(attribute, str) or not is_installed(module):
        return None
    if getattr(sys.modules.get(module), attribute, None) is not value:
        return None
    return f"from {module} import {attribute} as {name}"


def is_installed(module: str) -> bool:
    """Return whether a module comes with Python, Penchant or an installed package."""
    top = module.partition(".")[0]
    if top == "__main__" or top not in sys.modules:
        return False
    # Penchant counts as installed also where it is edited: its own version is recorded beside the digest
    if top in sys.stdlib_module_names or top == "penchant":
        return True
    file = getattr(sys.modules[top], "__file__", None) or ""
    return any(part in COPIES for part in file.replace("\\", "/").split("/"))


def _literal(value: object) -> str | None:
    """Return a constant as Python reads it back; None for what is none, or is long."""
    # read back and compared: a class may print itself as a literal that is another value
    text = repr(value)
    try:
        equal = len(text) <= MAX_LITERAL and bool(ast.literal_eval(text) == value)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None
    return text if equal else None


def _scope(value: object) -> Mapping[str, object]:
    """Return the names that a function or a class's methods see: of the module, and of the functions around."""
    # a class has no names around it of its own; its methods do
    functions = [value] if isinstance(value, FunctionType) else [*_methods(value)]
    scope: dict[str, object] = {}
    for function in functions:
        scope |= function.__globals__
    for function in functions:  # a name of a function around hides the module's
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            try:
                scope[name] = cell.cell_contents
            except ValueError:  # not bound yet
                continue
    return scope


def _methods(value: object) -> Iterator[FunctionType]:
    for member in vars(value).values():
        function = getattr(member, "__func__", member)  # of a class method
        if isinstance(function, FunctionType):
            yield function


def _definition(name: str, value: object) -> str:
    """Return the statement that binds a name to a function, a lambda or a class.

    Raises:
        Unreadable: Python has no source of it.
    """
    functions = [value] if isinstance(value, FunctionType) else list(_methods(value)) if isinstance(value, type) else []
    if not functions:
        raise Unreadable
    try:
        # by a function's code: of a class in a notebook `inspect` knows no file
        lines, _ = inspect.findsource(functions[0].__code__)
        tree = ast.parse("".join(lines))
    except (OSError, TypeError, SyntaxError, ValueError):
        raise Unreadable from None
    line = functions[0].__code__.co_firstlineno
    node = _node(tree, value, line)
    text = "".join(lines)
    if isinstance(node, ast.Lambda):
        return f"{name} = {ast.unparse(node)}"
    first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
    return textwrap.dedent("".join(text.splitlines(keepends=True)[first - 1 : node.end_lineno])).rstrip()


def _node(
    tree: ast.Module, value: object, line: int
) -> ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda:
    """Return the part of a syntax tree that defines a function or a class.

    Raises:
        Unreadable: there is none in that line, or several.
    """
    # by line: a cell may define one name several times, and the last one need not be this one
    nodes = list(ast.walk(tree))
    if isinstance(value, type):
        classes = [node for node in nodes if isinstance(node, ast.ClassDef) and node.name == value.__name__]
        around = [node for node in classes if node.lineno <= line <= (node.end_lineno or 0)]
        if around:
            return around[-1]
        raise Unreadable
    code_name = getattr(value, "__code__").co_name  # noqa: B009 - checkers know no `__code__` of an object
    if code_name == "<lambda>":
        lambdas = [node for node in nodes if isinstance(node, ast.Lambda) and node.lineno == line]
        if len(lambdas) == 1:
            return lambdas[0]
        raise Unreadable
    for node in nodes:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == code_name:
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            if first == line:
                return node
    raise Unreadable


def _free_names(definition: str) -> list[str]:
    """Return the names that a definition takes from outside, in their order."""
    flags = __future__.annotations.compiler_flag  # what only annotates is not needed
    try:
        code = compile(definition, "<session>", "exec", flags=flags, dont_inherit=True)
    except SyntaxError:  # such as `return` behind a dedent that broke a text of several lines
        raise Unreadable from None
    return [name for name in dict.fromkeys(_global_names(code)) if not hasattr(builtins, name)]


def _global_names(code: CodeType) -> Iterator[str]:
    import dis

    # what the definition binds itself (its own name, the names in a class) is nothing from outside
    stored = {step.argval for step in dis.get_instructions(code) if step.opname == "STORE_NAME"}
    for step in dis.get_instructions(code):
        if step.opname in ("LOAD_GLOBAL", "LOAD_NAME") and step.argval not in stored:
            yield step.argval
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from (name for name in _global_names(constant) if name not in stored or code.co_name != "<module>")
