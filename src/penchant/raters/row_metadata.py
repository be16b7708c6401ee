"""Read what rows say beside their group: who wrote the responses, the prompt's topic, the order on the page.

No part of a `PromptGroup`: nothing that trains may depend on any of it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeGuard

from penchant.data.layouts.columns import rename_columns
from penchant.data.options import Columns
from penchant.data.sources.files import read_rows
from penchant.data.sources.rows import Row
from penchant.data.sources.values import RowError, RowValues
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
COVERED = 0.5  # of the prompts must have one, and no more than so many topics per prompt: an address is no topic
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
        """Return whether this annotator saw a response before another one.

        None where that is not known, or was both.
        """
        # A set, since one annotator may have judged a prompt more than once, each time in another order.
        was_before = {
            order.index(response) < order.index(other)
            for name, order in self.orders
            if name == annotator and response in order and other in order
        }
        return was_before.pop() if len(was_before) == 1 else None


def read_row_metadata(
    source: str | Path, layout: str, *, topic: str | None = None, split: str = "train", columns: Columns | None = None
) -> dict[str, RowMetadata]:
    """Return the metadata of each row by its place in the file (`PromptGroup.source`).

    Args:
        topic: a field to look at besides `TOPIC_FIELDS`.
        columns: by field, the column that holds it.

    Raises:
        InputError: `models` that is no list of names, or what `read_rows` raises.
    """
    # The file is read once more: groups do not carry what nothing may train on.
    fields = TOPIC_FIELDS if topic is None else (topic, *TOPIC_FIELDS)
    metadata = {}
    for item in read_rows(source, split):
        if not isinstance(item, Row):
            continue
        with contextlib.suppress(RowError):  # a row that lacks a column was named by the reader of preferences
            row = Row(item.source, rename_columns(item.values, columns or {}))
            topics = {name: text for name in fields if (text := _topic(row.values, name)) is not None}
            metadata[item.source] = RowMetadata(model_names(layout, row), topics, _orders(row.values.get("judgments")))
    return metadata


def topic_field(topics_by_prompt: Iterable[tuple[str, Mapping[str, str]]], required: str | None = None) -> str | None:
    """Return the field that says what prompts are about; None where there is none.

    Args:
        topics_by_prompt: of each comparison its prompt, and the topics by field.
        required: the field that it has to be.

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
    if required is not None:
        if required not in topics:
            advice = did_you_mean(required, topics, form=repr)
            advice = advice or "; leave the setting out for clusters of the prompts' words"
            raise InputError(f"topic={required}: no row has this field with a text or a whole number in it{advice}")
        return required
    for name in TOPIC_FIELDS:  # in this order: what people wrote as a topic before what only says where a row is from
        covered = len(with_topic.get(name, ()))
        if covered >= COVERED * len(prompts) and 2 <= len(topics.get(name, ())) <= COVERED * covered:
            return name
    return None


def _topic(values: RowValues, name: str) -> str | None:
    value: object = values
    # a column may have a dot in its own name; else the dot leads into an object
    for part in [name] if name in values else name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    # A number may be the code of a topic. A flag is none, and a float is a score or a share.
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value.strip() if isinstance(value, str) and value.strip() else None


def _orders(judgments: object) -> tuple[Order, ...]:
    """Read `judgments` as `penchant collect` writes them; a field of that name may as well be something else."""
    orders = []
    for judgment in judgments if isinstance(judgments, list) else ():
        fields = judgment if isinstance(judgment, dict) else {}
        annotator, order = fields.get("annotator"), fields.get("order")
        if isinstance(annotator, str) and _is_order(order):
            orders.append((annotator, tuple(order)))
    return tuple(orders)


def _is_order(value: object) -> TypeGuard[list[int]]:
    return isinstance(value, list) and all(isinstance(index, int) for index in value) and len(set(value)) == len(value)
