"""Score the responses of a file: log-probabilities, implicit rewards or rewards, and what comparisons say of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from penchant.data.rendering.rendered import Rendered, RenderedRows
from penchant.data.write import group_to_row
from penchant.engine.score import Progress, score
from penchant.engine.token_scores import score_tokens
from penchant.errors import InputError
from penchant.metrics.estimates import Estimate
from penchant.metrics.intervals import cluster_mean
from penchant.models.policy import Policy
from penchant.models.reward import LearnedReward
from penchant.train.batch import Dataset
from penchant.train.evaluation.estimates import Estimates
from penchant.train.evaluation.preferences import pair_estimates, pair_table
from penchant.train.plan import split_key
from penchant.types import PromptGroup

CHUNK = 128  # prompts that are scored together and kept together
FileRow = dict[str, object]
"""A line of the file: a row of our own layout with further columns."""


@dataclass(frozen=True)
class Scoring:
    """The models that score responses, and how they do.

    Attributes:
        model: a policy, or a reward model.
        reference: what a policy is compared with, on the tokens that the policy's renderer makes; None for nothing.
        beta: the factor of implicit rewards.
        by_token: numbers per token too.
        budget: tokens of one forward pass.
    """

    model: Policy | LearnedReward
    reference: Policy | None = None
    beta: float = 1.0
    by_token: bool = False
    budget: int = 1024

    @property
    def column(self) -> str:
        """The column by which responses are compared."""
        if isinstance(self.model, LearnedReward):
            return "rewards"
        return "logps" if self.reference is None else "implicit_rewards"

    def score_rows(
        self, groups: Sequence[PromptGroup], rendered: Sequence[Rendered], progress: Progress | None = None
    ) -> list[FileRow]:
        """Return a row per group, with a number per response in each column."""
        if isinstance(self.model, LearnedReward):
            return self._rewarded(self.model, groups, rendered, progress)
        of_tokens = score_tokens(self.model.scorer, rendered, budget=self.budget) if self.by_token else None
        # the same passes as in training, so that sums are the numbers of its evaluation
        logps = score(self.model.scorer, rendered, budget=self.budget, progress=progress)
        reference = None
        if self.reference is not None:
            reference = score(self.reference.scorer, rendered, budget=self.budget, progress=progress)
        rows = []
        for number, (group, row) in enumerate(zip(groups, rendered, strict=True)):
            columns: FileRow = {
                "logps": logps[number].tolist(),
                "mean_logps": [
                    value / branch.scored for value, branch in zip(logps[number].tolist(), row.branches, strict=True)
                ],
            }
            if reference is not None:
                columns["reference_logps"] = reference[number].tolist()
                columns["implicit_rewards"] = (self.beta * (logps[number] - reference[number])).tolist()
            if of_tokens is not None:
                columns |= self._token_columns(row, [values.tolist() for values in of_tokens[number]])
            rows.append(self._row(group, row, columns))
        return rows

    def _rewarded(
        self,
        model: LearnedReward,
        groups: Sequence[PromptGroup],
        rendered: Sequence[Rendered],
        progress: Progress | None,
    ) -> list[FileRow]:
        scores = score(model.scorer, rendered, budget=self.budget, progress=progress)
        # as the reward that training and `sample` ask: rewards have mean zero on stated responses
        return [
            self._row(group, row, {"rewards": (values - model.offset).tolist()})
            for group, row, values in zip(groups, rendered, scores, strict=True)
        ]

    def _token_columns(self, row: Rendered, values: list[list[float]]) -> FileRow:
        ids = [[branch.ids[i] for start, stop in branch.spans for i in range(start, stop)] for branch in row.branches]
        tokenizer = self.model.tokenizer
        return {
            "token_ids": ids,
            # as the vocabulary has them: decoded one by one, many tokenizers would drop their spaces
            "token_texts": [[str(token) for token in tokenizer.convert_ids_to_tokens(tokens)] for tokens in ids],
            "token_logps": values,
        }

    def _row(self, group: PromptGroup, row: Rendered, columns: FileRow) -> FileRow:
        values = columns[self.column]
        assert isinstance(values, list)
        # JSON has no word for such a number, and a comparison by it says nothing
        if not all(map(math.isfinite, values)):
            raise InputError(
                f"{group.source or 'a row'}: the scores of {self.model.name} are not finite: its weights are damaged, "
                "or its dtype is too narrow (dtype=float32)"
            )
        margins = [values[pair.winner] - values[pair.loser] for pair in group.comparisons]
        return {
            **group_to_row(group),
            "source": group.source,
            "tokens": [branch.scored for branch in row.branches],
            **columns,
            **({"margins": margins} if margins else {}),
        }


@dataclass
class FileSummary:
    """Estimates of a scored file as a whole, each with an interval over prompts.

    Attributes:
        prompts, responses, comparisons: how many there are.
        column: what margins are differences of.
        estimates: by name.
        logps_accuracy: how often the chosen response has the larger log-probability, beside that by implicit rewards.
    """

    prompts: int
    responses: int
    comparisons: int
    column: str
    estimates: Estimates = field(default_factory=dict)
    logps_accuracy: Estimates = field(default_factory=dict)


def summarize_rows(
    scoring: Scoring, groups: Sequence[PromptGroup], rendered: RenderedRows, rows: Sequence[FileRow]
) -> FileSummary:
    """Return estimates of the columns, by the evaluation of training.

    Args:
        rows: of `Scoring.score_rows`, one per group.
    """
    comparisons = sum(len(group.comparisons) for group in groups)
    responses = sum(len(group.responses) for group in groups)
    summary = FileSummary(len({split_key(group) for group in groups}), responses, comparisons, scoring.column)
    if scoring.column != "rewards":
        summary.estimates["mean_logps"] = _mean(groups, rows, "mean_logps", by_tokens=True)
    if not comparisons:
        if scoring.column != "logps":
            summary.estimates[scoring.column] = _mean(groups, rows, scoring.column)
        return summary
    data = Dataset(rendered)
    values = [torch.tensor(_numbers(row, scoring.column)) for row in rows]
    table = pair_table(groups, data, values)
    columns = {"margin": table.chosen - table.rejected}
    if scoring.column == "rewards":
        columns |= {"chosen_reward": table.chosen, "rejected_reward": table.rejected}
    else:
        logps = pair_table(groups, data, [torch.tensor(_numbers(row, "logps")) for row in rows])
        columns |= {"chosen_logps": logps.chosen, "rejected_logps": logps.rejected}
        if scoring.column != "logps":
            summary.logps_accuracy = pair_estimates(logps, {"margin": logps.chosen - logps.rejected})
    summary.estimates |= pair_estimates(table, columns)
    return summary


def _numbers(row: FileRow, column: str) -> list[float]:
    values = row[column]
    assert isinstance(values, list)
    return [float(value) for value in values]


def _mean(groups: Sequence[PromptGroup], rows: Sequence[FileRow], column: str, *, by_tokens: bool = False) -> Estimate:
    """Return the mean of a column over responses, each as often as it was drawn; or over tokens, each the same."""
    values: list[float] = []
    weights: list[float] = []
    prompts: list[str] = []
    for group, row in zip(groups, rows, strict=True):
        values += _numbers(row, column)
        weights += [
            response.count * (tokens if by_tokens else 1)
            for response, tokens in zip(group.responses, _numbers(row, "tokens"), strict=True)
        ]
        prompts += [split_key(group)] * len(group.responses)
    return cluster_mean(values, prompts, weights=weights, share=False)
