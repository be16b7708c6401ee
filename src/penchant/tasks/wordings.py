"""Rows of tasks as instructions: several wordings per task, and examples before the question. Imports no torch.

A wording puts a row into words that a language model continues with the answer: FLAN (Wei et al. 2022) and T5 (Raffel
et al. 2020) tune on many tasks in such words. The instruction stands behind the text in some wordings and before it in
others, so that a model learns neither place.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Self

from pydantic import model_validator

from penchant.config import Config
from penchant.config.limits import Text
from penchant.errors import InputError
from penchant.tasks.load import group_of
from penchant.tasks.spec import RIGHT_WRONG, SENTIMENT, YES_NO, TaskSpec, digest, normalized
from penchant.types import LabeledExample

PLACEHOLDER = re.compile(r"\{(\w*)\}")
PLACEHOLDERS = ("text", "choices")
"""What a prompt has places for: the row's text, which it must have, and the answers in a sentence."""
SEPARATOR = "\n\n"
"""What stands between an example and the next question."""


class Wording(Config):
    """One way to put a row of a task to a language model."""

    prompt: Text
    """Words with {text} where the row's text goes, and {choices} where the answers are listed, if anywhere. The answer
    follows them."""
    answers: tuple[Text, ...] = ()
    """A word per class, in the order of the task; the names of its classes if not given."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        placeholders = PLACEHOLDER.findall(self.prompt)
        if unknown := [name for name in placeholders if name not in PLACEHOLDERS]:
            raise ValueError(
                f"the wording {self.prompt!r} has a place {{{unknown[0]}}}; there are {{text}} and {{choices}}"
            )
        if "text" not in placeholders:
            raise ValueError(f"the wording {self.prompt!r} has no place for the text: write {{text}} where it goes")
        # two classes with one answer could not be told apart
        if len(set(self.answers)) < len(self.answers):
            raise ValueError(f"the answers of {self.prompt!r} must differ from each other: {', '.join(self.answers)}")
        return self


@dataclass(frozen=True)
class Question:
    """A row in words.

    Attributes:
        prompt: ends where the answer begins.
        answers: that are possible, with the space that stands before them.
        label: which of them is right.
    """

    prompt: str
    answers: tuple[str, ...]
    label: int

    @property
    def demonstration(self) -> str:
        """The question with its right answer, as an example of how the task goes."""
        return self.prompt + self.answers[self.label]


def _wordings(*prompts: str, answers: tuple[str, ...] = ()) -> tuple[Wording, ...]:
    return tuple(Wording(prompt=prompt, answers=answers) for prompt in prompts)


ANY_TASK = _wordings(
    "{text}\nChoose one: {choices}.\nAnswer:",
    "Say which of these fits the text: {choices}.\n{text}\nAnswer:",
    "{text}\nWhich is it: {choices}?\nIt is",
)
"""Of a task that nobody wrote wordings for."""
OPTIONS = _wordings("{text}")
"""Of a task whose rows have answers of their own: they continue the text."""
BY_CLASSES: Mapping[tuple[str, ...], tuple[Wording, ...]] = {
    SENTIMENT: (
        *_wordings(
            "{text}\nIs this negative or positive?\nAnswer:",
            "Is the opinion that follows negative or positive?\n{text}\nAnswer:",
            "Text: {text}\nSentiment:",
        ),
        *_wordings("{text}\nDid the writer like it, no or yes?\nAnswer:", answers=YES_NO),
        *_wordings("Say whether what follows is bad or good.\n{text}\nIt is", answers=("bad", "good")),
    ),
    # these texts end in their question
    YES_NO: (
        *_wordings(
            "{text}\nAnswer no or yes.\nAnswer:",
            "Answer the question at the end with no or yes.\n{text}\nAnswer:",
            "{text}\nNo or yes?",
        ),
        *_wordings("Is it false or true?\n{text}\nAnswer:", answers=("false", "true")),
    ),
    RIGHT_WRONG: (
        *_wordings(
            "{text}\nIs this answer wrong or right?\nIt is",
            "Say whether the answer at the end is wrong or right.\n{text}\nIt is",
        ),
        *_wordings("{text}\nIs the answer correct, no or yes?", answers=YES_NO),
        *_wordings("Check this answer: false or true?\n{text}\nCheck:", answers=("false", "true")),
    ),
}
"""By the classes of a task."""
ETHICS = _wordings(
    "{text}\nIs this reasonable, no or yes?\nAnswer:",
    "Is what follows reasonable? Answer no or yes.\n{text}\nAnswer:",
    "{text}\nDoes that make sense, no or yes?",
)
BY_TASK: Mapping[str, tuple[Wording, ...]] = {
    "ethics_deontology": ETHICS,
    "ethics_justice": ETHICS,
    "emotion": _wordings(
        "{text}\nWhich emotion is this: {choices}?\nEmotion:",
        "Which of these does the writer feel: {choices}?\n{text}\nFeeling:",
        "{text}\nThe writer of this feels",
    ),
    "subjectivity": (
        *_wordings(
            "{text}\nIs this objective or subjective?\nAnswer:",
            "Say whether this sentence is objective or subjective.\n{text}\nIt is",
        ),
        *_wordings("{text}\nIs that a fact or an opinion?\nIt is", answers=("a fact", "an opinion")),
        *_wordings("Does this tell the plot or judge the film?\n{text}\nIt is a", answers=("plot", "judgement")),
    ),
}
"""By the name of a task, before its classes are looked at."""


def wordings_of(spec: TaskSpec) -> tuple[Wording, ...]:
    """Return the wordings of a task: its own, those of its classes, or ones that fit any task."""
    if not spec.classes:
        return OPTIONS
    # classes by their names: tasks of yes and no are asked alike, unless their texts need other words
    return BY_TASK.get(spec.name) or BY_CLASSES.get(tuple(spec.classes)) or ANY_TASK


def wording_number(example: LabeledExample, count: int, seed: int) -> int:
    """Return the wording of a row, by its content and the seed alone, whatever other rows there are."""
    return digest(f"{seed} {_content(example)}") % count


def ask(example: LabeledExample, wording: Wording, classes: Sequence[str]) -> Question:
    """Return a row in words.

    Args:
        classes: of the task; empty where rows have options.

    Raises:
        InputError: as many answers are needed as there are classes.
    """
    answers = example.options or wording.answers or tuple(classes)
    if classes and len(answers) != len(classes):
        raise InputError(
            f"the wording {wording.prompt!r} has {len(answers)} answers ({', '.join(answers)}) for "
            f"{len(classes)} classes ({', '.join(classes)})"
        )
    # the text last: one that holds {choices} itself stays as it is
    prompt = wording.prompt.replace("{choices}", _listed(answers)).replace("{text}", example.text)
    return Question(prompt, tuple(_with_space(answer, prompt) for answer in answers), example.label)


def _listed(answers: Sequence[str]) -> str:
    return f"{', '.join(answers[:-1])} or {answers[-1]}"


def _with_space(answer: str, prompt: str) -> str:
    # most tokenizers join a space to the word behind it, and a model writes it so
    return answer if answer[:1].isspace() or prompt[-1:].isspace() else f" {answer}"


def with_shots(question: Question, shots: Sequence[Question]) -> str:
    """Return the prompt with examples before it; without any it is the question's own."""
    return SEPARATOR.join([*(shot.demonstration for shot in shots), question.prompt])


