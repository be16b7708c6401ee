"""What a configuration's field may hold: its sub-configurations, and in words what is expected of a value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen
from pydantic import BeforeValidator, JsonValue
from pydantic.fields import FieldInfo

from penchant.config.schema import Schema

TAG = "name"
"""The field that tells the branches of a union apart."""


@dataclass(frozen=True)
class Shape:
    """The parts of a field's type.

    Attributes:
        configs: the sub-configurations it may hold: none for a plain value, several for a union.
        plain: the other types of the union, without None.
        nullable: whether None is allowed.
    """

    configs: tuple[type[Schema], ...]
    plain: tuple[object, ...]
    nullable: bool

    def branch(self, tag: object) -> type[Schema] | None:
        """Return the branch of a union that is called `tag`; the only configuration where there is no choice."""
        if len(self.configs) == 1:
            return self.configs[0]
        return next((config for config in self.configs if tag_of(config) == tag), None)

    @property
    def is_union(self) -> bool:
        """Whether a value has to say by its name which configuration it is."""
        return len(self.configs) > 1

    @property
    def extension_branch(self) -> type[Schema] | None:
        """The branch of a union that takes code of the user's; None where it has none."""
        return next((config for config in self.configs if config.extension), None) if self.is_union else None

    @property
    def item(self) -> Shape | None:
        """The shape of a list's items, where they are sub-configurations without a short form of their own."""
        # two kinds of lists, or a list of anything, say nothing about an item
        lists = [get_args(part) for part in self.plain if get_origin(part) in (list, tuple)]
        if len(lists) != 1 or not lists[0]:
            return None
        annotation = lists[0][0]
        # a validator of the item's own reads its short form, and must see what was typed
        if any(isinstance(mark, BeforeValidator) for mark in getattr(annotation, "__metadata__", ())):
            return None
        shape = shape_of(annotation)
        return shape if shape.configs else None

    @property
    def stand_in(self) -> str | None:
        """The setting that a bare value stands for: `loss: ipo` is `loss: {name: ipo}`."""
        if self.is_union:
            return TAG
        return self.configs[0].shorthand or None if self.configs else None

    def takes(self, *kinds: type) -> bool:
        """Return whether a plain value of one of these types (or a literal of it) is allowed."""
        # a subclass counts (`Path` for `PurePath`), but of literals the type itself: True is no literal 1
        literals = [value for part in self.plain if get_origin(part) is Literal for value in get_args(part)]
        classes = [get_origin(part) or part for part in self.plain if get_origin(part) is not Literal]
        return any(kind is Any or (isinstance(kind, type) and issubclass(kind, kinds)) for kind in classes) or any(
            type(value) in kinds for value in literals
        )


def shape_of(annotation: object) -> Shape:
    """Return the shape of a type annotation; look through `Annotated`, `Optional` and unions."""
    members = tuple(_members(annotation))
    configs = tuple(member for member in members if isinstance(member, type) and issubclass(member, Schema))
    plain = tuple(member for member in members if member not in configs and member is not NoneType)
    return Shape(configs, plain, nullable=NoneType in members)


def _members(annotation: object) -> Sequence[object]:
    origin = get_origin(annotation)
    if origin is Annotated:
        return _members(get_args(annotation)[0])
    # `Union[X, Y]` and `X | Y` are objects of two types before Python 3.14
    if origin in (Union, UnionType):
        return [member for part in get_args(annotation) for member in _members(part)]
    return [annotation]


def tag_of(config: type[Schema]) -> str:
    """Return the name of a union's branch: the value of its `name: Literal[...]` field, or the class's own name."""
    # asked of classes, not of objects: a branch that fails to validate has no object
    field = config.model_fields.get(TAG)
    values = get_args(field.annotation) if field and get_origin(field.annotation) is Literal else ()
    # a `name` of several literals is a setting that users choose, and tells no branch
    return str(values[0]) if len(values) == 1 else config.__name__


def is_tag(name: str, config: type[Schema]) -> bool:
    """Return whether a field only tells the branches of a union apart; then the branch's docstring explains it."""
    return name == TAG and tag_of(config) != config.__name__


def literals_of(annotation: object) -> list[str]:
    """Return the texts that a type spells out with `Literal`."""
    parts = [part for part in shape_of(annotation).plain if get_origin(part) is Literal]
    return [value for part in parts for value in get_args(part) if isinstance(value, str)]


