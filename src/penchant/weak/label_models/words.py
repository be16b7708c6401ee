"""Sentences and tables of `penchant weak sources`, for the terminal and the page."""

from __future__ import annotations

from collections.abc import Mapping

from penchant.data.sources.values import cut
from penchant.metrics.estimates import Estimate
from penchant.reports.kit.text import DASH, count, format_estimate, listing, number, percent, recorded, short
from penchant.weak.label_models.results import ModelResult, SourceResult, SourcesResult

NAME = 40  # characters of a source's name in a table
SOURCE_HEADER = ("source", "votes for", "coverage", "overlap", "conflict", "estimated accuracy")
MODEL_HEADER = ("model", "classes", "differs from majority")
NO_TRUTH = "no true labels were given: estimated accuracies rest on the model, and nothing here measures accuracy"


def headline(result: SourcesResult) -> str:
    """Return how many rows, sources and classes there are, and how many rows have a vote."""
    voted = result.rows - result.unvoted
    return (
        f"{count(len(result.sources), 'source')} vote on {voted:,} of {count(result.rows, 'row')} "
        f"({percent(voted / result.rows)}), classes {listing(result.classes)}"
    )


def notes(result: SourcesResult) -> list[str]:
    """Return what was made of cells, columns and rows, one sentence each."""
    sentences = []
    if result.abstentions:
        kinds = listing(f"{number(n, 0)} {kind}" for kind, n in result.abstentions.items())
        sentences.append(f"cells that abstain: {kinds}")
    if result.left_out:
        sentences.append(
            "columns that are no sources: "
            + listing(f"{short(name, NAME)} ({reason})" for name, reason in result.left_out.items())
        )
    prior = ", ".join(f"{cut(name)} {share:.2f}" for name, share in result.prior.items())
    sentences.append(f"prior of the classes, {result.prior_source}: {prior}")
    if result.unvoted:
        sentences.append(
            f"{count(result.unvoted, 'row')} without a vote: the label is the prior, with a weight of 0 in training"
        )
    if result.tied:
        policy = "shared between the classes" if result.ties == "soft" else "taken as rows without a vote"
        sentences.append(f"{count(result.tied, 'row')} whose most probable classes tie under {result.model}: {policy}")
    if result.copies_downweighted:
        sentences.append("sources that answer alike share a weight, in all models but the majority in the first row")
    if not result.with_truth:
        sentences.append(NO_TRUTH)
    return sentences


def source_rows(result: SourcesResult) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """Return the head and the rows of the table of sources."""
    has_truth = any(source.true for source in result.sources)
    # a column of ones would tell nothing
    is_weighted = any(source.weight < 1 for source in result.sources)
    header = SOURCE_HEADER + (("true accuracy",) if has_truth else ()) + (("weight",) if is_weighted else ())
    return header, tuple(_source_row(source, has_truth, is_weighted) for source in result.sources)


def _source_row(source: SourceResult, has_truth: bool, is_weighted: bool) -> tuple[str, ...]:
    return (
        short(source.name, NAME),
        _polarity(source.polarity),
        percent(source.coverage),
        percent(source.overlap),
        percent(source.conflict),
        _share(source.estimated),
        *([_share(source.true)] if has_truth else []),
        *([number(source.weight, 2)] if is_weighted else []),
    )


def model_rows(result: SourcesResult) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """Return the head and the rows of the table of models, the majority first."""
    # without a truth these columns would be empty
    header: tuple[str, ...] = MODEL_HEADER
    if result.with_truth:
        header += ("accuracy of voted rows", "against majority", "log loss, nats", "lower than majority by")
    return header, tuple(_model_row(model, result) for model in result.models)


def _model_row(model: ModelResult, result: SourcesResult) -> tuple[str, ...]:
    cells = (
        model.label,
        " / ".join(f"{short(name, NAME)} {percent(share)}" for name, share in model.shares.items()),
        DASH if model.accuracy_gain is None and not model.changed else count(model.changed, "row"),
    )
    if not result.with_truth:
        return cells
    return (
        *cells,
        _share(model.accuracy),
        _points(model.accuracy_gain),
        recorded(model.log_loss, decimals=3) if model.log_loss else DASH,
        recorded(model.log_loss_gain, decimals=3, sign=True) if model.log_loss_gain else DASH,
    )


def _points(gain: Estimate | None) -> str:
    """Return a difference of two accuracies in percentage points."""
    return DASH if gain is None else recorded(gain, percent=True, sign=True)


def _share(estimate: Estimate | None) -> str:
    return DASH if estimate is None else format_estimate(estimate, percent=True)


def _polarity(polarity: Mapping[str, int]) -> str:
    return ", ".join(f"{short(name, NAME)} {number(n, 0)}" for name, n in polarity.items()) or DASH


def verdict(result: SourcesResult) -> str:
    """Return whether the model beats the majority, as far as the truth tells."""
    # the first row is the plain majority, with which the others are compared
    model = next((model for model in result.models[1:] if model.label == result.model), None)
    if model is None:
        return "labels are those of the majority"
    if model.accuracy_gain is None:
        return (
            f"{model.label} differs from the majority in {count(model.changed, 'voted row')}: "
            "without a truth nobody knows which is right"
        )
    gain = model.accuracy_gain
    difference = f"accuracy {_points(gain)}"
    if gain.above(0):
        return f"{model.label} is right more often than the majority: {difference}"
    if gain.below(0):
        return f"{model.label} is right less often than the majority ({difference}): take `model=majority`"
    return f"{model.label} cannot be told from the majority: {difference}"
