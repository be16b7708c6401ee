"""Format numbers and texts for pages and terminals: one place decides on digits, signs and folding."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from penchant.clean_text import clean
from penchant.metrics.estimates import Coefficient, Estimate, Measure

DASH = "–"
"""In a cell of which nothing was measured."""

NAME = 40  # characters of a name inside a sentence
TEXT_SHOWN = 480  # characters before a text is folded
TEXT_MOST = 20_000  # characters that the page holds of one text


def short(text: str, limit: int) -> str:
    """Shorten a text to one line of at most `limit` characters; the middle goes, since names differ at both ends."""
    line = " ".join(clean(text).split())
    if len(line) <= limit:
        return line
    # Runs of a sweep begin alike and end in the setting that tells them apart.
    head = (limit - 1) // 2
    return f"{line[:head]}…{line[len(line) - (limit - 1 - head) :]}"


def folded(text: str) -> tuple[str, str]:
    """Split a text into the head that is always shown and the rest that folds; past `TEXT_MOST` it is only counted."""
    if len(text) <= TEXT_SHOWN:
        return text, ""
    # At a space, so that no word is torn; in a text without spaces, wherever the limit lies.
    cut = text.rfind(" ", TEXT_SHOWN // 2, TEXT_SHOWN) + 1 or TEXT_SHOWN
    rest = text[cut:TEXT_MOST]
    hidden_count = len(text) - max(cut, TEXT_MOST)
    return text[:cut], f"{rest} […{hidden_count:,} more characters]" if hidden_count > 0 else rest


def number(value: float, decimals: int | None = None) -> str:
    """Format a number with a true minus sign and commas at thousands; three significant digits without `decimals`."""
    if not math.isfinite(value):
        return "not finite"
    # Beyond these no reader counts the zeros.
    tiny = decimals is None and 0 < abs(value) < 1e-4
    if tiny or abs(value) >= 1e7:
        return f"{value:.2e}".replace("-", "−")
    text = f"{value:,.{_significant(value) if decimals is None else decimals}f}"
    if text.startswith("-") and not text.strip("-0.,"):
        text = text[1:]  # no "-0.00"
    return text.replace("-", "−")


def signed(value: float, decimals: int | None = None) -> str:
    """Format a number as `number` does, with a plus sign where it is positive."""
    text = number(value, decimals)
    # What is printed as zero has no sign.
    return text if text.startswith("−") or not text.strip("0.,") else f"+{text}"


def percent(share: float | None, decimals: int = 0) -> str:
    """Format a share of 0 to 1 in percent: `64%`; a dash where there is none."""
    return DASH if share is None else f"{number(100 * share, decimals)}%"


def estimate(e: Estimate, *, percent: bool = False, sign: bool = False, decimals: int | None = None) -> str:
    """Format an estimate: `0.31 [0.24, 0.38]`; `64% [58%, 70%]` for shares.

    The digits follow the width of the interval, unless `decimals` says how many; there are more where its ends would
    else look the same, since an interval without width claims what nobody knows: 1,000 of 1,000 are
    `100.0% [99.6%, 100.0%]`. Where there is no interval, its place has the reason: `0.31 [no interval: 6 prompts]`.
    """
    scale, unit = (100.0, "%") if percent else (1.0, "")
    digits = _decimals(e, scale) if decimals is None else _separating_decimals(e, scale, decimals)
    show = signed if sign else number
    value = f"{show(e.value * scale, digits)}{unit}"
    if e.low is None or e.high is None:
        # Records of 0.3.0.dev0 have no reason (decision 18).
        return f"{value} [{e.reason or 'no interval'}]"
    low, high = (f"{show(end * scale, digits)}{unit}" for end in (e.low, e.high))
    return f"{value} [{low}, {high}]"


def recorded(
    numbers: Measure | Mapping[str, object] | None,
    *,
    percent: bool = False,
    sign: bool = False,
    decimals: int | None = None,
) -> str:
    """Format a measure, or one as JSON holds it, for a page or a terminal.

    A dash stands where nothing was measured, and `undefined (reason)` where the number does not exist.
    """
    if numbers is None:
        return DASH
    measure = numbers if isinstance(numbers, Measure) else Coefficient.from_dict(numbers)
    if measure.value is None:
        return f"undefined ({measure.reason})" if measure.reason else DASH
    return estimate(defined(measure), percent=percent, sign=sign, decimals=decimals)


def format_share(share: Measure | None) -> str:
    """Format a share with its interval: `64% [58%, 70%]`; a dash where nothing was measured."""
    return recorded(share, percent=True)


def format_estimate(numbers: Measure | Mapping[str, object] | None, *, percent: bool = False) -> str:
    """Format a measure with its interval to two decimals, or in whole percent."""
    return recorded(numbers, percent=percent, decimals=0 if percent else 2)


def defined(measure: Measure) -> Estimate:
    """Return a measure that is not undefined as an estimate.

    Raises:
        ValueError: it is undefined.
    """
    if isinstance(measure, Estimate):
        return measure
    if measure.value is None:
        raise ValueError(f"the measure is undefined: {measure.reason}")
    return Estimate(measure.value, measure.low, measure.high, 0, 0, measure.reason)


def value_and_interval(e: Estimate, *, percent: bool = False) -> tuple[str, str]:
    """Format an estimate as `estimate` does, in two parts, for places that show them in other sizes."""
    value, interval = estimate(e, percent=percent).split(" ", 1)
    return value, interval


def value_only(e: Estimate, *, percent: bool = False) -> str:
    """Format the value of an estimate alone, with the digits of `estimate`, for use next to its interval."""
    return value_and_interval(e, percent=percent)[0]


def same_when_printed(a: Estimate, b: Estimate) -> bool:
    """Return whether two values show the same digits, so that "rose from 0.31 to 0.31" is never written."""
    # The coarser digits of the two: one value may be known better than the other.
    decimals = min(_decimals(a, 1.0), _decimals(b, 1.0))
    return number(a.value, decimals) == number(b.value, decimals)


def verb(a: Estimate, b: Estimate) -> str:
    """Return `rose`, `fell` or `stayed`: the way from the first to the second value."""
    if same_when_printed(a, b):
        return "stayed"
    return "rose" if b.value > a.value else "fell"


def count(n: int, noun: str, plural: str | None = None) -> str:
    """Format a number of things: `1 prompt`, `2 prompts`, `1,200 prompts`."""
    return f"{n:,} {noun if n == 1 else plural or noun + 's'}"


def listing(items: Iterable[str]) -> str:
    """Join items to a list in words: `a`, `a and b`, `a, b and c`."""
    parts = list(items)
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}" if parts else ""


def p_words(p: float) -> str:
    """Format a p-value; small ones as a bound."""
    return "p < 0.001" if p < 0.001 else f"p {number(p, 3)}"


def gibibytes(memory: float, decimals: int | None = None) -> str:
    """Format bytes of memory as GiB."""
    return f"{number(memory / 2**30, decimals)} GiB"


def file_size(size: float) -> str:
    """Format bytes on a disk in the decimal units that its maker counts in: `1.2 MB`, `135 GB`."""
    for unit, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        # the next unit from the rounded value on: 999.6 kB would else be printed as 1,000 kB
        if size >= 0.9995 * unit:
            return f"{number(size / unit, 0 if size >= 99.95 * unit else 1)} {name}"
    return count(int(size), "byte")


def duration(seconds: float) -> str:
    """Format a time in seconds: `48 s`, `2 min 10 s`, `3 h 05 min`."""
    # The unit follows the rounded time: 59.7 s would else be printed as 60 s.
    rounded = round(seconds)
    if rounded < 60:
        return f"{number(seconds, 0 if seconds >= 10 else 1)} s"
    if rounded < 3600:
        return f"{rounded // 60} min {rounded % 60:02d} s"
    return f"{rounded // 3600} h {rounded % 3600 // 60:02d} min"


def rough_duration(seconds: float) -> str:
    """Format a time that is roughly known, in one unit: `45 s`, `10 minutes`, `3 days`."""
    for limit, size, unit in ((120.0, 1.0, "s"), (7200.0, 60.0, "minutes"), (172_800.0, 3600.0, "hours")):
        if seconds < limit:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds / 86_400.0:.0f} days"


def _significant(value: float) -> int:
    if value == 0:
        return 2
    # Three significant digits (0.0123, 1.23, 123), and never more than six decimals.
    return max(0, min(6, 2 - math.floor(math.log10(abs(value)))))


def _separating_decimals(e: Estimate, scale: float, decimals: int) -> int:
    """Return as many digits as are asked for, or the fewest that tell the ends of the interval apart."""
    if e.low is None or e.high is None or not e.low < e.high:
        return decimals
    return next(
        (digits for digits in range(decimals, 7) if number(e.low * scale, digits) != number(e.high * scale, digits)), 6
    )


def _decimals(e: Estimate, scale: float) -> int:
    """Return how many decimals the interval supports: one or two digits of its half-width."""
    if e.low is None or e.high is None or e.high <= e.low:
        value = e.value * scale
        # A whole per cent without an interval is 64% and not 64.0%, which would claim a digit more.
        return 0 if scale > 1 and value == round(value) else min(3, _significant(value))
    # One digit where the half-width begins with 2 or more, else two: 0.31 +- 0.07, 0.312 +- 0.012.
    half = (e.high - e.low) / 2 * scale
    return max(0, min(6, math.ceil(-math.log10(half / 2))))
