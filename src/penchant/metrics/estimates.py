"""What a measure returns: a number with its interval, or the reason why there is none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from html import escape
from typing import Any

from penchant.rich_text import Interval, interval_bars

FEWEST_CLUSTERS = 10  # below this no interval is resampled: it would leave out what the undrawn prompts say


class Measure:
    """A measured number with what its interval excludes; the base of every kind of estimate.

    Attributes:
        value: None where the measure is undefined.
        low, high: ends of the interval; None where there is none.
        reason: why there is no value, or no interval.
    """

    __slots__ = ()  # otherwise every estimate would have a `__dict__` beside its slots
    value: float | None
    low: float | None
    high: float | None
    reason: str

    @property
    def has_interval(self) -> bool:
        """True where both ends are known."""
        return self.low is not None and self.high is not None

    @property
    def interval(self) -> Interval | None:
        """The number with its interval as notebooks draw it; None where the measure is undefined."""
        return None if self.value is None else Interval(self.value, self.low, self.high)

    def above(self, other: float | Measure) -> bool:
        """Return whether the whole interval lies above a number, or above another whole interval.

        A measure without an interval excludes nothing, so it is never above or below.
        """
        bound = other.high if isinstance(other, Measure) else other
        return self.low is not None and bound is not None and self.low > bound

    def below(self, other: float | Measure) -> bool:
        """Return whether the whole interval lies below a number, or below another whole interval."""
        bound = other.low if isinstance(other, Measure) else other
        return self.high is not None and bound is not None and self.high < bound

    def __str__(self) -> str:
        if self.value is None:
            return f"undefined: {self.reason}"
        if self.low is None or self.high is None:
            return f"{self.value:.2f} [{self.reason or 'no interval'}]"
        return f"{self.value:.2f} [{self.low:.2f}, {self.high:.2f}]"

    def __repr__(self) -> str:
        """Return the number with its interval, and what it is made of where that is counted."""
        counts = [f"{name}={getattr(self, name)}" for name in ("n", "clusters") if hasattr(self, name)]
        return f"{type(self).__name__}({', '.join([self.text, *counts])})"

    @property
    def text(self) -> str:
        """The number with four digits and its interval, or why there is none."""
        if self.interval is None:
            return f"undefined: {self.reason}"
        return self.interval.text + ("" if self.has_interval else f" ({self.reason or 'no interval'})")

    def _repr_html_(self) -> str:
        picture = "" if self.interval is None else interval_bars([self.interval])
        return f"<code>{escape(repr(self))}</code> {picture}".rstrip()


@dataclass(frozen=True, slots=True, repr=False)
class Estimate(Measure):
    """A mean and its interval, or the reason why it has none.

    Attributes:
        value: the (weighted) mean, in the unit of the values.
        low, high: ends of the interval, same unit; both None where there is no interval.
        n: number of items (comparisons, samples).
        clusters: number of clusters (prompts) that they come from: what the interval is about.
        reason: why there is no interval, such as "no interval: 6 prompts"; empty where there is one.
    """

    value: float
    low: float | None
    high: float | None
    n: int
    clusters: int
    reason: str = ""

    def negated(self) -> Estimate:
        """Return the estimate with the other sign, as of a difference taken the other way round."""
        low, high = (None if end is None else -end for end in (self.high, self.low))
        return replace(self, value=-self.value, low=low, high=high)

    def as_dict(self) -> dict[str, Any]:
        """Return plain numbers for JSON; a missing interval is None (null) with its reason, never NaN."""
        return asdict(self)

    @classmethod
    def from_dict(cls, numbers: Mapping[str, Any]) -> Estimate:
        """Read what `as_dict` wrote, in this version or before.

        Numbers without a `reason` are of version 0.3.0.dev0 or older, whose intervals were too narrow where the
        clusters were few or all said the same; such an interval is left out, and the reason says so.
        """
        value, low, high = numbers["value"], numbers["low"], numbers["high"]
        n, clusters = int(numbers.get("n", 0)), int(numbers.get("clusters", 0))
        # the key `reason` came together with the intervals of today
        if "reason" in numbers:
            return cls(value, low, high, n, clusters, str(numbers["reason"]))
        if low is None or high is None or 0 < clusters < FEWEST_CLUSTERS:
            return cls(value, None, None, n, clusters, no_interval(clusters) if clusters else "no interval")
        if low == high:
            return cls(value, None, None, n, clusters, no_interval(clusters, all_agree=True))
        return cls(value, low, high, n, clusters)


@dataclass(frozen=True, slots=True, repr=False)
class Coefficient(Measure):
    """A measure that may be undefined, such as Cohen's kappa, or why it is.

    Attributes:
        value: None where it is undefined.
        low, high: ends of its interval; both None where there is none.
        n: items (pairs of ratings, for `agreement_between`) that it is made of.
        clusters: what the interval is about.
        reason: why there is no value, or no interval; empty where both are there.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int
    clusters: int
    reason: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON, never NaN."""
        return asdict(self)

    @classmethod
    def from_dict(cls, numbers: Mapping[str, Any]) -> Coefficient:
        """Read what `as_dict` wrote, in this version or before, as `Estimate.from_dict` does."""
        if numbers["value"] is None:
            n, clusters = int(numbers.get("n", 0)), int(numbers.get("clusters", 0))
            return cls(None, None, None, n, clusters, str(numbers.get("reason") or ""))
        return cls.from_estimate(Estimate.from_dict(numbers))

    @classmethod
    def from_estimate(cls, estimate: Estimate) -> Coefficient:
        """Return a mean as a measure that might have been undefined."""
        return cls(**estimate.as_dict())


def no_interval(clusters: int, unit: str = "prompt", *, all_agree: bool = False) -> str:
    """Return the reason why so many clusters give no interval, such as "no interval: 6 prompts".

    Args:
        unit: what a cluster is, in the singular.
        all_agree: they are not too few, but all say the same, of a measure without known ends.
    """
    unit_count = f"{clusters:,} {unit}{'' if clusters == 1 else 's'}"
    return f"no interval: all {unit_count} say the same" if all_agree else f"no interval: {unit_count}"
