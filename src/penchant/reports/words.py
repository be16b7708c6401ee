"""Numbers and foreign text as words on the page: one place decides on digits, signs and unseen characters."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from penchant.metrics.estimates import Estimate

DASH = "–"
"""In a cell of which nothing was measured."""

_SELECTORS = "\ufe00-\ufe0f\U000e0100-\U000e01ef"
_COMBINING = "\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f"
# Characters that would hide, reorder or break the text around them, or that are seen by models alone. What writing
# needs stays: a joiner (U+200C, U+200D) in Persian and in emoji, a selector behind a letter, the tags of a flag, four
# marks on a letter.
_UNSEEN = re.compile(
    "(?P<flag>\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{1,6}\U000e007f)"
    "|[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f\u2028-\u202e"
    "\u2060-\u206f\u2800\u3164\ud800-\udfff\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff\U00016fe4\U0001bca0-\U0001bca3\U0001d159"
    "\U0001d173-\U0001d17a\U000e0000-\U000e00ff\U000e01f0-\U000e0fff]"
    "|(?:^|(?<=[\x00-\x7f\u200c\u200d]))[\u200c\u200d]"
    f"|(?:^|(?<=[\\s{_SELECTORS}]))[{_SELECTORS}]"
    f"|(?<=[{_COMBINING}]{{4}})[{_COMBINING}]"
)


def clean(text: str) -> str:
    """Text that any file and any page can hold, with unseen characters shown instead of dropped.

    NUL becomes its picture, a right-to-left override or a lone surrogate its code, such as ⟨U+202E⟩: a report
    shows what is in the data, and no text can reorder the page around it.
    """
    return _UNSEEN.sub(_picture, text.replace("\r\n", "\n"))


def _picture(match: re.Match[str]) -> str:
    if match["flag"]:
        return match.group()
    code = ord(match.group())
    return chr(0x2400 + code) if code < 0x20 else f"⟨U+{code:04X}⟩"


def short(text: str, limit: int) -> str:
    """One line of at most `limit` characters, the middle left out: names of runs differ at both ends."""
    line = " ".join(clean(text).split())
    if len(line) <= limit:
        return line
    head = (limit - 1) // 2
    return f"{line[:head]}…{line[len(line) - (limit - 1 - head) :]}"


def number(value: float, decimals: int | None = None) -> str:
    """A number with a true minus sign and thousands apart; three significant digits unless told."""
    if not math.isfinite(value):
        return "not finite"
    tiny = decimals is None and 0 < abs(value) < 1e-4
    if tiny or abs(value) >= 1e7:
        return f"{value:.2e}".replace("-", "−")
    text = f"{value:,.{_significant(value) if decimals is None else decimals}f}"
    if text.startswith("-") and not text.strip("-0.,"):
        text = text[1:]  # no "-0.00"
    return text.replace("-", "−")


def signed(value: float, decimals: int | None = None) -> str:
    """`number` with a plus sign where it is due."""
    text = number(value, decimals)
    return text if text.startswith("−") or not text.strip("0.,") else f"+{text}"


def estimate(e: Estimate, *, percent: bool = False, sign: bool = False, decimals: int | None = None) -> str:
    """Format an estimate: `0.31 [0.24, 0.38]`; `64% [58%, 70%]` for shares.

    The digits follow the width of the interval, unless `decimals` says how many; there are more where its ends would
    else look the same, since an interval without width claims what nobody knows: 1,000 of 1,000 are
    `100.0% [99.6%, 100.0%]`. Where there is no interval, its place has the reason: `0.31 [no interval: 6 prompts]`.
    """
    scale, unit = (100.0, "%") if percent else (1.0, "")
    places = _decimals(e, scale) if decimals is None else _apart(e, scale, decimals)
    show = signed if sign else number
    value = f"{show(e.value * scale, places)}{unit}"
    if e.low is None or e.high is None:
        return f"{value} [{e.reason or 'no interval'}]"
    low, high = (f"{show(end * scale, places)}{unit}" for end in (e.low, e.high))
    return f"{value} [{low}, {high}]"


def recorded(
    numbers: Mapping[str, Any] | None, *, percent: bool = False, sign: bool = False, decimals: int | None = None
) -> str:
    """Format an estimate as JSON holds it, for a page or a terminal.

    A dash stands where nothing was measured, and `undefined (reason)` where the number does not exist.
    """
    if numbers is None:
        return DASH
    if numbers["value"] is None:
        return f"undefined ({numbers['reason']})" if numbers.get("reason") else DASH
    return estimate(Estimate.from_dict(numbers), percent=percent, sign=sign, decimals=decimals)


def value_only(e: Estimate, *, percent: bool = False, sign: bool = False) -> str:
    """The value of `estimate`, with the same digits, where its interval stands beside it."""
    return estimate(e, percent=percent, sign=sign).split(" [")[0]


def same_when_printed(a: Estimate, b: Estimate) -> bool:
    """Whether two values show the same digits, so that "rose from 0.31 to 0.31" is never written."""
    decimals = min(_decimals(a, 1.0), _decimals(b, 1.0))
    return number(a.value, decimals) == number(b.value, decimals)


def verb(a: Estimate, b: Estimate) -> str:
    """`rose`, `fell` or `stayed`, from the first to the second value."""
    if same_when_printed(a, b):
        return "stayed"
    return "rose" if b.value > a.value else "fell"


def count(n: int, noun: str, plural: str | None = None) -> str:
    """`1 prompt`, `2 prompts`, `1,200 prompts`."""
    return f"{n:,} {noun if n == 1 else plural or noun + 's'}"


def listing(items: Iterable[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    parts = list(items)
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}" if parts else ""


def duration(seconds: float) -> str:
    """`48 s`, `2 min 10 s`, `3 h 05 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{number(seconds, 0 if seconds >= 10 else 1)} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def _significant(value: float) -> int:
    if value == 0:
        return 2
    return max(0, min(6, 2 - math.floor(math.log10(abs(value)))))


def _apart(e: Estimate, scale: float, decimals: int) -> int:
    """Return as many digits as are asked for, or the fewest that tell the ends of the interval apart."""
    if e.low is None or e.high is None or not e.low < e.high:
        return decimals
    return next((more for more in range(decimals, 7) if number(e.low * scale, more) != number(e.high * scale, more)), 6)


def _decimals(e: Estimate, scale: float) -> int:
    """Digits that the interval supports: one or two digits of its half-width."""
    if e.low is None or e.high is None or e.high <= e.low:
        value = e.value * scale
        return 0 if scale > 1 and value == round(value) else min(3, _significant(value))
    half = (e.high - e.low) / 2 * scale
    return max(0, min(6, math.ceil(-math.log10(half / 2))))
