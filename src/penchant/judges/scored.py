"""Any reward as a judge: the response with the higher one wins."""

from __future__ import annotations

from collections.abc import Sequence

from penchant.judges.contract import Done, Question
from penchant.rewards.load import load_reward
from penchant.types import Verdict


class RewardJudge:
    """Ground truth, a classifier, a reward model, a function of one's own, or an endpoint that gives numbers.

    Args:
        reward: as `penchant.rewards.load_reward` takes it. margin: a smaller difference is a tie.
        content: a digest of what the name stands for, where that may change (a model's weights, a file).
    """

    def __init__(self, reward: str, margin: float = 0.0, *, device: str = "auto", content: str = "") -> None:
        self.reward, self.margin = load_reward(reward, device=device), margin
        self.identity = f"reward {reward} {content} margin {margin}"

    def judge_many(self, questions: Sequence[Question], done: Done) -> None:
        pairs = [(asked.prompt, text) for asked in questions for text in (asked.a, asked.b)]
        scores = self.reward(pairs)
        for place, (first, second) in enumerate(zip(scores[::2], scores[1::2], strict=True)):
            near = abs(first - second) <= self.margin
            said = f"{first:.6g} and {second:.6g}"
            done(place, Verdict("tie" if near else "a" if first > second else "b", transcript=said))
