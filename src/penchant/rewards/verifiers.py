"""Verifiers: rewards of 1 or 0 that hold a response against what its row says is right. No text is ever run as code.

`exact_answer`, `number` and `regular_expression` are named with their settings: `number:tolerance=0.01,marker=####`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from decimal import Decimal
from functools import cached_property
from typing import ClassVar

from penchant.errors import InputError, did_you_mean

# thousands may be grouped by commas; a point with nothing behind it ends a sentence
NUMBER = re.compile(r"[-+−]?(?:(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?|\.\d+)(?:[eE][-+]?\d{1,4})?")
Pairs = Sequence[tuple[str, str]]


def last_number(text: str) -> Decimal | None:
    """Return the last number in a text, exactly as it stands there; None where it has none.

    A minus directly behind a letter, digit or bracket joins words or subtracts, and is no sign. "1/2" is one number. A
    power ("10^6") and a division by 0 are none.
    """
    matches = list(NUMBER.finditer(text))
    if not matches:
        return None
    last = matches[-1]
    before = text[: last.start()].rstrip()
    # an exponent alone would be another number than the one that was written
    if before.endswith(("^", "**")):
        return None
    if before.endswith("/") and len(matches) > 1 and matches[-2].end() == len(before[:-1].rstrip()):
        divisor = _signed(last, text)
        return _signed(matches[-2], text) / divisor if divisor else None
    return _signed(last, text)


def _signed(match: re.Match[str], text: str) -> Decimal:
    """Return a number as it stands in its text, with its sign where that is one."""
    written = match.group().replace(",", "").replace("−", "-")
    before = text[: match.start()]
    is_sign = written[0] not in "-+" or not before or not (before[-1].isalnum() or before[-1] in ")]")
    return Decimal(written if is_sign else written[1:])


def behind_marker(text: str, marker: str) -> str | None:
    """Return the rest of the line behind the last marker; the whole text without a marker, None where it is missing."""
    if not marker:
        return text
    _, found_marker, rest = text.rpartition(marker)
    return rest.strip().partition("\n")[0] if found_marker else None


def plain_answer(text: str) -> str:
    """Return a text in the form in which answers are compared: one space between words, no full stop at the end."""
    return " ".join(text.split()).removesuffix(".").rstrip()


@dataclass(frozen=True)
class ExactAnswer:
    """1 where the response is the right answer, up to white space and a full stop at its end."""

    name: ClassVar[str] = "exact_answer"

    column: str = "answer"
    """The column with the right answer."""
    marker: str = ""
    """What stands before the answer, in the response and perhaps in the column; the last one counts."""
    ignore_case: bool = False
    """Whether `Yes` is `yes`."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Return the columns that it asks for."""
        return (self.column,)

    def verify(self, response: str, truth: str) -> bool:
        """Return whether a response is right."""
        # data sets differ in whether their column holds the marker and the way there, or the answer alone
        expected = behind_marker(truth, self.marker)
        answer = behind_marker(response, self.marker)
        if answer is None:
            return False
        texts = (plain_answer(answer), plain_answer(truth if expected is None else expected))
        return texts[0].casefold() == texts[1].casefold() if self.ignore_case else texts[0] == texts[1]


@dataclass(frozen=True)
class Number:
    """1 where the last number of the response is the right one, within a tolerance."""

    name: ClassVar[str] = "number"

    column: str = "answer"
    """The column with the right number, which may stand behind text as in GSM8K: its last number counts."""
    marker: str = ""
    """What stands before the number, such as `####`; a response without it is wrong."""
    tolerance: float = 0.0
    """By how much it may differ, in the number's own unit."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Return the columns that it asks for."""
        return (self.column,)

    def verify(self, response: str, truth: str) -> bool:
        """Return whether a response is right.

        Raises:
            ValueError: the row itself has no number.
        """
        expected = last_number(behind_marker(truth, self.marker) or truth)
        if expected is None:
            raise ValueError(f"the column {self.column!r} holds no number: {truth[:40]!r}")
        answer_text = behind_marker(response, self.marker)
        answer = None if answer_text is None else last_number(answer_text)
        if answer is None:
            return False
        # of a number with ten thousand digits the difference would take minutes
        if max(answer.adjusted(), expected.adjusted()) > 400:
            return answer == expected
        # `repr`, since the float 0.1 itself is a little more than a tenth
        return abs(answer - expected) <= Decimal(repr(self.tolerance))


