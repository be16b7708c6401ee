"""YAML as configurations use it: numbers and words as YAML 1.2 reads them, and no key twice.

PyYAML follows YAML 1.1, where `1e-6` is text, `no` is false, `010` is eight and `1:30` is ninety.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml

PREFIX = "tag:yaml.org,2002:"
MOST_CHARACTERS = 4_000_000  # PyYAML reads about 100,000 per second: a longer text would take a minute and more
MOST_NODES = 200_000  # a study's settings are some hundreds
DEEPEST = 100
MOST_DIGITS = 400  # what a float can hold has at most 309 before the point

# the core schema of YAML 1.2 (section 10.3.2), as (tag, pattern, first characters); and the merge key of 1.1
# PyYAML looks a pattern up by the first character of a scalar
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
        """Return a mapping whose keys are texts, each given once.

        Raises:
            ConstructorError: a key is no text, or given twice, with its line.
        """
        first_lines: dict[str, int] = {}
        for key, _ in node.value:
            # `<<` brings the keys of another mapping and is none itself
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
        """Return a whole number as YAML 1.2 writes it: `010` is ten.

        Raises:
            ConstructorError: so many digits that reading them alone would take long.
        """
        text = node.value
        if len(text) > MOST_DIGITS:
            raise yaml.constructor.ConstructorError(None, None, f"a number of {len(text)} digits", node.start_mark)
        return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))


class Dumper(yaml.SafeDumper):
    """Quotes a text that either YAML version would take for something else; writes no anchors."""

    def ignore_aliases(self, data: object) -> bool:
        """Write equal values in full: a file of settings is edited by people."""
        return True


for _tag, _pattern, _first in CORE_SCHEMA:
    for _class in (Loader, Dumper):
        # "" stands for the empty scalar, which is null
        _class.add_implicit_resolver(
            PREFIX + _tag, re.compile(f"(?:{_pattern})$"), [*_first, ""] if _tag == "null" else [*_first]
        )
# in place of PyYAML's own, to which `010` is eight
Loader.add_constructor(PREFIX + "int", Loader.construct_int)


def load(text: str) -> Any:
    """Return what a YAML text holds.

    Raises:
        yaml.YAMLError: it is not valid, or it is made to exhaust its reader: aliases that go in a circle or multiply,
            nesting without end, numbers of thousands of digits, values that do not fit their tags.
    """
    return parse_with_lines(text)[0]


def parse_with_lines(text: str) -> tuple[object, dict[str, int]]:
    """Return what a YAML text holds, and the line (counted from 1) of every key of its mappings by dotted path.

    Raises:
        yaml.YAMLError: see `load`.
    """
    if len(text) > MOST_CHARACTERS:
        raise yaml.YAMLError(f"{len(text):,} characters are no configuration; at most {MOST_CHARACTERS:,} are read")
    try:
        node = yaml.compose(text, Loader)
        _check_size(node)
        return yaml.load(text, Loader), dict(_key_lines(node, ()))  # our Loader is a SafeLoader
    except RecursionError:
        raise yaml.YAMLError("it is nested too deeply") from None
    except (ValueError, TypeError, OverflowError, AttributeError, LookupError) as error:
        # PyYAML lets these through where a value does not fit the tag it was given, such as `!!timestamp no`
        raise yaml.YAMLError(f"a value does not fit its tag ({error})") from None


def _check_size(root: yaml.Node | None) -> None:
    """Refuse what would be endless or huge once its aliases are written out."""
    # by identity, for an alias is the node that it names: nine lines of aliases may stand for a billion values,
    # and are counted here without being written out
    sizes: dict[int, int] = {}

    def size(node: yaml.Node, above: tuple[int, ...]) -> int:
        if id(node) in above:
            raise yaml.MarkedYAMLError(problem="an alias leads back to itself", problem_mark=node.start_mark)
        if len(above) > DEEPEST:
            raise yaml.MarkedYAMLError(problem="it is nested too deeply", problem_mark=node.start_mark)
        if id(node) not in sizes:
            children: list[yaml.Node] = []
            if isinstance(node, yaml.MappingNode):
                children = [part for pair in node.value for part in pair]
            elif isinstance(node, yaml.SequenceNode):
                children = list(node.value)
            sizes[id(node)] = 1 + sum(size(child, (*above, id(node))) for child in children)
        if sizes[id(node)] > MOST_NODES:
            raise yaml.MarkedYAMLError(
                problem=f"more than {MOST_NODES:,} values once its aliases are written out",
                problem_mark=node.start_mark,
            )
        return sizes[id(node)]

    if root is not None:
        size(root, ())


def _key_lines(node: yaml.Node | None, path: tuple[str, ...]) -> Iterator[tuple[str, int]]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            inner = (*path, str(key.value))
            yield ".".join(inner), key.start_mark.line + 1
            yield from _key_lines(value, inner)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield from _key_lines(value, (*path, str(index)))
