"""Answers that models write, and what a scorer says of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from penchant.engine.sampling import Sampling
from penchant.errors import InputError
from penchant.models.policy import Policy
from penchant.rewards import load_reward, score_groups
from penchant.rewards.verifiers import is_verifier
from penchant.runs.progress import progress_bar
from penchant.tasks.generative import AnsweredPrompt
from penchant.types import Prompt, PromptGroup, Response

Scores = NDArray[np.float64]


class Scorer:
    """A reward that says whether an answer is right, from 0 to 1, and whether two answers come to the same.

    Args:
        name: as `load_reward` takes it; it is handed the right answer as the column `answer`.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._reward = load_reward(name)
        self._compares = is_verifier(name)

    def scores(self, rows: Sequence[AnsweredPrompt], answers: Sequence[Response]) -> Scores:
        """Return a score per answer.

        Raises:
            InputError: a score outside 0 to 1, of which no share of a gap can be told; or from the reward.
        """
        # as rows of a file would be: a verifier finds the right answer in its column
        groups = [
            PromptGroup(row.prompt, [answer], columns={"answer": row.answer})
            for row, answer in zip(rows, answers, strict=True)
        ]
        # one answer per prompt, so one score per group
        scores = np.array([(group.scores or (0.0,))[0] for group in score_groups(groups, self._reward)])
        if len(scores) and not (scores.min() >= 0 and scores.max() <= 1):
            raise InputError(
                f"the scorer `{self.name}` gave {scores.min():g} to {scores.max():g}: the share of a gap that is "
                "recovered needs scores from 0 (wrong) to 1 (right)"
            )
        return scores

    def agree(self, first: Response, second: Response) -> bool:
        """Return whether two answers come to the same: by the verifier, else by their texts."""
        # also for a function of the user's, which compares with the truth alone
        if first.text.strip() == second.text.strip():
            return True
        if not self._compares or not second.text.strip():
            return False
        return self.holds_answer(second) and bool(self.scores([AnsweredPrompt("", second.text)], [first])[0] > 0)

    def holds_answer(self, response: Response) -> bool:
        """Return whether an answer has what the scorer compares with, such as a number."""
        try:
            return bool(self.scores([AnsweredPrompt("", response.text)], [response])[0] > 0)
        except InputError:  # a row of a file like this would be an error of the file
            return False


def write_answers(policy: Policy, prompts: Sequence[Prompt], tokens: int, title: str) -> list[Response]:
    """Return the likeliest answer of a model to each prompt, as text."""
    return [row[0] for row in draw_answers(policy, prompts, 1, tokens, title, temperature=0.0)]


def draw_answers(
    policy: Policy,
    prompts: Sequence[Prompt],
    n: int,
    tokens: int,
    title: str,
    *,
    temperature: float = 1.0,
    seed: int = 0,
) -> list[list[Response]]:
    """Return n answers to each prompt, as text; those that were cut are not finished."""
    sampling = Sampling(n, temperature, tokens, seed=seed)
    with progress_bar(title, len(prompts) * n, "answers") as advance:
        rows = policy.draw(prompts, sampling, progress=advance)
    # without token ids: another model, with another vocabulary perhaps, learns from them
    return [[Response(response.text, finished=response.finished) for response in row] for row in rows]