def default_of(field: FieldInfo) -> object:
    """Return the field's default, or `PydanticUndefined` where it has none."""
    if field.default_factory is not None:  # pydantic calls it only for an object that it builds
        return field.get_default(call_default_factory=True, validated_data={})
    return field.default


def expected(field: FieldInfo) -> str:
    """Describe what a field wants: `a number above 0`, `one of drop, half`, `a path or null`."""
    shape = shape_of(field.annotation)
    limits = _limits(field.metadata)
    parts = [words(part) for part in _merged(field.annotation) if part is not NoneType]
    # two members may read alike, such as `list[str] | tuple[str, ...]`: said once
    text = " or ".join(dict.fromkeys(parts)) or "nothing"
    return text + (f" {limits}" if limits else "") + (" or null" if shape.nullable else "")


def _merged(annotation: object) -> list[object]:
    """Return the members of a union with their `Annotated` limits, and the branches of a tagged union as one."""
    origin = get_origin(annotation)
    if origin is Annotated:
        inner, *metadata = get_args(annotation)
        if shape_of(inner).is_union:  # what is annotated is the discriminator, no limit
            return [inner]
        # the limits of `Annotated[int | None, Ge(1)]` are the number's: each member takes them along
        return [Annotated[(part, *metadata)] for part in _merged(inner)]
    if origin in (Union, UnionType):
        if shape_of(annotation).is_union:
            return [annotation]
        return [member for part in get_args(annotation) for member in _merged(part)]
    return [annotation]


_NAMES: dict[object, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    Path: "a path",
    Any: "anything",
    JsonValue: "a value of JSON",
}


def words(annotation: object) -> str:
    """Describe a type in words: `a number above 0`, `one of drop, half`, `a list (each a path)`."""
    if get_origin(annotation) is Annotated:
        inner, *metadata = get_args(annotation)
        limits = _limits(metadata)
        return words(inner) + (f" {limits}" if limits else "")
    if annotation in _NAMES:
        return _NAMES[annotation]
    shape = shape_of(annotation)
    if shape.configs:
        if shape.is_union:
            return "one of " + ", ".join(tag_of(config) for config in shape.configs)
        config = shape.configs[0]
        short = f"its {config.shorthand}, or " if config.shorthand else ""
        return f"{short}settings ({', '.join(config.model_fields)})"
    origin, arguments = get_origin(annotation) or annotation, get_args(annotation)
    if origin in (Union, UnionType):
        return " or ".join("null" if part is NoneType else words(part) for part in arguments)
    if origin is Literal:
        return _choice(arguments)
    if isinstance(origin, type) and issubclass(origin, Enum):
        return _choice([member.value for member in origin])
    # mappings before sequences, and both after enumerations: text is a sequence, and so may an enumeration be
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return "a mapping" + (f" (each value {words(arguments[1])})" if arguments else "")
    if isinstance(origin, type) and issubclass(origin, (Sequence, set, frozenset)):
        return _list_words(arguments)
    return getattr(annotation, "__name__", str(annotation))  # a class that has no words here


def _choice(values: Sequence[object]) -> str:
    return str(values[0]) if len(values) == 1 else f"one of {', '.join(map(str, values))}"


def _list_words(items: Sequence[object]) -> str:
    if not items:
        return "a list"
    if len(items) == 1 or items[-1] is Ellipsis:
        return f"a list (each {words(items[0])})"
    return f"a list of {len(items)} ({', '.join(words(item) for item in items)})"


def _limits(metadata: Sequence[object]) -> str:
    """Return the limits of a number or a length in words: `at least 0 and below 0.5`."""
    phrases: list[str] = []
    for limit in metadata:
        match limit:
            case FieldInfo():  # a `Field(...)` inside a union, which pydantic leaves as it is
                phrases += filter(None, [_limits(limit.metadata)])
            case Gt(gt=low):
                phrases.append(f"above {low}")
            case Ge(ge=low):
                phrases.append(f"at least {low}")
            case Lt(lt=high):
                phrases.append(f"below {high}")
            case Le(le=high):
                phrases.append(f"at most {high}")
            case MinLen(min_length=length):
                phrases.append(f"of length at least {length}")
            case MaxLen(max_length=length):
                phrases.append(f"of length at most {length}")
    return " and ".join(phrases)
