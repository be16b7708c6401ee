"""What a method of the gradient loop is made of, and its data on the way to the loop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from penchant.data.rendering.rendered import RenderedRows
from penchant.models.reward import LearnedReward
from penchant.models.settings import FrozenModel
from penchant.runs.run_folder import RunFolder
from penchant.train.batch import Dataset
from penchant.train.evaluation.preferences import Estimates
from penchant.train.objectives import Objective
from penchant.train.plan import Unit
from penchant.types import PromptGroup

HeldOut = Callable[[Any, Sequence[PromptGroup], Dataset, int], Estimates]  # (learner, groups, data, token budget)


@dataclass(frozen=True)
class Source:
    """Groups that were read, and what reading them did (for result.json)."""

    groups: Sequence[PromptGroup]
    counts: dict[str, Any]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Recipe:
    """What makes a method, in the terms of the gradient loop.

    Attributes:
        read: gives the data.
        units: a group -> what an optimizer step counts of it.
        objective: the loss and what it takes the mean over.
        held_out: estimates on held-out data.
        needs_reference: the loss compares with the reference's numbers.
        mismatched: it also asks for the policy's KL from the reference, from prompts with responses of others.
        taught: what the data must hold, for the message where it holds none.
        reference: another model than the starting policy as the reference; None for the starting policy.
        every_turn: every assistant turn of a conversation is taught.
        load: what learns, where it is no policy.
        head_rate: the learning rate of that one's head.
        finish: called with the learner, the data and the run directory after the last step.
    """

    read: Callable[[], Source]
    units: Callable[[PromptGroup], Sequence[Unit]]
    objective: Objective
    held_out: HeldOut
    needs_reference: bool = False
    mismatched: bool = False
    taught: str = "comparisons"
    reference: FrozenModel | None = None
    every_turn: bool = False
    load: Callable[[], LearnedReward] | None = None
    head_rate: float = 0.0
    finish: Callable[[Any, Prepared, RunFolder], None] | None = None


@dataclass
class Prepared:
    """Data in the form that the loop takes.

    Attributes:
        rendered: all groups; `train_side` and `held_side` say which of them are on which side.
        budget: tokens of one pass.
        warnings: grows until the end.
    """

    rendered: RenderedRows
    train_side: list[int]
    held_side: list[int]
    train_groups: list[PromptGroup]
    train: Dataset
    held_groups: list[PromptGroup]
    held: Dataset
    counts: dict[str, Any]
    budget: int
    warnings: list[str] = field(default_factory=list)
