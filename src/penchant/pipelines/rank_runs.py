"""From comparisons to strengths: of models, or of the responses to one prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from penchant.data.beside import beside_by_source
from penchant.data.load import read_preferences
from penchant.data.model_names import WAYS
from penchant.errors import InputError
from penchant.metrics.strengths import bradley_terry, elo, groups_apart, wins_table
from penchant.pipelines.agree_settings import Rank
from penchant.pipelines.files_to_page import files_to_page
from penchant.types import Comparison, PromptGroup, RunResult, prompt_text

NAMED = 8  # members of a group that an error names
SHOWN = 60  # characters of a name there


@dataclass
class _Games:
    """Comparisons of named items: winners, losers, whether neither won, and what the interval resamples."""

    places: dict[str, int] = field(default_factory=dict)
    winners: list[int] = field(default_factory=list)
    losers: list[int] = field(default_factory=list)
    tied: list[bool] = field(default_factory=list)
    clusters: list[str] = field(default_factory=list)
    against_itself: int = 0
    resampled: str = "prompts"

    @property
    def names(self) -> list[str]:
        """Of the items, by number."""
        return list(self.places)

    def add(self, winner: str, loser: str, comparison: Comparison, cluster: str, source: str) -> None:
        if winner == loser:
            self.against_itself += 1
            return
        if comparison.weight != round(comparison.weight):
            raise InputError(f"{source}: a comparison of weight {comparison.weight}: ranking counts whole comparisons")
        for _ in range(round(comparison.weight)):
            self.winners.append(self._place(winner))
            self.losers.append(self._place(loser))
            self.tied.append(comparison.tie)
            self.clusters.append(cluster)

    def _place(self, name: str) -> int:
        return self.places.setdefault(name, len(self.places))


def rank(config: Rank) -> RunResult:
    """Read the file, fit, and write `rank.json`, `report.html` and a figure to the run directory.

    Raises:
        InputError: what `read_preferences` raises; rows that do not say who wrote what; nobody to compare; strengths
            that do not exist, with the groups that fall apart; several prompts for `by=responses`.
        RunError: the folder cannot be written.
    """
    from penchant.reports.strengths import strengths_page

    return files_to_page(config, [config.file], lambda: rank_numbers(config), strengths_page)


def rank_numbers(config: Rank) -> dict[str, Any]:
    """What there is to say, as plain values; the file `rank.json`. The strongest comes first."""
    loaded = read_preferences(
        config.file, ties="half", merge=False, contradictions="keep", bad_rows=config.bad_rows, layout=config.layout
    )
    if config.by == "models":
        games = _of_models(config.file, loaded.groups, loaded.layout)
    else:
        games = _of_responses(config.file, loaded.groups)
    if not games.winners:
        raise InputError(f"{config.file}: no comparison of two different {config.by}, so nothing can be ranked")
    names = games.names
    items = len(names)
    wins = wins_table(games.winners, games.losers, games.tied, items)
    if not config.prior and len(apart := groups_apart(wins)) > 1:
        raise InputError(_why_apart(config, names, apart))
    found = bradley_terry(
        games.winners,
        games.losers,
        games.tied,
        games.clusters,
        items=items,
        prior=config.prior,
        level=config.level,
        resamples=config.resamples,
        seed=config.seed,
    )
    order = sorted(range(items), key=lambda item: -found.values[item].value)
    return {
        "method": config.method,
        "file": config.file,
        "by": config.by,
        "prior": config.prior,
        "level": config.level,
        "resampled": games.resampled,
        "comparisons": len(games.winners),
        "ties": sum(games.tied),
        "clusters": len(set(games.clusters)),
        "skipped_rows": loaded.skipped_rows,
        "against_itself": games.against_itself,
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


def _of_models(file: str, groups: Sequence[PromptGroup], layout: str) -> _Games:
    models = {source: beside.models for source, beside in beside_by_source(file, layout).items() if beside.models}
    lacking = [group.source for group in groups if group.comparisons and group.source not in models]
    if lacking:
        raise InputError(
            f"{file}: {len(lacking)} rows with comparisons do not say which models wrote the responses (the first: "
            f"{lacking[0]}). Ways to say it: {WAYS}. To rank the responses to one prompt, set by=responses"
        )
    games = _Games()
    for group in groups:
        names = models.get(group.source, ())
        if group.comparisons and len(names) != len(group.responses):
            raise InputError(f"{group.source}: {len(names)} models for {len(group.responses)} responses")
        for each in group.comparisons:
            games.add(names[each.winner], names[each.loser], each, prompt_text(group.prompt), group.source)
    return games


def _of_responses(file: str, groups: Sequence[PromptGroup]) -> _Games:
    """The responses to one prompt; intervals draw its annotators anew, or its comparisons where nobody is named."""
    prompts = {prompt_text(group.prompt) for group in groups if group.comparisons}
    if len(prompts) > 1:
        raise InputError(
            f"{file}: by=responses ranks the responses to one prompt, and the file has {len(prompts)}: nobody compared "
            "responses across prompts. Keep the rows of one of them, or rank models"
        )
    named = all(each.annotator is not None for group in groups for each in group.comparisons)
    games = _Games(resampled="annotators" if named else "comparisons")
    for group in groups:
        texts = [response.text.strip() for response in group.responses]
        for each in group.comparisons:
            cluster = str(each.annotator) if named else f"comparison {len(games.winners)}"
            games.add(texts[each.winner], texts[each.loser], each, cluster, group.source)
    return games


def _on_elo_scale(strength: dict[str, Any]) -> dict[str, Any]:
    ends = {key: None if strength[key] is None else elo(strength[key]) for key in ("value", "low", "high")}
    return {**strength, **ends}


def _why_apart(config: Rank, names: list[str], apart: list[list[int]]) -> str:
    told = []
    for group in apart[:NAMED]:
        members = ", ".join(_short(names[item]) for item in group[:NAMED])
        told.append(members + (f" (+{len(group) - NAMED} more)" if len(group) > NAMED else ""))
    more = f" (+{len(apart) - NAMED} more)" if len(apart) > NAMED else ""
    return (
        f"{config.file}: strengths do not exist, for the {config.by} fall apart into {len(apart)} groups that do not "
        f"beat each other both ways: {' | '.join(told)}{more}. Compare across them, or set prior=0.1 (virtual ties "
        "between every two; what it says across groups is then the prior's doing)"
    )


def _short(name: str) -> str:
    return name if len(name) <= SHOWN else f"{name[: SHOWN - 1]}…"
