"""What a classification task is: where its rows come from, and how a row becomes examples. Imports no torch."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penchant.data.sources.rows import Row, RowProblem
from penchant.types import LabeledExample, Prompt, PromptGroup, response_text, turn_text

TaskRow = Mapping[str, Any]
"""A row as its file has it: a value of another type than its reader expects is an error that names the row."""
Reader = Callable[[TaskRow], Iterable[LabeledExample]]
"""The examples of one row; none where the row is not for this task (a class that is left out, no label)."""
OpenRows = Callable[[Path], Iterable[Row | RowProblem]]
"""The rows of a local file that is no file of rows itself, such as an archive."""
Relate = Callable[[Sequence[str]], Sequence[str]]
"""The texts of a file, in its order, to their groups; empty for a text that stands alone."""


@dataclass(frozen=True)
class TaskSpec:
    """A task: where its rows come from, and how they become examples.

    Attributes:
        name: as in `load_task(name)`.
        title: for people.
        classes: names of the classes, in the order of labels; empty where each row has options of its own.
        read: examples of a row.
        hub: the data set's id on the hub, `org/name` or `org/name:config`; empty for a task of local files alone.
        splits: its splits for training and testing.
        local: files in the folder of data, for training and testing; one file for both is divided by content. Empty
            where there are none.
        relate: the groups of a file's texts, where these hang on the rows around; None where each row says its own.
        open_rows: what reads the local files; None where they are files of rows, as any data file is.
    """

    name: str
    title: str
    classes: tuple[str, ...]
    read: Reader
    hub: str = ""
    splits: tuple[str, str] = ("train", "test")
    local: tuple[str, ...] = ()
    relate: Relate | None = None
    open_rows: OpenRows | None = None

    @property
    def __wrapped__(self) -> Reader:
        """The function that the decorator was put on, as `inspect.unwrap` looks for it."""
        return self.read


def task(
    *,
    title: str,
    classes: tuple[str, ...],
    hub: str = "",
    splits: tuple[str, str] = ("train", "test"),
    local: tuple[str, ...] = (),
    relate: Relate | None = None,
    open_rows: OpenRows | None = None,
) -> Callable[[Reader], TaskSpec]:
    """Make a task of the function below, which reads its rows and gives it its name.

    Args:
        title, classes, hub, splits, local, relate, open_rows: as in `TaskSpec`.

    Example:
        @task(title="Reviews", classes=("bad", "good"), local=("reviews.jsonl",))
        def reviews(row):
            yield LabeledExample(row["text"], int(row["stars"] > 3))
    """

    def make(read: Reader) -> TaskSpec:
        return TaskSpec(read.__name__, title, classes, read, hub, splits, local, relate, open_rows)

    return make


SENTIMENT = ("negative", "positive")
YES_NO = ("no", "yes")
RIGHT_WRONG = ("wrong", "right")


def labelled(row: TaskRow, text: str, group: str = "") -> LabeledExample:
    """Return a text with the class that the row's field `label` has as a number."""
    return LabeledExample(text, int(row["label"]), group)


def on_passage(row: TaskRow, passage: str) -> str:
    """Return a passage with the row's question on it."""
    return f"{passage}\nQuestion: {row['question']}"


def one_of_each(question: str, right: str, wrong: Sequence[str], group: str = "") -> list[LabeledExample]:
    """Return a question with several answers as two examples: with the right one, and with a wrong one.

    Which wrong one depends on the question alone, so every model sees the same rows. Both are of one group: that of the
    passage where several questions share one, else the question's own.
    """
    # with a single answer there is no wrong one to pair it with
    if not wrong:
        return []
    distractor = wrong[digest(question) % len(wrong)]
    return [
        LabeledExample(f"{question}\nAnswer: {answer}", label, group or question)
        for answer, label in ((distractor, 0), (right, 1))
    ]


def lettered(row: TaskRow, question: str, group: str = "") -> list[LabeledExample]:
    """Read rows with `choices: {text: [...], label: [...]}` and `answerKey`."""
    choices = row["choices"]
    return numbered(choices["text"], list(choices["label"]).index(row["answerKey"]), question, group)


def numbered(options: Sequence[str], right: int, question: str, group: str = "") -> list[LabeledExample]:
    """Read rows with options, of which option number `right` (from 0) is the answer."""
    # by position: two options may have the same text
    wrong = [text for index, text in enumerate(options) if index != right]
    return one_of_each(question, options[right], wrong, group)


def digest(text: str) -> int:
    """Return a number of the text's content, the same on every machine."""
    # Python's own `hash` of a text differs from process to process
    return int.from_bytes(hashlib.sha256(normalized(text).encode(errors="surrogatepass")).digest()[:8], "big")


def chance(examples: Sequence[LabeledExample], classes: int) -> float:
    """Return the accuracy that needs no supervisor: of the most frequent class, or of drawing one of the options."""
    # rows differ in how many options they have: drawing is right once in that many on each row
    if not classes:
        return sum(1 / len(example.options) for example in examples) / len(examples)
    return max(Counter(example.label for example in examples).values()) / len(examples)


def preferred(prompt: str, better: str, worse: str) -> LabeledExample:
    """Return a comparison as an example with two options, in an order that depends on their texts alone."""
    # files put the better one first, and a student would learn that
    first = first_by_content(prompt, better, worse)
    return LabeledExample(prompt, int(not first), options=(better, worse) if first else (worse, better))


def first_by_content(prompt: str, first: str, second: str) -> bool:
    """Return whether the first of two answers stands first, decided by their texts: about half of winners do."""
    # texts that differ in case and punctuation alone have equal digests: then the text itself decides
    return (digest(f"{prompt} {first}"), first) < (digest(f"{prompt} {second}"), second)


_SPEAKERS = {"user": "Human", "assistant": "Assistant", "system": "System"}


def conversation(prompt: Prompt) -> str:
    """Return a prompt as one text that ends where the answer begins; turns as in Anthropic's comparisons."""
    if isinstance(prompt, str):
        return prompt
    turns = [f"{_SPEAKERS.get(turn.role, turn.role)}: {turn_text(turn)}" for turn in prompt]
    return "\n\n".join([*turns, "Assistant:"])


def with_plain_prompt(group: PromptGroup) -> PromptGroup:
    """Return a group with its prompt as one text, and a space between prompt and response."""
    text = conversation(group.prompt)
    # a tokenizer writes most words with the space before them: without one the answer would begin with a rare token
    parted = not text or text[-1].isspace()
    texts = map(response_text, group.responses)
    options = [option if parted or option[:1].isspace() else f" {option}" for option in texts]
    return PromptGroup(text, options, source=group.source)


def normalized(text: str) -> str:
    """Return a text's words in lower case: equal for texts that a reader takes for the same."""
    # an underscore is a word's letter here: by it chess positions with empty squares differ
    return " ".join(re.findall(r"\w+", text.lower()))
