"""Generative tasks: a prompt, the right answer, and a reward that says whether a response is right. Imports no torch.

Two grounds come with the package, on which small models trained from scratch can half do the work: `addition` and
`string_rules`. Beside the right answer each knows what a crowd would mostly write. Any other task is a file of one's
own with prompts and answers, such as GSM8K's (`question`, `answer`).
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from penchant.data.load import load_demonstrations
from penchant.errors import InputError
from penchant.types import Prompt, prompt_text

KNOWN_TAG, CROWD_TAG = "A", "?"
"""What begins a prompt: behind the first a model in training sees right answers alone, behind the second a crowd's."""
BUCKETS = 10
"""Parts into which a ground's problems fall by their content, so that nothing is tested that was learned."""
PRETRAINING, LOOKS, STUDENTS, TESTS = range(7), (7,), (8,), (9,)
"""The parts that models are pre-trained on, looked at while they are, answered by supervisors, and tested on."""


@dataclass(frozen=True)
class Problem:
    """A problem of a ground.

    Attributes:
        question: without a tag. answer: the right one. crowd: what a crowd would mostly write.
    """

    question: str
    answer: str
    crowd: str

    @property
    def bucket(self) -> int:
        """The part that it belongs to, by its content."""
        return zlib.crc32(self.question.encode()) % BUCKETS


@dataclass(frozen=True)
class Ground:
    """A generative task that comes with the package.

    Attributes:
        alphabet: the characters of its questions and answers. question_length, answer_length: the same for all.
        make: draws a problem.
    """

    name: str
    title: str
    alphabet: str
    question_length: int
    answer_length: int
    make: Callable[[random.Random], Problem]
    scorer: str = "exact_answer"

    def problems(self, seed: str, parts: range | tuple[int, ...]) -> Iterator[Problem]:
        """Yield problems of some parts without end; some may come twice."""
        draws = random.Random(f"{self.name} {seed}")
        while True:
            problem = self.make(draws)
            if problem.bucket in parts:
                yield problem

    def different_problems(self, seed: str, parts: tuple[int, ...], count: int) -> list[Problem]:
        """Return so many problems of some parts, each once.

        Raises:
            InputError: there are not so many.
        """
        chosen: dict[str, Problem] = {}
        for tries, problem in enumerate(self.problems(seed, parts)):
            # a space that is nearly used up would be searched for ever
            chosen.setdefault(problem.question, problem)
            if len(chosen) == count:
                return list(chosen.values())
            if tries > 50 * count:
                break
        raise InputError(f"the task {self.name} has no {count} different problems to give: ask for fewer")


def _addition(draws: random.Random) -> Problem:
    """Draw a sum of two numbers of three digits; the answer has its last digit first, and a crowd carries nothing."""
    first, second = draws.randrange(1000), draws.randrange(1000)
    # units first, so that a model can write the carry as it goes
    answer = f"{first + second:04d}"[::-1]
    crowd = "".join(str((int(a) + int(b)) % 10) for a, b in zip(f"{first:03d}", f"{second:03d}", strict=True))[::-1]
    return Problem(f"{first:03d}+{second:03d}=", answer, f"{crowd}0")


_RULES: dict[str, Callable[[str], str]] = {
    "c": lambda text: text,
    "r": lambda text: text[::-1],
    "s": lambda text: "".join(sorted(text)),
    "t": lambda text: text[2:] + text[:2],
    "w": lambda text: text[3:] + text[:3],
}
"""Copy, reverse, sort, turn by two places, swap the halves."""


def _string_rule(draws: random.Random) -> Problem:
    """Draw a rule and six letters that it is applied to; a crowd copies the letters, whatever the rule."""
    rule = draws.choice(sorted(_RULES))
    # six of eight letters: some come twice, and sorting them is no renaming
    letters = "".join(draws.choice("abcdefgh") for _ in range(6))
    return Problem(f"{rule}:{letters}=", _RULES[rule](letters), letters)


GROUNDS = {
    ground.name: ground
    for ground in (
        Ground("addition", "Addition of three digits", "0123456789+=", 8, 4, _addition),
        Ground("string_rules", "Rules on six letters", "abcdefghcrstw:=", 9, 6, _string_rule),
    )
}
"""The grounds by name."""


@dataclass(frozen=True)
class AnsweredPrompt:
    """A row of a generative task: a prompt, and the answer that is right by its file."""

    prompt: Prompt
    answer: str


def read_answered(path: str | Path, limit: int | None = None) -> list[AnsweredPrompt]:
    """Read prompts with one right answer each: `prompt` and `answer`, GSM8K's `question` and `answer`, demonstrations.

    Raises:
        InputError: as `load_demonstrations`; a prompt with several answers, since nobody knows which is right.
    """
    # `answer` beside `prompt` is no layout of its own
    groups = load_demonstrations(path, columns={"completion": "answer"} if _has_answers(path) else None, limit=limit)
    if doubtful := [group for group in groups if len(group.responses) > 1]:
        raise InputError(
            f"{path}: {len(doubtful)} prompts have several answers, of which nobody knows which is right (the first: "
            f"{prompt_text(doubtful[0].prompt)[:60]!r}): leave one of each"
        )
    return [AnsweredPrompt(group.prompt, group.responses[0].text) for group in groups]


def _has_answers(path: str | Path) -> bool:
    """Return whether the rows of a file have `prompt` and `answer`, which no layout of demonstrations is called by."""
    from penchant.data.sources.files import read_rows
    from penchant.data.sources.rows import Row

    first = next((row for row in read_rows(path, "train") if isinstance(row, Row)), None)
    return first is not None and {"prompt", "answer"} <= set(first.values)
