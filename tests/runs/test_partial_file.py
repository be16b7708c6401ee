"""Lines that are kept while a file is made: what is resumed, what is refused, and that nothing half-written counts."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penchant.digests import DamagedFile
from penchant.errors import InputError, RunMismatchError
from penchant.files import locked_file
from penchant.runs.partial_file import Origin, check_startable, open_partial, partial_path

ORIGIN = Origin("sample", {"n": 4, "reward": None}, {"the model": "a1", "the prompts": "b2"})
LINES = [b'{"a": 1}', '{"b": "\u2028é"}'.encode(), b"{}", b'{"d": 4}', b'{"e": 5}']


def begin(out: Path, lines: list[bytes], *, chunk: int = 2) -> None:
    with open_partial(out, ORIGIN, resume=False, chunk=chunk, total=len(LINES)) as partial:
        partial.append(lines)


def resume(out: Path, origin: Origin = ORIGIN, *, chunk: int = 2) -> list[bytes]:
    with open_partial(out, origin, resume=True, chunk=chunk, total=len(LINES)) as partial:
        return list(partial.lines)


@pytest.mark.parametrize("name", ["out.jsonl", "out.jsonl.gz"])
def test_the_file_is_there_when_all_lines_are(tmp_path: Path, name: str) -> None:
    out = tmp_path / name
    with open_partial(out, ORIGIN, resume=False, chunk=2, total=5) as partial:
        for start in range(0, 5, 2):
            partial.append(LINES[start : start + 2])
            assert not out.exists()
        partial.finish()
    content = gzip.decompress(out.read_bytes()) if name.endswith("gz") else out.read_bytes()
    assert content == b"".join(line + b"\n" for line in LINES)
    assert [path.name for path in tmp_path.iterdir()] == [name]


@settings(max_examples=30)
@given(cut=st.integers(0, 400))
def test_after_a_kill_whole_chunks_are_there(cut: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Wherever the file was cut: what is resumed is a beginning of the lines, and of whole chunks."""
    out = tmp_path_factory.mktemp("cut") / "out.jsonl"
    begin(out, LINES)
    content = partial_path(out).read_bytes()
    first = content.index(b"\n") + 1
    cut = max(cut, first)  # the first line is written whole or not at all
    partial_path(out).write_bytes(content[:cut])
    whole = content[:cut].count(b"\n") - 1
    assert resume(out) == (LINES if whole == 5 else LINES[: whole // 2 * 2])


@pytest.mark.parametrize(
    ("origin", "names"),
    [
        (Origin("sample", {"n": 5, "reward": None}, ORIGIN.inputs), "n changed"),
        (Origin("sample", ORIGIN.settings, {"the model": "c3", "the prompts": "d4"}), "the model, the prompts changed"),
        (Origin("score", ORIGIN.settings, ORIGIN.inputs), "the command changed"),
    ],
)
def test_another_origin_is_refused_by_name(tmp_path: Path, origin: Origin, names: str) -> None:
    begin(tmp_path / "out.jsonl", LINES[:2])
    with pytest.raises(RunMismatchError, match=f"^{names}"):
        resume(tmp_path / "out.jsonl", origin)
    assert resume(tmp_path / "out.jsonl") == LINES[:2]


def test_a_flipped_byte_is_found(tmp_path: Path) -> None:
    path = partial_path(tmp_path / "out.jsonl")
    begin(tmp_path / "out.jsonl", LINES[:2])
    path.write_bytes(path.read_bytes().replace(b'"a": 1', b'"a": 2'))
    with pytest.raises(DamagedFile, match=r"out\.jsonl\.partial:2 is not what was written"):
        resume(tmp_path / "out.jsonl")


def test_what_is_there_is_never_lost_in_silence(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    out = tmp_path / "out.jsonl"
    with pytest.raises(RunMismatchError, match="nothing to resume"):
        check_startable(out, resume=True)
    begin(out, LINES[:2])
    with pytest.raises(InputError, match="go on with --resume, delete it, or choose another"):
        check_startable(out, resume=False)
    assert check_startable(out, resume=True)
    partial_path(out).rename(out)
    assert not check_startable(out, resume=True)
    assert "is complete: nothing to resume" in caplog.text


def test_two_processes_do_not_make_one_file(tmp_path: Path) -> None:
    with (
        locked_file(tmp_path / ".out.jsonl.lock"),
        pytest.raises(InputError, match="another process is making"),
    ):
        begin(tmp_path / "out.jsonl", [])
