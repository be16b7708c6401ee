"""What a reward of the user's is made of: a change of any code that decides its numbers is another reward."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from penchant.extension.code_digest import reached_files
from penchant.rewards import load_reward
from penchant.rewards.content import reward_content

PAIRS = [("a", "bbb")]
SCORE = "def score(pairs): return [float(FACTOR * len(text)) for _, text in pairs]\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder, with a folder `path` in it that is on the module path."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "path").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path / "path"))
    known = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - known:
        del sys.modules[name]


def write(files: dict[str, str]) -> None:
    for name, text in files.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(text)


# (files, the reward, the file whose FACTOR decides)
LAYOUTS: dict[str, tuple[dict[str, str], str, str]] = {
    "a file beside it": (
        {"mine.py": f"from factor_a import FACTOR\n{SCORE}", "factor_a.py": ""},
        "mine",
        "factor_a.py",
    ),
    "a package around the package": (
        {
            "out_b/__init__.py": "",
            "out_b/utils.py": "",
            "out_b/inner/__init__.py": "",
            "out_b/inner/reward.py": f"from ..utils import FACTOR\n{SCORE}",
        },
        "out_b/inner/reward.py",
        "out_b/utils.py",
    ),
    "the package's own file": (
        {
            "out_c/__init__.py": "",
            "out_c/inner/__init__.py": "",
            "out_c/inner/reward.py": f"from .. import FACTOR\n{SCORE}",
        },
        "out_c.inner.reward",
        "out_c/__init__.py",
    ),
    "a sibling of a module on the path": (
        {"path/reward_d.py": f"from factor_d import FACTOR\n{SCORE}", "path/factor_d.py": ""},
        "reward_d",
        "path/factor_d.py",
    ),
    "a package on the path": (
        {
            "path/pack_e/__init__.py": "",
            "path/pack_e/factor.py": "",
            "path/pack_e/reward.py": f"from pack_e.factor import FACTOR\n{SCORE}",
        },
        "pack_e.reward",
        "path/pack_e/factor.py",
    ),
    "a folder without __init__ on the path": (
        {"path/space_f/factor.py": "", "path/space_f/reward.py": f"from .factor import FACTOR\n{SCORE}"},
        "space_f.reward",
        "path/space_f/factor.py",
    ),
    "another such folder": (
        {
            "path/space_g/deep/factor.py": "",
            "path/reward_g.py": f"from space_g.deep import factor\nFACTOR = factor.FACTOR\n{SCORE}",
        },
        "reward_g",
        "path/space_g/deep/factor.py",
    ),
    "the path, from a file": (
        {"mine_h.py": f"import factor_h\nfrom factor_h import FACTOR\n{SCORE}", "path/factor_h.py": ""},
        "mine_h.py",
        "path/factor_h.py",
    ),
    "two steps away, inside a function": (
        {
            "path/reward_i.py": "def score(pairs):\n    from middle_i import score\n    return score(pairs)\n",
            "path/middle_i.py": f"from factor_i import FACTOR\n{SCORE}",
            "path/factor_i.py": "",
        },
        "reward_i",
        "path/factor_i.py",
    ),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_code_that_decides_a_reward_is_in_its_digest(layout: str, folder: Path) -> None:
    files, source, deciding = LAYOUTS[layout]
    write(files)
    Path(deciding).write_text("FACTOR = 1\n")
    reward = f"{source}:score"
    before = reward_content(reward)
    assert load_reward(reward)(PAIRS) == [3.0]  # so the file does decide
    assert reward_content(reward) == before
    Path(deciding).write_text("FACTOR = 5\n")
    assert reward_content(reward) != before


def test_only_what_is_imported_counts_and_no_folder(folder: Path) -> None:
    write({"one/mine.py": f"from factor import FACTOR\nimport numpy, json\n{SCORE}", "one/factor.py": "FACTOR = 1\n"})
    write({"two/mine.py": Path("one/mine.py").read_text(), "two/factor.py": "FACTOR = 1\n"})
    before = reward_content("one/mine.py:score")
    assert reward_content("two/mine.py:score") == before
    write({"one/other.py": "FACTOR = 2\n", "one/words.txt": "good\n"})
    assert reward_content("one/mine.py:score") == before
    assert {path.name for path in reached_files(Path("one/mine.py"))} == {"mine.py", "factor.py"}  # numpy has a version


def test_two_files_of_a_package_that_change_places_are_another_reward(folder: Path) -> None:
    write({f"pack/{name}": "" for name in ("__init__.py", "inner/__init__.py")})
    write({"pack/factor.py": "FACTOR = 1\n", "pack/inner/factor.py": "FACTOR = 2\n"})
    write({"pack/reward.py": f"from .factor import FACTOR\n{SCORE}"})
    before = reward_content("pack/reward.py:score")
    write({"pack/factor.py": "FACTOR = 2\n", "pack/inner/factor.py": "FACTOR = 1\n"})
    assert reward_content("pack/reward.py:score") != before


def test_files_that_import_each_other_or_are_no_python_end(folder: Path) -> None:
    write({"ping.py": f"import pong\nFACTOR = 1\n{SCORE}", "pong.py": "import ping\n", "odd.py": "import broken\n"})
    write({"broken.py": "def (:\n", "up.py": "from ....... import nothing\n"})
    assert {path.name for path in reached_files(Path("ping.py"))} == {"ping.py", "pong.py"}
    assert {path.name for path in reached_files(Path("odd.py"))} == {"odd.py", "broken.py"}
    assert {path.name for path in reached_files(Path("up.py"))} == {"up.py"}


def test_a_package_that_was_copied_counts_by_its_file_and_version(folder: Path) -> None:
    """Its other files are its version's; of an editable installation they are the user's."""
    site = Path("path/site-packages")
    write({f"{site}/copied/__init__.py": "", f"{site}/copied/factor.py": "FACTOR = 1\n"})
    write({f"{site}/copied/reward.py": f"from copied.factor import FACTOR\n{SCORE}"})
    sys.path.insert(0, str(site.resolve()))
    try:
        before = reward_content("copied.reward:score")
        write({f"{site}/copied/factor.py": "FACTOR = 2\n"})
        assert reward_content("copied.reward:score") == before
        write({f"{site}/copied-2.0.dist-info/METADATA": "Name: copied\nVersion: 2.0\n"})
        write({f"{site}/copied-2.0.dist-info/top_level.txt": "copied\n"})
        assert reward_content("copied.reward:score") != before
    finally:
        sys.path.remove(str(site.resolve()))
