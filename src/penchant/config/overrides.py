"""Overrides such as `loss.beta=0.2` applied to the values of a YAML file, before they are checked."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import get_args, get_origin

import yaml

from penchant.config.base import as_mapping
from penchant.config.fields import TAG, Shape, default_of, expected, shape_of
from penchant.config.problems import Problem, format_value
from penchant.config.schema import Schema
from penchant.config.yaml_text import load
from penchant.errors import InputError

logger = logging.getLogger("penchant.config")


def apply_overrides(config: type[Schema], values: dict[str, object], overrides: Sequence[str]) -> list[Problem]:
    """Change `values` in place by `dotted.path=value` texts; return the overrides that cannot be applied.

    What is set first is the shorter path, and of one length the `name` of a union, so that `loss.tau=0.2
    loss=ipo` and `loss=ipo loss.tau=0.2` are the same.
    """
    problems: list[Problem] = []
    split: list[tuple[list[str], str]] = []
    for text in overrides:
        key, equals, raw = text.partition("=")
        path = key.strip().split(".")
        if equals and all(path):
            split.append((path, raw.strip()))
        else:
            problems.append(Problem("", f"the override `{text}` is not of the form key=value, such as loss.beta=0.1"))
    # a stable sort: of two that set the same key, the last one that was typed wins
    for path, raw in sorted(split, key=lambda item: (len(item[0]), item[0][-1] != TAG)):
        try:
            _assign(config, None, values, path, raw)
        except InputError as error:
            problems.append(Problem(".".join(path), f"`{'.'.join(path)}`: {error}"))
    return problems


def _assign(
    config: type[Schema] | None, base: Schema | None, values: dict[str, object], path: Sequence[str], raw: str
) -> None:
    """Set one value.

    Args:
        config: the class that `values` are for; None below a key that it does not have (reported when
            checked).
        base: the default that `values` change, where there is one.
        values: changed in place.
        path: where to set it, from here on.
        raw: the value as it was typed.
    """
    key, *rest = path
    field = config.model_fields.get(key) if config else None
    if field is None:
        # kept although no field has it: the check reports it together with everything else that is wrong
        values[key] = _nested(rest, parse(raw, None))
        return
    shape = shape_of(field.annotation)
    default = getattr(base, key) if base is not None else default_of(field)
    if not rest:
        value = parse(raw, shape)
        # null and mappings are meant as they stand; a plain value of a field that takes one is no short form
        if not shape.stand_in or shape.plain or value is None or isinstance(value, Mapping):
            values[key] = _field_value(shape, key, value, values.get(key), default)
            return
        rest = [shape.stand_in]  # `loss=ipo` is `loss.name=ipo`, `data=x.jsonl` is `data.path=x.jsonl`
    if shape.configs:
        _assign_inside(shape, default, values, [key, *rest], raw)
    elif shape.takes(dict):  # free names, such as `weights.news=2`: the file's other names stay
        present = values.get(key)
        values[key] = merged = dict(present) if isinstance(present, Mapping) else {}
        item = _item_shape(shape)
        if item is not None and item.configs and len(rest) > 1:
            _assign_inside(item, None, merged, rest, raw)  # `domains.news.limit=8` leaves the path of the news
        else:
            merged[rest[0]] = _nested(rest[1:], parse(raw, None))
    else:
        raise InputError(f"`{key}` has no settings of its own; expected {expected(field)}")


def _item_shape(shape: Shape) -> Shape | None:
    """Return what the values of a setting with free names are; None if it says nothing about them."""
    kinds = [get_args(part) for part in shape.plain if get_origin(part) is dict]
    return shape_of(kinds[0][1]) if kinds else None


def _assign_inside(shape: Shape, default: object, values: dict[str, object], path: Sequence[str], raw: str) -> None:
    """Set one value in the sub-configuration that `values` holds (or will) under the path's first key."""
    key, *rest = path
    current = values.get(key)
    current = {} if current is None else as_mapping(shape, current)
    if not isinstance(current, Mapping):
        raise InputError(f"`{key}` is {format_value(current)}, which has no settings to change")
    name = current.get(TAG, getattr(default, TAG, None)) if shape.is_union else None
    if shape.is_union and rest == [TAG]:
        current = _new_branch(shape, key, current, name, parse(raw, None))
        name = current[TAG]
    branch = shape.branch(name)  # None where the name is that of no branch: pydantic says which there are
    values[key] = inner = dict(current)
    _assign(branch, default if branch and isinstance(default, branch) else None, inner, rest, raw)


def _new_branch(
    shape: Shape, key: str, current: Mapping[str, object], old: object, new: object
) -> Mapping[str, object]:
    """Return what is left of a union's settings when its name becomes `new`: all if it is the same, else none."""
    # `loss=sigmoid` over a file with `loss: {name: sigmoid, beta: 0.3}` takes nothing away
    # code of the user's is kept under its branch's name: compared by names alone, the same code would replace itself
    branch = as_mapping(shape, {TAG: new})
    assert isinstance(branch, Mapping)
    if branch.items() <= {TAG: old, **current}.items():
        return {**branch, **current}
    extension = shape.extension_branch.extension if shape.extension_branch is not None else TAG
    dropped_settings = ", ".join(f"{name}={value}" for name, value in current.items() if name not in (TAG, extension))
    old = current.get(extension, old)
    if dropped_settings:
        logger.warning(
            "%s=%s replaces %s; what was set for that no longer applies: %s", key, new, old, dropped_settings
        )
    elif old is not None:
        logger.info("%s=%s replaces %s", key, new, old)
    return branch


def _field_value(shape: Shape, key: str, value: object, current: object, default: object) -> object:
    """Return the value for a field as a whole; a mapping for a union that names no branch is for the present one."""
    if not shape.is_union or not isinstance(value, Mapping):
        return value
    present = as_mapping(shape, current)
    present = present if isinstance(present, Mapping) else {}
    name = present.get(TAG, getattr(default, TAG, None))
    if TAG in value:
        _new_branch(shape, key, present, name, value[TAG])  # only for what it says in the log
        return value
    return {TAG: name, **value} if name is not None else value


def _nested(path: Sequence[str], value: object) -> object:
    for key in reversed(path):
        value = {key: value}
    return value


def parse(raw: str, shape: Shape | None) -> object:
    """Return a typed value as YAML reads it, or as the plain text it is where the setting wants a text.

    So `out=runs/007`, `annotator=no` and `note=a: b` are texts without quotes, while `layers=[1, 2]` is a
    list.

    Raises:
        InputError: not valid YAML, and no text is wanted.
    """
    textual = shape is not None and shape.takes(str, Path)
    try:
        value = load(raw)
    except yaml.YAMLError:
        if shape is None or textual or shape.stand_in:
            return raw
        raise InputError(f"{format_value(raw)} is not a valid YAML value") from None
    if isinstance(value, str):  # YAML drops comments and folds spaces, which in `a #1` are part of the text
        return value if raw[:1] in ("'", '"') else raw
    if isinstance(value, (dict, list)) and raw[:1] not in ("{", "["):
        return raw  # `a: b` and `- a` are mappings and lists to YAML, but on one line nobody means that
    if not textual or shape is None:
        return value
    # where a text is wanted, `007`, `no` and `1e-6` are texts, unless the setting takes such a value as well
    accepted_types = {
        type(None): shape.nullable,
        bool: shape.takes(bool),
        int: shape.takes(int, float),
        float: shape.takes(float),
        list: shape.takes(list, tuple, set, frozenset),
        dict: shape.takes(dict) or bool(shape.configs),
    }
    return value if accepted_types.get(type(value), True) else raw
