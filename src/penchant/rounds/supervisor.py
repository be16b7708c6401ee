"""The reward or the judge of all rounds: loaded once, compared by content when rounds go on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from penchant.judges.ask import Answer, Orders, ask
from penchant.judges.contract import Judge, Question, digest
from penchant.judges.load import make_judge
from penchant.judges.settings import AnyJudge
from penchant.judges.store import VerdictStore
from penchant.rewards import Reward, load_reward, score_groups
from penchant.rewards.columns import carry_columns, check_columns, reads_columns
from penchant.rewards.names import check_reward
from penchant.rounds.pairs import Compared, PairRule, compare_judged, compare_scored, with_cut_penalty
from penchant.runs.input_digests import column_inputs, reward_digest
from penchant.types import PromptGroup

STORE = "judgments.sqlite"


@dataclass(frozen=True)
class Supervisor:
    """A reward or a judge, or neither.

    Attributes:
        reward: its name, or None. judge: its settings, or None.
        device: where a reward that is a model runs.
        folder: of the rounds; verdicts are kept there.
        orders: in how many orders a judge is asked.
    """

    reward: str | None
    judge: AnyJudge | None
    device: str
    folder: Path
    orders: Orders = "both"

    def __post_init__(self) -> None:
        """Refuse a name that stands for no reward before anything is sampled.

        Raises:
            InputError: there is no such reward.
        """
        if self.reward:
            check_reward(self.reward)

    @cached_property
    def loaded_reward(self) -> Reward:
        """The reward, loaded at its first use."""
        assert self.reward
        return load_reward(self.reward, device=self.device)

    @cached_property
    def loaded_judge(self) -> Judge:
        """The judge, made at its first use."""
        assert self.judge is not None
        return make_judge(self.judge)

    def check_rows(self, rows: Sequence[PromptGroup]) -> dict[str, str]:
        """Return the digests of what compares, by the name that messages call it, and of the columns that it reads.

        Raises:
            InputError: the reward reads a column that the rows lack; there is no such judge.
        """
        inputs: dict[str, str] = {}
        if self.reward:
            check_columns(self.loaded_reward, rows)
            inputs["the reward"] = reward_digest(self.reward, loaded=False)
            inputs |= column_inputs(rows) if reads_columns(self.loaded_reward) else {}
        if self.judge is not None:
            inputs["the judge"] = digest(self.loaded_judge.identity)[:32]
        return inputs

    def scores(self, samples: Sequence[PromptGroup], rows: Sequence[PromptGroup]) -> list[PromptGroup]:
        """Return samples with their scores.

        Args:
            rows: those that the samples were drawn for, whose columns the reward may read.

        Raises:
            InputError: as the reward.
        """
        # samples leave prompts without room out, so that they do not stand in the order of the rows
        by_prompt = {row.prompt: row for row in rows}
        groups = carry_columns(samples, [by_prompt.get(group.prompt, group) for group in samples])
        return score_groups(groups, self.loaded_reward)

    def compare(
        self, samples: Sequence[PromptGroup], rows: Sequence[PromptGroup], rule: PairRule, *, cut_penalty: float = 0.0
    ) -> Compared:
        """Compare samples by the reward where there is one, else by the judge.

        Args:
            rows: those that the samples were drawn for.
            rule: which comparisons are made.
            cut_penalty: taken off the score of a sample that was cut.

        Raises:
            InputError, RunError: as the reward, or the judge and its store.
        """
        if self.reward:
            return compare_scored(with_cut_penalty(self.scores(samples, rows), cut_penalty), rule)
        # verdicts are kept as they come: a killed round has paid for none twice
        with VerdictStore(self.folder / STORE) as store:
            return compare_judged(samples, rule, self.loaded_judge, orders=self.orders, store=store)

    def answers(self, questions: Sequence[Question]) -> list[Answer]:
        """Return the judge's answers to pairs, which are kept beside the rounds.

        Raises:
            InputError, RunError: as the judge and its store.
        """
        with VerdictStore(self.folder / STORE) as store:
            return ask(self.loaded_judge, questions, orders=self.orders, store=store)