class ShotPool:
    """The rows that examples are drawn from: the training half of a task, never what is tested."""

    def __init__(self, examples: Sequence[LabeledExample]) -> None:
        self._by_label: dict[int, list[LabeledExample]] = {}
        for example in examples:
            self._by_label.setdefault(example.label, []).append(example)

    def draw(self, example: LabeledExample, count: int, seed: int) -> list[LabeledExample]:
        """Draw examples for a row, other ones for each row: classes in turn, in a mixed order, none related to the row.

        Fewer come where there are no more.
        """
        if not count:
            return []
        # by content: a row keeps its examples whatever other rows are asked
        order = Random(digest(f"{seed} {_content(example)}"))
        labels = sorted(self._by_label)
        # shuffled: with fewer examples than classes, the same class would else be left out for every row
        order.shuffle(labels)
        shots: list[LabeledExample] = []
        share = -(-count // len(labels))
        by_label = [self._draw_label(label, share, example, order) for label in labels]
        for turn in range(share):
            shots += [rows[turn] for rows in by_label if turn < len(rows)]
        shots = shots[:count]
        # else the last example would be of the last class for every row
        order.shuffle(shots)
        return shots

    def _draw_label(self, label: int, count: int, example: LabeledExample, order: Random) -> list[LabeledExample]:
        rows = self._by_label[label]
        # a few more than are asked for: the whole pool is not searched for relatives of each row
        candidates = order.sample(rows, min(len(rows), count + SPARE))
        keys = content_keys(example)
        return [row for row in candidates if not content_keys(row) & keys][:count]


SPARE = 20
"""Rows drawn beyond those that are needed, in the place of related ones."""


def content_keys(example: LabeledExample) -> set[str]:
    """Return the keys by which two rows are the same content: the text with its options, and what rows share."""
    # without case and punctuation, as duplicates within a task are told
    return {normalized(_content(example)), group_of(example)}


def _content(example: LabeledExample) -> str:
    # pairs of texts all have one prompt, and only their options tell them apart
    return "\n".join((example.text, *example.options))
