"""The summary of a study of transfer, which `study.json` holds and its page shows. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated

from penchant.metrics.estimates import Estimate
from penchant.studies.core.methods import BEST_OF_N
from penchant.studies.core.summary import Failure, StudyCost
from penchant.typed_json import JsonObject, StoredAs


@dataclass(frozen=True)
class Domain:
    """Prompts that methods are measured on.

    Attributes:
        own: whether methods learn from prompts of this domain.
        prompts: how many were measured on. also_trained_on: how many were left out, for their text is trained on.
    """

    name: str
    own: bool
    prompts: int | None
    also_trained_on: int | None


@dataclass(frozen=True)
class TrainedPrompts:
    """The number of prompts to train on; None where the stage that reads them has not ended."""

    train: int | None


@dataclass(frozen=True)
class ReferenceReward:
    """The reference's mean reward on one domain at one temperature."""

    domain: str
    temperature: float
    reward: Estimate


@dataclass(frozen=True)
class DomainChange:
    """A method on one domain at one temperature: its reward, the change against the reference, and its KL."""

    domain: str
    temperature: float
    reward: Estimate
    change: Estimate
    # None at other temperatures than 1, where samples along a path do not estimate a KL
    kl_nats: Estimate | None


@dataclass(frozen=True)
class CarryOver:
    """The change on the own domain at one temperature, on the others, and how much less that is."""

    temperature: float
    # keys of `study.json` stay as older versions wrote them, whatever the fields are called (decision 26)
    own_change: Annotated[Estimate, StoredAs("own")]
    other_change: Annotated[Estimate, StoredAs("others")]
    loss: Annotated[Estimate, StoredAs("lost")]

    @property
    def changes(self) -> tuple[Estimate, Estimate, Estimate]:
        """The three in this order, as tables have them."""
        return self.own_change, self.other_change, self.loss


@dataclass(frozen=True, kw_only=True)
class MethodSummary:
    """A method at one setting of its sweep.

    Attributes:
        cells: every domain at every temperature. carry_overs: what carries over at each temperature, ascending.
        at_home: the same at the temperature of the headline; None where it was not measured on two domains.
    """

    name: str
    label: str
    setting: str | None
    value: float | None
    # files from before several learning rates have no such key
    rate: float | None = None
    seeds: int
    cells: tuple[DomainChange, ...]
    carry_overs: Annotated[tuple[CarryOver, ...], StoredAs("carried")]
    at_home: CarryOver | None

    def cell_at(self, domain: str, temperature: float) -> DomainChange | None:
        """Return the cell of a domain and temperature; None where there is none."""
        key = domain, temperature
        return next((cell for cell in self.cells if (cell.domain, cell.temperature) == key), None)


@dataclass(frozen=True)
class TransferSummary:
    """All that the page of a study of transfer shows.

    Attributes:
        headline_temperature: the measured temperature that is nearest to 1.
    """

    study: str
    config: JsonObject
    domains: tuple[Domain, ...]
    prompts: TrainedPrompts
    temperatures: tuple[float, ...]
    headline_temperature: Annotated[float, StoredAs("home")]
    seeds: tuple[int, ...]
    reference: tuple[ReferenceReward, ...]
    methods: tuple[MethodSummary, ...]
    failures: tuple[Failure, ...]
    cost: StudyCost
    provenance: Mapping[str, object]

    @cached_property
    def trained(self) -> list[tuple[MethodSummary, CarryOver]]:
        """The methods that train and were measured on both sides, each with what carries over in the headline."""
        return [(method, method.at_home) for method in self.methods if method.name != BEST_OF_N and method.at_home]
