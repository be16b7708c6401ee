"""What a classification task is: where its rows come from, and how a row becomes examples. Imports no torch."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from penchant.types import LabeledExample

Reader = Callable[[Mapping[str, Any]], Iterable[LabeledExample]]
"""The examples of one row; none where the row is not for this task (a class that is left out, no label)."""


@dataclass(frozen=True)
class TaskSpec:
    """A task, as its file states it.

    Attributes:
        name: as in `load_task(name)`.
        title: for people.
        classes: names of the classes, in the order of labels.
        words: what a language model answers for each class.
        templates: ways to ask for it, with `{text}`; they mean the same, so that answers can be held against each
            other.
        hub: the data set's id on the hub, `org/name` or `org/name:config`.
        splits: its splits for training and testing.
        read: examples of a row.
        local: files in the folder of data, for training and testing; one file for both is divided by content. Empty
            where there are none.
    """

    name: str
    title: str
    classes: tuple[str, ...]
    words: tuple[str, ...]
    templates: tuple[str, ...]
    hub: str
    splits: tuple[str, str]
    read: Reader
    local: tuple[str, ...] = ()


SENTIMENT: dict[str, Any] = {
    "classes": ("negative", "positive"),
    "words": (" negative", " positive"),
    "templates": (
        "{text}\nThe sentiment of this text is",
        "Text: {text}\nIs it positive or negative? It is",
        "Read this: {text}\nWhoever wrote it feels",
    ),
}
YES_NO: dict[str, Any] = {
    "classes": ("no", "yes"),
    "words": (" no", " yes"),
    "templates": ("{text}\nAnswer yes or no:", "{text}\nIs that so? Answer:", "{text}\nTrue? Say yes or no:"),
}
RIGHT_WRONG: dict[str, Any] = {
    "classes": ("wrong", "right"),
    "words": (" no", " yes"),
    "templates": (
        "{text}\nIs this answer right? Answer yes or no:",
        "{text}\nDoes that answer the question? Answer yes or no:",
        "{text}\nCorrect?",
    ),
}


def one_of_each(question: str, right: str, wrong: Sequence[str]) -> list[LabeledExample]:
    """A question with several answers as two examples: with the right one, and with one of the wrong ones.

    Which wrong one depends on the question alone, so every model sees the same rows. Both are of one group.
    """
    if not wrong:
        return []
    distractor = wrong[digest(question) % len(wrong)]
    return [
        LabeledExample(f"{question}\nAnswer: {answer}", label, question)
        for answer, label in ((distractor, 0), (right, 1))
    ]


def lettered(row: Mapping[str, Any], question: str) -> list[LabeledExample]:
    """Rows with `choices: {text: [...], label: [...]}` and `answerKey`."""
    choices, key = row["choices"], row["answerKey"]
    texts = dict(zip(choices["label"], choices["text"], strict=True))
    return one_of_each(question, texts[key], [text for label, text in texts.items() if label != key])


def numbered(options: Sequence[str], right: int, question: str) -> list[LabeledExample]:
    """Rows with options of which number `right`, from 0, is the answer."""
    return one_of_each(question, options[right], [text for place, text in enumerate(options) if place != right])


def digest(text: str) -> int:
    """A number of the text's content, the same on every machine."""
    return int.from_bytes(hashlib.sha256(normalized(text).encode(errors="surrogatepass")).digest()[:8], "big")


def normalized(text: str) -> str:
    """What two texts that a reader takes for the same have in common: letters and digits, lower case."""
    return " ".join(re.findall(r"\w+", text.lower()))
