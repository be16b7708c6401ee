"""A language model as a reward: prompted with a rubric, or asked one question whose answers are scored by likelihood.

A rubric's answer may name no score. Such a response has none: it is left out and counted, and never takes the lowest
score, which would make it the worst of its prompt (Yuan et al. 2024, arXiv:2401.10020, have the rubric).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from penchant.engine.sampling import Sampling
from penchant.rewards.score_words import read_score
from penchant.rewards.text_templates import TemplateShelf, TextTemplate
from penchant.types import Prompt, PromptGroup, Response

RUBRICS = TemplateShelf(
    "penchant.rewards", ("additive",), frozenset({"prompt", "response"}), frozenset({"lowest", "highest"})
)
QUESTIONS = TemplateShelf("penchant.rewards", ("yes_no",), frozenset({"prompt", "response"}))
TOO_LONG = "the rubric with this response leaves no room in the model's context"
AT_ONCE = 32  # questions of one call, after which a bar moves
Pair = tuple[str, str]
Progress = Callable[[int], object]


class Writer(Protocol):
    """Anything that answers prompts in writing: a policy, or a model behind an address."""

    def has_room(self, prompt: Prompt, tokens: int, *, source: str = "") -> bool:
        """Return whether so many tokens fit after the prompt."""

    def draw(self, prompts: Sequence[Prompt], sampling: Sampling) -> list[list[Response]]:
        """Return `sampling.n` answers to each prompt."""


class LikelihoodModel(Protocol):
    """What gives the log-probability of words after a prompt; a policy does."""

    def has_room(self, prompt: Prompt, tokens: int, *, source: str = "") -> bool:
        """Return whether so many tokens fit after the prompt."""

    def score(self, groups: Sequence[PromptGroup]) -> Sequence[Sequence[float]]:
        """Return the summed log-probability of every response of each group, in nats."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """A model's answers to one rubric, and what they score.

    Attributes:
        score: the mean of the draws that name one; None where none does.
        draws: the score of each draw, None where it cannot be read.
        answers: what it wrote, word for word.
        reasons: why a draw has no score; why there is no draw.
    """

    score: float | None
    draws: tuple[float | None, ...] = ()
    answers: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class RubricReward:
    """The mean of the scores that a model gives a response by a rubric, in several draws.

    Attributes:
        writer: who is asked.
        template: the rubric, of `RUBRICS`.
        sampling: how many draws per response, how long and how varied. A score mostly stands at the end of an answer,
            so that few new tokens leave it unread.
        lowest, highest: ends of the scale.
    """

    writer: Writer
    template: TextTemplate
    sampling: Sampling
    lowest: float = 0
    highest: float = 5

    def question(self, prompt: str, response: str) -> str:
        """Return the rubric filled with a response, as the model is given it."""
        slots = {"lowest": f"{self.lowest:g}", "highest": f"{self.highest:g}"}
        return self.template.fill(prompt=prompt, response=response, **slots) + "\n"

    def judge(self, pairs: Sequence[Pair], progress: Progress | None = None) -> list[Judgement]:
        """Return what the model says of each (prompt, response), in order.

        Args:
            progress: called with the number of responses done since the last call.
        """
        questions = [self.question(*pair) for pair in pairs]
        judgements = [Judgement(None, reasons=(TOO_LONG,))] * len(questions)
        fitting = [i for i, text in enumerate(questions) if self.writer.has_room(text, self.sampling.max_new_tokens)]
        for start in range(0, len(fitting), AT_ONCE):
            part = fitting[start : start + AT_ONCE]
            rows = self.writer.draw([questions[index] for index in part], self.sampling)
            for index, row in zip(part, rows, strict=True):
                judgements[index] = self.read([response.text for response in row])
            if progress is not None:
                progress(len(part))
        return judgements

    def read(self, answers: Sequence[str]) -> Judgement:
        """Return the judgement that some answers to one rubric make."""
        readings = [read_score(answer, self.lowest, self.highest) for answer in answers]
        scores = [reading.score for reading in readings if reading.score is not None]
        return Judgement(
            sum(scores) / len(scores) if scores else None,
            tuple(reading.score for reading in readings),
            tuple(answers),
            tuple(reading.reason for reading in readings if reading.reason),
        )

    def __call__(self, pairs: Sequence[Pair]) -> list[float | None]:
        """Return a score per (prompt, response), None where no draw names one."""
        return [judgement.score for judgement in self.judge(pairs)]


@dataclass(frozen=True)
class LikelihoodReward:
    """How much likelier a model finds one answer to a question about a response than the other, in nats.

    Nothing is written, so every response that fits has a score. It suits models that cannot follow a rubric.

    Attributes:
        model: whose likelihood it is.
        template: the question, of `QUESTIONS`.
        words: the answer that speaks for the response, and the one against it.
    """

    model: LikelihoodModel
    template: TextTemplate
    words: tuple[str, str] = ("Yes", "No")

    def question(self, prompt: str, response: str) -> str:
        """Return the question filled with a response, as the model is given it."""
        return self.template.fill(prompt=prompt, response=response) + "\n"

    def __call__(self, pairs: Sequence[Pair]) -> list[float | None]:
        """Return ln P(yes) - ln P(no) per (prompt, response); None where the question leaves no room."""
        # not finished: what comes after the word, a full stop or the end, is no part of it
        words = [Response(word, finished=False) for word in self.words]
        questions = [self.question(*pair) for pair in pairs]
        room = max(len(word.encode()) for word in self.words)  # a token holds at least a byte
        fitting = [index for index, text in enumerate(questions) if self.model.has_room(text, room)]
        rows = self.model.score([PromptGroup(questions[index], words) for index in fitting])
        scores: list[float | None] = [None] * len(questions)
        for index, row in zip(fitting, rows, strict=True):
            scores[index] = float(row[0] - row[1])
        return scores
