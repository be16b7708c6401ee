"""Comparisons of a policy's samples: the best against the worst, or every pair of which one is better."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from itertools import combinations
from typing import TYPE_CHECKING, Literal

from penchant.judges.ask import Orders, ask
from penchant.judges.contract import Question
from penchant.rewards import best_worst_pairs, compare_by_score
from penchant.text_alone import media_of
from penchant.thoughts import shown_text
from penchant.types import Comparison, PromptGroup, Response, prompt_text

if TYPE_CHECKING:
    from penchant.judges.contract import Judge
    from penchant.judges.store import VerdictStore

PairRule = Literal["best_worst", "all"]
CutSamples = Literal["learn", "drop"]


@dataclass(frozen=True)
class SampleCounts:
    """What the samples of a round are, and which of their prompts give comparisons.

    Attributes:
        prompts: that were sampled. samples: all that were drawn.
        repeated: samples that say what an earlier one of their prompt says. empty: that say nothing.
        cut: samples that did not end by themselves.
        same_prompts: prompts all of whose samples say the same, so that nothing can be compared.
        undecided_prompts: prompts with different samples, none of which is better than another.
        unscored: different samples that got no score or verdict, and so are in no comparison.
        compared_prompts: prompts that give comparisons. pairs: comparisons.
    """

    prompts: int
    samples: int
    repeated: int
    empty: int
    cut: int
    same_prompts: int
    undecided_prompts: int
    unscored: int
    compared_prompts: int
    pairs: int

    def to_row(self) -> dict[str, int]:
        """Return the counts by name, for `result.json`."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def reason(self) -> str:
        """Return why no prompt gives a comparison, for a message."""
        if self.same_prompts == self.prompts:
            return f"all {self.samples} samples of {self.prompts} prompts say the same as the others of their prompt"
        return (
            f"of {self.prompts} prompts {self.same_prompts} have samples that all say the same, and "
            f"{self.undecided_prompts} have samples of which none is better"
        )


@dataclass(frozen=True)
class Compared:
    """Samples of a round with their comparisons.

    Attributes:
        groups: one per prompt, with the comparisons in which one response is better; ties are left out.
        unscored: responses without a score or verdict.
    """

    groups: list[PromptGroup]
    unscored: int = 0

    @property
    def decided_groups(self) -> list[PromptGroup]:
        """Return the groups that have a comparison."""
        return [group for group in self.groups if group.comparisons]


Comparer = Callable[[Sequence[PromptGroup]], Compared]
"""Samples of a policy -> which of them are better."""


def count_samples(samples: Sequence[PromptGroup], compared: Compared) -> SampleCounts:
    """Count what samples are.

    Args:
        samples: all that were drawn. compared: what became of them.
    """
    responses = [response for group in samples for response in group.responses]
    texts = [len({response.text for response in group.responses}) for group in samples]
    sample_count = sum(response.count for response in responses)
    same_prompts = sum(count == 1 for count in texts)
    decided_groups = compared.decided_groups
    # equal texts may differ in score where one of them was cut: such a prompt is decided all the same
    decided = {group.prompt for group in decided_groups}
    undecided_prompts = sum(
        count > 1 and group.prompt not in decided for group, count in zip(samples, texts, strict=True)
    )
    return SampleCounts(
        prompts=len(samples),
        samples=sample_count,
        repeated=sample_count - sum(texts),
        empty=sum(response.count for response in responses if not response.text.strip()),
        cut=sum(response.count for response in responses if not response.finished),
        same_prompts=same_prompts,
        undecided_prompts=undecided_prompts,
        unscored=compared.unscored,
        compared_prompts=len(decided_groups),
        pairs=sum(len(group.comparisons) for group in decided_groups),
    )


def without_cut_samples(groups: Sequence[PromptGroup]) -> list[PromptGroup]:
    """Return groups without the responses that were cut, and without scores and comparisons."""
    return [
        PromptGroup(group.prompt, [response for response in group.responses if response.finished], source=group.source)
        for group in groups
    ]


def with_cut_penalty(groups: Sequence[PromptGroup], penalty: float) -> list[PromptGroup]:
    """Return scored groups with a penalty taken off the score of every response that was cut."""
    return [
        group.replace(
            scores=[
                score - penalty * (not response.finished)
                for score, response in zip(group.scores or (), group.responses, strict=True)
            ]
        )
        for group in groups
    ]


def compare_scored(groups: Sequence[PromptGroup], rule: PairRule) -> Compared:
    """Compare responses by their scores; equal ones give no comparison.

    Args:
        groups: with scores.
        rule: `best_worst`: one comparison per prompt, of weight 1. `all`: every pair, by how often both were drawn.

    Raises:
        InputError: a score that is not finite.
    """
    if rule == "best_worst":
        return Compared(best_worst_pairs(groups))
    return Compared([_without_ties(group) for group in compare_by_score(groups)])


