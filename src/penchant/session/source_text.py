"""The source of a function, class or object as a text that stands alone: with its imports, constants and helpers.

What such a text holds is all that a digest of it covers. What it cannot hold is named: an object that lives in the
session alone (a loaded model, an open file), or code whose source Python cannot read.
"""

from __future__ import annotations
import __future__

import ast
import builtins
import functools
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import CodeType, FunctionType, MethodType, ModuleType

from penchant.session.definitions import Definition, Unreadable, find_definition, methods

MAX_LITERAL = 10_000  # characters of a constant that a text holds
FUTURE = "from __future__ import annotations"
COPIES = ("site-packages", "dist-packages")
TWO_VALUES = "two values of this name"


Gap = tuple[object, str | None]
"""An object that a text cannot hold, and what it held when it was looked at, where that is a constant."""


@dataclass
class SourceText:
    """A definition and what it needs, in the order in which a file would have them.

    Attributes:
        imports, constants, definitions: lines by the name that they bind.
        missing: what the session alone has, by name, in words such as `a Policy`.
        gaps: the objects that are missing.
        values: by name, the object that it stands for.
    """

    imports: dict[str, str] = field(default_factory=dict)
    constants: dict[str, str] = field(default_factory=dict)
    definitions: dict[str, str] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    gaps: list[Gap] = field(default_factory=list)
    values: dict[str, object] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The content of the file."""
        lines = [FUTURE, *self.imports.values(), *self.constants.values()]
        # in the digest, so that a text with a gap is never taken for one without
        lines += [f"# not here, for only the session has it: {name}, {words}" for name, words in self.missing.items()]
        return "\n".join(lines) + "\n\n\n" + "\n\n\n".join(self.definitions.values()) + "\n"

    def lack(self, name: str, value: object, words: str = "") -> None:
        """Note what the text cannot hold."""
        self.missing[name] = words or f"a {type(value).__name__}"
        # as it is now: a list may grow while a run goes on
        self.gaps.append((value, _literal(value)))


def source_text(name: str, value: object) -> SourceText:
    """Return the source of a function, a class or an object with methods, and of all that it needs.

    Args:
        name: what the text calls it.

    Raises:
        Unreadable: Python has no source of it.
    """
    text = SourceText(values={name: value})
    _define(text, name, value)
    return text


def _define(text: SourceText, name: str, value: object) -> None:
    """Add the statements that bind a name to code."""
    if isinstance(value, functools.partial):
        _define_partial(text, name, value)
    elif isinstance(value, MethodType):
        _bind(text, f"{name}_owner", value.__self__, with_state=True)
        text.definitions[name] = f"{name} = {name}_owner.{value.__name__}"
    elif isinstance(value, FunctionType | type) or hasattr(value, "__wrapped__"):
        _define_code(text, name, value)
    else:
        _define_object(text, name, value)


def _define_code(text: SourceText, name: str, value: object) -> None:
    """Add the definition of a function or a class, and all that it takes from outside."""
    code = _written_code(value)
    definition = find_definition(code)
    scope = _scope(code)
    changed = False
    if isinstance(code, FunctionType):
        # what its decorators made of it is another object, unless the value is that very one
        changed = code is value and _take_off_decorators(name, code, definition)
        changed |= _write_defaults(text, code, definition, scope)
        # a wrapper under the name of what it wraps would call itself
        uses_name = name in (*code.__code__.co_freevars, *code.__code__.co_names)
        if uses_name and name in scope and not _is_same(scope[name], value):
            text.lack(name, scope[name], TWO_VALUES)
    statement = definition.statement(name, changed=changed)
    # bound before its helpers are looked at: two functions may call each other
    text.definitions[name] = ""
    for free in _free_names(statement):
        if free in scope:  # a name that is nowhere fails where it is used, as it would in the session
            _bind(text, free, scope[free])
    # last: a decorator needs the helper above it
    del text.definitions[name]
    text.definitions[name] = statement


def _written_code(value: object) -> object:
    """Return the function or class whose source, with the decorators above it, makes a value.

    Raises:
        Unreadable: the value was made by a call that no source of a function shows.
    """
    code, layers = value, 0
    while hasattr(code, "__wrapped__"):
        code, layers = code.__wrapped__, layers + 1
    if not layers or not isinstance(code, FunctionType):
        return code
    # `short = doubled(short)` leaves no decorator in the source of `short`: what `doubled` returned is the source then
    by_decorators = layers <= find_definition(code).decorators
    if by_decorators and code.__globals__.get(code.__name__, value) is value:
        return code
    # such as `lru_cache(short)`: it is no function, and has no source
    if not isinstance(value, FunctionType):
        raise Unreadable
    return value


def _take_off_decorators(name: str, function: FunctionType, definition: Definition) -> bool:
    """Take the decorators off a function that they were given, such as one in a wrapper's closure.

    Returns:
        Whether there were any.
    """
    node = definition.node
    if isinstance(node, ast.Lambda) or not node.decorator_list:
        return False
    # a decorator may return the function itself, and then the module has it under its name
    if name == node.name and function.__globals__.get(node.name, function) is function:
        return False
    node.decorator_list = []
    return True


def _write_defaults(
    text: SourceText, function: FunctionType, definition: Definition, scope: Mapping[str, object]
) -> bool:
    """Write the values of defaults in place of expressions, whose names may stand for something else by now.

    In `[lambda pairs, k=k: ... for k in (1, 2)]` nothing but the default tells two functions apart.

    Returns:
        Whether anything was written.
    """
    assert not isinstance(definition.node, ast.ClassDef)
    arguments, changed = definition.node.args, False
    by_position = list(zip(arguments.defaults, function.__defaults__ or (), strict=False))
    keywords = function.__kwdefaults__ or {}
    by_name = [
        (node, keywords[argument.arg])
        for argument, node in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
        if node is not None and argument.arg in keywords
    ]
    replaced: dict[ast.expr, ast.expr] = {}
    for node, value in (*by_position, *by_name):
        # what is written out, or still stands for the same object, stays as it was typed
        if _is_literal(node) or _look_up(node, scope) is value:
            continue
        if (literal := _literal(value)) is not None:
            replaced[node], changed = ast.parse(literal, mode="eval").body, True
        else:
            text.lack(ast.unparse(node), value, f"a default that is a {type(value).__name__}")
    arguments.defaults = [replaced.get(node, node) for node in arguments.defaults]
    arguments.kw_defaults = [node and replaced.get(node, node) for node in arguments.kw_defaults]
    return changed


def _is_literal(node: ast.expr) -> bool:
    try:
        ast.literal_eval(node)
    except ValueError:
        return False
    return True


def _look_up(node: ast.expr, scope: Mapping[str, object]) -> object:
    """Return what a name, or an attribute of one such as `torch.float32`, stands for; the node itself for all else."""
    if isinstance(node, ast.Name):
        value = scope.get(node.id, node)
        # a number is written as it was: the name may get another one before the text is run
        return node if _literal(value) is not None else value
    if isinstance(node, ast.Attribute) and (owner := _look_up(node.value, scope)) is not node.value:
        return getattr(owner, node.attr, node)
    return node


def _define_partial(text: SourceText, name: str, partial: functools.partial[object]) -> None:
    """Add a `functools.partial`: its function and its arguments, each under a name."""
    # with an underscore: the session may call something else functools
    text.imports["functools_"] = "import functools as functools_"
    _bind(text, f"{name}_function", partial.func)
    arguments = [f"{name}_function"]
    for number, value in enumerate(partial.args):
        arguments.append(f"{name}_{number}")
        _bind(text, f"{name}_{number}", value)
    for key, value in partial.keywords.items():
        arguments.append(f"{key}={name}_{key}")
        _bind(text, f"{name}_{key}", value)
    text.definitions[name] = f"{name} = functools_.partial({', '.join(arguments)})"


def _define_object(text: SourceText, name: str, value: object) -> None:
    """Add an object of a class of the session: its class, and the attributes that are constants.

    Raises:
        Unreadable: it is an object of another class, such as a built-in function, or keeps its state elsewhere.
    """
    kind, state = type(value), getattr(value, "__dict__", None)
    if is_installed(kind.__module__) or not isinstance(state, dict):
        raise Unreadable
    _bind(text, kind.__name__, kind)
    constants = {}
    for key, entry in state.items():
        # lists and mappings grow while a run goes on, and the same call must find the same name afterwards
        if isinstance(entry, str | int | float | bool | tuple | None) and (literal := _literal(entry)) is not None:
            constants[key] = literal
        else:
            text.lack(f"self.{key}", entry)
    # without `__init__`, which may load or open what the object no longer needs
    lines = [f"{name} = {kind.__name__}.__new__({kind.__name__})"]
    lines += [f"vars({name})[{key!r}] = {literal}" for key, literal in constants.items()]
    text.definitions[name] = "\n".join(lines)


def _bind(text: SourceText, name: str, value: object, *, with_state: bool = False) -> None:
    """Add what a name of a definition stands for.

    Args:
        with_state: take an object of the session's classes apart, instead of noting that only the session has it.
    """
    if name in text.values:
        if not _is_same(text.values[name], value):  # of two functions that see different things under one name
            text.lack(name, value, TWO_VALUES)
        return
    text.values[name] = value
    # a module first: it has a `__name__` too, and is no class or function
    if isinstance(value, ModuleType):
        if is_installed(value.__name__):
            text.imports[name] = f"import {value.__name__} as {name}"
        else:  # a file of the user's lies elsewhere for whoever reads the text
            text.lack(name, value, f"the module {value.__name__}")
    elif (imported := _import_line(name, value)) is not None:
        text.imports[name] = imported
    elif (literal := _literal(value)) is not None:
        text.constants[name] = f"{name} = {literal}"
    elif _is_code(value) or with_state:
        try:
            _define(text, name, value)
        except Unreadable:
            text.definitions.pop(name, None)
            text.lack(name, value, f"a {type(value).__name__} without source")
    else:
        text.lack(name, value)


def _is_code(value: object) -> bool:
    return isinstance(value, FunctionType | type | functools.partial | MethodType) or hasattr(value, "__wrapped__")


def _is_same(first: object, second: object) -> bool:
    return first is second or ((literal := _literal(first)) is not None and literal == _literal(second))


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
    if len(repr(value)) > MAX_LITERAL:
        return None
    try:
        text = _ordered_repr(value)
        return text if bool(ast.literal_eval(text) == value) else None
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None


def _ordered_repr(value: object) -> str:
    """Return the `repr` of a value, with the items of sets in order: theirs is another in every session."""
    # `type`, not `isinstance`: a class below one of these is another value, and prints itself in another way
    if type(value) is set and value:
        return f"{{{', '.join(sorted(map(_ordered_repr, value)))}}}"
    if type(value) is list:
        return f"[{', '.join(map(_ordered_repr, value))}]"
    if type(value) is tuple:
        items = ", ".join(map(_ordered_repr, value))
        return f"({items},)" if len(value) == 1 else f"({items})"
    if type(value) is dict:
        return f"{{{', '.join(f'{_ordered_repr(key)}: {_ordered_repr(entry)}' for key, entry in value.items())}}}"
    return repr(value)


def _scope(value: object) -> Mapping[str, object]:
    """Return the names that a function or a class's methods see: of the module, and of the functions around."""
    # a class has no names around it of its own; its methods do
    functions = [value] if isinstance(value, FunctionType) else list(methods(value)) if isinstance(value, type) else []
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
