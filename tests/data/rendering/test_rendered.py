"""Token ids in flat arrays: they give back the groups that went in."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from penchant.data.rendering.rendered import LAYOUT, Branch, Rendered, RenderedRows, joined, packed

IDS = st.lists(st.integers(0, 2**31 - 1), min_size=1, max_size=6).map(tuple)
SPANS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=3).map(tuple)
BRANCHES = st.lists(st.tuples(st.builds(Branch, IDS, SPANS), st.booleans()), max_size=3)


@st.composite
def rendered(draw: st.DrawFn) -> Rendered:
    branches = draw(BRANCHES)
    unstable = tuple(flag for _, flag in branches)
    return Rendered(draw(IDS), tuple(branch for branch, _ in branches), unstable, draw(st.booleans()))


@given(st.lists(rendered(), max_size=4), st.lists(rendered(), max_size=4))
@settings(max_examples=60)
def test_packing_is_undone_by_looking(first: list[Rendered], second: list[Rendered]) -> None:
    groups = [*first, *second]
    arrays = joined([packed(first), packed(second)])
    assert {name: values.dtype.type for name, values in arrays.items()} == LAYOUT
    assert list(RenderedRows(arrays, [""] * len(groups))) == groups


def test_rows_are_a_sequence_that_can_be_picked_from() -> None:
    groups = [Rendered((n, n), (Branch((n + 1,), ((0, 1),)),), (False,)) for n in range(5)]
    rows = RenderedRows(packed(groups), [f"f:{n}" for n in range(5)])
    assert len(rows) == 5
    assert rows[-1] == groups[-1]
    assert list(rows[1:3]) == groups[1:3]
    some = rows.pick([4, 0, 2])
    assert [row.source for row in some] == ["f:4", "f:0", "f:2"]
    assert list(some.pick([2, 1])) == [groups[2], groups[0]]
    assert [type(id_) for id_ in rows[0].prompt_ids] == [int, int]  # plain numbers: the keys of the table are of them
    assert rows[0].key(0) == groups[0].key(0)
