"""Results of `penchant judge`: the content of `judge.json`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from penchant.judges.summary import JudgeSummary
from penchant.metrics.estimates import Estimate
from penchant.metrics.win_rate import WinRate
from penchant.rich_text import html_table, interval_bars
from penchant.typed_json import INLINED, OMITTED, JsonObject, StoredAs


@dataclass(frozen=True, slots=True)
class SourceResult:
    """The result of one source: a run or a file, at one temperature.

    Attributes:
        run: the run's or file's name.
        temperature: at which they were drawn anew; None where they were there already.
    """

    run: str
    temperature: float | None
    summary: Annotated[JudgeSummary, INLINED]

    @property
    def win_rate(self) -> WinRate:
        """The judge's win rate."""
        return self.summary.win_rate


@dataclass(frozen=True, slots=True)
class SourceTest:
    """The difference of two sources' win rates on the same prompts, with its p-values.

    Attributes:
        first, second: names of the sources; the difference is that of the first less the second.
        p_holm: adjusted by Holm's method for all tests of the comparison.
    """

    first: Annotated[str, StoredAs("one")]
    second: Annotated[str, StoredAs("other")]
    difference: Estimate
    p: float
    p_holm: float


@dataclass(frozen=True, slots=True)
class JudgedPair:
    """A pair to read, with what the judge said of it.

    Attributes:
        transcript, transcript_swapped: the judge's words in each order; empty where it was not asked.
    """

    outcome: str
    prompt: str
    a: str
    b: str
    transcript: Annotated[str, StoredAs("said")]
    transcript_swapped: Annotated[str, StoredAs("said_swapped")]


@dataclass(frozen=True, repr=False)
class JudgeResults:
    """The results of a comparison by a judge.

    Attributes:
        level: coverage of the intervals.
        config: the settings as they were recorded.
        against: the name of the opponent.
        prompts: how many prompts were compared.
        methods: by name of the source.
        baselines: win rates by other judges of the same pairs, by judge and source.
        examples: the first pairs of each outcome, by source.
        thumbnails: small pictures of what the examples show, as `data:` addresses by their marks; None without any.
    """

    method: str
    level: float
    config: JsonObject
    against: str
    prompts: int
    methods: Mapping[str, SourceResult]
    baselines: Mapping[str, Mapping[str, WinRate]]
    tests: tuple[SourceTest, ...]
    examples: Mapping[str, tuple[JudgedPair, ...]]
    provenance: Mapping[str, object]
    thumbnails: Annotated[Mapping[str, str] | None, OMITTED] = None

    def __repr__(self) -> str:
        """Return what was compared; all pairs would fill pages."""
        return f"JudgeResults({', '.join(self.methods)} against {self.against}, {self.prompts} prompts)"

    def _repr_html_(self) -> str:
        rates = {name: result.win_rate.rate for name, result in self.methods.items()}
        rows = [
            (name, rate.text, interval_bars([rate.interval], (0, 1)) if rate.interval else "")
            for name, rate in rates.items()
        ]
        return html_table(f"win rate against {self.against} by {self.method}", rows)

    @property
    def by_run(self) -> dict[str, list[SourceResult]]:
        """The results of each run or file, one for each temperature at which it was drawn."""
        grouped: dict[str, list[SourceResult]] = {}
        for result in self.methods.values():
            grouped.setdefault(result.run, []).append(result)
        return grouped

    @property
    def has_temperatures(self) -> bool:
        """Whether responses were drawn anew."""
        return any(result.temperature is not None for result in self.methods.values())
