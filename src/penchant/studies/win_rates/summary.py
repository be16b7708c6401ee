"""The summary of a study of win rates, which `study.json` holds and its page shows. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated

from penchant.judges.summary import JudgeSummary
from penchant.metrics.estimates import Coefficient, Estimate, Measure
from penchant.studies.core.summary import Failure
from penchant.studies.win_rates.published import PublishedRates
from penchant.typed_json import INLINED, OMITTED, JsonObject

Optional = Annotated[int | None, OMITTED]


@dataclass(frozen=True)
class RowCounts:
    """Counts of what became of the rows of one source.

    None where the stage does not count it, or has not ended.

    Attributes:
        prompts, comparisons: how many there are.
        winners, losers: responses that won, and that lost.
        also_trained_on: prompts that were left out since somebody trains on them.
        other_turns: prompts that were left out for their number of human turns.
        prompts_cut, prompts_too_long, responses_too_long, responses_empty: what was cut, and what was left out.
    """

    prompts: Optional = None
    comparisons: Optional = None
    winners: Optional = None
    losers: Optional = None
    also_trained_on: Optional = None
    other_turns: Optional = None
    prompts_cut: Optional = None
    prompts_too_long: Optional = None
    responses_too_long: Optional = None
    responses_empty: Optional = None


@dataclass(frozen=True)
class Domain:
    """Prompts that methods are measured on; `own` is whether they are those that methods are trained on."""

    name: str
    own: bool
    rows: Annotated[RowCounts, INLINED]  # among the domain's own keys, as files have it


@dataclass(frozen=True)
class TrainedJudgeFacts:
    """A judge that was trained here: its rows, and the result of its run on those that were held out."""

    data: RowCounts
    held_out: JsonObject

    @property
    def accuracy(self) -> Measure | None:
        """The rate at which it agrees with preferences that it has not seen."""
        # The run may have ended before an evaluation, or held nothing out.
        accuracy = (self.held_out.get("held_out") or {}).get("accuracy")
        return Coefficient.from_dict(accuracy) if accuracy else None


@dataclass(frozen=True)
class MethodSetting:
    """A method at one setting of its sweep.

    Attributes:
        name: `reference`, `few_shot`, `best_of_n`, or a method's.
        label: its name on pages.
        setting, value: what is swept, such as `beta` and 0.1; None where nothing is.
        rate: the learning rate, where a method has several.
    """

    name: str
    label: str
    setting: str | None
    value: float | None
    rate: float | None


@dataclass(frozen=True)
class ResponseCounts:
    """The number of responses judged, of their prompts, and of the different texts among them."""

    n: int
    prompts: int
    # PPO of the small preset answered ` !` to 25 of 33 articles and won 67%: a reader has to be told of that.
    distinct: int


@dataclass(frozen=True)
class JudgedCell:
    """The verdicts on a method's responses on one domain at one temperature.

    Attributes:
        baselines: win rates by other judges of the same pairs.
    """

    domain: str
    temperature: float
    summary: Annotated[JudgeSummary, INLINED]
    baselines: Mapping[str, Coefficient]
    responses: ResponseCounts

    @property
    def rate(self) -> Coefficient:
        """The win rate."""
        return self.summary.win_rate.rate


@dataclass(frozen=True)
class BestRate:
    """The highest win rate of a method on a domain, over temperatures."""

    domain: str
    temperature: float
    rate: Coefficient


@dataclass(frozen=True)
class MethodRates(MethodSetting):
    """All win rates of a method at one setting; `seeds` counts the seeds that were judged."""

    seeds: int
    cells: tuple[JudgedCell, ...]
    best: tuple[BestRate, ...]

    @property
    def is_trained(self) -> bool:
        """True for a method that trains a policy."""
        # Best-of-N goes by a learned reward, but its responses are the reference's.
        return self.name not in ("reference", "few_shot", "best_of_n")

    def cell(self, domain: str, temperature: float) -> JudgedCell | None:
        """Return what was judged on a domain at a temperature."""
        return next((cell for cell in self.cells if (cell.domain, cell.temperature) == (domain, temperature)), None)

    def rate_at(self, domain: str, temperature: float) -> Coefficient | None:
        """Return the win rate on a domain at a temperature; None where it is undefined or was not judged."""
        cell = self.cell(domain, temperature)
        # Undefined where no verdict could be read; such a rate has no place in a comparison.
        return cell.rate if cell is not None and cell.rate.value is not None else None


@dataclass(frozen=True)
class MethodTest:
    """The difference of two methods' win rates on the same prompts, with its p-values.

    Attributes:
        p_holm: adjusted by Holm's method for all tests of the domain.
    """

    domain: str
    temperature: float
    one: MethodSetting
    other: MethodSetting
    difference: Estimate
    p: float
    p_holm: float


@dataclass(frozen=True)
class ExampleText(MethodSetting):
    """A method's response, and what the judge made of it."""

    text: str
    outcome: str


@dataclass(frozen=True)
class Example:
    """A prompt with the data's response and one response of each method."""

    prompt: str
    met: str
    texts: tuple[ExampleText, ...]


@dataclass(frozen=True)
class JudgingCost:
    """Seconds of all stages, and what the judge was asked."""

    seconds: float
    verdicts: int
    judge_tokens: int
    judge_seconds: float


@dataclass(frozen=True, kw_only=True)
class WinRateSummary:
    """All that the page of a study of win rates shows.

    Attributes:
        study: `tldr`, `dialogue` or `judged-transfer`.
        trained_on: the rows that methods learn from.
        judge: None where the judge was not trained here.
        tested_at: the temperature at which methods are compared, the lowest.
    """

    study: str
    config: JsonObject
    domains: tuple[Domain, ...]
    trained_on: RowCounts
    judge: TrainedJudgeFacts | None
    temperatures: tuple[float, ...]
    tested_at: float
    seeds: tuple[int, ...]
    methods: tuple[MethodRates, ...]
    tests: tuple[MethodTest, ...]
    published: PublishedRates
    examples: tuple[Example, ...]
    failures: tuple[Failure, ...]
    cost: JudgingCost
    provenance: Mapping[str, object]

    @cached_property
    def own_domain(self) -> str:
        """The name of the domain that methods are trained on."""
        return next(domain.name for domain in self.domains if domain.own)

    @cached_property
    def trained(self) -> tuple[MethodRates, ...]:
        """The methods that train a policy."""
        return tuple(method for method in self.methods if method.is_trained)
