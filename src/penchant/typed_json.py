"""Write dataclasses as JSON objects and read them back, so that code hands on objects and files keep plain values.

A field's name is its key unless it is annotated with `StoredAs`, and keys stand in the order of the fields. A key that
this version does not know is ignored. A key that is missing takes the field's default, which is how files of older
versions are read. Configurations inside of them are written and checked by their own methods.
"""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from functools import cache
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

JsonObject = dict[str, Any]
"""A JSON object whose keys belong to somebody else, such as a recorded configuration or a provenance."""
INLINED = "inlined"
"""Annotate a field whose own keys stand among those of its owner: `first: Annotated[Point, INLINED]`."""
OMITTED = "omitted"
"""Annotate a field that is left out of the JSON object where it is None: `note: Annotated[str | None, OMITTED]`."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class StoredAs:
    """Annotate a field whose key in files is another word: `first: Annotated[str, StoredAs("one")]`."""

    key: str


SCALARS: dict[Any, tuple[type, ...]] = {str: (str,), bool: (bool,), int: (int,), float: (int, float)}


@dataclass(frozen=True, slots=True)
class _Key:
    """How one field stands in a JSON object."""

    field: Field[Any]
    name: str
    kind: Any
    is_inlined: bool
    is_omitted_if_none: bool


def to_json(value: Any) -> Any:
    """Return plain values for JSON: objects for dataclasses and mappings, lists for sequences."""
    if hasattr(value, "as_dict"):
        return value.as_dict()
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")  # configurations lie above this module, so they are known by what they do
    if is_dataclass(value) and not isinstance(value, type):
        return _object(value)
    if isinstance(value, Mapping):
        return {key: to_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_json(item) for item in value]
    return value


def to_object(value: Any) -> JsonObject:
    """Return the JSON object of a dataclass."""
    return dict(to_json(value))


def from_json(kind: type[T], value: Any, where: str = "") -> T:
    """Return the dataclass that a JSON object stands for.

    Args:
        kind: the dataclass. A class method `from_dict` is used where it has one.
        value: what `json.loads` returned.
        where: what is read, for errors.

    Raises:
        KeyError: a key is missing that has no default.
        ValueError: a value of another type than the field's.
    """
    read: T = _read(kind, value, where)
    return read


def _object(value: Any) -> JsonObject:
    written: JsonObject = {}
    for key in _keys(value.__class__):
        item = getattr(value, key.field.name)
        if key.is_inlined:
            written |= to_object(item)
        elif item is not None or not key.is_omitted_if_none:
            written[key.name] = to_json(item)
    return written


@cache
def _keys(kind: Any) -> tuple[_Key, ...]:
    plain, annotated = get_type_hints(kind), get_type_hints(kind, include_extras=True)
    marks = {name: getattr(hint, "__metadata__", ()) for name, hint in annotated.items()}
    return tuple(
        _Key(
            each,
            next((mark.key for mark in marks[each.name] if isinstance(mark, StoredAs)), each.name),
            plain[each.name],
            INLINED in marks[each.name],
            OMITTED in marks[each.name],
        )
        for each in fields(kind)
    )


def _read(kind: Any, value: Any, where: str) -> Any:
    if kind in (Any, object):
        return value
    if is_dataclass(kind):
        return _read_object(kind, value, where)
    if hasattr(kind, "model_validate"):
        return kind.model_validate(value)
    origin = get_origin(kind) or kind
    if origin in (Union, types.UnionType):
        return _read_union(kind, value, where)
    if origin is Literal:
        _require(value in get_args(kind), f"one of {', '.join(map(repr, get_args(kind)))}", value, where)
        return value
    if issubclass(origin, Mapping):
        _require(isinstance(value, Mapping), "an object", value, where)
        _, item_kind = get_args(kind) or (Any, Any)
        return {key: _read(item_kind, item, f"{where}.{key}") for key, item in value.items()}
    if issubclass(origin, Sequence) and origin is not str:
        return _read_sequence(kind, value, where)
    allowed = SCALARS[origin]
    is_bool_as_number = isinstance(value, bool) and bool not in allowed
    _require(isinstance(value, allowed) and not is_bool_as_number, origin.__name__, value, where)
    return value


def _read_object(kind: Any, value: Any, where: str) -> Any:
    _require(isinstance(value, Mapping), "an object", value, where)
    if hasattr(kind, "from_dict"):
        return kind.from_dict(value)
    arguments: JsonObject = {}
    for key in _keys(kind):
        name = key.field.name
        if key.is_inlined:
            arguments[name] = _read_object(key.kind, value, where)
        elif key.name in value:
            arguments[name] = _read(key.kind, value[key.name], f"{where}.{key.name}")
        elif key.field.default is MISSING and key.field.default_factory is MISSING:
            raise KeyError(key.name)
    return kind(**arguments)


def _read_union(kind: Any, value: Any, where: str) -> Any:
    """Read an optional value, or the first alternative that fits."""
    kinds = get_args(kind)
    if value is None and type(None) in kinds:
        return None
    *first, last = [each for each in kinds if each is not type(None)]
    for each in first:
        try:
            return _read(each, value, where)
        except (KeyError, ValueError):
            continue
    return _read(last, value, where)


def _read_sequence(kind: Any, value: Any, where: str) -> tuple[Any, ...]:
    _require(isinstance(value, (list, tuple)), "a list", value, where)
    kinds = get_args(kind) or (Any, ...)
    if (len(kinds) == 2 and kinds[1] is Ellipsis) or get_origin(kind) is not tuple:
        return tuple(_read(kinds[0], item, f"{where}[{place}]") for place, item in enumerate(value))
    _require(len(value) == len(kinds), f"{len(kinds)} items", value, where)
    return tuple(
        _read(each, item, f"{where}[{place}]") for place, (each, item) in enumerate(zip(kinds, value, strict=True))
    )


def _require(fits: bool, expected: str, value: Any, where: str) -> None:
    if not fits:
        shown = repr(value)
        raise ValueError(f"{where.lstrip('.') or 'the file'}: expected {expected}, got {shown[:60]}")
