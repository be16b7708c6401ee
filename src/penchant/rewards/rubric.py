"""A language model as a reward: prompted with a rubric, or asked one question whose answers are scored by likelihood.

A rubric's answer may name no score. Such a response has none: it is left out and counted, and never takes the lowest
score, which would make it the worst of its prompt (Yuan et al. 2024, arXiv:2401.10020, have the rubric).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from penchant.engine.sampling import Sampling
from penchant.models.policy import Policy, merge_identical
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


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a model's answers to one rubric score.

    Attributes:
        score: the mean of the draws that name one; None where none does.
        draws: the score of each draw, None where it cannot be read.
        reasons: why a draw has no score; why there is no draw.
    """

    score: float | None
    draws: tuple[float | None, ...] = ()
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
        return rubric_question(self.template, (prompt, response), self.lowest, self.highest)

    def write(self, pairs: Sequence[Pair], progress: Progress | None = None) -> list[PromptGroup]:
        """Return the rubric of each (prompt, response) with the judgements that the model writes, in order.

        A rubric that leaves no room in the model's context has none.

        Args:
            progress: called with the number of responses done since the last call.
        """
        # all are asked in the order given, so that a caller may put them beside its answers
        groups = [PromptGroup(self.question(*pair)) for pair in pairs]
        tokens = self.sampling.max_new_tokens
        fitting = [index for index, group in enumerate(groups) if self.writer.has_room(group.prompt, tokens)]
        for start in range(0, len(fitting), AT_ONCE):
            part = fitting[start : start + AT_ONCE]
            rows = self.writer.draw([groups[index].prompt for index in part], self.sampling)
            for index, row in zip(part, rows, strict=True):
                groups[index] = groups[index].replace(responses=tuple(merge_identical(row)))
            if progress is not None:
                progress(len(part))
        return groups

    def read(self, responses: Sequence[Response]) -> Judgement:
        """Return what the judgements of one response score; no judgement is none that fits."""
        if not responses:
            return Judgement(None, reasons=(TOO_LONG,))
        # read from texts and not kept: a mended reader reads stored judgements anew
        readings = [
            read_score(response.text, self.lowest, self.highest)
            for response in responses
            for _ in range(response.count)  # equal draws are one response with its count
        ]
        scores = [reading.score for reading in readings if reading.score is not None]
        return Judgement(
            sum(scores) / len(scores) if scores else None,
            tuple(reading.score for reading in readings),
            tuple(reading.reason for reading in readings if reading.reason),
        )

    def __call__(self, pairs: Sequence[Pair]) -> list[float | None]:
        """Return a score per (prompt, response), None where no draw names one."""
        return [self.read(group.responses).score for group in self.write(pairs)]


def _without_nul(text: str) -> str:
    # A model may draw one, and a question with it could be written to no file of prompts that is read again.
    return text.replace("\0", "\ufffd")


def rubric_question(template: TextTemplate, pair: Pair, lowest: float, highest: float) -> str:
    """Return a rubric filled with a (prompt, response), as a model is given it."""
    prompt, response = map(_without_nul, pair)
    return template.fill(prompt=prompt, response=response, lowest=f"{lowest:g}", highest=f"{highest:g}") + "\n"


def likelihood_question(template: TextTemplate, pair: Pair, words: tuple[str, str]) -> str:
    """Return a question filled with a (prompt, response), as a model is given it before one of the words."""
    prompt, response = map(_without_nul, pair)
    return template.fill(prompt=prompt, response=response) + ("" if words[0][0].isspace() else "\n")


@dataclass(frozen=True)
class LikelihoodReward:
    """How much likelier a model finds one answer to a question about a response than the other, in nats.

    Nothing is written, so every response that fits has a score. It suits models that cannot follow a rubric.

    Attributes:
        model: whose likelihood it is.
        template: the question, of `QUESTIONS`.
        words: the answer that speaks for the response, and the one against it. Words that begin with a space go on
            with the last line of the question, as a model that only continues text does.
    """

    model: Policy
    template: TextTemplate
    words: tuple[str, str] = ("Yes", "No")

    def question(self, prompt: str, response: str) -> str:
        """Return the question filled with a response, as the model is given it."""
        return likelihood_question(self.template, (prompt, response), self.words)

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
            # a difference and no probability: near 0 or 1 that would lose the order of answers
            scores[index] = float(row[0] - row[1])
        return scores
