"""Dataclasses to JSON and back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import pytest

from penchant.config import Config
from penchant.metrics import Estimate
from penchant.typed_json import INLINED, OMITTED, JsonObject, StoredAs, from_json, to_json, to_object


@dataclass(frozen=True)
class Point:
    step: int
    share: float | None
    side: Literal["left", "right"] = "left"


@dataclass(frozen=True)
class Curve:
    name: str
    first: Annotated[Point, INLINED]
    points: tuple[Point, ...] = ()
    by_name: Mapping[str, Estimate] | None = None
    note: Annotated[str | None, OMITTED] = None
    span: tuple[int, int] | None = None
    config: JsonObject | None = None


CURVE = Curve(
    "loss",
    Point(0, 0.5),
    (Point(1, None, "right"), Point(2, 1)),
    {"dpo": Estimate(0.5, 0.4, 0.6, 20, 10)},
    span=(1, 2),
    config={"beta": [0.1]},
)


def test_what_is_written_is_read_back() -> None:
    text = json.dumps(to_json(CURVE))
    assert from_json(Curve, json.loads(text)) == CURVE
    assert json.dumps(to_json(from_json(Curve, json.loads(text)))) == text


def test_keys_stand_in_the_order_of_the_fields() -> None:
    assert list(to_object(CURVE)) == ["name", "step", "share", "side", "points", "by_name", "span", "config"]


def test_a_field_may_be_stored_under_another_key() -> None:
    @dataclass(frozen=True)
    class Pair:
        first: Annotated[str, StoredAs("one")]

    assert to_object(Pair("a")) == {"one": "a"}
    assert from_json(Pair, {"one": "a", "first": "b"}) == Pair("a")
    with pytest.raises(KeyError, match="one"):
        from_json(Pair, {"first": "a"})


def test_a_missing_key_takes_the_default_and_an_unknown_one_is_ignored() -> None:
    read = from_json(Point, {"step": 3, "share": 0.1, "colour": "red"})
    assert read == Point(3, 0.1)
    with pytest.raises(KeyError, match="share"):
        from_json(Point, {"step": 3})


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({"step": "1", "share": None}, r"^step: expected int, got '1'"),
        ({"step": True, "share": None}, r"step: expected int, got True"),
        ({"step": 1, "share": None, "side": "up"}, "side: expected one of 'left', 'right', got 'up'"),
        ([], "the file: expected an object"),
    ],
)
def test_another_type_is_refused_with_its_place(numbers: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        from_json(Point, numbers)


def test_the_place_names_the_list_item() -> None:
    numbers = {"name": "loss", "step": 0, "share": 1, "points": [{"step": 1, "share": 2}, {"step": 1.5, "share": 2}]}
    with pytest.raises(ValueError, match=r"points\[1\]\.step: expected int, got 1\.5"):
        from_json(Curve, numbers)
    with pytest.raises(ValueError, match="span: expected 2 items"):
        from_json(Curve, {"name": "loss", "step": 0, "share": 1, "span": [1]})


def test_fields_that_came_later_are_no_part_of_an_address_at_their_default() -> None:
    class Inner(Config):
        """Part of a configuration."""

        added_fields: ClassVar[frozenset[str]] = frozenset({"later"})

        first: int = 1
        """The first."""
        later: int = 2
        """One that came later."""

    class Outer(Config):
        """A configuration."""

        inner: Inner = Inner()
        """One part."""
        parts: tuple[Inner, ...] = ()
        """More of them."""

    assert to_json(Outer(parts=(Inner(), Inner(later=3)))) == {
        "inner": {"first": 1},
        "parts": [{"first": 1}, {"first": 1, "later": 3}],
    }
    assert Outer().recorded() == {"inner": {"first": 1, "later": 2}, "parts": []}
