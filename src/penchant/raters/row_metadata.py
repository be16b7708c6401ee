"""What rows say beside their group: who wrote the responses, what the prompt is about, in which order people saw them.

No part of a `PromptGroup`: nothing that trains may depend on any of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from penchant.data.sources.files import read_rows
from penchant.data.sources.rows import Row
from penchant.errors import InputError, did_you_mean
from penchant.raters.model_names import model_names

TOPIC_FIELDS = (
    "topic",
    "category",
    "subject",
    "domain",
    "task",
    "subreddit",
    "info.subreddit",
    "motivation_app",
    "dataset",
    "source",
)
"""Fields that are taken for a topic, the first that fits; a dot leads into an object."""
COVERED = 0.5  # of the prompts must have one, and no more than so many topics a prompt: an address is no topic
Order = tuple[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Beside:
    """What one row says beside its group.

    Attributes:
        models: who wrote each response; None where it does not say.
        topics: by field, of those that may be a topic.
        orders: (annotator, response indices in the order on the page), for each judgment of `penchant collect`.
    """

    models: tuple[str, ...] | None = None
    topics: Mapping[str, str] = field(default_factory=dict)
    orders: tuple[Order, ...] = ()

    def stood_before(self, annotator: str | None, one: int, other: int) -> bool | None:
        """Whether a response stood before another as this annotator saw them; None where that is not known, or was
        now so and now so."""
        said = {
            order.index(one) < order.index(other)
            for name, order in self.orders
            if name == annotator and one in order and other in order
        }
        return said.pop() if len(said) == 1 else None


def beside_by_source(
    source: str | Path, layout: str, *, topic: str | None = None, split: str = "train"
) -> dict[str, Beside]:
    """What each row says beside its group, by where it stands (as in `PromptGroup.source`).

    Args:
        topic: a field to look at besides `TOPIC_FIELDS`.

    Raises:
        InputError: `models` that is no list of names, or what `read_rows` raises.
    """
    fields = TOPIC_FIELDS if topic is None else (topic, *TOPIC_FIELDS)
    return {
        item.source: Beside(
            model_names(layout, item),
            {name: text for name in fields if (text := _topic(item.values, name)) is not None},
            _orders(item.values.get("judgments")),
        )
        for item in read_rows(source, split)
        if isinstance(item, Row)
    }


def topic_field(said: Iterable[tuple[str, Mapping[str, str]]], asked: str | None = None) -> str | None:
    """The field that says what prompts are about; None where there is none.

    Args:
        said: a prompt and its topics by field. asked: the field that it has to be.

    Raises:
        InputError: no row has the field that was asked for.
    """
    prompts: set[str] = set()
    with_topic: dict[str, set[str]] = {}
    topics: dict[str, set[str]] = {}
    for prompt, found in said:
        prompts.add(prompt)
        for name, text in found.items():
            with_topic.setdefault(name, set()).add(prompt)
            topics.setdefault(name, set()).add(text)
    if asked is not None:
        if asked not in topics:
            advice = did_you_mean(asked, topics, form=repr)
            advice = advice or "; leave the setting out for clusters of the prompts' words"
            raise InputError(f"topic={asked}: no row has this field with a text or a whole number in it{advice}")
        return asked
    for name in TOPIC_FIELDS:
        covered = len(with_topic.get(name, ()))
        if covered >= COVERED * len(prompts) and 2 <= len(topics.get(name, ())) <= COVERED * covered:
            return name
    return None


def _topic(values: Mapping[str, Any], name: str) -> str | None:
    if name in values:
        found: Any = values[name]
    else:
        found = values
        for part in name.split("."):
            found = found.get(part) if isinstance(found, Mapping) else None
    if isinstance(found, int) and not isinstance(found, bool):
        return str(found)
    return found.strip() if isinstance(found, str) and found.strip() else None


def _orders(judgments: Any) -> tuple[Order, ...]:
    """Of `judgments` as `penchant collect` writes them; a field of that name may as well be something else."""
    found = []
    for one in judgments if isinstance(judgments, list) else ():
        if isinstance(one, Mapping) and isinstance(one.get("annotator"), str) and _is_order(one.get("order")):
            found.append((one["annotator"], tuple(one["order"])))
    return tuple(found)


def _is_order(value: Any) -> bool:
    is_list = isinstance(value, Sequence) and not isinstance(value, str)
    return is_list and all(isinstance(index, int) for index in value) and len(set(value)) == len(value)
