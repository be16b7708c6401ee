"""What a setting may hold, as Markdown: its type with links to the settings inside, its default, its explanation."""

from __future__ import annotations

import inspect
import re
import types
from collections.abc import Iterator, Mapping
from typing import Annotated, Union, get_args, get_origin

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from penchant.config import Config
from penchant.config.descriptions import describe_field
from penchant.config.fields import TAG, default_of, expected, is_tag, shape_of, tag_of, words
from penchant.config.listing import format_setting
from penchant.config.schema import summary_of

SECTIONS = ("Attributes:", "Raises:", "Args:", "Returns:", "Example:")


def configs_in(annotation: object) -> Iterator[type[Config]]:
    """Yield the configuration classes that a type holds, also as items of a list or values of a mapping."""
    if isinstance(annotation, type) and issubclass(annotation, Config):
        yield annotation
    for part in get_args(annotation):
        yield from configs_in(part)


def nested(config: type[Config]) -> Iterator[type[Config]]:
    """Yield the configuration classes of a class's fields, in the order of the fields."""
    for field in config.model_fields.values():
        yield from configs_in(field.annotation)


def settings_table(config: type[Config], page: str) -> list[str]:
    """Return the table of a class's settings.

    Args:
        config: the class.
        page: what a link to a class's section begins with: empty on the page of settings, else that page's name.
    """
    fields = {name: field for name, field in config.model_fields.items() if not is_tag(name, config)}
    if not fields:
        return ["No settings of its own.", ""]
    rows = ["| setting | value | default | meaning |", "|---|---|---|---|"]
    for name, field in fields.items():
        cells = f"`{name}`", _value(field, page), _default(field), prose(describe_field(config, name))
        rows.append(f"| {' | '.join(_cell(cell) for cell in cells)} |")
    return [*rows, ""]


def explanation(config: type[Config]) -> list[str]:
    """Return a class's docstring as lines of Markdown, without its lists of attributes and errors."""
    text = inspect.cleandoc(summary_of(config))
    for section in SECTIONS:
        text = text.partition(f"\n{section}\n")[0]
    return [*prose(text, keep_lines=True).rstrip().split("\n"), ""]


def prose(text: str, keep_lines: bool = False) -> str:
    """Return a docstring's text as Markdown: what stands outside of backticks is not read as markup."""
    text = text if keep_lines else " ".join(text.split())
    # code between backticks stays as it is: Markdown reads no markup there
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(part if part.startswith("`") else re.sub(r"([<*])", r"\\\1", part) for part in parts)


def _cell(text: str) -> str:
    return text.replace("|", r"\|")


def _value(field: FieldInfo, page: str) -> str:
    """Return in words what a field takes; names of settings inside are links."""
    if not any(configs_in(field.annotation)):
        return prose(expected(field))
    return _type(field.annotation, page)


def _type(annotation: object, page: str) -> str:
    if annotation is type(None):
        return "null"
    if not any(configs_in(annotation)):
        return prose(words(annotation))
    if isinstance(annotation, type) and issubclass(annotation, Config):
        short = f"`{annotation.shorthand}` or " if annotation.shorthand else ""
        return f"{short}[{tag_of(annotation)}]({page}#{anchor(annotation)})"
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type(arguments[0], page)
    if origin in (Union, types.UnionType):
        return _alternatives(annotation, page)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return f"a mapping, each value {_type(arguments[1], page)}"
    return f"a list, each {_type(arguments[0], page)}"


def _alternatives(annotation: object, page: str) -> str:
    if shape_of(annotation).is_union:
        links = ", ".join(_type(config, page) for config in shape_of(annotation).configs)
        rest = [part for part in shape_of(annotation).plain if part is not type(None)]
        texts = [f"one of {links}", *(_type(part, page) for part in rest)]
        return " or ".join(texts + ["null"] * shape_of(annotation).nullable)
    return " or ".join(_type(part, page) for part in get_args(annotation))


def anchor(config: type[Config]) -> str:
    """Return the anchor of a class's section on the page of settings."""
    return re.sub(r"[^\w\- ]", "", heading(config).lower()).replace(" ", "-")


def heading(config: type[Config]) -> str:
    """Return the heading of a class's section: its name in a union and its own."""
    tag = tag_of(config)
    return config.__name__ if tag == config.__name__ else f"{tag}: {config.__name__}"


def _default(field: FieldInfo) -> str:
    value = default_of(field)
    if value is PydanticUndefined:
        return "required"
    if isinstance(value, Config):
        return _config_default(value, is_union=shape_of(field.annotation).is_union)
    return f"`{format_setting(value)}`"


def _config_default(value: Config, is_union: bool) -> str:
    """Return what a default changes of its class's own defaults; nothing where it changes none."""
    defaults = {name: default_of(field) for name, field in type(value).model_fields.items()}
    changed = {
        name: getattr(value, name) for name in defaults if name != TAG and getattr(value, name) != defaults[name]
    }
    if is_union and not changed:
        return f"`{tag_of(type(value))}`"
    names = {TAG: tag_of(type(value))} if is_union else {}
    return f"`{format_setting(names | changed)}`" if changed else "as there"
