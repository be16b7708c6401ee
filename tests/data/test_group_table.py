"""Groups in a memory-mapped file: equal to the list of them, and never taken from a damaged file."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penchant.data.group_table import (
    chain_groups,
    decode_group,
    encode_group,
    pick_groups,
    read_table,
    write_table,
)
from penchant.types import Comparison, Message, PromptGroup, Response, ToolCall

TEXT = st.text(st.characters(), max_size=8)  # lone surrogates and NUL too
CALLS = st.lists(st.builds(ToolCall, TEXT, TEXT, TEXT), max_size=2).map(tuple)
TURNS = st.builds(Message, TEXT, TEXT, TEXT, CALLS, TEXT, TEXT, st.sampled_from([None, True, False]))
IDS = st.none() | st.lists(st.integers(0, 9), max_size=3)
RESPONSES = st.builds(Response, TEXT, IDS, st.booleans(), st.integers(1, 3), TEXT, CALLS)


@st.composite
def groups(draw: Any) -> PromptGroup:
    responses = draw(st.lists(RESPONSES, min_size=2, max_size=3))
    pairs = draw(st.lists(st.permutations(range(len(responses))), max_size=2))
    comparisons = [
        Comparison(first, second, draw(st.booleans()), draw(st.none() | TEXT), draw(st.floats(0.1, 9)))
        for first, second, *_ in pairs
    ]
    scores = draw(st.none() | st.lists(st.floats(-9, 9), min_size=len(responses), max_size=len(responses)))
    return PromptGroup(draw(TEXT | st.lists(TURNS, max_size=3)), responses, comparisons, scores, draw(TEXT))


@settings(max_examples=60)
@given(groups())
def test_a_group_comes_back_as_it_was(group: PromptGroup) -> None:
    back = decode_group(encode_group(group))
    assert back == group
    assert repr(back) == repr(group)  # digests are made of it; `==` says nothing of the source
    assert back.source == group.source


@settings(max_examples=20)
@given(st.lists(groups(), max_size=5), st.randoms())
def test_a_table_is_equal_to_the_list(
    tmp_path_factory: pytest.TempPathFactory, rows: list[PromptGroup], random: Any
) -> None:
    path = tmp_path_factory.mktemp("table") / "a.groups"
    write_table(path, rows, {"counts": {"rows": 5}, "warnings": ["w"]})
    table = read_table(path)
    assert table is not None
    assert list(table.groups) == rows
    assert table.facts == {"counts": {"rows": 5}, "warnings": ["w"]}
    assert table.responses == sum(len(group.responses) for group in rows)
    order = random.sample(range(len(rows)), k=random.randint(0, len(rows)))
    assert list(pick_groups(table.groups, order)) == [rows[index] for index in order]
    assert list(table.groups.pick(order)[1:]) == [rows[index] for index in order][1:]
    assert list(chain_groups([table.groups, table.groups.pick(order)])) == rows + [rows[index] for index in order]


def table_of(path: Path, count: int = 40) -> list[PromptGroup]:
    rows = [PromptGroup(f"q{n}", ["yes", "no"], [Comparison(0, 1)], source=f"a.jsonl:{n}") for n in range(count)]
    write_table(path, rows, {})
    return rows


def test_changes_stand_in_the_place_of_rows_and_in_the_digest(tmp_path: Path) -> None:
    rows = table_of(tmp_path / "a.groups", 3)
    table = read_table(tmp_path / "a.groups")
    assert table is not None
    other = rows[1].replace(comparisons=())
    changed = table.groups.pick([1, 2]).changed({0: other})
    assert list(changed) == [other, rows[2]]
    assert list(changed.pick([1, 0])) == [rows[2], other]
    digests = {table.groups.digest, table.groups.pick([1, 2]).digest, table.groups.pick([2, 1]).digest, changed.digest}
    assert len(digests) == 4
    assert table.groups.pick([0, 1, 2]).digest == table.groups.digest


@pytest.mark.parametrize("place", [0, 1, 200, -1, -10, -60, -100, -150, -500])
def test_one_changed_byte_is_seen(tmp_path: Path, place: int, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "a.groups"
    table_of(path)
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    assert read_table(path) is None
    assert "reading the data anew" in caplog.text


def test_cut_empty_and_foreign_files_are_no_tables(tmp_path: Path) -> None:
    path = tmp_path / "a.groups"
    table_of(path)
    content = path.read_bytes()
    for size in (0, 5, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:size])
        assert read_table(path) is None
    path.write_bytes(b"x" * 1000)
    assert read_table(path) is None
    assert read_table(tmp_path / "none.groups") is None


def test_nothing_is_left_of_a_table_that_could_not_be_written(tmp_path: Path) -> None:
    def broken() -> Any:
        yield PromptGroup("q", ["a"])
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        write_table(tmp_path / "a.groups", broken(), {})
    assert list(tmp_path.iterdir()) == []


def test_the_memory_of_a_table_does_not_grow_with_its_texts(tmp_path: Path) -> None:
    """Structure, not speed: 2,000 groups with 8 MB of text are held in less than a tenth of it."""
    rows = (PromptGroup(f"{n} " + "x" * 2_000, ["y" * 1_000, "z" * 1_000], [Comparison(0, 1)]) for n in range(2_000))
    write_table(tmp_path / "a.groups", rows, {})
    tracemalloc.start()
    try:
        table = read_table(tmp_path / "a.groups")
        assert table is not None
        picked = table.groups.pick(range(0, 2_000, 2))
        assert sum(len(group.responses) for group in picked) == 2_000
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 400_000
    assert peak < 4_000_000  # pieces of 1 MiB are read to check the digest
