"""Fit strengths to comparisons or rankings: of models, of the responses to one prompt, or of annotators."""

from __future__ import annotations

from dataclasses import replace

from penchant.errors import InputError
from penchant.metrics.estimates import Estimate
from penchant.metrics.intervals import cluster_mean
from penchant.metrics.strengths import Strengths, bradley_terry, elo, groups_apart, plackett_luce, wins_table
from penchant.raters.files_to_page import files_to_page
from penchant.raters.ranking.games import Games, read_games, short_name
from penchant.raters.ranking.results import RankedItem, Ranking
from penchant.raters.settings import Rank, resampling_of
from penchant.types import RunResult

MOST_NAMED = 8  # members of a group that an error names


def rank(config: Rank) -> RunResult:
    """Read the file, fit, and write `rank.json`, `report.html` and a figure to the run directory.

    Raises:
        InputError: what `read_games` raises; strengths that do not exist, with the groups that fall apart.
        RunError: the folder cannot be written.
    """
    from penchant.raters.ranking.page import strengths_page  # brings matplotlib

    return files_to_page(config, [config.file], lambda: fit_strengths(config), strengths_page)


def fit_strengths(config: Rank) -> Ranking:
    """Return the strengths of what the file compares, the strongest first.

    Raises:
        InputError: as `rank`.
    """
    games = read_games(config)
    names = games.names
    wins = wins_table(games.winners, games.losers, games.tied, len(names))
    # Without wins both ways across groups the likelihood has no maximum: a strength would grow without end.
    if not config.prior and len(groups := groups_apart(wins)) > 1:
        raise InputError(_explain_groups(config, names, groups))
    strengths = _fit(config, games)
    # the table of wins is turned into the same order, so that row and column of an item have its place
    order = sorted(range(len(names)), key=lambda item: -strengths.values[item].value)
    return Ranking(
        method=config.method,
        file=config.file,
        by=config.by,
        fit=config.fit,
        prior=config.prior,
        level=config.level,
        resampled=games.resampled,
        comparisons=len(games.winners),
        rankings=None if games.rankings is None else len(games.rankings),
        ties=sum(games.tied),
        clusters=len(set(games.clusters)),
        skipped_rows=games.skipped_rows,
        against_itself=games.against_itself,
        unranked=games.unranked,
        unmet=tuple(games.unmet),
        reason=strengths.reason,
        items=tuple(_item(names[item], strengths, item, _win_rate(config, games, item)) for item in order),
        wins=tuple(tuple(float(wins[row, column]) for column in order) for row in order),
    )


def _item(name: str, strengths: Strengths, item: int, win_rate: Estimate) -> RankedItem:
    strength = strengths.values[item]
    return RankedItem(
        name=name,
        strength=strength,
        elo=_on_elo_scale(strength),
        places=strengths.ranks[item],
        wins=strengths.wins[item],
        losses=strengths.losses[item],
        win_rate=win_rate,
    )


def _win_rate(config: Rank, games: Games, item: int) -> Estimate:
    """Return the share of an item's comparisons that it wins, ties half."""
    # Unlike a strength it depends on whom the item met, and it exists for whoever never lost.
    outcomes = [
        (0.5 if tie else float(winner == item), cluster)
        for winner, loser, tie, cluster in zip(games.winners, games.losers, games.tied, games.clusters, strict=True)
        if item in (winner, loser)
    ]
    values, clusters = zip(*outcomes, strict=True)
    return cluster_mean(values, clusters, share=True, unit=games.resampled.removesuffix("s"), **resampling_of(config))


def _fit(config: Rank, games: Games) -> Strengths:
    # the unit in the singular, for the sentence why there is no interval
    items, unit, resampling = len(games.indices), games.resampled.removesuffix("s"), resampling_of(config)
    if games.rankings is not None:
        rankings, clusters = zip(*games.rankings, strict=True)
        return plackett_luce(rankings, clusters, items=items, unit=unit, **resampling)
    compared = (games.winners, games.losers, games.tied, games.clusters)
    return bradley_terry(*compared, items=items, prior=config.prior, unit=unit, **resampling)


def _on_elo_scale(strength: Estimate) -> Estimate:
    low, high = (None if end is None else elo(end) for end in (strength.low, strength.high))
    # The scale is linear in the strength, so the ends of the interval go through it like the value.
    return replace(strength, value=elo(strength.value), low=low, high=high)


def _explain_groups(config: Rank, names: list[str], groups: list[list[int]]) -> str:
    """Return why strengths do not exist, and what to do."""
    listed = []
    for group in groups[:MOST_NAMED]:
        members = ", ".join(short_name(names[item]) for item in group[:MOST_NAMED])
        listed.append(members + (f" (+{len(group) - MOST_NAMED} more)" if len(group) > MOST_NAMED else ""))
    hidden_note = f" (+{len(groups) - MOST_NAMED} more)" if len(groups) > MOST_NAMED else ""
    # Rankings have no prior: virtual ties have no place in them.
    finite = "prior=0.1" if config.fit == "bradley-terry" else "fit=bradley-terry prior=0.1"
    return (
        f"{config.file}: strengths do not exist, for the {config.by} fall apart into {len(groups)} groups that do not "
        f"beat each other both ways: {' | '.join(listed)}{hidden_note}. Compare across them, or set {finite} (virtual "
        "ties between every two; what it says across groups is then the prior's doing)"
    )
