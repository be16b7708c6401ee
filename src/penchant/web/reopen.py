"""Go on with a collection: what it is lies in its database, and only what is given this time changes it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from penchant.config.base import shallow
from penchant.errors import InputError
from penchant.web.settings import Collect

# Settings that the database holds, so that the same command without them goes on as before.
STORED_SETTINGS = ("title", "instructions", "show", "seed", "overlap", "lease_minutes", "check_every")
# What people are asked. Judgments answer it, so it stays as it is once there is one.
QUESTION = ("title", "instructions")
MAX_VALUE_LENGTH = 60  # characters of a value that a message shows


@dataclass(frozen=True)
class Opened:
    """A collection that was opened.

    Attributes:
        went_on: whether it was there before. config: the settings in force. changes: what is said of stored settings
            that changed, a line each.
    """

    went_on: bool
    config: Collect
    changes: tuple[str, ...] = ()


def kept_settings(config: Collect) -> str:
    """Return the settings that the database holds, as JSON."""
    return json.dumps({name: value for name, value in shallow(config).items() if name in STORED_SETTINGS})


def merge_settings(config: Collect, stored: Mapping[str, object], names: Sequence[str], judgments: int) -> Opened:
    """Return the settings of a collection that goes on: the stored ones, but for what was given this time.

    Args:
        config: the configuration; fields that nobody set do not count. stored: what the database holds. names: of its
            annotators. judgments: how many there are, those that were undone too.

    Raises:
        InputError: another question or seed than the judgments were made under, fewer annotators than there are, or
            settings that do not fit each other.
    """
    fields_set = config.model_fields_set
    # what was given counts, then what is stored, and a default only where neither is
    changes = {name: value for name, value in stored.items() if name in STORED_SETTINGS and name not in fields_set}
    annotators = config.annotators if "annotators" in fields_set else max(len(names), len(config.names))
    if annotators < len(names):
        raise InputError(
            f"{config.out} has {len(names)} annotators, {annotators} are given: their number may grow, but "
            "nobody who may have judged can be taken away. Leave out `annotators`"
        )
    # names that are given rename the first people; numbers, and with them links, stay
    names_given = (*config.names, *names[len(config.names) :])
    # checked once more: what was given may not fit what is stored
    merged = config.replace(**{**changes, "annotators": annotators, "names": names_given})
    changed = [name for name in STORED_SETTINGS if name in stored and stored[name] != getattr(merged, name)]
    _refuse_another_question(config, stored, changed, judgments)
    lines = [f"{name}: {_format_value(stored[name])} -> {_format_value(getattr(merged, name))}" for name in changed]
    renamed = [f"{old} -> {new}" for old, new in zip(names, merged.names, strict=False) if old != new]
    return Opened(True, merged, (*lines, *(f"names: {line}" for line in renamed)))


def _refuse_another_question(
    config: Collect, stored: Mapping[str, object], changed: Sequence[str], judgments: int
) -> None:
    # where nobody has judged yet there is nothing that another question could be mixed with
    fixed = [name for name in changed if name in (*QUESTION, "seed")]
    if not judgments or not fixed:
        return
    name = fixed[0]
    reason = (
        "the second person sees the reverse of what the first saw, by the same seed"
        if name == "seed"
        else "answers to two questions cannot be told apart in one database"
    )
    raise InputError(
        f"`{name}` was {_format_value(stored[name])} when the {judgments} judgments that are there were made, and is "
        f"{_format_value(getattr(config, name))} now: {reason}. Leave out `{name}` to go on, or name another "
        "`out` for a new round"
    )


def _format_value(value: object) -> str:
    text = repr(value)  # instructions may have 20,000 characters
    return text if len(text) <= MAX_VALUE_LENGTH else f"{text[: MAX_VALUE_LENGTH - 3]}..."
