"""What votes alone cannot tell: named warnings, each with the sources that it is about."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from penchant.weak.contract import Probabilities
from penchant.weak.label_models.posterior import LabelFit
from penchant.weak.label_models.results import SourceWarning
from penchant.weak.label_models.votes import Patterns, Votes, most_probable

FEWEST_SOURCES = 3
FEWEST_SHARED = 10  # rows on which two sources both vote, below which one says nothing of the other
COPY = 0.9  # excess agreement from which two sources are called copies
MOST_NAMED = 5
RARE = 0.01  # share of all votes
ONE_CLASS = 0.99  # share of the labels from which a model is said to have collapsed


def identification_warnings(
    votes: Votes, excess: Probabilities, *, are_classes_named: bool = False
) -> tuple[SourceWarning, ...]:
    """Return what the votes leave open, whatever model reads them.

    Args:
        excess: agreement beyond what the classes explain, shape (sources, sources); see `copies`.
        are_classes_named: whether somebody said which classes there are, so that none of them is a slip.
    """
    rare = () if are_classes_named else _of_rare_classes(votes)
    return (*_of_single_sources(votes), *rare, *_of_overlap(votes), *_of_copies(votes, excess))


def _of_single_sources(votes: Votes) -> Iterator[SourceWarning]:
    by_class = votes.matrix.counts_by_source(len(votes.classes))
    counts = by_class.sum(-1)
    if silent := _names(votes, counts == 0):
        yield SourceWarning("never_votes", silent, f"{_listed(silent)} never {_verb(silent, 'votes', 'vote')}")
    kinds = (by_class > 0).sum(-1)
    constant = (counts == votes.rows) & (kinds == 1)
    if always := _names(votes, constant):
        yield SourceWarning(
            "always_votes",
            always,
            f"{_listed(always)} {_verb(always, 'votes', 'vote')} for one class on every row: that tells nothing",
        )
    if one_sided := _names(votes, (kinds == 1) & ~constant):
        yield SourceWarning(
            "one_class_sources",
            one_sided,
            f"{_listed(one_sided)} {_verb(one_sided, 'votes', 'vote')} for one class alone: how often "
            f"{_verb(one_sided, 'it is', 'they are')} right rests on the prior, and on rows where others vote too",
        )


def _of_rare_classes(votes: Votes) -> Iterator[SourceWarning]:
    """Yield for each class that one source alone votes for, and hardly ever: a slip of the pen makes such a class."""
    by_class = votes.matrix.counts_by_source(len(votes.classes))
    total = int(by_class.sum())
    for number, name in enumerate(votes.classes):
        voters = np.flatnonzero(by_class[:, number])
        count = int(by_class[:, number].sum())
        if len(voters) == 1 and len(votes.classes) > 2 and count < RARE * total:
            source = votes.sources[voters[0]]
            yield SourceWarning(
                "rare_class",
                (source,),
                f"only {source} votes for the class {name}, in {count} of {total} votes: if that is a slip, mend it or "
                "name the classes by `classes`; as a class it gets a share of the prior",
            )


def _of_overlap(votes: Votes) -> Iterator[SourceWarning]:
    """Yield where too few sources vote on the same rows, or none against another."""
    shared = votes.matrix.shared_rows()
    active = shared.diagonal() > 0  # a source that never votes is no partner of any
    if active.sum() < FEWEST_SOURCES:
        names = _names(votes, active)
        yield SourceWarning(
            "few_sources",
            names,
            f"only {active.sum()} {_verb(names, 'source votes', 'sources vote')}: with fewer than three, "
            "agreement tells nothing of which is the better one",
        )
    np.fill_diagonal(shared, 0)
    partners = (shared >= FEWEST_SHARED).sum(0)
    if active.sum() >= FEWEST_SOURCES and (isolated := _names(votes, active & (partners < 2))):
        yield SourceWarning(
            "few_overlaps",
            isolated,
            f"{_listed(isolated)} {_verb(isolated, 'shares', 'share')} at least {FEWEST_SHARED} rows with fewer "
            f"than two other sources: {_verb(isolated, 'its accuracy is', 'their accuracies are')} not identified",
        )
    classes_on_row = (votes.matrix.counts_by_row(len(votes.classes)) > 0).sum(-1)
    if active.sum() > 1 and classes_on_row.max() < 2:
        yield SourceWarning(
            "no_conflict",
            (),
            "no two sources ever vote against each other: nothing tells a good one from a bad one, and every model is "
            "the majority"
            if shared.any()
            else "no two sources vote on one row: nothing tells a good one from a bad one",
        )


def _of_copies(votes: Votes, excess: Probabilities) -> Iterator[SourceWarning]:
    for first, second in zip(*np.nonzero(np.triu(excess, 1) >= COPY), strict=True):
        names = votes.sources[first], votes.sources[second]
        yield SourceWarning(
            "copies",
            names,
            f"{names[0]} and {names[1]} answer alike far beyond what the classes explain: as two sources they count "
            "twice. Leave one out (`ignore`), or set `downweight_copies=true`",
        )


def model_warnings(
    name: str, fit: LabelFit, majority: LabelFit, votes: Votes, patterns: Patterns
) -> Iterator[SourceWarning]:
    """Yield what a fitted model shows: all labels in one class, sources below chance, a fit that has not ended."""
    counts = patterns.counts * patterns.is_voted

    def largest_share(of_fit: LabelFit) -> float:
        labels = most_probable(of_fit.probabilities)
        return float(((labels / labels.sum(-1, keepdims=True)) * counts[:, None]).sum(0).max() / counts.sum())

    if largest_share(fit) >= ONE_CLASS > largest_share(majority):
        yield SourceWarning(
            "collapsed",
            (),
            f"{name} puts {100 * largest_share(fit):.0f}% of the voted rows into one class, the majority "
            f"{100 * largest_share(majority):.0f}%: it has lost a class; take the majority, or a prior of your own",
        )
    with np.errstate(invalid="ignore"):
        worse = _names(votes, fit.accuracies < 1 / len(votes.classes))
    if worse:
        yield SourceWarning(
            "below_chance",
            worse,
            f"{_listed(worse)} {_verb(worse, 'is', 'are')} right less often than by chance, as {name} has it: look at "
            f"{_verb(worse, 'its', 'their')} votes, which it reads as votes for the other classes",
        )
    if not fit.converged:
        yield SourceWarning(
            "not_converged", (), f"{name} had not ended after {fit.iterations} iterations: raise the limit"
        )


def failure_warnings(failures: Mapping[str, int], first_errors: Mapping[str, str]) -> Iterator[SourceWarning]:
    """Yield a warning for each function that raised errors, with the first of them."""
    for name, rows in failures.items():
        text = f"{name} raised an error on {rows} rows, where it abstains; the first: {first_errors[name]}"
        yield SourceWarning("failed", (name,), text)


def _names(votes: Votes, where: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> tuple[str, ...]:
    return tuple(votes.sources[index] for index in np.flatnonzero(where).tolist())


def _listed(names: tuple[str, ...]) -> str:
    first_names = ", ".join(names[:MOST_NAMED])
    return first_names + (f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else "")


def _verb(names: tuple[str, ...], singular: str, plural: str) -> str:
    return singular if len(names) == 1 else plural
