"""A question with two answers, and the passage that tells which one is right. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from penchant.errors import InputError
from penchant.types import PromptGroup, prompt_text
from penchant.weak.contract import Example, marks_of


@dataclass(frozen=True)
class PassageQuestion:
    """A question with two answers.

    Attributes:
        answers: both, of which one is right. passage: what the advisors have read; empty without one.
    """

    question: str
    answers: tuple[str, str]
    passage: str = ""

    @property
    def swapped(self) -> PassageQuestion:
        """The question with its answers in the other order."""
        # the passage stays: what an advisor has read does not hang on an order
        return PassageQuestion(self.question, (self.answers[1], self.answers[0]), self.passage)

    @property
    def example(self) -> PromptGroup:
        """The question as classifiers take it: without the passage."""
        return PromptGroup(self.question, self.answers)


def as_questions(examples: Sequence[Example], passages: Mapping[str, str]) -> list[PassageQuestion]:
    """Return a classifier's examples as questions.

    Args:
        passages: by the mark of the example (see `marks_of`); an example that is not there has none.

    Raises:
        InputError: an example that is no prompt with two answers.
    """
    # passages stand beside the examples, since a classifier's example has no room for what only advisors read
    questions = []
    for index, (example, mark) in enumerate(zip(examples, marks_of(examples), strict=True)):
        # a reader says which of two is right: of three it could not
        if not isinstance(example, PromptGroup) or len(example.responses) != 2:
            answers = len(example.responses) if isinstance(example, PromptGroup) else 0
            raise InputError(f"example {index} is no question with two answers: it has {answers}")
        first, second = (response.text for response in example.responses)
        questions.append(PassageQuestion(prompt_text(example.prompt), (first, second), passages.get(mark, "")))
    return questions


def passages_of(questions: Sequence[PassageQuestion]) -> dict[str, str]:
    """Return the passages of questions by their marks, for `as_questions`."""
    marks = marks_of([question.example for question in questions])
    return {mark: question.passage for mark, question in zip(marks, questions, strict=True)}
