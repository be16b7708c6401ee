"""The numbers of a round: its answers, their scores, and whether its judge says anything."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from penchant.metrics.intervals import cluster_mean
from penchant.rewards.rubric import Judgement
from penchant.rounds.pairs import Compared
from penchant.runs.run_lines import Row
from penchant.types import PromptGroup, Response, prompt_text

SAME_SHARE = 0.95  # a score that is given so often says next to nothing


def answer_lengths(groups: Sequence[PromptGroup]) -> Row:
    """Return the mean length of answers in tokens as drawn, and how much longer the chosen ones are than the rejected.

    Args:
        groups: with comparisons where there are any.
    """
    # a sample that was drawn three times is three answers of that length
    lengths = [(_tokens(response), group, response.count) for group in groups for response in group.responses]
    row: Row = {"tokens": None, "chosen_longer_by": None}
    if lengths:
        row["tokens"] = cluster_mean(
            [length for length, _, _ in lengths],
            [prompt_text(group.prompt) for _, group, _ in lengths],
            weights=[count for _, _, count in lengths],
        ).as_dict()
    differences = [
        (_tokens(group.responses[comparison.winner]) - _tokens(group.responses[comparison.loser]), group)
        for group in groups
        for comparison in group.comparisons
    ]
    if differences:
        row["chosen_longer_by"] = cluster_mean(
            [difference for difference, _ in differences], [prompt_text(group.prompt) for _, group in differences]
        ).as_dict()
    return row


def _tokens(response: Response) -> float:
    # of text from a file nobody knows the tokens, so its words stand for them
    return float(len(response.text.split()) if response.token_ids is None else len(response.token_ids))


def score_numbers(compared: Compared) -> Row:
    """Return the mean score of a round's answers, how many have none, and how many different scores there are."""
    # per prompt, since answers to one prompt are alike
    scores = [(score, group) for group in compared.groups for score in group.scores or ()]
    mean = None
    if scores:
        mean = cluster_mean(
            [score for score, _ in scores], [prompt_text(group.prompt) for _, group in scores]
        ).as_dict()
    return {
        "mean": mean,
        "scored": len(scores),
        "unscored": compared.unscored,
        "distinct": len({score for score, _ in scores}),
    }


def draw_numbers(judgements: Sequence[Judgement]) -> Row:
    """Return how many of a rubric's draws name a score, and which scores they name."""
    draws = [draw for judgement in judgements for draw in judgement.draws]
    counts = Counter(draw for draw in draws if draw is not None)
    # why, not only how many: a cut answer wants more tokens, one without a number another judge
    reasons = Counter(reason for judgement in judgements for reason in judgement.reasons)
    return {
        "draws": len(draws),
        "unread": draws.count(None),
        "scores": {f"{score:g}": counts[score] for score in sorted(counts)},
        "reasons": dict(reasons.most_common()),
    }


def sameness(compared: Compared) -> str:
    """Return what a judge says of every answer, where it always says the same; empty where it tells answers apart."""
    scores = [score for group in compared.groups for score in group.scores or ()]
    # by text: equal texts of other tokens are one answer to a judge
    different = sum(len({response.text for response in group.responses}) > 1 for group in compared.groups)
    # a judge must be given something to tell apart before it can be called blind
    # all answers equal are the policy's fault, and the round is skipped for that
    if not different:
        return ""
    # one score between prompts too: a rubric may tie the answers of one easy prompt and still tell prompts apart
    if len(scores) > 1 and len(set(scores)) == 1:
        return f"it gives each of {len(scores)} answers the score {scores[0]:g}"
    # a judge of pairs gives no scores, and may rightly find two answers equal once
    if not scores and different > 1 and not compared.decided_groups and not compared.unscored:
        return f"it prefers no answer to another, for each of {different} prompts"
    return ""


def near_sameness(row: Row) -> str:
    """Return a sentence where nearly all draws of a rubric name one score; empty where they do not.

    Args:
        row: of `draw_numbers`.
    """
    scores = row["scores"]
    assert isinstance(scores, dict)
    total = sum(scores.values())
    if not total:
        return ""
    score, count = max(scores.items(), key=lambda entry: entry[1])
    if count < SAME_SHARE * total or len(scores) == 1:  # one score alone is said by `sameness`
        return ""
    return f"the judge names the score {score} in {count} of {total} judgements, so that few pairs come about"
