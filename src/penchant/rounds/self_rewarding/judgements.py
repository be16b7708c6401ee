"""Meta-rewarding: judgements that the policy wrote, compared by itself, as pairs that it learns to judge by."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import pvariance

from penchant.rewards.rubric import RubricReward
from penchant.rounds.self_rewarding.scorers import VerdictJudge, pairs_of
from penchant.types import PromptGroup


def judgement_pairs(
    samples: Sequence[PromptGroup],
    judgements: Sequence[PromptGroup],
    reward: RubricReward,
    meta_judge: VerdictJudge,
) -> list[PromptGroup]:
    """Return, per prompt, the best judgement of one answer against the worst.

    The answer is the one whose draws differ most, where a judge is unsure. Judgements without a score are left out:
    they are no judgement that could be the better one.

    Args:
        samples: answers of the policy.
        judgements: what it wrote of each, with the rubric as the prompt.
        reward: the rubric, which reads the scores.
        meta_judge: compares two judgements of one rubric.
    """
    by_rubric = {group.prompt: group for group in judgements}
    candidates = []
    for group in samples:
        rubrics = [
            by_rubric[question] for pair in pairs_of([group]) if (question := reward.question(*pair)) in by_rubric
        ]
        unsure = max(rubrics, key=lambda rubric: _spread(reward, rubric), default=None)
        # where all draws agree there is no better judgement to learn from
        if unsure is not None and _spread(reward, unsure) > 0:
            candidates.append(_readable(reward, unsure))
    compared = meta_judge.compare(candidates)
    return [group.replace(scores=None) for group in compared.decided_groups]


def _spread(reward: RubricReward, rubric: PromptGroup) -> float:
    """Return the variance of the scores that the draws name."""
    # an unread draw is no score far away, and must not look like uncertainty
    draws = [draw for draw in reward.read(rubric.responses).draws if draw is not None]
    return pvariance(draws) if draws else 0.0


def _readable(reward: RubricReward, rubric: PromptGroup) -> PromptGroup:
    """Return a rubric with the judgements that name a score."""
    responses = [response for response in rubric.responses if reward.read([response]).score is not None]
    return PromptGroup(rubric.prompt, responses, source=rubric.source)
