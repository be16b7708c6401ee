"""The parts that a method of the gradient loop consists of, and the form of its data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from penchant.data.rendering.rendered import RenderedRows
from penchant.data.settings import RowsConfig
from penchant.errors import InputError
from penchant.models.diffusion.policy import load_diffusion
from penchant.models.finished import check_finished
from penchant.models.learner import Learner
from penchant.models.load import load_policy
from penchant.models.locate import is_picture_model
from penchant.models.settings import FrozenModel
from penchant.runs.run_folder import RunFolder
from penchant.train.batch import Dataset
from penchant.train.evaluation.estimates import Estimates
from penchant.train.objectives import Objective
from penchant.train.picture_runs import check_picture_run
from penchant.train.plan import Mixing, Unit
from penchant.train.settings import GradientConfig
from penchant.types import PromptGroup

# `Any`: a recipe's `load` and `held_out` agree on the learner, which the loop between them never looks into
HeldOut = Callable[[Any, Sequence[PromptGroup], Dataset, int], Estimates]
"""(learner, groups, data, token budget) -> what is measured on held-out data. Each method's takes its own learner."""
Counts = dict[str, str | float | dict[str, int] | dict[str, dict[str, float]]]
"""What reading and rendering did, by the names in result.json; of a mixture, `sources` has the counts of each.
`ratings` has how ratings became comparisons, with the number of their rows; it is absent where there are none."""


@dataclass(frozen=True)
class Source:
    """Groups that were read, with counts for result.json and warnings."""

    groups: Sequence[PromptGroup]
    counts: Counts
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class MixturePart:
    """One source of the data, as it was read; plain data is a single one.

    Attributes:
        name: what results call it.
        data: its settings, as those of data with a single path.
        weight: its share of an epoch; None where no source has one.
        evaluation: whether it is held out as a whole.
        digest: of its files; None for a hub id.
    """

    name: str
    data: RowsConfig
    source: Source
    weight: float | None = None
    evaluation: bool = False
    digest: str | None = None


@dataclass(frozen=True)
class Mixture:
    """The sources of a run's data, with what was counted and warned of over all of them."""

    parts: tuple[MixturePart, ...]
    counts: Counts
    warnings: tuple[str, ...] = ()


def starting_policy(config: GradientConfig, *, every_turn: bool = False, switches: bool = False) -> Learner:
    """Load the policy that a run starts from.

    Args:
        every_turn: every assistant turn of a conversation is taught, not only the last.
        switches: so are those that the file says are taught.

    Raises:
        InputError: no such model, or the checkpoint of a run that did not come to its end.
    """
    # a half-trained checkpoint has the name of the whole run, and would be taken for it
    check_finished(Path(config.model.name).expanduser(), "trained further")
    if is_picture_model(config.model.name):
        check_picture_run(config)
        return load_diffusion(config.model)
    policy = load_policy(config.model, rendering=config.data.rendering)
    if every_turn and policy.renderer.media is not None:
        raise InputError(f"{policy.name} reads pictures, and of such prompts the last turn alone is taught: turns=last")
    # of the renderer, not of the data: which tokens are scored is settled where spans are made
    policy.renderer = replace(policy.renderer, every_turn=every_turn, switches=switches)
    return policy


@dataclass(frozen=True)
class Recipe:
    """The parts of a method, in the terms of the gradient loop.

    Attributes:
        read: settings of data with a single path -> what it holds.
        check: counts of all the data -> warnings; raises `InputError` for data that cannot be learned from.
        units: a group -> what an optimizer step counts of it.
        objective: the loss, what it takes the mean over, and what it needs.
        held_out: estimates on held-out data.
        load: gives what learns.
        head_rate: the learning rate of its head, where that has its own.
        reference: another model than the starting policy as the reference; None for the starting policy.
        finish: called with the learner, the data and the run directory after the last step.
    """

    # `Any`: each method's data has settings of its own class
    read: Callable[[Any], Source]
    units: Callable[[PromptGroup], Sequence[Unit]]
    objective: Objective
    held_out: HeldOut
    load: Callable[[GradientConfig], Learner] = starting_policy
    head_rate: float = 0.0
    reference: FrozenModel | None = None
    finish: Callable[[Any, Prepared, RunFolder], None] | None = None
    check: Callable[[Counts], Sequence[str]] | None = None


@dataclass(frozen=True)
class Prepared:
    """Data in the form that the loop takes.

    Attributes:
        rendered: all groups; `train_side` and `held_side` say which of them are on which side.
        units: of each training group, what the steps count of it.
        train_data, held_data: what the loss needs of each side's responses.
        train_sources: of each training group of a mixture, the number of its source; empty for plain data.
        held_sources: by source of a mixture, which of the held-out groups are of it; empty for plain data.
        mixing: how often groups are drawn, where sources have weights.
        counts: of the data, for result.json.
        budget: tokens of one pass.
        warnings: what a user should know about the data.
        advice: sentences that are said before the first step, since somebody may stop for them; some are warnings too.
    """

    rendered: RenderedRows
    train_side: list[int]
    held_side: list[int]
    train_groups: Sequence[PromptGroup]
    units: list[tuple[Unit, ...]]
    train_data: Dataset
    held_groups: Sequence[PromptGroup]
    held_data: Dataset
    counts: Counts
    budget: int
    warnings: tuple[str, ...] = ()
    advice: tuple[str, ...] = ()
    train_sources: Sequence[int] = ()
    held_sources: Mapping[str, list[int]] = field(default_factory=dict)
    mixing: Mixing | None = None
