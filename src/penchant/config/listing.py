"""What a configuration can hold, for people: the text of `--help`, and what still lacks an explanation."""

from __future__ import annotations

import inspect
import shutil
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from pydantic_core import PydanticUndefined

from penchant.config.descriptions import describe_field
from penchant.config.fields import TAG, default_of, expected, is_tag, shape_of, tag_of
from penchant.config.schema import Schema, summary_of

INDENT = 4
NARROW = 60


def describe(config: type[Schema], width: int | None = None) -> str:
    """Describe every setting by dotted path with its type, default and explanation; of a union every branch.

    Args:
        config: the class to describe.
        width: of a line, in characters; that of the terminal where it is None.
    """
    # a pipe has no width: 100. Narrower than 24 there would be a word per line, wider than 110 is hard to read.
    width = width or min(110, max(24, shutil.get_terminal_size((100, 24)).columns))
    return "\n".join(_settings(config, None, "", 0, width))


@dataclass(frozen=True)
class Setting:
    """A setting as help shows it: its default (`PydanticUndefined` where it must be given) and its text."""

    default: object
    text: str


def find_setting(config: type[Schema], path: str) -> Setting | None:
    """Return the setting at a dotted path, in the default branches of unions; None where there is none."""
    base: object = None
    for number, key in enumerate(keys := path.split(".")):
        field = config.model_fields.get(key)
        if field is None:
            return None
        default = getattr(base, key) if isinstance(base, Schema) else default_of(field)
        if number == len(keys) - 1:
            return Setting(default, describe_field(config, key))
        inner = shape_of(field.annotation).configs
        if not inner:
            return None
        # `model.lora.rank`: where the default is null or must be given, its class has the defaults
        base = default if isinstance(default, Schema) else None
        config = type(default) if isinstance(default, Schema) else inner[0]
    return None


def undocumented_fields(config: type[Schema]) -> list[str]:
    """Return the dotted paths of all fields without an explanation, and of union branches without a docstring."""
    missing: list[str] = []
    for name, field in config.model_fields.items():
        shape = shape_of(field.annotation)
        if not describe_field(config, name) and not is_tag(name, config):
            missing.append(name)
        for inner in shape.configs:
            where = f"{name}[{tag_of(inner)}]" if shape.is_union else name
            if shape.is_union and not inner.__doc__:
                missing.append(where)
            missing += [f"{where}.{path}" for path in undocumented_fields(inner)]
    return missing


def _settings(config: type[Schema], base: Schema | None, prefix: str, depth: int, width: int) -> Iterator[str]:
    """Yield the lines for one configuration; `base` is the default that its values change."""
    for name, field in config.model_fields.items():
        if is_tag(name, config):
            continue
        path = prefix + name
        shape = shape_of(field.annotation)
        # what counts is the default that a user meets: `loss.beta` of DPO, not that of the loss's class
        default = getattr(base, name) if base is not None else default_of(field)
        yield from _wrapped(f"{path}: {expected(field)}{_default_words(default)}", depth, width, hang=2)
        yield from _wrapped(describe_field(config, name), depth + 1, width)
        for inner in shape.configs:
            # only where the class is the same: another branch has its own defaults, and none of these values
            inner_base = default if type(default) is inner else None
            if shape.is_union:
                summary = inspect.cleandoc(summary_of(inner)).partition("\n\n")[0]
                yield from _wrapped(f"{path}.{TAG}={tag_of(inner)}: {summary}", depth + 1, width, hang=2)
            # a union's branch has a line of its own, and its settings stand one step below that
            yield from _settings(inner, inner_base, f"{path}.", depth + 1 + shape.is_union, width)


def _wrapped(text: str, depth: int, width: int, hang: int = 0) -> list[str]:
    # half the margin in a narrow terminal, where a step of four would leave no room for the text
    margin = " " * ((INDENT if width >= NARROW else INDENT // 2) * depth)
    return textwrap.wrap(
        " ".join(text.split()),
        max(width, len(margin) + 24),  # deep down, a few words must still fit on a line
        initial_indent=margin,
        subsequent_indent=margin + " " * hang,
        break_on_hyphens=False,
        break_long_words=False,  # a path or a setting must be copied whole
    )


def _default_words(default: object) -> str:
    """Return ` (required)` or ` (default 0.1)`; nothing for settings, whose own defaults follow."""
    if default is PydanticUndefined:
        return " (required)"
    if isinstance(default, Schema):
        return f" (default {tag_of(type(default))})" if is_tag(TAG, type(default)) else ""
    return f" (default {format_setting(default)})"


def format_setting(value: object) -> str:
    """Return a value as it is written on the command line; of settings what they set, never Python's `repr`."""
    if isinstance(value, Schema):
        changed = {name: getattr(value, name) for name in type(value).model_fields if name in value.model_fields_set}
        tag = {TAG: tag_of(type(value))} if TAG in type(value).model_fields else {}
        return format_setting(tag | changed)
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {format_setting(item)}" for key, item in value.items()) + "}"
    if isinstance(value, (list, tuple, set, frozenset)):
        return f"[{', '.join(format_setting(item) for item in value)}]"
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, Path):
        return value.as_posix()
    # nothing behind `default` would look like a mistake of the help
    return str(value) if value != "" else '""'
