"""Prompts with responses that were given to others: fixed data from which KTO estimates the policy's KL in every step.

Each group's prompt gets one response of another prompt, chosen once by the run's seed. So the reference's numbers come
from its table, a run resumes to the same bits, and an estimate does not depend on the micro-batches of its step.
Held-out prompts get responses of the training side: nothing that is held out has a part in training.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from jaxtyping import Float
from torch import Tensor

from penchant.data.rendering.render_groups import render_all
from penchant.data.rendering.renderer import Rendered, Renderer
from penchant.engine.score import Scorer, score_rows
from penchant.errors import InputError
from penchant.types import Prompt, PromptGroup


@dataclass(frozen=True)
class Mismatched:
    """The mismatched rows of a data set, one per group and in its order.

    Attributes:
        rendered: the prompt of each group with its one response.
        reference: (groups,) reference logps in nats; NaN for groups that no step takes, None before they are known.
    """

    rendered: Sequence[Rendered]
    reference: Float[Tensor, " groups"] | None = None

    def with_reference(
        self, numbers: Callable[[Sequence[Rendered]], Sequence[Tensor]], groups: Sequence[int]
    ) -> Mismatched:
        """Return the rows with the reference's logps of some groups, which `numbers` computes from rendered rows."""
        # NaN for groups that no step takes: a number that was never computed must show in the loss
        reference = torch.full((len(self.rendered),), torch.nan)
        if groups:
            reference[list(groups)] = torch.cat(list(numbers([self.rendered[group] for group in groups])))
        return replace(self, reference=reference)

    def log_ratios(self, scorer: Scorer, groups: Sequence[int], *, budget: int) -> Float[Tensor, " groups"]:
        """Return log pi - log pi_ref of the mismatched response of some groups, in nats, on the CPU. No gradients."""
        assert self.reference is not None
        if not groups:
            return torch.zeros(0)
        rows = [(self.rendered[group], [0]) for group in groups]
        return score_rows(scorer, rows, budget=budget) - self.reference[list(groups)]


def step_kl(
    mismatched: Mismatched, scorer: Scorer, groups: Sequence[int], accelerator: Accelerator, *, budget: int
) -> float:
    """Return the mean log-ratio over the groups of a step, in nats.

    The processes share the work and get the same number.
    """
    # without gradients: the KL is a reference point of the loss, and the paper does not differentiate it
    own_groups = groups[accelerator.process_index :: accelerator.num_processes]
    with accelerator.autocast():
        total = float(mismatched.log_ratios(scorer, own_groups, budget=budget).sum(dtype=torch.float64))
    if accelerator.num_processes > 1:
        total = sum(gather_object([total]))
    return total / len(groups)


def mismatch(
    train_groups: Sequence[PromptGroup], held_groups: Sequence[PromptGroup], renderer: Renderer, *, seed: int
) -> tuple[Mismatched, Mismatched]:
    """Return mismatched rows of the groups to train on, and of those held out.

    Where a prompt is too long for its new response it is cut from the left.

    Raises:
        InputError: only one prompt to train on, so that no response is another's.
    """
    groups_of: dict[Prompt, list[int]] = {}
    for index, group in enumerate(train_groups):
        groups_of.setdefault(group.prompt, []).append(index)
    prompts = list(groups_of)
    # with one prompt every response would be its own
    if len(prompts) < 2:
        raise InputError(
            "the KL term pairs prompts with responses to others, but there is only one prompt to train on: add "
            "prompts, or hold out fewer (data.held_out)"
        )
    # by prompts, not by rows: two groups of one prompt must not give each other their responses
    random = np.random.default_rng([seed, len(prompts)])
    order = random.permutation(len(prompts)).tolist()
    # each prompt takes from the next one around the circle, so none from itself
    donor_of = {
        prompts[receiver]: prompts[giver] for receiver, giver in zip(order, [*order[1:], order[0]], strict=True)
    }

    def row(group: PromptGroup, donor: Prompt) -> PromptGroup:
        other = train_groups[groups_of[donor][random.integers(len(groups_of[donor]))]]
        response = other.responses[random.integers(len(other.responses))]
        return PromptGroup(group.prompt, [response], source=f"{group.source} with a response from {other.source}")

    rows = [row(group, donor_of[group.prompt]) for group in train_groups]
    # responses of the training side here too: held-out text has no part in a training estimate (decision 0007)
    held_rows = [row(group, prompts[random.integers(len(prompts))]) for group in held_groups]
    # a dropped row would leave its group without an estimate, whatever the data's own policy is
    fitting = replace(renderer, overflow="truncate_prompt")
    sides = [render_all(side, fitting)[1] for side in (rows, held_rows)]
    return Mismatched(sides[0]), Mismatched(sides[1])
