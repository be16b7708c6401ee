"""Supervised fine-tuning: maximum likelihood on demonstrations, the mean over taught tokens."""

from __future__ import annotations

from functools import partial
from typing import ClassVar, Literal

from penchant.train.settings import PolicyConfig
from penchant.types import RunResult


class SFT(PolicyConfig):
    """Imitate demonstrations: prompts with responses, conversations, or plain text."""

    method: ClassVar[str] = "sft"

    turns: Literal["last", "every"] = "last"
    """What a conversation teaches: its last assistant turn, or every one. Where the file says it per turn
    (`train: false`, `weight: 0`), the file decides."""


def run(config: SFT, *, resume: bool = False) -> RunResult:
    """Train on demonstrations; see `penchant.train.gradient_run.run_gradient` for errors."""
    from penchant.train import gradient_run, objectives, plan
    from penchant.train.evaluation.preferences import held_out_imitation
    from penchant.train.inputs import sources
    from penchant.train.recipe import Recipe, starting_policy

    recipe = Recipe(
        read=sources.demonstrations,
        # merged rows: a response that stood in the file twice is taught twice as much
        units=lambda group: [
            plan.Unit(response=i, weight=float(response.count)) for i, response in enumerate(group.responses)
        ],
        objective=objectives.imitation(learns_from="responses"),
        held_out=held_out_imitation,
        # spans are made while rendering, so it is the policy's renderer that has to know
        load=partial(starting_policy, every_turn=config.turns == "every", switches=True),
    )
    return gradient_run.run_gradient(config, recipe, resume=resume)
