"""Read comparisons or rankings of named items (models, responses, annotators) from a file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import combinations

from penchant.data.layouts.parse import SHOWN_PROBLEMS
from penchant.data.layouts.rankings import rankings_of
from penchant.data.load import LoadedPreferences, read_preferences
from penchant.data.sources.values import RowError, bulleted
from penchant.errors import InputError
from penchant.metrics.consensus import against_consensus
from penchant.raters.model_names import WAYS
from penchant.raters.ratings import read_ratings
from penchant.raters.row_metadata import read_row_metadata
from penchant.raters.settings import Rank
from penchant.types import Comparison, PromptGroup, prompt_text, response_text

LONGEST_NAME = 60  # characters of a name in an error


@dataclass
class Games:
    """Comparisons, or rankings, of named items.

    Attributes:
        indices: the number of each item.
        winners, losers, tied, clusters: (comparisons,), the last of them what the interval resamples.
        rankings: best first, with a cluster each; None where comparisons are fitted one by one.
        resampled: what a cluster is.
        skipped_rows, against_itself, unranked: rows that cannot be used, comparisons of something with itself, and rows
            that are no rankings, all left out. unmet: annotators who met nobody.
    """

    indices: dict[str, int] = field(default_factory=dict)
    winners: list[int] = field(default_factory=list)
    losers: list[int] = field(default_factory=list)
    tied: list[bool] = field(default_factory=list)
    clusters: list[str] = field(default_factory=list)
    rankings: list[tuple[list[int], str]] | None = None
    resampled: str = "prompts"
    skipped_rows: int = 0
    against_itself: int = 0
    unranked: int = 0
    unmet: list[str] = field(default_factory=list)

    @property
    def names(self) -> list[str]:
        """The items, by number."""
        return list(self.indices)

    def add(self, winner: str, loser: str, cluster: str, *, tie: bool = False) -> None:
        """Add a comparison."""
        self.winners.append(self._index(winner))
        self.losers.append(self._index(loser))
        self.tied.append(tie)
        self.clusters.append(cluster)

    def add_ranking(self, names: Sequence[str], cluster: str) -> None:
        """Add a ranking, best first, and the comparisons that it makes."""
        for better, worse in combinations(names, 2):
            self.add(better, worse, cluster)
        assert self.rankings is not None
        self.rankings.append(([self.indices[name] for name in names], cluster))

    def _index(self, name: str) -> int:
        return self.indices.setdefault(name, len(self.indices))


def read_games(config: Rank) -> Games:
    """Read who met whom in the file, and who won.

    Raises:
        InputError: what `read_preferences` or `read_ratings` raises; rows that do not say who wrote what; several
            prompts for `by=responses`; too few annotators; what is no ranking for `fit=plackett-luce`; nobody that met
            anybody.
    """
    if config.by == "annotators":
        games = _of_annotators(config)
    else:
        # Not merged, since rows of one prompt may be responses of different models; ties stay, as half a win each way.
        loaded = read_preferences(
            config.file,
            ties="half",
            merge=False,
            contradictions="keep",
            bad_rows=config.bad_rows,
            layout=config.layout,
            columns=config.columns,
        )
        of_models = config.by == "models"
        names, resampled = _models(config, loaded) if of_models else _responses(config.file, loaded)
        if config.fit == "plackett-luce":
            games = _ranked(config, loaded.groups, names, resampled)
        else:
            games = _compared(loaded.groups, names, resampled)
        games.skipped_rows = loaded.skipped_rows
    # Every row may have been left out, each for a good reason.
    if not games.winners:
        raise InputError(f"{config.file}: no comparison of two different {config.by}, so nothing can be ranked")
    return games


def _compared(groups: Iterable[PromptGroup], names: dict[str, Sequence[str]], resampled: str) -> Games:
    games = Games(resampled=resampled)
    for group in groups:
        for comparison in group.comparisons:
            winner, loser = (names[group.source][index] for index in (comparison.winner, comparison.loser))
            if winner == loser:  # two samples of one model say nothing of its strength against others
                games.against_itself += 1
                continue
            cluster = _cluster(resampled, group, comparison.annotator, len(games.winners))
            # rows of our own JSONL may be merged; a weight is then the number of games
            for _ in range(_times(comparison, group.source)):
                games.add(winner, loser, cluster, tie=comparison.tie)
    return games


def _ranked(config: Rank, groups: Sequence[PromptGroup], names: dict[str, Sequence[str]], resampled: str) -> Games:
    """Return rankings; rows that are none are refused together, or left out and counted."""
    # Whoever is to correct the file wants to see all of its rows that are none, so none of them stops the loop.
    games, problems = Games(resampled=resampled, rankings=[]), []
    for group in groups:
        try:
            models = names[group.source]
            ranked = [(annotator, [models[index] for index in ranking]) for annotator, ranking in rankings_of(group)]
            # All of the row's rankings before the first is added: a row is counted whole or not at all.
            for _, members in ranked:
                _refuse_twice(config, members)
        except RowError as error:
            problems.append(f"{group.source}: {error}")
            continue
        for annotator, members in ranked:
            games.add_ranking(members, _cluster(resampled, group, annotator, len(games.winners)))
    if problems and config.bad_rows == "error":
        listed = "\n".join(bulleted(problems, SHOWN_PROBLEMS))
        raise InputError(
            f"{config.file}: {len(problems)} of {len(groups)} rows are no rankings:\n{listed}\nLeave them "
            "out with bad_rows=skip (they are counted), or count every comparison by itself with fit=bradley-terry, "
            "which takes ties as well"
        )
    games.unranked = len(problems)
    return games


def _refuse_twice(config: Rank, members: Sequence[str]) -> None:
    if len(set(members)) < len(members):
        repeated = next(name for name in members if members.count(name) > 1)
        raise RowError("identical", f"two of the ranked {config.by} are {short_name(repeated)}")


def short_name(name: str) -> str:
    """Return the name of an item for an error."""
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"


def _cluster(resampled: str, group: PromptGroup, annotator: str | None, number: int) -> str:
    """Return what a comparison or a ranking is drawn with when the data are resampled."""
    # verdicts of several annotators on one prompt are far from independent games, so they stay together
    if resampled == "prompts":
        return prompt_text(group.prompt)
    return str(annotator) if resampled == "annotators" else f"{number}"


def _times(comparison: Comparison, source: str) -> int:
    # half a game cannot be resampled
    if comparison.weight != round(comparison.weight):
        raise InputError(f"{source}: a comparison of weight {comparison.weight}: ranking counts whole comparisons")
    return round(comparison.weight)


def _models(config: Rank, loaded: LoadedPreferences) -> tuple[dict[str, Sequence[str]], str]:
    """Return who wrote the responses of each row; intervals draw prompts anew."""
    metadata = read_row_metadata(config.file, loaded.layout, columns=config.columns)
    names: dict[str, Sequence[str]] = {}
    lacking = []
    for group in loaded.groups:
        models = metadata[group.source].models
        if models is None:
            lacking += [group.source] if group.comparisons else []
            models = ()
        elif group.comparisons and len(models) != len(group.responses):
            raise InputError(f"{group.source}: {len(models)} models for {len(group.responses)} responses")
        # by source: a group carries no names, since nothing that trains may depend on them
        names[group.source] = models
    if lacking:
        raise InputError(
            f"{config.file}: {len(lacking)} rows with comparisons do not say which models wrote the responses (the "
            f"first: {lacking[0]}). Ways to say it: {WAYS}. To rank the responses to one prompt, set by=responses"
        )
    return names, "prompts"


def _responses(file: str, loaded: LoadedPreferences) -> tuple[dict[str, Sequence[str]], str]:
    """Return the responses to one prompt; intervals draw its annotators, or its comparisons where nobody is named."""
    prompts = {prompt_text(group.prompt) for group in loaded.groups if group.comparisons}
    if len(prompts) > 1:
        raise InputError(
            f"{file}: by=responses ranks the responses to one prompt, and the file has {len(prompts)}: nobody compared "
            "responses across prompts. Keep the rows of one of them, or rank models"
        )
    # With one prompt there are no prompts to resample. Verdicts of one person depend on each other: resample people.
    is_annotated = all(comparison.annotator is not None for group in loaded.groups for comparison in group.comparisons)
    texts: dict[str, Sequence[str]] = {
        group.source: [response_text(response).strip() for response in group.responses] for group in loaded.groups
    }
    return texts, "annotators" if is_annotated else "comparisons"


def _of_annotators(config: Rank) -> Games:
    """Return games between annotators: one wins by being with the majority of the others where the second is not."""
    ratings = read_ratings([config.file], layout=config.layout, columns=config.columns, bad_rows=config.bad_rows)
    if len(ratings.raters) < 3:
        annotator_count = "there is one annotator only" if len(ratings.raters) == 1 else "there are two annotators only"
        raise InputError(
            f"{config.file}: {annotator_count} ({', '.join(ratings.raters)}), and ranking annotators needs three or "
            "more: two are held against the majority of the others. How far two agree is what `penchant agree` says"
        )
    winners, losers, items = against_consensus(ratings.verdicts)
    if not winners:
        raise InputError(
            f"{config.file}: no comparison on which one of two annotators was with the majority of the others and the "
            "other was not: either nobody disagrees, or no comparison was judged by three"
        )
    games = Games(skipped_rows=ratings.skipped_rows)
    for winner, loser, item in zip(winners, losers, items, strict=True):
        games.add(ratings.raters[winner], ratings.raters[loser], ratings.pairs[item].prompt)
    # of whom no game could be made: with each of the others both or neither were with the majority, every time
    games.unmet = [rater for rater in ratings.raters if rater not in games.indices]
    return games
