"""A row of a benchmark, and what a grader makes of it. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

from penchant.types import Prompt, Winner, prompt_text

POINTS = {"a": 1.0, "tie": 0.5, "unparseable": 0.5, "b": 0.0}
"""Points of a judge's pair, the right response standing first. RewardBench counts a tie and an answer that cannot be
read as half (`scripts/run_generative.py`)."""


@dataclass(frozen=True)
class BenchmarkRow:
    """A prompt with right and wrong completions.

    Attributes:
        key: the row's id. subset: what it belongs to. source: `file:line`, for messages.
    """

    prompt: Prompt
    right: tuple[str, ...]
    wrong: tuple[str, ...]
    subset: str
    key: str
    source: str

    @property
    def prompt_key(self) -> str:
        """The prompt's text: rows that share it are one cluster."""
        return prompt_text(self.prompt)


@dataclass(frozen=True)
class Grade:
    """The grade of a row: a score for each completion, the right ones first, or a verdict on each pair.

    Attributes:
        scores: None for a judge, which gives none.
        outcomes: of the first right completion (`a`) against each wrong one (`b`); None where there are scores.
    """

    scores: tuple[float, ...] | None = None
    outcomes: tuple[Winner, ...] | None = None

    @property
    def pair_points(self) -> float:
        """The points of a row with one wrong completion: 1 where the right one wins. Equal scores are no win."""
        if self.scores is not None:
            return float(self.scores[0] > self.scores[1])
        assert self.outcomes is not None
        return POINTS[self.outcomes[0]]

    @property
    def best_points(self) -> float:
        """The points of a row whose one right completion has to be best: an equal share where several are."""
        if self.scores is not None:
            best = max(self.scores)
            return 1 / self.scores.count(best) if self.scores[0] == best else 0.0
        assert self.outcomes is not None
        if "b" in self.outcomes:
            return 0.0
        return 1 / (1 + sum(outcome != "a" for outcome in self.outcomes))
