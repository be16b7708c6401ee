"""What `penchant weak sources` returns: frozen classes, whose fields are the keys of `sources.json`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from penchant.metrics.estimates import Estimate
from penchant.typed_json import OMITTED


@dataclass(frozen=True)
class SourceResult:
    """One source: how often it votes, with and against others, and how good it may be.

    Attributes:
        votes: rows that it votes on. coverage: their share.
        polarity: how many rows it votes each class on, by class, without classes that it never votes for.
        overlap: share of rows on which another source votes too. conflict: share on which one votes otherwise.
        weight: how much of its evidence counts; below 1 for copies that are weighted down.
        estimated: accuracy on the rows that it votes on, by the model; None without a vote.
        true: the same by the truth, where there is one.
    """

    name: str
    votes: int
    coverage: float
    polarity: Mapping[str, int]
    overlap: float
    conflict: float
    weight: float
    estimated: Estimate | None
    true: Annotated[Estimate | None, OMITTED] = None


@dataclass(frozen=True)
class ModelResult:
    """A label model on the rows.

    Attributes:
        shares: of the classes among its labels, by name; a tie counts in parts.
        converged: whether its fit ended before its limit. iterations: of the fit.
        changed: voted rows whose most probable class is not the majority's.
        accuracy: on voted rows with a truth; a tie between k classes is right by 1/k. accuracy_all: on all rows with a
            truth, those without a vote by the prior.
        log_loss: on voted rows with a truth, in nats.
        accuracy_gain, log_loss_gain: its difference from the majority, paired by rows; above 0 it is better.
    """

    name: str
    label: str
    shares: Mapping[str, float]
    iterations: int
    converged: bool
    changed: int
    accuracy: Annotated[Estimate | None, OMITTED] = None
    accuracy_all: Annotated[Estimate | None, OMITTED] = None
    log_loss: Annotated[Estimate | None, OMITTED] = None
    accuracy_gain: Annotated[Estimate | None, OMITTED] = None
    log_loss_gain: Annotated[Estimate | None, OMITTED] = None


@dataclass(frozen=True)
class SourceWarning:
    """What the votes cannot tell, or a source that is not what it seems.

    Attributes:
        kind: by which programs tell warnings apart. sources: whom it is about. text: a sentence.
    """

    kind: str
    sources: tuple[str, ...]
    text: str


@dataclass(frozen=True, kw_only=True)
class SourcesResult:
    """Labels of the votes of many sources: the content of `sources.json`.

    Attributes:
        rows: of the file. unvoted: those that nobody votes on, whose label is the prior with a weight of 0.
        tied: voted rows whose most probable classes tie under the model. ties: what is done about them.
        prior: shares of the classes, by name. prior_source: who says so.
        abstentions: cells that abstain, by what stands there. left_out: columns that are no sources, and why.
        copies_downweighted: whether sources that answer alike share a weight, in all models but the first majority.
        failures: by function, on how many rows it raised an error, and abstains.
        with_truth: rows with a truth. labels: the file of labels; None where the votes have no texts.
        model: the name of the model whose labels are written; the majority comes first in `models`.
    """

    method: str
    classes: tuple[str, ...]
    rows: int
    unvoted: int
    tied: int
    ties: str
    prior: Mapping[str, float]
    prior_source: str
    level: float
    abstentions: Mapping[str, int]
    left_out: Mapping[str, str]
    with_truth: int
    model: str
    sources: tuple[SourceResult, ...]
    models: tuple[ModelResult, ...]
    warnings: tuple[SourceWarning, ...]
    failures: Mapping[str, int]
    copies_downweighted: bool = False
    labels: Annotated[str | None, OMITTED] = None
