"""Small tasks on sentences that are made of word lists, for a study that needs no files. Imports no torch.

Every sentence says of something what it was like. The tasks ask for its opinion, its topic, and how many there were. A
network of half a million weights learns each of them in a hundred steps, which is all that they are for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product

from penchant.errors import InputError
from penchant.extension.user_code import suggest
from penchant.tasks.load import TEST_SHARE, TaskData, divide_task
from penchant.tasks.spec import SENTIMENT, YES_NO, TaskRow, TaskSpec, digest
from penchant.tasks.wordings import Wording
from penchant.types import LabeledExample

SENTENCES = "sentences:"
"""What stands before the name of a task of this module."""
TOPICS = ("film", "meal", "animal")
THINGS: Mapping[str, tuple[str, ...]] = {
    "film": ("film", "scene", "story", "movie", "plot"),
    "meal": ("soup", "cake", "bread", "dinner", "pizza"),
    "animal": ("dog", "cat", "horse", "bird", "mouse"),
}
PLURALS = {"story": "stories", "mouse": "mice"}
OPINIONS = (("bad", "boring", "terrible", "poor", "awful"), ("good", "great", "wonderful", "lovely", "fine"))
NUMBERS = ("one", "two", "three", "four", "five")
OPENINGS = ("I saw", "We found", "They had", "My friend liked", "She knew")
GRADES = ("very", "really", "so", "quite")


@dataclass(frozen=True)
class _Sentence:
    """A sentence and what it was made of: the answers of all tasks.

    Attributes:
        opinion: 0 for a bad one. count: how many things there are.
    """

    text: str
    topic: str
    opinion: int
    count: int
    opening: str


def _sentences() -> Iterator[_Sentence]:
    # every combination, so that no task can be told by what another one asks
    for topic, opening, (count, number), opinion, grade in product(
        TOPICS, OPENINGS, enumerate(NUMBERS, start=1), (0, 1), GRADES
    ):
        for thing, adjective in product(THINGS[topic], OPINIONS[opinion]):
            noun, verb = (thing, "it was") if count == 1 else (PLURALS.get(thing, f"{thing}s"), "they were")
            yield _Sentence(
                f"{opening} {number} {noun}, and {verb} {grade} {adjective}.", topic, opinion, count, opening
            )


def _opinion_on(topic: str) -> Callable[[_Sentence], int | None]:
    return lambda sentence: sentence.opinion if sentence.topic == topic else None


TASKS: Mapping[str, tuple[str, tuple[str, ...], Callable[[_Sentence], int | None]]] = {
    "film_opinion": ("Opinions on films", SENTIMENT, _opinion_on("film")),
    "meal_opinion": ("Opinions on meals", SENTIMENT, _opinion_on("meal")),
    "topic": ("Topics", TOPICS, lambda sentence: TOPICS.index(sentence.topic)),
    "is_animal": ("Animals or not", YES_NO, lambda sentence: int(sentence.topic == "animal")),
    "is_several": ("One or several", ("one", "several"), lambda sentence: int(sentence.count > 1)),
    "is_we": ("Told by us or by others", ("others", "us"), lambda sentence: int(sentence.opening in OPENINGS[:2])),
}
"""By name: title, classes, and the class of a sentence; None where the sentence is not for the task."""


def _three_wordings(question: str) -> tuple[Wording, ...]:
    """Return three wordings of a question: behind the sentence, before it, and with the answers listed."""
    return (
        Wording(prompt=f"{{text}}\n{question}\nAnswer:"),
        Wording(prompt=f"{question}\n{{text}}\nAnswer:"),
        Wording(prompt=f"{{text}}\n{question} Say {{choices}}."),
    )


WORDINGS: Mapping[str, tuple[Wording, ...]] = {
    f"{SENTENCES}topic": _three_wordings("What is this about?"),
    f"{SENTENCES}is_animal": _three_wordings("Is this about an animal?"),
    f"{SENTENCES}is_several": _three_wordings("How many were there?"),
    f"{SENTENCES}is_we": _three_wordings("Who tells this?"),
}
"""Of tasks whose classes have none that fit; opinions are asked for as any sentiment is."""


def sentence_problem(name: str) -> str:
    """Return why a name is no task of this module; empty where it is one."""
    short = name.removeprefix(SENTENCES)
    if short in TASKS:
        return ""
    return f"there is no task {name!r} of sentences: there are {', '.join(TASKS)}{suggest(short, tuple(TASKS))}"


def sentence_spec(name: str) -> TaskSpec:
    """Return the task of a name, which is one of this module."""
    title, classes, _ = TASKS[name.removeprefix(SENTENCES)]
    return TaskSpec(name, title, classes, _read_nothing)


def load_sentences(name: str, *, train: int | None, test: int | None) -> TaskData:
    """Return a task's rows, each fourth sentence to test on, decided by content.

    Raises:
        InputError: there is no such task.
    """
    if problem := sentence_problem(name):
        raise InputError(problem)
    short = name.removeprefix(SENTENCES)
    _, _, class_of = TASKS[short]
    # a sentence is of one task alone: else what is held out of one would stand among what others are tuned on
    share = list(TASKS).index(short)
    sentences = [sentence for sentence in _sentences() if digest(sentence.text) % len(TASKS) == share]
    labels = [(sentence.text, class_of(sentence)) for sentence in sentences]
    rows = [LabeledExample(text, label) for text, label in labels if label is not None]
    # another digest than the one that dealt the sentences to the tasks
    is_test = [digest(f"test {row.text}") % TEST_SHARE == 0 for row in rows]
    return divide_task(
        sentence_spec(name),
        "made of word lists",
        [row for row, tested in zip(rows, is_test, strict=True) if not tested],
        [row for row, tested in zip(rows, is_test, strict=True) if tested],
        train=train,
        test=test,
    )


def _read_nothing(row: TaskRow) -> list[LabeledExample]:
    """Return no example: these rows are made, not read."""
    return []
