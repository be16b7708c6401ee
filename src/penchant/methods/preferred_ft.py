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
    """How often a response counts: once a comparison that it won (a tie is half a win each way), so that what many
    prefer counts more; or once in all."""


def wins(group: PromptGroup, count: str = "wins") -> dict[int, float]:
    """Return the weight of each response that won: the summed weight of its wins, or 1."""
    win_weights: dict[int, float] = {}
    for comparison in group.comparisons:
        for winner, _, weight in comparison.directed():
            win_weights[winner] = win_weights.get(winner, 0.0) + weight
    return win_weights if count == "wins" else dict.fromkeys(win_weights, 1.0)


def run(config: PreferredFT, *, resume: bool = False) -> RunResult:
    """Train on the winners; see `penchant.train.gradient_run.run_gradient` for errors."""
    from penchant.train import objectives
    from penchant.train.evaluation.preferences import held_out_preferences
    from penchant.train.gradient_run import run_gradient
    from penchant.train.inputs.sources import preferences
    from penchant.train.plan import Unit
    from penchant.train.recipe import Recipe

    recipe = Recipe(
        read=lambda: preferences(config.data),
        units=lambda group: [
            Unit(response=i, weight=weight) for i, weight in sorted(wins(group, config.count).items())
        ],
        objective=objectives.imitation(),
        held_out=held_out_preferences,
    )
    return run_gradient(config, recipe, resume=resume)
