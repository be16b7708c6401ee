"""What a user's task must be, in words that say what to write in its place. Imports no torch.

A task is code that somebody else wrote, so nothing about it but its class can be taken for granted.
"""

from __future__ import annotations

import inspect
import operator
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import replace
from typing import SupportsIndex

from penchant.errors import InputError
from penchant.tasks.spec import TaskSpec
from penchant.types import LabeledExample


def task_problem(task: object) -> str:
    """Return why an attribute cannot stand for a task; empty where it can."""
    if not isinstance(task, TaskSpec):
        return (
            f"expected a task, but it is a {type(task).__name__}: write `@task(title=..., classes=...)` above the "
            "function that reads a row, see penchant.tasks.spec"
        )
    if inspect.iscoroutinefunction(task.read) or inspect.isasyncgenfunction(task.read):
        return "its function is `async`, so that a call reads nothing: write `def`"
    for name, value in (("classes", task.classes), ("local", task.local), ("splits", task.splits)):
        if not _are_texts(value):
            example = f"({value!r},)" if isinstance(value, str) else '("first", "second")'
            return f"`{name}` is {value!r}, expected a tuple of texts, such as {example}"
    if not (task.hub or task.local):
        return "it names no data: give it `local` files or the `hub` id of a data set"
    if len(task.local) > 2 or len(set(task.local)) < len(task.local):
        return f"`local` has the files {', '.join(task.local)}; expected one, or one to train and another to test on"
    if task.hub and len(task.splits) != 2:
        return f"`splits` has {len(task.splits)} splits, expected one to train and one to test on"
    if len(task.classes) == 1:
        return "`classes` has one class; expected at least two, or none where rows have options"
    if len(set(task.classes)) < len(task.classes):
        return f"`classes` has a class twice: {', '.join(task.classes)}"
    return ""


def _are_texts(value: object) -> bool:
    """Return whether a value is a list of texts. A text alone is none: its characters would be taken for classes."""
    return isinstance(value, (tuple, list)) and all(isinstance(item, str) and item for item in value)


def checked_example(example: object, task: TaskSpec, source: str) -> LabeledExample:
    """Return an example with a plain label: true, false and NumPy's numbers are labels too.

    Args:
        example: what the task made of a row.
        source: the row, as `file:line`.

    Raises:
        InputError: it is no example, holds something else than texts, or has a label that there is not.
    """
    if not isinstance(example, LabeledExample):
        raise InputError(
            f"{task.name}: {source} was read as a {type(example).__name__}, expected a "
            "penchant.types.LabeledExample: a text and the number of its class"
        )
    group: object = example.group
    if group is None:  # a row's null, as good as an empty text: the row stands alone
        example = replace(example, group="")
    for name, texts in (("text", [example.text]), ("group", [example.group]), ("options", example.options)):
        if wrong := [text for text in texts if not isinstance(text, str)]:
            raise InputError(f"{task.name}: {source} has the {name} {wrong[0]!r}, expected text")
    answers = task.classes or example.options
    label: object = example.label
    # NumPy's true and false are no index, as its whole numbers are: they are asked for Python's own value
    item = getattr(label, "item", None)
    value = item() if callable(item) and getattr(label, "ndim", None) == 0 else label
    number = operator.index(value) if isinstance(value, SupportsIndex) else -1
    if not answers:
        raise InputError(f"{task.name}: {source} has no options, and the task no classes: give it one of them")
    if not 0 <= number < len(answers):
        raise InputError(
            f"{task.name}: {source} has the label {label!r}; there are {len(answers)}, counted from 0: "
            f"{', '.join(answers)}"
        )
    return example if type(label) is int else replace(example, label=int(number))


def checked_groups(groups: object, texts: Sequence[str], task: TaskSpec) -> list[str]:
    """Return the groups that a task's `relate` gave to the texts of a file.

    Raises:
        InputError: they are not one text for each.
    """
    # an array is no `Sequence`, but has an order; a mapping or a set has none that fits the texts
    group_list: list[object] | None = None
    if isinstance(groups, Iterable) and not isinstance(groups, str | Mapping | Set):
        group_list = list(groups)
    if group_list is None or len(group_list) != len(texts):
        count = type(groups).__name__ if group_list is None else len(group_list)
        raise InputError(f"{task.name}: `relate` gave {count} groups for {len(texts)} texts, expected one for each")
    if wrong := [group for group in group_list if not isinstance(group, str)]:
        raise InputError(f"{task.name}: `relate` gave the group {wrong[0]!r}, expected text")
    return [group for group in group_list if isinstance(group, str)]
