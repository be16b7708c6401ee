"""Learned rewards as rewards: one reward model, or several as an ensemble."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from penchant.data.options import Overflow, Thoughts
from penchant.errors import InputError
from penchant.models.reward import LearnedReward, load_reward_model, probability_preferred
from penchant.thoughts import READ_THOUGHTS
from penchant.types import PromptGroup

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class RewardEnsemble:
    """The mean of several reward models, less `caution` times their standard deviation.

    Where the models disagree nobody knows the reward, and a policy that is optimised finds just those places; caution
    holds it off them (Coste et al. 2023, arXiv:2310.02743).

    Raises:
        InputError: no members; members whose token ids mean different things.
    """

    members: tuple[LearnedReward, ...]
    caution: float = 0.0

    is_checked_reward = True

    def __post_init__(self) -> None:
        if not self.members:
            raise InputError("an ensemble needs at least one reward model")
        # tokens are made once for all members: the same ids must be the same words to each
        first = self.members[0].tokenizer.get_vocab()
        for member in self.members[1:]:
            if member.tokenizer.get_vocab() != first:
                raise InputError(
                    f"the reward models {self.members[0].name} and {member.name} have different vocabularies, so one "
                    "ensemble cannot read the same tokens: train them from the same model"
                )

    @property
    def penchant_name(self) -> str | None:
        """The name that settings hold for it; None where they cannot, knowing no caution and one mark for all.

        Raises:
            InputError: as of `LearnedReward.penchant_name`.
        """
        marks = {member.mark for member in self.members}
        if self.caution or len(marks) > 1:
            return None
        return marks.pop() + ",".join(member.penchant_name.removeprefix(member.mark) for member in self.members)

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The tokenizer of all members: they share their vocabulary."""
        return self.members[0].tokenizer

    def score(self, groups: Sequence[PromptGroup]) -> list[Tensor]:
        """Return the reward of every response, a 1-D float32 tensor per group, as `LearnedReward.score`."""
        return [self._join(rows) for rows in zip(*(member.score(groups) for member in self.members), strict=True)]

    def _join(self, rows: Sequence[Tensor]) -> Tensor:
        # the deviation of these members, not an estimate for more of them: with one member it is 0 and not NaN
        table = torch.stack(list(rows))
        return table.mean(0) - self.caution * table.std(0, correction=0)

    def readable(self, groups: Sequence[PromptGroup], tokenizer: PreTrainedTokenizerBase | None) -> list[PromptGroup]:
        """Return the groups without token ids of another vocabulary, as `LearnedReward.readable`."""
        return self.members[0].readable(groups, tokenizer)

    def __call__(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """Return the reward of each (prompt, response) text, in order."""
        columns = [torch.tensor(member(pairs)) for member in self.members]
        return self._join(columns).tolist()

    prefers = probability_preferred


def learned_reward(
    folders: Sequence[str], *, device: str = "auto", overflow: Overflow = "error", thoughts: Thoughts | None = None
) -> LearnedReward | RewardEnsemble:
    """Return the reward model in a folder, or an ensemble of several.

    Args:
        overflow: of texts beyond the model's context, as in `penchant.data.rendering.renderer.Renderer`.
        thoughts: whether thoughts are read; None for what the model was trained with.

    Raises:
        InputError: as `penchant.models.reward.load_reward_model` and `RewardEnsemble`.
    """
    # settings that hold the reward itself are to load the same one again
    mark = READ_THOUGHTS if thoughts == "score" else ""
    members = tuple(
        replace(load_reward_model(folder, device=device, overflow=overflow, thoughts=thoughts), mark=mark)
        for folder in folders
    )
    return members[0] if len(members) == 1 else RewardEnsemble(members)
