"""Our own JSONL: reading back gives what was written, and a failure leaves nothing behind."""

from __future__ import annotations

import errno
import json
import os
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penchant.data.load import load_preferences
from penchant.data.sources.values import BLANK, holds
from penchant.data.write import refuse_overwriting, write_groups
from penchant.errors import InputError, RunError
from penchant.types import Comparison, Message, PromptGroup, Response, ToolCall

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=12).filter(
    lambda text: text.strip(BLANK).strip()
)
ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
# what a program writes into a table's empty cell is no thought and no name
FILLED = TEXT.filter(holds)
ARGUMENTS = st.dictionaries(TEXT, TEXT | st.integers() | st.lists(TEXT, max_size=2), max_size=2).map(
    lambda arguments: json.dumps(arguments, ensure_ascii=False)
)
CALLS = st.lists(st.builds(ToolCall, FILLED, ARGUMENTS, st.just("") | FILLED), max_size=2).map(tuple)
TURNS = st.lists(
    st.builds(Message, st.sampled_from(["system", "user"]), TEXT, name=st.just("") | FILLED)
    | st.builds(Message, st.just("tool"), TEXT, name=st.just("") | FILLED, tool_call_id=st.just("") | FILLED)
    | st.builds(
        Message, st.just("assistant"), TEXT, st.just("") | FILLED, CALLS, taught=st.sampled_from([None, True, False])
    ),
    min_size=1,
    max_size=3,
)
FUNCTIONS = st.lists(FILLED, min_size=1, max_size=2).map(
    lambda names: Message(
        "tools",
        json.dumps([{"type": "function", "function": {"name": name}} for name in names], ensure_ascii=False),
    )
)
CONVERSATIONS = TURNS.map(tuple) | st.tuples(FUNCTIONS, TURNS.map(tuple)).map(lambda both: (both[0], *both[1]))
RESPONSES = st.one_of(
    st.builds(Response, TEXT, st.none(), st.booleans(), st.integers(1, 9), st.just("") | FILLED, CALLS),
    st.builds(
        Response,
        ANY_TEXT,
        st.lists(st.integers(0, 99), min_size=1, max_size=3).map(tuple),
        st.booleans(),
        st.integers(1, 9),
    ),
)


@st.composite
def groups(draw: st.DrawFn) -> PromptGroup:
    prompt = draw(TEXT | CONVERSATIONS)
    responses = draw(st.lists(RESPONSES, max_size=4, unique_by=lambda r: replace(r, count=1)))
    comparisons = []
    if len(responses) > 1:
        indices = st.integers(0, len(responses) - 1)
        pairs = st.tuples(indices, indices).filter(lambda pair: pair[0] != pair[1])
        weights = st.floats(min_value=1e-6, max_value=1e6)
        for winner, loser in draw(st.lists(pairs, max_size=4)):
            annotator = draw(st.none() | TEXT)
            comparisons.append(Comparison(winner, loser, draw(st.booleans()), annotator, draw(weights)))
    scores = draw(st.none() | st.lists(FLOATS, min_size=len(responses), max_size=len(responses)))
    return PromptGroup(prompt, responses, comparisons, scores)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(written=st.lists(groups(), min_size=1, max_size=4), packed=st.booleans())
def test_reading_back_gives_what_was_written(tmp_path: Path, written: list[PromptGroup], packed: bool) -> None:
    path = tmp_path / ("a.jsonl.gz" if packed else "a.jsonl")
    write_groups(written, path)
    assert load_preferences(path, ties="half", merge=False) == written
    assert [entry.name for entry in tmp_path.glob(".*")] == []


def test_defaults_are_left_out_and_equal_groups_give_equal_bytes(tmp_path: Path) -> None:
    group = PromptGroup("p", ["a", "\u2028\u00e9"], [Comparison(1, 0)], source="elsewhere:5")
    write_groups([group], tmp_path / "a.jsonl")
    expected = '{"prompt": "p", "responses": ["a", "\u2028\u00e9"], "comparisons": [{"winner": 1, "loser": 0}]}\n'
    assert (tmp_path / "a.jsonl").read_bytes() == expected.encode()
    for name in ("a.jsonl.gz", "b.jsonl.gz"):
        write_groups([group], tmp_path / name)
    assert (tmp_path / "a.jsonl.gz").read_bytes() == (tmp_path / "b.jsonl.gz").read_bytes()


OLD = b"what was there before\n"


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz"])
def test_a_full_disk_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / name
    path.write_bytes(OLD)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError, match=r"No space left on device.*nothing was left behind"):
        write_groups([PromptGroup("p", ["a"])], path)
    assert path.read_bytes() == OLD
    assert os.listdir(tmp_path) == [name]


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz"])
def test_a_write_that_really_fails_leaves_nothing(tmp_path: Path, name: str) -> None:
    resource = pytest.importorskip("resource", reason="limits of file sizes exist on POSIX only")
    noise = random.Random(0)
    groups = [PromptGroup("p", [f"{noise.random()}" * 100]) for _ in range(200)]
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, before[1]))
    try:
        with pytest.raises(RunError, match="File too large"):
            write_groups(groups, tmp_path / name)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("bad", "expected"),
    [
        (
            PromptGroup("p", ["x\ud800"], source="in.jsonl:7"),
            r"group 2 \(in\.jsonl:7\) holds half of a surrogate pair",
        ),
        (PromptGroup("p", ["x"], scores=[float("nan")]), "group 2 has a score that is not finite"),
    ],
)
def test_what_cannot_be_written_is_named_and_nothing_appears(tmp_path: Path, bad: PromptGroup, expected: str) -> None:
    with pytest.raises(InputError, match=expected):
        write_groups([PromptGroup("p", ["a"]), bad], tmp_path / "a.jsonl")
    assert os.listdir(tmp_path) == []


def test_a_failing_source_of_groups_leaves_nothing(tmp_path: Path) -> None:
    def failing() -> Iterator[PromptGroup]:
        yield PromptGroup("p", ["a"])
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_groups(failing(), tmp_path / "a.jsonl")
    assert os.listdir(tmp_path) == []


def test_bad_names_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"written as \.jsonl or \.jsonl\.gz"):
        write_groups([], tmp_path / "a.csv")
    with pytest.raises(InputError, match=r"the folder .*nowhere does not exist; make it first"):
        write_groups([], tmp_path / "nowhere" / "a.jsonl")
    (tmp_path / "folder.jsonl").mkdir()
    with pytest.raises(InputError, match="is a folder"):
        write_groups([], tmp_path / "folder.jsonl")


def test_real_files_survive_conversion(shared_data, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    groups = load_preferences(shared_data("finegrained_rlhf/dev_feedback.json.gz"), ties="half")
    write_groups(groups, tmp_path / "a.jsonl.gz")
    assert load_preferences(tmp_path / "a.jsonl.gz", ties="half") == groups


def test_what_is_read_is_never_written_over(tmp_path: Path) -> None:
    for number in range(2):
        (tmp_path / f"train-0000{number}-of-00002.jsonl").write_text('{"prompt": "a"}\n')
    shard, link = tmp_path / "train-00001-of-00002.jsonl", tmp_path / "links" / "link.jsonl"
    link.parent.mkdir()
    link.symlink_to(shard)
    for source in (shard, link, tmp_path, tmp_path / "*.jsonl"):
        with pytest.raises(InputError, match="is the file that is read, which would be lost"):
            refuse_overwriting(shard, source)
    refuse_overwriting(tmp_path / "new.jsonl", shard)
    refuse_overwriting(shard, tmp_path / "train-00000-of-00002.jsonl")
    refuse_overwriting(shard, "owner/name")
