"""States that a model's frozen blocks compute for the training data, where only the last blocks train."""

from __future__ import annotations

import logging
from dataclasses import replace

from accelerate import Accelerator

from penchant.engine.attention import trunk_blocks
from penchant.engine.frozen import frozen_states
from penchant.engine.tree import unique_tokens
from penchant.files import cache_folder
from penchant.models.learner import Learner
from penchant.runs.progress import progress_bar
from penchant.train.batch import Dataset
from penchant.train.inputs.reference_table import precision_name

log = logging.getLogger("penchant.train")


def with_frozen_states(
    data: Dataset, policy: Learner, train_top: int | None, weights: str, accelerator: Accelerator, *, budget: int
) -> tuple[Dataset, list[str]]:
    """Return the data with the states that enter the first block that trains, and warnings where it lacks them.

    To be called before the weights are those of a checkpoint: the states are kept under the fingerprint `weights` of
    the model as it was loaded. The main process computes, the others read what it kept.
    """
    if train_top is None:
        return data, []
    blocks = trunk_blocks(policy.model)
    if blocks is None:
        return data, []
    if policy.scorer.packing_for(data.rendered).plain:  # one response a row: nothing says where a group's tokens lie
        return data, ["the frozen blocks run in every step: responses are forwarded with their own prompts"]
    # the same tokens go through the same weights in every epoch, so their states are computed once and kept on disk
    total = unique_tokens([(row, range(len(row.branches))) for row in data.rendered])
    quiet = not accelerator.is_main_process
    with (
        accelerator.main_process_first(),
        progress_bar("running the frozen blocks", total, "tokens", quiet=quiet) as advance,
    ):
        states, reason = frozen_states(
            policy.scorer,
            data.rendered,
            cache_folder() / "frozen",
            blocks=len(blocks) - train_top,
            weights=weights,
            precision=precision_name(policy, accelerator),
            budget=budget,
            progress=advance,
        )
    if states is None:
        warning = f"the frozen blocks run in every step: {reason}"
        log.warning("%s", warning)
        return data, [warning]
    return replace(data, frozen=states), []
