"""The counts of `scripts/count_code.py`, on small sources whose numbers are counted by hand."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import count_code
import pytest
from counting.counts import Counts, count_file, count_folder
from counting.words import is_vague, opens_with_noun, opens_with_verb


def counted(source: str) -> Counts:
    counts = Counts()
    count_file(counts, "module.py", source)
    return counts


LINES = '''\
"""A module.

With more to say.
"""

import os  # noqa: F401
# why the limit is two

LIMIT = 2  # measured

TEXT = """not a docstring
# no comment either
"""


def double(
    x: int,
) -> int:
    """Return twice x."""
    return x * 2
'''


def test_lines() -> None:
    counts = counted(LINES)
    assert counts.total_lines == 20
    assert counts.code_lines == 9  # import, LIMIT, 3 of TEXT, 3 of the signature, return
    assert counts.comments == 2  # not the directive, not the line within the string
    assert counts.comments_per_100 == pytest.approx(100 * 2 / 9)
    assert [(size.lines, size.location.line, size.location.name) for size in counts.functions] == [(5, 16, "double")]


def test_docstrings_of_one_line_and_of_attributes_are_no_code() -> None:
    counts = counted('class A:\n    x: int = 0\n    """What x is."""\n\n    def f(self) -> None: "Do it."\n')
    assert counts.code_lines == 3


NAMES = """\
import os as found
FOUND = 1
_place = first = 2
for told, index in []:
    pass
rows = [one for one in range(3) if (kept := one)]
def _above(self, said, *own, known=1, **each): pass
class Nothing:
    place: int
    def above(cls, _): self.met = self.size = 3
    def __init__(self): pass
try:
    with open("x") as home: pass
except OSError as ours:
    pass
match rows:
    case [some, *more]: pass
hint: int = 1
hint += found.sep
a.b = lambda few: few
"""


def test_bindings() -> None:
    counts = counted(NAMES)
    vague = [(location.line, location.name) for location in counts.vague]
    assert vague == [
        (2, "FOUND"),
        (3, "_place"),
        (4, "told"),
        (6, "kept"),
        (6, "one"),
        (7, "_above"),
        (7, "each"),
        (7, "known"),
        (7, "own"),
        (7, "said"),
        (8, "Nothing"),
        (9, "place"),
        (10, "met"),
        (13, "home"),
        (14, "ours"),
        (17, "more"),
        (17, "some"),
        (18, "hint"),
        (19, "hint"),
        (20, "few"),
    ]
    assert counts.bindings == len(vague) + 5  # first, index, rows, above and size
    assert counts.vague_percent == pytest.approx(80.0)


@pytest.mark.parametrize("name", ["one", "_told", "__whole", "PLACES", "home_", "_above", "_apart"])
def test_vague(name: str) -> None:
    assert is_vague(name)


@pytest.mark.parametrize("name", ["above", "below", "first", "other", "one_hot", "found_rows", "homes", "left"])
def test_not_vague(name: str) -> None:
    assert not is_vague(name)


ANY = """\
import typing
from typing import Any, cast
Row = dict[str, Any]
x: Any = cast("Any", 1)
def f(a: dict[str, Any], b: Mapping[str, Any] | None, c: "list[Any]") -> dict[str, dict[str, Any]]:
    y: typing.Any = cast(dict[str, Any], a)
    return y
