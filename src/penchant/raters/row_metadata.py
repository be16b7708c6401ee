"""Read what rows say beside their group: who wrote the responses, the prompt's topic, the order on the page.

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
class RowMetadata:
    """Facts that a row states beside its group.

    Attributes:
        models: who wrote each response; None where it does not say.
        topics: by field, of those that may be a topic.
        orders: (annotator, response indices in the order on the page), for each judgment of `penchant collect`.
    """

    models: tuple[str, ...] | None = None
    topics: Mapping[str, str] = field(default_factory=dict)
    orders: tuple[Order, ...] = ()

    def stood_before(self, annotator: str | None, response: int, other: int) -> bool | None:
        """Return whether a response stood before another as this annotator saw them.

        None where that is not known, or was both.
        """
        was_before = {
            order.index(response) < order.index(other)
            for name, order in self.orders
            if name == annotator and response in order and other in order
        }
        return was_before.pop() if len(was_before) == 1 else None


def read_row_metadata(
    source: str | Path, layout: str, *, topic: str | None = None, split: str = "train"
) -> dict[str, RowMetadata]:
    """Return what each row says beside its group, by where it stands (as in `PromptGroup.source`).

    Args:
        topic: a field to look at besides `TOPIC_FIELDS`.

    Raises:
        InputError: `models` that is no list of names, or what `read_rows` raises.
    """
    fields = TOPIC_FIELDS if topic is None else (topic, *TOPIC_FIELDS)
    return {
        item.source: RowMetadata(
            model_names(layout, item),
            {name: text for name in fields if (text := _topic(item.values, name)) is not None},
            _orders(item.values.get("judgments")),
        )
        for item in read_rows(source, split)
        if isinstance(item, Row)
    }


def topic_field(topics_by_prompt: Iterable[tuple[str, Mapping[str, str]]], asked: str | None = None) -> str | None:
    """Return the field that says what prompts are about; None where there is none.

    Args:
        said: a prompt and its topics by field. asked: the field that it has to be.

    Raises:
        InputError: no row has the field that was asked for.
    """
    prompts: set[str] = set()
    with_topic: dict[str, set[str]] = {}
    topics: dict[str, set[str]] = {}
    for prompt, topics_by_field in topics_by_prompt:
        prompts.add(prompt)
        for name, text in topics_by_field.items():
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
        value: Any = values[name]
    else:
        value = values
        for part in name.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value.strip() if isinstance(value, str) and value.strip() else None


def _orders(judgments: Any) -> tuple[Order, ...]:
    """Read `judgments` as `penchant collect` writes them; a field of that name may as well be something else."""
    orders = []
    for judgment in judgments if isinstance(judgments, list) else ():
        if (
            isinstance(judgment, Mapping)
            and isinstance(judgment.get("annotator"), str)
            and _is_order(judgment.get("order"))
        ):
            orders.append((judgment["annotator"], tuple(judgment["order"])))
    return tuple(orders)


def _is_order(value: Any) -> bool:
    is_list = isinstance(value, Sequence) and not isinstance(value, str)
    return is_list and all(isinstance(index, int) for index in value) and len(set(value)) == len(value)