@dataclass(frozen=True)
class RegularExpression:
    """1 where a pattern is found in the response: a pattern of the settings, or of the row's column."""

    name: ClassVar[str] = "regular_expression"

    column: str = ""
    """The column with the pattern of each row."""
    pattern: str = ""
    """The pattern for all rows, in place of a column; it stands last, and may hold commas."""

    def __post_init__(self) -> None:
        if bool(self.column) == bool(self.pattern):
            raise InputError("expected `pattern`, or `column` for patterns of the rows: regular_expression:pattern=...")
        if self.pattern:
            try:
                _ = self._compiled
            except re.error as error:
                raise InputError(f"its pattern is no regular expression: {error}") from error

    @cached_property
    def _compiled(self) -> re.Pattern[str]:
        return re.compile(self.pattern)

    @property
    def columns(self) -> tuple[str, ...]:
        """Return the columns that it asks for."""
        return (self.column,) if self.column else ()

    def verify(self, response: str, truth: str) -> bool:
        """Return whether the pattern is found; `truth` is the row's pattern where the settings have none."""
        return (self._compiled if self.pattern else re.compile(truth)).search(response) is not None


Verifier = ExactAnswer | Number | RegularExpression
VERIFIERS: dict[str, type[ExactAnswer] | type[Number] | type[RegularExpression]] = {
    kind.name: kind for kind in (ExactAnswer, Number, RegularExpression)
}
"""The verifiers by name."""


def is_verifier(spec: str) -> bool:
    """Return whether a reward's name means a verifier; `number:answer` is a function of a file `number.py`."""
    name, colon, settings = spec.partition(":")
    return name in VERIFIERS and (not colon or "=" in settings)


def parse_verifier(spec: str) -> Verifier:
    """Return the verifier of `NAME` or `NAME:setting=value,setting=value`.

    Raises:
        InputError: no such setting, or a value that is none.
    """
    # by hand and not by YAML: a pattern may hold whatever YAML means something by
    name, _, rest = spec.partition(":")
    kind = VERIFIERS[name]
    setting_types = {entry.name: entry.type for entry in fields(kind)}
    settings: dict[str, str | bool | float] = {}
    while rest:
        key, equals, rest = rest.partition("=")
        if not equals or key not in setting_types:
            suggestion = did_you_mean(key, list(setting_types), form=repr)
            raise InputError(
                f"the reward `{spec}`: unknown setting {key!r}; expected {', '.join(setting_types)}{suggestion}"
            )
        # a pattern takes all that follows: commas belong to it
        written, rest = (rest, "") if key == "pattern" else rest.partition(",")[::2]
        settings[key] = _converted(spec, key, written, str(setting_types[key]))
    try:
        return kind(**settings)  # type: ignore[arg-type]
    except InputError as error:
        raise InputError(f"the reward `{spec}`: {error}") from error


def _converted(spec: str, key: str, written: str, kind: str) -> str | bool | float:
    """Return a setting as what it is.

    Raises:
        InputError: it is no such thing.
    """
    if kind == "bool":
        if written.lower() not in ("true", "false"):
            raise InputError(f"the reward `{spec}`: {key} is {written!r}, expected true or false")
        return written.lower() == "true"
    if kind != "float":
        return written
    try:
        number = float(written)
    except ValueError:
        number = -1.0
    # not below 0: nothing would ever be right; NaN fails the comparison too
    if not 0 <= number < float("inf"):
        raise InputError(f"the reward `{spec}`: {key} is {written!r}, expected a number from 0 up")
    return number


@dataclass(frozen=True)
class Verification:
    """A verifier as a function of rewards: texts and the row's column in, 1 or 0 per text out."""

    verifier: Verifier

    def __call__(self, pairs: Pairs, **columns: Sequence[object]) -> list[float]:
        """Return 1.0 for each right response, 0.0 for each other."""
        truths: Sequence[object] = next(iter(columns.values()), [""] * len(pairs))
        # numbers of a column are compared as they are written
        return [
            float(self.verifier.verify(response, truth if isinstance(truth, str) else _written(truth)))
            for (_, response), truth in zip(pairs, truths, strict=True)
        ]


def _written(truth: object) -> str:
    # 18.0 from a table that made floats of whole numbers is the answer 18
    return str(int(truth)) if isinstance(truth, float) and truth.is_integer() else str(truth)
