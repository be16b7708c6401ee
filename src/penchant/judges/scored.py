"""Any reward as a judge: the response with the higher one wins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

from penchant.data.rendering.renderer import TooLong
from penchant.judges.contract import Done, Question, higher
from penchant.judges.settings import Reward
from penchant.redact import hide_credentials
from penchant.rewards.columns import refuse_columns
from penchant.rewards.content import reward_content
from penchant.rewards.load import load_reward
from penchant.rewards.names import reward_kind
from penchant.types import Verdict


class RewardJudge:
    """A judge that prefers the response with the higher reward, whatever gives the reward.

    Args:
        reward: as `penchant.rewards.load_reward` takes it; of prompts beyond a reward model's context it reads the end.
        margin: a smaller difference is a tie.
    """

    def __init__(self, reward: str, margin: float = 0.0, *, device: str = "auto") -> None:
        self.reward, self.margin = load_reward(reward, device=device, overflow="truncate_prompt"), margin
        refuse_columns(self.reward, "a judge")
        self.addresses = {reward: hide_credentials(reward)}
        self.identity = f"reward {hide_credentials(reward)} {_content_of(reward)} margin {margin}"
        # earlier versions left the lexicon's version out of the key, so what they kept may be another VADER's
        if reward_kind(reward) == "built_in":
            self.former_identities = (f"reward {reward}  margin {margin}",)

    @classmethod
    def from_settings(cls, settings: Reward) -> Self:
        """Return the judge that settings describe."""
        return cls(settings.reward, settings.margin, device=settings.device)

    def judge_many(self, questions: Sequence[Question], done: Done) -> None:
        """Score both responses of each question, all in one call of the reward."""
        try:
            scored: list[tuple[float, float] | str] = list(self._scores(questions))
        except TooLong:
            # one response that is too long must not take the verdicts of all others away
            scored = [self._score(question) for question in questions]
        for index, scores in enumerate(scored):
            if isinstance(scores, str):
                done(index, Verdict("unparseable", transcript=scores))
                continue
            first, second = scores
            done(index, Verdict(higher(first, second, self.margin), transcript=f"{first:.6g} and {second:.6g}"))

    def _scores(self, questions: Sequence[Question]) -> list[tuple[float, float]]:
        scores = self.reward([(question.prompt, text) for question in questions for text in (question.a, question.b)])
        return list(zip(scores[::2], scores[1::2], strict=True))

    def _score(self, question: Question) -> tuple[float, float] | str:
        """Return the rewards of one pair, or why there is none: a response alone is longer than the model can read."""
        try:
            return self._scores([question])[0]
        except TooLong as error:
            return str(error)


def _content_of(reward: str) -> str:
    """Return what a reward's name stands for, where that may change under it: a version, a model, a user's code."""
    # nobody can tell what stands behind an address, so its name alone counts
    return "" if reward_kind(reward) == "address" else reward_content(reward, cached=True)
