"""What is wrong with a configuration, in our words: all of it at once, by dotted path, with what to do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import get_args, get_origin

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from penchant.config.fields import TAG, Shape, expected, literals_of, shape_of, tag_of, words
from penchant.config.other_names import OTHER_CHOICES, OTHER_NAMES
from penchant.config.schema import Schema
from penchant.errors import did_you_mean, near_names

MAX_VALUE_LENGTH = 60
"""Characters of a wrong value that a message shows."""

NO_UNICODE = "holds bytes that are no text in UTF-8, or half a character: rename the file, and give its new name"
"""Why a value is refused that no file of ours could hold, and no message show."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        path: the dotted path of the setting; empty for the whole.
        text: what to say.
        meant: the dotted path that is meant, or `path=value`, where nothing else can be.
    """

    path: str
    text: str
    meant: str = ""


@dataclass(frozen=True)
class _Location:
    """Where pydantic's location leads.

    Attributes:
        keys: the path without the tags of unions.
        owner: the configuration that should hold the last key, or None inside a plain value.
        reached_through: the field by which `owner` was reached; None for the root.
        field: the field at the end, where there is one.
        item: the type of the item of a list or mapping at the end, where the path leads into one.
    """

    keys: tuple[str, ...]
    owner: type[Schema] | None
    reached_through: Shape | None = None
    field: FieldInfo | None = None
    item: object = None


def explain(config: type[Schema], error: ValidationError) -> str:
    """Return the message for a configuration that was built in Python."""
    return report(title_of(config), [problem.text for problem in problems(config, error)])


def title_of(config: type[Schema]) -> str:
    """Return how a message calls the whole configuration."""
    return f"configuration of {config.method}" if config.method else config.__name__


def report(title: str, texts: Sequence[str]) -> str:
    """Join all problems into one message: on one line where there is one, else a list."""
    if len(texts) == 1:
        return f"{title}: {texts[0]}"
    return "\n  - ".join([f"{title}: {len(texts)} problems", *texts])


def problems(config: type[Schema], error: ValidationError) -> list[Problem]:
    """Return pydantic's findings in our words, each once."""
    # a plain union reports every member that did not fit; in our words these are the same
    translated = (_problem(config, detail) for detail in error.errors(include_url=False))
    return list(dict.fromkeys(translated))


def suggestion(word: object, choices: Sequence[str]) -> str:
    """Return `; did you mean X?` where some choice is like the word, else nothing."""
    return did_you_mean(str(word), _near_choices(word, choices), form="`{}`".format, cutoff=0)


