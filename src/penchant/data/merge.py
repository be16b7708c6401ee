"""Merge groups with the same prompt into one, and count ties and contradictions.

What merging keeps:

- An identical response (same text, thoughts, calls, token ids and ending) is stored once. Its `count` is the number of
  samples that it stands for. The counts of rows add where a row states samples of its own (our own JSONL,
  demonstrations). In files of pairs, rankings and ratings they do not: there a response stands in many rows because it
  is compared many times, so its count stays 1.
- An identical comparison (same winner, loser, tie and annotator) is stored once, with the weights added.
- Columns beside prompt and responses are kept where all rows of a prompt hold the same there.
- A response's score is the mean of its rows' scores. Scores are dropped where some rows of a prompt have none.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeAlias

from penchant.types import Comparison, Prompt, PromptGroup, Response, ToolCall

if TYPE_CHECKING:
    from penchant.media import Part

ResponseKey: TypeAlias = tuple[str, tuple[int, ...] | None, bool, str, tuple[ToolCall, ...], tuple["Part", ...]]


@dataclass(frozen=True)
class Merged:
    """The merged groups, in the order of their first rows.

    Attributes:
        duplicates: comparisons that repeat an earlier one (their weights were added).
        scores_dropped: prompts whose scores were dropped because some of their rows have none.
    """

    groups: list[PromptGroup]
    duplicates: int
    scores_dropped: int


@dataclass
class _Gathered:
    """One prompt's group while rows are added to it."""

    source: str
    columns: dict[str, object]
    indices: dict[ResponseKey, int] = field(default_factory=dict)
    responses: list[Response] = field(default_factory=list)
    comparisons: dict[tuple[int, int, bool, str | None], float] = field(default_factory=dict)
    score_sums: list[float] = field(default_factory=list)
    score_counts: list[int] = field(default_factory=list)
    rows_with_scores: int = 0
    rows: int = 0
    duplicates: int = 0

    def add(self, group: PromptGroup, counts_add: bool) -> None:
        self.rows += 1
        # two rows that differ in their `answer` leave none that a reward could trust
        self.columns = {
            name: cell for name, cell in self.columns.items() if name in group.columns and group.columns[name] == cell
        }
        self.rows_with_scores += group.scores is not None
        indices = [self._index_of(response, counts_add) for response in group.responses]
        # not strict: there may be no scores; where there are, `PromptGroup` holds their number to that of the responses
        for index, score in zip(indices, group.scores or (), strict=False):
            self.score_sums[index] += score
            self.score_counts[index] += 1
        for comparison in group.comparisons:
            winner, loser = indices[comparison.winner], indices[comparison.loser]
            # A against B and B against A are one tie.
            if comparison.tie:
                winner, loser = min(winner, loser), max(winner, loser)
            key = (winner, loser, comparison.tie, comparison.annotator)
            self.duplicates += key in self.comparisons
            self.comparisons[key] = self.comparisons.get(key, 0.0) + comparison.weight

    def _index_of(self, response: Response, counts_add: bool) -> int:
        # A sample that was cut at a length is another one than the same text that ended by itself.
        # One text may have been drawn as different tokens.
        key = (
            response.text,
            response.token_ids,
            response.finished,
            response.reasoning,
            response.tool_calls,
            response.parts,
        )
        if key not in self.indices:
            self.indices[key] = len(self.responses)
            self.responses.append(response)
            self.score_sums.append(0.0)
            self.score_counts.append(0)
        elif counts_add:
            index = self.indices[key]
            earlier_response = self.responses[index]
            self.responses[index] = replace(earlier_response, count=earlier_response.count + response.count)
        return self.indices[key]

    def group(self, prompt: Prompt) -> PromptGroup:
        scores = None  # a mean over a part of the rows would be compared with means over all
        if self.rows_with_scores == self.rows:
            scores = [total / count for total, count in zip(self.score_sums, self.score_counts, strict=True)]
        comparisons = [
            Comparison(winner, loser, tie, annotator, weight)
            for (winner, loser, tie, annotator), weight in self.comparisons.items()
        ]
        return PromptGroup(prompt, self.responses, comparisons, scores, self.source, self.columns)


def merge_groups(groups: Iterable[PromptGroup], *, counts_add: bool) -> Merged:
    """Merge groups into one per prompt.

    Args:
        groups: in the file's order; the first of a prompt gives the merged one its `source`.
        counts_add: whether an identical response of another row is another sample (see above).
    """
    gathered: dict[Prompt, _Gathered] = {}
    for group in groups:
        if group.prompt not in gathered:
            gathered[group.prompt] = _Gathered(group.source, dict(group.columns))
        gathered[group.prompt].add(group, counts_add)
    return Merged(
        groups=[merging.group(prompt) for prompt, merging in gathered.items()],
        duplicates=sum(merging.duplicates for merging in gathered.values()),
        scores_dropped=sum(0 < merging.rows_with_scores < merging.rows for merging in gathered.values()),
    )


def count_ties(groups: Iterable[PromptGroup]) -> int:
    """Return how many comparisons are ties."""
    return sum(comparison.tie for group in groups for comparison in group.comparisons)


def without_ties(groups: Sequence[PromptGroup]) -> list[PromptGroup]:
    """Return the groups without their tied comparisons; a group that had nothing else is left out."""
    remaining = []
    for group in groups:
        decisive = [comparison for comparison in group.comparisons if not comparison.tie]
        if decisive or not group.comparisons:  # a group that never had comparisons may hold labels
            remaining.append(group.replace(comparisons=tuple(decisive)))
    return remaining


@dataclass(frozen=True)
class Contradictions:
    """Pairs of responses that were preferred in both directions.

    Attributes:
        pairs: all of them, whoever said so.
        same_annotator: those where one named annotator said both.
        sources: where their groups begin, one name per group.
    """

    pairs: int
    same_annotator: int
    sources: tuple[str, ...]


def _is_probability(group: PromptGroup, pair: tuple[int, int]) -> bool:
    """Return whether the verdicts on a pair are the probability that its first response is better."""
    verdicts = [comparison for comparison in group.comparisons if {comparison.winner, comparison.loser} == {*pair}]
    # two verdicts of a person have whole weights, which sum to 2
    nameless = len(verdicts) == 2 and all(verdict.annotator is None and not verdict.tie for verdict in verdicts)
    return nameless and abs(sum(verdict.weight for verdict in verdicts) - 1) < 1e-6


def find_contradictions(groups: Iterable[PromptGroup]) -> Contradictions:
    """Count contradictions within merged groups: A > B and B > A.

    A tie contradicts nothing, and neither does a probability: both directions of one pair, said by nobody, whose
    weights sum to 1.
    """
    pairs = same_annotator = 0
    sources = []
    for group in groups:
        annotators: dict[tuple[int, int], set[str | None]] = {}
        for comparison in group.comparisons:
            if not comparison.tie:
                annotators.setdefault((comparison.winner, comparison.loser), set()).add(comparison.annotator)
        # Each pair is seen from its smaller index only, so that it counts once.
        both_ways = [
            pair
            for pair in annotators
            if pair[0] < pair[1] and pair[::-1] in annotators and not _is_probability(group, pair)
        ]
        pairs += len(both_ways)
        # None is no annotator: unnamed verdicts may be of many people.
        same_annotator += sum(bool((annotators[pair] & annotators[pair[::-1]]) - {None}) for pair in both_ways)
        if both_ways:
            sources.append(group.source)
    return Contradictions(pairs, same_annotator, tuple(sources))
