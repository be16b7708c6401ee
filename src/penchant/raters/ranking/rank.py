"""From comparisons or rankings to strengths: of models, of the responses to one prompt, or of annotators."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from penchant.errors import InputError
from penchant.metrics.strengths import Strengths, bradley_terry, elo, groups_apart, plackett_luce, wins_table
from penchant.raters.files_to_page import files_to_page
from penchant.raters.ranking.games import Games, games_of, short_name
from penchant.raters.settings import Rank
from penchant.types import RunResult

NAMED = 8  # members of a group that an error names


def rank(config: Rank) -> RunResult:
    """Read the file, fit, and write `rank.json`, `report.html` and a figure to the run directory.

    Raises:
        InputError: what `games_of` raises; strengths that do not exist, with the groups that fall apart.
        RunError: the folder cannot be written.
    """
    from penchant.raters.ranking.page import strengths_page

    return files_to_page(config, [config.file], lambda: rank_numbers(config), strengths_page)


def rank_numbers(config: Rank) -> dict[str, Any]:
    """What there is to say, as plain values; the file `rank.json`. The strongest comes first."""
    games = games_of(config)
    names = games.names
    items = len(names)
    wins = wins_table(games.winners, games.losers, games.tied, items)
    if not config.prior and len(apart := groups_apart(wins)) > 1:
        raise InputError(_why_apart(config, names, apart))
    found = _fitted(config, games)
    order = sorted(range(items), key=lambda item: -found.values[item].value)
    return {
        "method": config.method,
        "file": config.file,
        "by": config.by,
        "fit": config.fit,
        "prior": config.prior,
        "level": config.level,
        "resampled": games.resampled,
        "comparisons": len(games.winners),
        "rankings": None if games.rankings is None else len(games.rankings),
        "ties": sum(games.tied),
        "clusters": len(set(games.clusters)),
        "skipped_rows": games.skipped_rows,
        "against_itself": games.against_itself,
        "unranked": games.unranked,
        "unmet": games.unmet,
        "reason": found.reason,
        "items": [
            {
                "name": names[item],
                "strength": asdict(found.values[item]),
                "elo": _on_elo_scale(asdict(found.values[item])),
                "places": found.ranks[item],
                "wins": found.wins[item],
                "losses": found.losses[item],
            }
            for item in order
        ],
        "wins": [[float(wins[one, other]) for other in order] for one in order],
    }


def _fitted(config: Rank, games: Games) -> Strengths:
    items = len(games.places)
    if games.rankings is None:
        return bradley_terry(
            games.winners,
            games.losers,
            games.tied,
            games.clusters,
            items=items,
            prior=config.prior,
            level=config.level,
            resamples=config.resamples,
            seed=config.seed,
            unit=games.resampled.removesuffix("s"),
        )
    return plackett_luce(
        [ranking for ranking, _ in games.rankings],
        [cluster for _, cluster in games.rankings],
        items=items,
        level=config.level,
        resamples=config.resamples,
        seed=config.seed,
        unit=games.resampled.removesuffix("s"),
    )


def _on_elo_scale(strength: dict[str, Any]) -> dict[str, Any]:
    ends = {key: None if strength[key] is None else elo(strength[key]) for key in ("value", "low", "high")}
    return {**strength, **ends}


def _why_apart(config: Rank, names: list[str], apart: list[list[int]]) -> str:
    told = []
    for group in apart[:NAMED]:
        members = ", ".join(short_name(names[item]) for item in group[:NAMED])
        told.append(members + (f" (+{len(group) - NAMED} more)" if len(group) > NAMED else ""))
    more = f" (+{len(apart) - NAMED} more)" if len(apart) > NAMED else ""
    finite = "prior=0.1" if config.fit == "bradley-terry" else "fit=bradley-terry prior=0.1"
    return (
        f"{config.file}: strengths do not exist, for the {config.by} fall apart into {len(apart)} groups that do not "
        f"beat each other both ways: {' | '.join(told)}{more}. Compare across them, or set {finite} (virtual ties "
        "between every two; what it says across groups is then the prior's doing)"
    )