"""


def test_any() -> None:
    counts = counted(ANY)
    assert counts.any_in_annotations == 6  # x, a, b, c, the result and y
    assert counts.any_elsewhere == 2  # the alias Row and the cast
    assert counts.dict_any == {"dict": 4, "Mapping": 1}
    assert counts.any_per_1000 == pytest.approx(1000 * 8 / 7)


DOCSTRINGS = '''\
class Row:
    """One row of a file."""

    @property
    def width(self) -> int:
        """Cells of the row."""

    @property
    def height(self) -> int:
        """How high it is."""

    def read(self) -> None:
        """Read it."""

    def _private(self) -> None:
        """Whatever."""

    def bare(self) -> None: ...


class Reader:
    """What reads rows."""


class Writer:
    """Write rows."""


class _Private:
    """What nobody sees."""

    def read(self) -> None:
        """What it does."""


if True:

    def score() -> None:
        """Score of a row."""

        def inner() -> None:
            """Private, too."""


async def fetch() -> None:
    """Score a row."""
'''


def test_docstrings() -> None:
    counts = counted(DOCSTRINGS)
    numbers = {kind: (found.defined, found.documented) for kind, found in counts.docstrings.items()}
    assert numbers == {"functions": (4, 3), "properties": (2, 2), "classes": (3, 3)}
    misfits = {kind: [at.name for at in found.misfits] for kind, found in counts.docstrings.items()}
    assert misfits == {"functions": ["score"], "properties": ["Row.height"], "classes": ["Reader", "Writer"]}
    assert counts.docstrings["functions"].percent == pytest.approx(100 * 2 / 3)
    assert [size.location.name for size in counts.functions if "inner" in size.location.name] == ["score.inner"]


@pytest.mark.parametrize("text", ["Return a row.", "Write, then close.", "Sample each prompt."])
def test_verbs(text: str) -> None:
    assert opens_with_verb(text)


@pytest.mark.parametrize(
    "text", ["The row.", "Samples of it.", "Sample of it.", "`read` it.", "return it", "(rows,)", ""]
)
def test_no_verbs(text: str) -> None:
    assert not opens_with_verb(text)


def test_nouns() -> None:
    assert opens_with_noun("Settings of a run.")
    assert not opens_with_noun("What a run is told.")
    assert not opens_with_noun("")


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def test_folders(tmp_path: Path) -> None:
    write(tmp_path, {f"data/{index}.py": "x = 1\n" * index for index in range(1, 11)} | {"top.py": "y = 1\n"})
    rows = [line.split() for line in count_code.format_folders(count_folder(tmp_path))]
    assert rows[1:] == [[".", "1", "1", "1"], ["data", "10", "5.5", "9"], ["all", "11", "5", "9"]]


def test_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    long = "def f() -> int:\n" + "    x = 1\n" * 400 + "    return x\n"
    write(tmp_path, {"long.py": long, "a.py": '"""A."""\nfound = 1\n\n\ndef g() -> None:\n    """What it does."""\n'})
    assert count_code.main([str(tmp_path), "--docstrings"]) == 0
    out = capsys.readouterr().out
    assert "lines: 408, code lines: 404 " in out
    assert "   402 lines  long.py:1: f\n" in out
    assert "modules longer than 300 lines: 1, longer than 400: 1" in out
    assert "vague names: 1 of 403 bindings, 0.25%\nfound 1\n  a.py:2: found\n" in out
    assert out.rstrip().endswith("a.py:5: g")


def check(folder: Path, *options: str) -> int:
    return count_code.main([str(folder), "--check", *options])


def test_check(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, {"package/a.py": "own: int = 1\nrows = 2\n", "package/sub/b.py": "def told(): pass\n"})
    monkeypatch.chdir(tmp_path)
    assert check(Path("package")) == 1
    assert capsys.readouterr().out.splitlines()[:-1] == [
        "package/a.py:1: own is a vague name",
        "package/sub/b.py:1: told is a vague name",
    ]
    assert check(Path("package"), "--allow", "a.py:own") == 1
    assert "own" not in capsys.readouterr().out
    assert check(Path("package"), "--max-vague", "60") == 1
    assert check(Path("package"), "--max-vague", "70") == 0
    assert capsys.readouterr().out.endswith("3 names, 2 of them vague\n")
    assert check(Path("package"), "--allow", "a.py:own", "--allow", "sub/b.py:told") == 0
    assert capsys.readouterr().out == "3 names, none of them vague\n"


@pytest.mark.parametrize(
    ("option", "loose", "tight", "message"),
    [
        ("--max-any", "250", "249", "Any: 250.0 per 1,000 code lines, at most 249 are allowed"),
        ("--max-function", "3", "2", "a.py:2: f has 3 lines, at most 2 are allowed"),
        ("--max-module", "7", "6", "a.py:1: 7 lines, at most 6 are allowed"),
        ("--min-verbs", "0", "50", "docstrings that open with a verb: 0.0%, at least 50% are needed"),
        ("--min-comments", "25", "26", "comments: 25.0 per 100 code lines, at least 26 are needed"),
    ],
)
def test_limits(tmp_path: Path, capsys: Any, option: str, loose: str, tight: str, message: str) -> None:
    write(tmp_path, {"a.py": '\ndef f(x: Any) -> None:\n    """What it is."""\n    pass\n# why\nx, y = 1, \\\n 2\n'})
    assert check(tmp_path, option, loose) == 0
    assert check(tmp_path, option, tight) == 1
    assert message in capsys.readouterr().out


def test_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(tmp_path / "absent") == 2
    assert check(tmp_path) == 2
    assert capsys.readouterr().err.splitlines() == [
        f"{tmp_path / 'absent'}: no such folder",
        f"{tmp_path}: no Python file in it",
    ]
    write(tmp_path, {"broken.py": "def f(:\n"})
    assert check(tmp_path) == 2
    assert f"{tmp_path}/broken.py:1: not Python in UTF-8" in capsys.readouterr().err


def test_runs_from_anywhere_without_the_package(tmp_path: Path) -> None:
    write(tmp_path, {"a.py": "found = 1\n"})
    command = [sys.executable, "-S", count_code.__file__, ".", "--check"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 1, result.stderr
    assert result.stdout.startswith("a.py:1: found is a vague name\n")
