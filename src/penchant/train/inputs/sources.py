"""Readers of the two kinds of data that methods learn from, comparisons and demonstrations."""

from __future__ import annotations

from dataclasses import replace

from penchant.data.layouts.rankings import rankings_of
from penchant.data.load import load_demonstrations, load_prompts, read_preferences
from penchant.data.options import ReadKeywords
from penchant.data.settings import DataConfig, PromptsConfig, RowsConfig
from penchant.data.sources.values import RowError
from penchant.errors import InputError
from penchant.train.recipe import Counts, Source
from penchant.types import PromptGroup


def preferences(data: DataConfig) -> Source:
    """Read comparisons, in any known layout."""
    loaded = read_preferences(data.path, ties=data.ties, contradictions=data.contradictions, **data.reading)
    # in result.json, so that a report can say what became of ties and contradictions
    counts: Counts = {
        "layout": loaded.layout,
        "rows": loaded.rows,
        "ties": loaded.ties,
        "dropped_ties": loaded.dropped_ties,
        "contradictions": loaded.contradictions,
        "duplicates": loaded.duplicates,
    }
    if loaded.ratings:
        counts["ratings"] = loaded.ratings
    return Source(loaded.groups, counts, loaded.warnings)


def demonstrations(data: RowsConfig) -> Source:
    """Read prompts with responses to imitate."""
    groups = load_demonstrations(data.path, **data.reading)
    return Source(groups, {"layout": data.layout or "demonstrations"})


def prompts(data: PromptsConfig) -> list[PromptGroup]:
    """Read prompts, with the other columns of their rows; those of several sources are pooled, each prompt once.

    Raises:
        InputError: also settings of a source that mean nothing where prompts are pooled.
    """
    for source in data.sources:
        if source.weight is not None or source.evaluation or source.template or source.template_args:
            raise InputError(
                f"data.sources: prompts are pooled, so {source.path} has no weight, evaluation or template of its own; "
                "`limit` says how many of it are taken"
            )
    groups = []
    for part in data.parts:
        # rewards may read columns, and which of them is known only once they are loaded
        reading: ReadKeywords = {**part.reading, "keep_columns": True}
        groups += load_prompts(part.path, **reading)
    if not data.sources or not data.reading.get("merge", True):
        return groups
    return list({group.prompt: group for group in reversed(groups)}.values())[::-1]


def rankings_only(source: Source, path: str) -> Source:
    """Return the data without the groups whose comparisons are no rankings, which are counted in a warning.

    Raises:
        InputError: none of them is a ranking.
    """
    # the listwise loss needs an order of all responses of a prompt; some pairs of them do not give one
    ranked_groups, reasons = [], []
    for group in source.groups:
        try:
            rankings_of(group)
            ranked_groups.append(group)
        except RowError as error:
            reasons.append(f"{group.source or path}: {error}")
    if not reasons:
        return source
    if not ranked_groups:
        raise InputError(
            f"{path} holds no full ranking to train on ({reasons[0]}); the loss `sigmoid` takes comparisons"
        )
    warning = (
        f"{len(reasons)} of {len(source.groups)} prompts have no full ranking of their responses and were left out "
        f"(the first: {reasons[0]})"
    )
    return replace(
        source,
        groups=ranked_groups,
        counts=source.counts | {"no_ranking": len(reasons)},
        warnings=(*source.warnings, warning),
    )


def check_equal_weights(source: Source, loss: str, path: str) -> Source:
    """Refuse comparisons of different weights, for a loss that sorts them.

    Raises:
        InputError: they do not; names the first two that differ.
    """
    # a sort of margins has no place for weights: each comparison is one point of a quantile (decision 0025)
    weights: dict[float, str] = {}
    for group in source.groups:
        for comparison in group.comparisons:
            for _, _, weight in comparison.directed():
                weights.setdefault(weight, group.source or path)
    if len(weights) > 1:
        (low, low_source), (high, high_source) = sorted(weights.items())[:: len(weights) - 1]
        raise InputError(
            f"the loss `{loss}` sorts comparisons and takes each of them the same, but one has the weight "
            f"{low:g} ({low_source}) and one {high:g} ({high_source}). Ties count half on each side and "
            "merged rows add up: set data.ties=drop and data.merge=false, or choose another loss"
        )
    return source