def _without_ties(group: PromptGroup) -> PromptGroup:
    return group.replace(comparisons=[comparison for comparison in group.comparisons if not comparison.tie])


def compare_judged(
    groups: Sequence[PromptGroup],
    rule: PairRule,
    judge: Judge,
    *,
    orders: Orders = "both",
    store: VerdictStore | None = None,
) -> Compared:
    """Have a judge compare the responses of each prompt, every pair of different texts.

    Pictures and sounds of a prompt are shown to a judge that reads them.

    With `best_worst` the best response won the largest share of its comparisons, a tie being half a win. A pair
    without a verdict counts nowhere.

    Raises:
        InputError, RunError: as the judge and the store; also pictures before a judge that reads text alone.
    """
    # every call of a judge costs: texts that stand twice are asked about once
    groups = [_texts_once(group) for group in groups]
    # all pairs of all prompts at once: a judge may make many calls at a time
    index_pairs = [
        (number, pair) for number, group in enumerate(groups) for pair in combinations(range(len(group.responses)), 2)
    ]
    questions = []
    for number, (first, second) in index_pairs:
        prompt, responses = groups[number].prompt, groups[number].responses
        a, b = (shown_text(responses[index], thoughts=False) for index in (first, second))
        # a judge of text alone refuses what shows something: it would rate a mark
        questions.append(Question(prompt_text(prompt), a, b, tuple(media_of(groups[number]))))
    verdicts: list[list[Comparison]] = [[] for _ in groups]
    for (number, (first, second)), answer in zip(
        index_pairs, ask(judge, questions, orders=orders, store=store), strict=True
    ):
        outcome = answer.outcome
        if outcome != "unparseable":
            winner, loser = (second, first) if outcome == "b" else (first, second)
            weight = float(groups[number].responses[first].count * groups[number].responses[second].count)
            verdicts[number].append(Comparison(winner, loser, tie=outcome == "tie", weight=weight))
    compared, unscored = [], 0
    for group, comparisons in zip(groups, verdicts, strict=True):
        judged_indices = {index for comparison in comparisons for index in (comparison.winner, comparison.loser)}
        # a prompt with one text was asked nothing, so that nothing of it lacks a verdict
        unscored += len(group.responses) - len(judged_indices) if len(group.responses) > 1 else 0
        compared.append(
            _best_and_worst(group, comparisons) if rule == "best_worst" else group.replace(comparisons=comparisons)
        )
    return Compared([_without_ties(group) for group in compared], unscored)


def only_compared(groups: Sequence[PromptGroup]) -> list[PromptGroup]:
    """Return groups with the responses alone that stand in a comparison, and without scores.

    What no comparison names would be scored by the reference for nothing.
    """
    pruned = []
    for group in groups:
        used = sorted({index for comparison in group.comparisons for index in (comparison.winner, comparison.loser)})
        numbers = {index: number for number, index in enumerate(used)}
        comparisons = [
            replace(comparison, winner=numbers[comparison.winner], loser=numbers[comparison.loser])
            for comparison in group.comparisons
        ]
        # scores are of one round's responses, and a prompt may have those of several rounds
        responses = [group.responses[index] for index in used]
        pruned.append(group.replace(responses=tuple(responses), comparisons=tuple(comparisons), scores=None))
    return pruned


def _texts_once(group: PromptGroup) -> PromptGroup:
    """Return a group with each text once: a judge sees no tokens, so that others of the same text are the same."""
    # in the order of their first appearance, so that a resumed round asks the same questions
    first: dict[str, Response] = {}
    for response in group.responses:
        text = shown_text(response, thoughts=False)
        same_text = first.get(text)
        first[text] = response if same_text is None else replace(same_text, count=same_text.count + response.count)
    return PromptGroup(group.prompt, tuple(first.values()), source=group.source)


def _best_and_worst(group: PromptGroup, comparisons: Sequence[Comparison]) -> PromptGroup:
    """Return the group with one comparison: who won the largest share against who won the smallest."""
    points, counts = [0.0] * len(group.responses), [0] * len(group.responses)
    for comparison in comparisons:
        for index in (comparison.winner, comparison.loser):
            counts[index] += 1
            points[index] += 0.5 if comparison.tie else float(index == comparison.winner)
    shares = {index: points[index] / counts[index] for index in range(len(points)) if counts[index]}
    best, worst = max(shares, key=shares.__getitem__, default=0), min(shares, key=shares.__getitem__, default=0)
    is_decided = bool(shares) and shares[best] > shares[worst]
    return group.replace(comparisons=[Comparison(best, worst)] if is_decided else [])