def format_value(value: object) -> str:
    """Return a wrong value as YAML would write it, shortened."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = repr(value)
    return text if len(text) <= MAX_VALUE_LENGTH else text[: MAX_VALUE_LENGTH - 3] + "..."


def _problem(config: type[Schema], detail: ErrorDetails) -> Problem:
    location = _locate(config, detail["loc"])
    path, value = ".".join(location.keys), detail["input"]
    match detail["type"]:
        case "extra_forbidden":
            return _unknown(config, location, value)
        case "missing":
            expectation = expected(location.field) if location.field else "a value"
            return Problem(path, f"`{path}` is missing; expected {expectation}")
        case "union_tag_invalid" | "union_tag_not_found":
            return _wrong_branch(location, value)
        case "string_unicode":
            return Problem(path, f"`{path}`: {NO_UNICODE}")
        case "value_error" | "assertion_error":  # of a validator of ours, which says all in its own words
            reason = str(detail["ctx"]["error"])
            # a check of the whole names its settings itself
            return Problem(path, f"`{path}`: {reason}" if path else reason)
    # for an item of a list the item's own type: that of the whole list would not tell what is wrong with it
    expectation = words(location.item) if location.item else expected(location.field) if location.field else "settings"
    choices = literals_of(location.field.annotation) if location.field and isinstance(value, str) else []
    text = (
        f"`{path or title_of(config)}`: expected {expectation}, got {format_value(value)}{suggestion(value, choices)}"
    )
    return Problem(path, text, _meant_value(path, value, choices))


def _locate(config: type[Schema], pydantic_location: Sequence[int | str]) -> _Location:
    """Follow a location of pydantic, which holds the tags of unions, through the configuration classes."""
    keys: list[str] = []
    owner: type[Schema] | None = config
    reached_through: Shape | None = None
    rest = list(pydantic_location)
    # pydantic's location holds the tag of a union's branch between two keys, which is no part of what users type
    while rest:
        key = str(rest.pop(0))
        keys.append(key)
        field = owner.model_fields.get(key) if owner else None
        if owner is None or field is None:
            return _Location(tuple(keys), owner, reached_through)
        annotation: object = field.annotation
        item = None
        while rest and (item := _item(annotation, rest[0])) is not None:
            keys.append(str(rest.pop(0)))
            annotation = item
        shape = shape_of(annotation)
        if not rest or not shape.configs:
            return _Location(
                tuple(keys), owner, reached_through, field, annotation if annotation is not field.annotation else None
            )
        owner, reached_through = shape.branch(rest.pop(0) if shape.is_union else None), shape
    return _Location(tuple(keys), owner, reached_through)


def _item(annotation: object, key: int | str) -> object:
    """Return the type of the item at `key` of a list, tuple or mapping type, or None where it is none of these."""
    for part in shape_of(annotation).plain:
        origin, arguments = get_origin(part), get_args(part)
        if not (isinstance(origin, type) and arguments):
            continue
        if issubclass(origin, Mapping):
            return arguments[1]
        if issubclass(origin, (Sequence, set, frozenset)) and isinstance(key, int):
            # `list[X]` and `tuple[X, ...]` have one type for every place, a longer tuple has one for each
            return arguments[key] if len(arguments) > key and arguments[-1] is not Ellipsis else arguments[0]
    return None


def _meant_value(path: str, value: object, choices: Sequence[str]) -> str:
    """Return `path=choice` with the choice that a value is meant for; empty where it is like several or none."""
    nearest = _near_choices(value, choices)
    return f"{path}={nearest[0]}" if len(nearest) == 1 else ""


def _near_choices(value: object, choices: Sequence[str]) -> list[str]:
    other = OTHER_CHOICES.get(str(value).lower(), "")
    return [other] if other in choices else near_names(str(value), choices)


def _unknown(config: type[Schema], location: _Location, value: object) -> Problem:
    """Explain a key that no field answers to: whose it is, or what it is like, and what there is."""
    *parents, key = location.keys
    path = ".".join(location.keys)
    if location.owner is None:  # below a plain value or an unknown name, where nothing is known of what there is
        return Problem(path, f"`{path}` is unknown")
    names = ", ".join(name for name in location.owner.model_fields if name != TAG) or "none"
    holder = f"`{'.'.join(parents)}`" if parents else config.method or config.__name__
    if location.reached_through and location.reached_through.is_union:
        tag = tag_of(location.owner)
        holder = f"{parents[-1]} `{tag}`"
        owners = [tag_of(branch) for branch in location.reached_through.configs if key in branch.model_fields]
        if owners:  # the settings of another branch: whose they are says more than what is near
            branches = ", ".join(owners[:4]) + (f" and {len(owners) - 4} more" if len(owners) > 4 else "")
            explanation = f"`{key}` does not belong to {holder}; it belongs to {branches}"
            return Problem(path, f"`{path}`: {explanation}. Settings of {holder}: {names}")
    siblings = [".".join([*parents, name]) for name in near_names(key, location.owner.model_fields)]
    like = _namesakes(config, key) or siblings or _near_namesakes(config, key)
    if not like and isinstance(value, Mapping):
        # `data.ties=drop`, as training has it, where the command's own setting is `ties`
        like = [name for name in value if name in location.owner.model_fields][:1]
    nearest = f"; did you mean {' or '.join(f'`{path}`' for path in like)}?" if like else "."
    meant = like[0] if len(like) == 1 else ""
    return Problem(path, f"`{path}` is unknown{nearest} Settings of {holder}: {names}", meant)


def nearest_settings(config: type[Schema], name: str, flags: Iterable[str] = ()) -> list[str]:
    """Return the dotted paths of the settings that a name may mean: those at the top nearest to it, or one further in.

    Args:
        flags: names that may be meant as well.
    """
    nearest_names = near_names(name, [*config.model_fields, *flags])
    return nearest_names or _namesakes(config, name) or _near_namesakes(config, name)


def _namesakes(config: type[Schema], name: str) -> list[str]:
    """Return the first dotted path that ends in a name, or in what that name of another program is here.

    A class's own word for a name comes before settings of that name further in.
    """
    ours = OTHER_NAMES.get(name, name)
    paths = _paths_by_last_name(config)
    if name in config.other_names:
        return [config.other_names[name]]
    # `lr` of a class that has a `learning_rate` at its top is that one
    if ours in config.other_names and ours not in config.model_fields:
        return [config.other_names[ours]]
    return [paths[word] for word in (name, ours) if word in paths][:1]


def _near_namesakes(config: type[Schema], name: str) -> list[str]:
    """Return the first dotted path whose last word is most like a name."""
    paths = _paths_by_last_name(config)
    return [paths[word] for word in near_names(name, paths)][:1]


def _paths_by_last_name(config: type[Schema]) -> dict[str, str]:
    """Return the first dotted path by its last word: all branches of a union have the same, so any is as good."""
    paths: dict[str, str] = {}
    for path in _paths(config):
        paths.setdefault(path.rpartition(".")[2], path)
    return paths


def _paths(config: type[Schema], prefix: str = "") -> Iterator[str]:
    """Yield the dotted path of every setting, those of every branch of a union among them."""
    for name, field in config.model_fields.items():
        yield prefix + name
        for inner in shape_of(field.annotation).configs:
            yield from _paths(inner, f"{prefix}{name}.")


def _wrong_branch(location: _Location, value: object) -> Problem:
    """Explain a union whose name is missing or that of no branch."""
    shape = shape_of(location.item or (location.field.annotation if location.field else None))
    tags = [tag_of(branch) for branch in shape.configs]
    path = ".".join([*location.keys, TAG])
    expectation = f"expected one of {', '.join(tags)}{', or module:attribute' if shape.extension_branch else ''}"
    if not isinstance(value, Mapping) or TAG not in value:
        return Problem(path, f"`{path}` is missing; {expectation}")
    text = f"`{path}`: {expectation}, got {format_value(value[TAG])}{suggestion(value[TAG], tags)}"
    return Problem(path, text, _meant_value(path, value[TAG], tags))
