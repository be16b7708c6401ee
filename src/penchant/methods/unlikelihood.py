"""Unlikelihood: the winners made likelier and the losers less likely, a baseline of Rafailov et al. (2023).

They maximise log p(winner) and minimise alpha log p(loser); Welleck et al. (2019, arXiv:1908.04319) have the idea, with
log(1 - p) per token. As in SFT and Preferred-FT the loss is a mean over taught tokens, those of the winners.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from penchant.methods.preferred_ft import PreferredFT, wins
from penchant.types import PromptGroup, RunResult


class Unlikelihood(PreferredFT):
    """Imitate the chosen responses and push the rejected ones away, without a reference to hold the policy.

    It has no floor: a loser can always be made less likely, and the text breaks where alpha or the run is too large.
    """

    method: ClassVar[str] = "unlikelihood"

    alpha: Annotated[float, Field(ge=0)] = 0.1
    """How much a loser's log-probability counts beside a winner's; 0 is Preferred-FT."""


def losses(group: PromptGroup, count: str) -> dict[int, list[tuple[int, int, float]]]:
    """Return the (winner, loser, weight) of what each winner won; with `once` a loser counts once in the group."""
    losses_of_winner: dict[int, list[tuple[int, int, float]]] = {}
    seen: set[int] = set()
    for comparison in group.comparisons:
        for winner, loser, weight in comparison.directed():
            # with `once` a loser must not be pushed away harder for every winner it was compared with
            if count == "wins" or loser not in seen:
                losses_of_winner.setdefault(winner, []).append((winner, loser, weight if count == "wins" else 1.0))
            seen.add(loser)
    return losses_of_winner


def run(config: Unlikelihood, *, resume: bool = False) -> RunResult:
    """Train on winners and losers; see `penchant.train.gradient_run.run_gradient` for errors."""
    from penchant.train import gradient_run, objectives, plan
    from penchant.train.evaluation.preferences import held_out_preferences
    from penchant.train.inputs import sources
    from penchant.train.recipe import Recipe

    def units(group: PromptGroup) -> list[plan.Unit]:
        # at 0 no loser is even forwarded: the run is Preferred-FT's to the last bit, its cost too
        losses_of_winner = losses(group, config.count) if config.alpha else {}
        return [
            plan.Unit(pairs=tuple(losses_of_winner.get(i, ())), response=i, weight=weight)
            for i, weight in sorted(wins(group, config.count).items())
        ]

    recipe = Recipe(
        read=sources.preferences,
        units=units,
        objective=objectives.imitation(against=config.alpha),
        held_out=held_out_preferences,
    )
    return gradient_run.run_gradient(config, recipe, resume=resume)
