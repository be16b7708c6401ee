"""Write dataclasses as JSON objects and read them back, so that code hands on objects and files keep plain values.

A field's name is its key unless it is annotated with `StoredAs`, and keys stand in the order of the fields. A key that
this version does not know is ignored. A key that is missing takes the field's default, which is how files of older
versions are read. Configurations inside of them are written and checked by their own methods.
"""

from __future__ import annotations

import types
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
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


SCALARS: dict[object, tuple[type, ...]] = {str: (str,), bool: (bool,), int: (int,), float: (int, float)}
"""Values that a type takes. A whole number stands for a float: JSON of other programs has `1` for `1.0`."""


@dataclass(frozen=True, slots=True)
class _StoredField:
    """How one field stands in a JSON object, and under which key."""

    name: str
    key: str
    kind: object
    has_default: bool
    is_inlined: bool
    is_omitted_if_none: bool


def to_json(value: object) -> object:
    """Return plain values for JSON: objects for dataclasses and mappings, lists for sequences."""
    if hasattr(value, "as_dict"):
        written: object = value.as_dict()
        return written
    if hasattr(value, "addressed"):  # configurations lie above this module, so they are known by what they do
        settings: object = value.addressed()
        return settings
    if is_dataclass(value) and not isinstance(value, type):
        return _object(value)
    if isinstance(value, Mapping):
        return {key: to_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_json(item) for item in value]
    return value


def to_object(value: object) -> JsonObject:
    """Return the JSON object of a dataclass, its keys in the order of the fields."""
    written = to_json(value)
    assert isinstance(written, dict)
    return dict(written)


def from_json(kind: type[T], value: object, where: str = "") -> T:
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
    for field in _stored_fields(value.__class__):
        item = getattr(value, field.name)
        if field.is_inlined:
            written |= to_object(item)
        elif item is not None or not field.is_omitted_if_none:
            written[field.key] = to_json(item)
    return written


@cache  # type hints are texts, which are evaluated here
def _stored_fields(kind: Hashable) -> tuple[_StoredField, ...]:
    assert isinstance(kind, type)
    assert is_dataclass(kind)
    plain, annotated = get_type_hints(kind), get_type_hints(kind, include_extras=True)
    stored = []
    for field in fields(kind):
        marks = getattr(annotated[field.name], "__metadata__", ())
        key = next((mark.key for mark in marks if isinstance(mark, StoredAs)), field.name)
        has_default = field.default is not MISSING or field.default_factory is not MISSING
        stored.append(_StoredField(field.name, key, plain[field.name], has_default, INLINED in marks, OMITTED in marks))
    return tuple(stored)


def _read(kind: object, value: object, where: str) -> Any:  # `kind` says what comes back
    if kind is Any or kind is object:
        return value
    if isinstance(kind, type) and is_dataclass(kind):
        return _read_object(kind, value, where)
    if hasattr(kind, "model_validate"):
        return kind.model_validate(value)
    origin, arguments = get_origin(kind) or kind, get_args(kind)
    if origin in (Union, types.UnionType):
        return _read_union(arguments, value, where)
    if origin is Literal:
        _require(value in arguments, f"one of {', '.join(map(repr, arguments))}", value, where)
        return value
    assert isinstance(origin, type)
    if issubclass(origin, Mapping):
        items = _as_object(value, where).items()
        item_kind = arguments[1] if arguments else object
        return {key: _read(item_kind, item, f"{where}.{key}") for key, item in items}
    if issubclass(origin, Sequence) and origin is not str:
        return _read_sequence(origin, arguments, value, where)
    allowed = SCALARS[origin]
    # to Python true is 1: a flag in the place of a number is damage, not a number
    is_bool_as_number = isinstance(value, bool) and bool not in allowed
    _require(isinstance(value, allowed) and not is_bool_as_number, origin.__name__, value, where)
    return value


def _read_object(kind: type, value: object, where: str) -> object:
    entries = _as_object(value, where)
    if hasattr(kind, "from_dict"):
        read: object = kind.from_dict(entries)
        return read
    arguments: dict[str, object] = {}
    for field in _stored_fields(kind):
        if field.is_inlined:
            arguments[field.name] = _read(field.kind, entries, where)
        elif field.key in entries:
            arguments[field.name] = _read(field.kind, entries[field.key], f"{where}.{field.key}")
        elif not field.has_default:
            raise KeyError(field.key)
    return kind(**arguments)


def _read_union(kinds: tuple[object, ...], value: object, where: str) -> object:
    """Read an optional value, or the first alternative that fits."""
    if value is None and types.NoneType in kinds:
        return None
    *first, last = [kind for kind in kinds if kind is not types.NoneType]
    for kind in first:
        try:
            return _read(kind, value, where)
        except (KeyError, ValueError):
            continue
    return _read(last, value, where)  # its error says what was expected


def _read_sequence(origin: type, kinds: tuple[object, ...], value: object, where: str) -> tuple[object, ...]:
    """Read a list as a tuple, which frozen classes can hold."""
    if not isinstance(value, (list, tuple)):
        raise _mismatch("a list", value, where)
    if origin is tuple and kinds and kinds[-1] is not Ellipsis:  # one type for each place
        _require(len(value) == len(kinds), f"{len(kinds)} items", value, where)
        item_kinds = kinds
    else:
        item_kinds = (kinds[0] if kinds else object,) * len(value)
    return tuple(
        _read(kind, item, f"{where}[{index}]") for index, (kind, item) in enumerate(zip(item_kinds, value, strict=True))
    )


def _as_object(value: object, where: str) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise _mismatch("an object", value, where)
    return value


def _require(fits: bool, expected: str, value: object, where: str) -> None:
    if not fits:
        raise _mismatch(expected, value, where)


def _mismatch(expected: str, value: object, where: str) -> ValueError:
    return ValueError(f"{where.lstrip('.') or 'the file'}: expected {expected}, got {repr(value)[:60]}")
