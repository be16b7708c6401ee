"""Preferred-FT: maximum likelihood on the winners alone, the baseline of Rafailov et al. (2023)."""

from __future__ import annotations

from typing import ClassVar, Literal

from penchant.data.settings import DataConfig
from penchant.train.settings import PolicyConfig
from penchant.types import PromptGroup, RunResult


class PreferredFT(PolicyConfig):
    """Imitate the chosen responses of a preference file; the rejected ones are not looked at."""

    method: ClassVar[str] = "preferred_ft"

    data: DataConfig
    """The data: a path or hub id, or its settings (`data.ties=half`)."""
    count: Literal["wins", "once"] = "wins"
    """How often a response counts: once per comparison that it won (a tie is half a win each way), so that what many
    prefer counts more; or once in all."""


def wins(group: PromptGroup, count: str = "wins") -> dict[int, float]:
    """Return the weight of each response that won: the summed weight of its wins, or 1."""
    win_weights: dict[int, float] = {}
    for comparison in group.comparisons:
        for winner, _, weight in comparison.directed():
            # a tie is two directed pairs of half the weight: both responses are taught, each half as much
            win_weights[winner] = win_weights.get(winner, 0.0) + weight
    # "once": what many people prefer counts no more than what one person does
    return win_weights if count == "wins" else dict.fromkeys(win_weights, 1.0)


def run(config: PreferredFT, *, resume: bool = False) -> RunResult:
    """Train on the winners; see `penchant.train.gradient_run.run_gradient` for errors."""
    from penchant.train import gradient_run, objectives, plan
    from penchant.train.evaluation.preferences import held_out_preferences
    from penchant.train.inputs import sources
    from penchant.train.recipe import Recipe

    recipe = Recipe(
        read=sources.preferences,
        units=lambda group: [
            plan.Unit(response=i, weight=weight) for i, weight in sorted(wins(group, config.count).items())
        ],
        objective=objectives.imitation(),
        # comparisons are held out, not winners alone: it is measured by what the other methods are measured by
        held_out=held_out_preferences,
    )
    return gradient_run.run_gradient(config, recipe, resume=resume)
