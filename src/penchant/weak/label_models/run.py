"""`penchant weak sources`: votes in; labels, numbers and a page out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from penchant.errors import InputError
from penchant.files import atomic_write
from penchant.runs.provenance import provenance_of_files
from penchant.runs.run_folder import RunFolder
from penchant.typed_json import to_object
from penchant.types import RunResult
from penchant.weak.comparisons import write_comparisons
from penchant.weak.contract import Probabilities
from penchant.weak.label_models.copies import excess_agreement, weights_by_redundancy
from penchant.weak.label_models.fit import accuracy_estimates, fit_model, settle_prior, settle_ties
from penchant.weak.label_models.identification import failure_warnings, identification_warnings, model_warnings
from penchant.weak.label_models.majority import fit_majority
from penchant.weak.label_models.measure import measure_model, measure_sources
from penchant.weak.label_models.pairs import read_pair_votes
from penchant.weak.label_models.posterior import LabelFit
from penchant.weak.label_models.read import VoteTable
from penchant.weak.label_models.results import SourcesResult
from penchant.weak.label_models.settings import Majority, NoisyBradleyTerry, WeakSources
from penchant.weak.label_models.sources import collect_votes
from penchant.weak.label_models.votes import Patterns, Votes, most_probable, patterns_of, patterns_of_pairs

LABELS = "labels.jsonl"


def weak_sources(config: WeakSources) -> RunResult:
    """Label rows by the votes of many sources, into a run directory.

    It holds `labels.jsonl` (where the votes have texts), `sources.json`, `report.html` and `provenance.json`.

    Raises:
        InputError: votes that cannot be read, or that a model cannot be fitted to. Nothing is left behind.
        RunError: the folder cannot be written.
    """
    from penchant.weak.label_models.page import sources_page  # brings matplotlib

    folder = RunFolder(config.out, config, resumable=False)
    read_file = config.votes or config.data
    assert read_file is not None
    record = to_object(provenance_of_files([read_file], config.seed))
    pairs = None
    if config.task == "comparisons":
        table, pairs = read_pair_votes(config)
    else:
        table = collect_votes(config)
    labels = folder.path / LABELS
    # without texts there is nothing to write labels of
    is_labelled = pairs is not None or table.votes.texts is not None
    result, probabilities, row_weights = label_votes(config, table, labels if is_labelled else None)
    folder.open()  # only now: votes that are refused leave no folder behind
    try:
        # numbers before the page: if drawing fails, what was measured is kept
        folder.write_json("provenance.json", record)
        folder.write_json(f"{config.method}.json", to_object(result))
        if pairs is not None:
            write_comparisons(pairs, probabilities, labels)
        elif table.votes.texts is not None:
            write_weighted_labels(table.votes, probabilities, row_weights, labels)
        sources_page(result, record, folder.path)
        return RunResult(config.method, folder.path, to_object(result))
    finally:
        folder.close()


def label_votes(
    config: WeakSources, table: VoteTable, labels: Path | None
) -> tuple[SourcesResult, Probabilities, Probabilities]:
    """Fit the models, and measure sources and models.

    Args:
        labels: the file that labels will go to.

    Returns:
        The result; probabilities of the classes by `config.model`, shape (rows, classes); and the weight of each row,
        0 where nobody votes, shape (rows,).

    Raises:
        InputError: what a model cannot be fitted to; a prior of other classes.
    """
    votes = table.votes
    patterns = _patterns(config, table)
    prior = settle_prior(config.prior, votes)
    excess = excess_agreement(patterns, prior)
    weights = weights_by_redundancy(excess) if config.downweight_copies else np.ones(len(votes.sources))
    # without the weights of copies: the majority as everybody knows it is what models are compared with
    majority = fit_majority(patterns, prior)
    models = [model for model in (config.model, *config.compare) if model != Majority() or config.downweight_copies]
    fits = [fit_model(model, patterns, prior, sources=votes.sources, weights=weights) for model in models]
    chosen = fits[0] if models and models[0] == config.model else majority
    fitted, row_weights = settle_ties(chosen, patterns, prior, config.ties)
    estimates = accuracy_estimates(
        config.model,
        patterns,
        prior,
        chosen,
        sources=votes.sources,
        weights=weights,
        level=config.level,
        resamples=config.resamples,
        seed=config.seed,
    )
    # what no model can know comes before what single models did
    warnings = [*identification_warnings(votes, excess, are_classes_named=config.classes is not None)]
    for model, fit in zip(models, fits, strict=True):
        warnings += model_warnings(model.label, fit, majority, votes, patterns)
    warnings += failure_warnings(table.failures, table.first_errors)
    result = SourcesResult(
        method=config.method,
        classes=votes.classes,
        rows=votes.rows,
        unvoted=int((~patterns.is_voted[patterns.pattern_of_row]).sum()),
        tied=_tied(chosen, patterns),
        ties=config.ties,
        prior=dict(zip(votes.classes, prior.tolist(), strict=True)),
        prior_source="given" if isinstance(config.prior, Mapping) else config.prior,
        level=config.level,
        abstentions=table.abstentions,
        left_out=table.left_out,
        with_truth=0 if votes.truth is None else int((votes.truth >= 0).sum()),
        model=config.model.label,
        sources=measure_sources(votes, estimates, weights, level=config.level),
        failures=table.failures,
        models=tuple(
            measure_model(model, fit, majority, votes, patterns, level=config.level)
            for model, fit in zip((Majority(), *models), (majority, *fits), strict=True)
        ),
        copies_downweighted=config.downweight_copies,
        warnings=tuple(warnings),
        labels=None if labels is None else str(labels),
    )
    # back from patterns of votes, which the fits work on, to rows
    return result, fitted.probabilities[patterns.pattern_of_row], row_weights[patterns.pattern_of_row]


def _patterns(config: WeakSources, table: VoteTable) -> Patterns:
    """Return rows with equal votes as one, or all pairs where a model scores the responses in them."""
    scores_responses = any(isinstance(model, NoisyBradleyTerry) for model in (config.model, *config.compare))
    if scores_responses and table.items is not None:
        return patterns_of_pairs(table.votes.matrix, table.items)
    return patterns_of(table.votes.matrix, len(table.votes.classes))


def _tied(fit: LabelFit, patterns: Patterns) -> int:
    # rows without a vote tie by the prior, and are counted as unvoted
    tied = most_probable(fit.probabilities).sum(-1) > 1
    return int((patterns.counts * tied * patterns.is_voted).sum())


def write_weighted_labels(votes: Votes, probabilities: Probabilities, weights: Probabilities, path: Path) -> None:
    """Write a JSON line per row: text, the most probable class, all probabilities by name, and the row's weight.

    Raises:
        InputError: a row without a text.
        OSError: it cannot be written.
    """
    assert votes.texts is not None
    lines = []
    for number, (text, row, weight) in enumerate(zip(votes.texts, probabilities, weights.tolist(), strict=True), 1):
        if not text.strip():
            raise InputError(f"row {number} has no text: take it out, or name another column by `text`")
        content = {
            "text": text,
            "label": votes.classes[int(row.argmax())],
            "probabilities": {name: float(p) for name, p in zip(votes.classes, row, strict=True)},
            "weight": weight,
        }
        lines.append(json.dumps(content, ensure_ascii=False))
    atomic_write(path, "\n".join(lines) + "\n")
