"""The texts of a task with two classes as pairs: one of each class, and which is of the second. Imports no torch.

So the same texts can be learned as classes and as comparisons, as a reward model learns them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from penchant.errors import InputError
from penchant.tasks.spec import TaskSpec, preferred
from penchant.types import LabeledExample

SUFFIX = "-pairs"
"""What stands after the name of a task whose texts are read as pairs."""
PROMPT = "Text:"
"""What stands before each of the two texts: a prompt that says nothing of the task."""


def base_of(name: str) -> str:
    """Return the name of the task whose texts a task of pairs has; empty for any other name."""
    return name.removesuffix(SUFFIX) if name.endswith(SUFFIX) else ""


def pairs_spec(task: TaskSpec) -> TaskSpec:
    """Return a task as one of pairs, with the same data.

    Raises:
        InputError: it has other than two classes.
    """
    if len(task.classes) != 2:
        classes = ", ".join(task.classes) or "options of each row's own"
        raise InputError(f"{task.name}{SUFFIX}: pairs are made of a task with two classes, and this has {classes}")
    return replace(task, name=f"{task.name}{SUFFIX}", title=f"{task.title}, pairs", classes=())


def as_pairs(examples: Sequence[LabeledExample], task: TaskSpec) -> list[LabeledExample]:
    """Return texts of two classes as pairs of one of each, each text once; the option of the second class is right.

    Args:
        examples: in an order that their content decides.

    Raises:
        InputError: related texts: a pair would tie two groups together.
    """
    if any(example.group for example in examples):
        raise InputError(f"{task.name}{SUFFIX}: rows of {task.title} are related, and pairs would tie groups together")
    first, second = ([e.text for e in examples if e.label == label] for label in (0, 1))
    pairs = [preferred(PROMPT, f" {better}", f" {worse}") for worse, better in zip(first, second, strict=False)]
    # the prompt is the same for all: the two texts tell pairs apart
    return [replace(pair, group="\n".join(pair.options)) for pair in pairs]
