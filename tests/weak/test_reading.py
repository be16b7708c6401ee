"""What of a text is read."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from penchant.weak.reading import shorten

IDS = st.lists(st.integers(0, 9), max_size=60).map(tuple)


@given(IDS, st.integers(1, 40))
def test_a_long_text_keeps_its_beginning_and_its_end(ids: tuple[int, ...], longest: int) -> None:
    kept = shorten(ids, longest)
    assert len(kept) == min(len(ids), longest)
    start = longest // 2
    assert kept[:start] == ids[:start]
    assert kept[::-1][: longest - start] == ids[::-1][: longest - start]


@given(st.integers(10, 60), st.integers(4, 40))
def test_what_is_added_at_either_end_is_read(size: int, longest: int) -> None:
    text = (1,) * size
    assert shorten((2, 2, *text), longest)[:2] == (2, 2)
    assert shorten((*text, 2, 2), longest)[-2:] == (2, 2)
