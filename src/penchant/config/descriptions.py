"""The texts below the fields of configurations, read from the source when somebody asks for them.

Pydantic can read them as it makes a class. That took a quarter of the time until a mistyped setting was answered.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from functools import cache

from penchant.config.schema import Schema


def describe_field(config: type[Schema], name: str) -> str:
    """Return the docstring below a field, in the class that declares it last; empty where it has none."""
    explicit = config.model_fields[name].description
    if explicit:
        return explicit
    # a field that a subclass repeats with another type or default needs a text of its own
    owner = next((base for base in config.__mro__ if name in inspect.get_annotations(base)), None)
    return _docstrings(owner).get(name, "") if owner else ""


@cache
def _docstrings(config: type) -> dict[str, str]:
    """Return the docstrings below the annotations in a class's body by name."""
    try:
        source = textwrap.dedent(inspect.getsource(config))
    except (OSError, TypeError):  # typed at a prompt: there is no file to read
        return {}
    definition = ast.parse(source).body[0]
    assert isinstance(definition, ast.ClassDef)
    texts = {}
    for statement, following in zip(definition.body, definition.body[1:], strict=False):
        match statement, following:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                texts[name] = inspect.cleandoc(text)
    return texts
