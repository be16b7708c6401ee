"""YAML as configurations use it: numbers and words as YAML 1.2 reads them, and no key twice.

PyYAML follows YAML 1.1, where `1e-6` is text, `no` is false, `010` is eight and `1:30` is ninety.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml

PREFIX = "tag:yaml.org,2002:"

# the core schema of YAML 1.2 (section 10.3.2), as (tag, pattern, first characters); and the merge key of 1.1
CORE_SCHEMA: list[tuple[str, str, str]] = [
    ("null", r"~|null|Null|NULL|", "~nN"),
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    (
        "float",
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        "-+.0123456789",
    ),
    ("merge", "<<", "<"),
]


class Loader(yaml.SafeLoader):
    """Safe, YAML 1.2 scalars, keys are text, and a key given twice is an error."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - PyYAML's own

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        first_lines: dict[str, int] = {}
        for key, _ in node.value:
            if key.tag == PREFIX + "merge":
                continue
            if key.tag != PREFIX + "str":
                raise yaml.constructor.ConstructorError(None, None, "a key must be text", key.start_mark)
            if key.value in first_lines:
                problem = f"the key `{key.value}` is given twice (first on line {first_lines[key.value]})"
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
            first_lines[key.value] = key.start_mark.line + 1
        return super().construct_mapping(node, deep)

    def construct_int(self, node: yaml.ScalarNode) -> int:
        text = node.value
        return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))


class Dumper(yaml.SafeDumper):
    """Quotes a text that either YAML version would take for something else; writes no anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


for _tag, _pattern, _first in CORE_SCHEMA:
    for _class in (Loader, Dumper):
        # "" stands for the empty scalar, which is null
        _class.add_implicit_resolver(
            PREFIX + _tag, re.compile(f"(?:{_pattern})$"), [*_first, ""] if _tag == "null" else [*_first]
        )
Loader.add_constructor(PREFIX + "int", Loader.construct_int)


def key_lines(text: str) -> dict[str, int]:
    """The line (counted from 1) of every key of a YAML mapping, by dotted path."""
    node = yaml.compose(text, Loader)
    return dict(_key_lines(node, ()))


def _key_lines(node: yaml.Node | None, path: tuple[str, ...]) -> Iterator[tuple[str, int]]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            inner = (*path, str(key.value))
            yield ".".join(inner), key.start_mark.line + 1
            yield from _key_lines(value, inner)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield from _key_lines(value, (*path, str(index)))
