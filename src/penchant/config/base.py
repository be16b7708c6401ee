"""`Config`, the base of every configuration: frozen, typed, and strict about what it is given."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import NoneType
from typing import ClassVar, Self

from pydantic import ValidationError, field_validator, model_validator

from penchant.config.fields import TAG, Shape, default_of, shape_of, tag_of
from penchant.config.problems import NO_UNICODE, explain
from penchant.config.schema import Schema
from penchant.errors import InputError
from penchant.extension.door import is_extension
from penchant.redact import hide_credentials
from penchant.session.objects import code_name


def is_unicode(text: str) -> bool:
    """Return whether a text can be written as UTF-8. A file's name in another encoding comes with lone surrogates."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


class Config(Schema):
    """Base of every configuration.

    A subclass lists its fields with types, limits and defaults, and a docstring under each. Values come from
    Python, YAML and command-line overrides and are completed and checked in one way, so all three give equal
    objects:

    - a mapping for a sub-configuration changes the field's default: what it leaves out keeps the default's
      value;
    - a mapping for a union whose `name` differs from the default's starts from that branch's own defaults;
    - a bare value stands for a union's `name`, or for the setting that the sub-configuration calls its
      `shorthand`.

    Raises:
        InputError: from the constructor, naming every unknown key, missing field and wrong value at once.
    """

    added_fields: ClassVar[frozenset[str]] = frozenset()
    """Fields that earlier versions lack. Left at their default they are no part of an address, which stays valid."""

    def __init__(self, **values: object) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise InputError(explain(type(self), error)) from None

    # Pydantic validates a nested configuration without `__init__` only if that is marked as its own.
    # Otherwise the inner InputError would reach the outer one as a text, without the path of what is wrong.
    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]

    def __repr_args__(self) -> Iterator[tuple[str, object]]:
        """Yield the settings that differ from their defaults, for `repr`: all of them fill a page."""
        for name, field in type(self).model_fields.items():
            value = getattr(self, name)
            if value != default_of(field):
                yield name, value

    def replace(self, **changes: object) -> Self:
        """Return a checked copy with some fields changed (`model_copy` would not check).

        Raises:
            InputError: as from the constructor.
        """
        return type(self)(**{**shallow(self), **changes})

    def recorded(self) -> dict[str, object]:
        """Return the settings as JSON that a file may keep: without credentials in addresses."""
        return {name: _without_credentials(value) for name, value in self.model_dump(mode="json").items()}

    def addressed(self) -> dict[str, object]:
        """Return the settings as JSON, for the address of a stage: without added fields that have their default."""
        written = self.model_dump(mode="json")
        for name, field in type(self).model_fields.items():
            value = getattr(self, name)
            if name in self.added_fields and value == field.get_default(call_default_factory=True):
                del written[name]
            elif isinstance(value, Config):
                written[name] = value.addressed()
            elif isinstance(value, tuple | list) and any(isinstance(item, Config) for item in value):
                written[name] = [
                    item.addressed() if isinstance(item, Config) else dumped
                    for item, dumped in zip(value, written[name], strict=True)
                ]
        return written

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, values: object) -> object:
        """Turn the short ways to write a field into the full one, before pydantic checks it."""
        if cls.shorthand and not isinstance(values, (Mapping, Config, NoneType)):
            values = {cls.shorthand: values}  # an item of a list; `completed` does it for a field
        if not isinstance(values, Mapping):
            return values
        full = dict(values)  # a copy: the caller's mapping may serve for other configurations too
        # keys that no field has stay, and pydantic reports them
        for name in full.keys() & cls.model_fields.keys():
            field = cls.model_fields[name]
            shape = shape_of(field.annotation)
            if shape.configs:
                full[name] = completed(shape, full[name], default_of(field))
            elif isinstance(full[name], (list, tuple)) and (item := shape.item) is not None:
                full[name] = [as_mapping(item, value) for value in full[name]]
            elif isinstance(full[name], bool) and shape.takes(int, float) and not shape.takes(bool, str):
                # to Python true is 1, so that `epochs=true` would train one; as text it is refused
                full[name] = str(full[name]).lower()
        return full

    @field_validator("*", mode="after")  # before, pydantic allows none on the name of a union's branch
    @classmethod
    def _is_text(cls, value: object) -> object:
        # settings inside are validated as their own, with a path of their own
        items = value if isinstance(value, (list, tuple)) else [value]
        if any(isinstance(item, (str, Path)) and not is_unicode(str(item)) for item in items):
            raise ValueError(NO_UNICODE)
        return value


def _without_credentials(value: object) -> object:
    if isinstance(value, str):
        return hide_credentials(value)
    if isinstance(value, dict):
        return {name: _without_credentials(entry) for name, entry in value.items()}
    return [_without_credentials(entry) for entry in value] if isinstance(value, list) else value


def shallow(config: Schema) -> dict[str, object]:
    """Return the fields of a configuration as they are; sub-configurations stay objects."""
    return {name: getattr(config, name) for name in type(config).model_fields}


def is_settings_class(value: object) -> bool:
    """Return whether a value is a class of settings, and no object of it."""
    return isinstance(value, type) and issubclass(value, Schema)


def as_mapping(shape: Shape, value: object) -> object:
    """Return a bare value as the mapping it stands for; anything else as it is.

    Where `module:attribute` stands for a union's name, the union's branch for code of the user's takes it.
    """
    # where the field takes plain values too, a bare value is one of them
    if shape.stand_in and not shape.plain and value is not None and not isinstance(value, (Mapping, Config)):
        value = {shape.stand_in: value}
    branch = shape.extension_branch
    if branch is None or not isinstance(value, Mapping):
        return value
    name = value.get(TAG)
    # a function, a class or an object of the session; a class of settings was meant to be called
    if not isinstance(name, str | int | float | Sequence | Mapping | NoneType | Config) and not is_settings_class(name):
        name = code_name(name)
    if not isinstance(name, str) or not is_extension(name):
        return value
    return {**value, TAG: tag_of(branch), branch.extension: name}


def completed(shape: Shape, value: object, base: object) -> object:
    """Return a mapping for a sub-configuration with what it leaves out taken from `base`, the default it changes.

    In a union the name comes from `base` where it is left out, and the rest only where the names agree.
    """
    value = as_mapping(shape, value)
    # an object replaces the default as a whole, and a field without a default has nothing to complete from
    if not isinstance(value, Mapping) or not isinstance(base, shape.configs):
        return value
    # another branch keeps its own defaults: `beta` of one loss is another thing than that of the next
    if shape.is_union and value.get(TAG, getattr(base, TAG)) != getattr(base, TAG):
        return value
    full: dict[str, object] = {**shallow(base), **value}
    # inside, too, a mapping changes the default that stands here, which may differ from the class's own
    for name, field in type(base).model_fields.items():
        inner = shape_of(field.annotation)
        if name in value and inner.configs:
            full[name] = completed(inner, value[name], getattr(base, name))
    return full
