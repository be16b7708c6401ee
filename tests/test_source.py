"""The digest of the source that a stage reaches: what makes it stale, and what does not."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import penchant
from penchant import source
from penchant.judges.settings import JudgeSpec
from penchant.methods import METHODS
from penchant.source import ENTRIES, Tree, digest_source, parse, reached, tree_digest
from penchant.studies.address import SUMMARIES, stage_reach, summary_version
from penchant.studies.stages import MAKERS
from penchant.tasks import NAMES

ROOT = Path(penchant.__file__).parent


def module_of(file: Path) -> str:
    parts = ("penchant", *file.relative_to(ROOT).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(file): file for file in sorted(ROOT.rglob("*.py"))}


@pytest.fixture(scope="module")
def tree() -> Tree:
    """Penchant's own files, each parsed once for all tests here."""
    return source._our_tree()


# -- which stages a change of each module makes stale -----------------------------------------------------------------

STAGES: dict[str, tuple[str, dict[str, Any], dict[str, str], bool]] = {
    "prompts": ("prompts", {}, {"reward": "vader"}, False),
    "comparisons": ("comparisons", {"reward": "x"}, {"reward": "vader"}, False),
    "dpo": ("dpo", {"reward": "x"}, {"reward": "vader"}, False),
    "kto": ("kto", {"reward": "x"}, {"reward": "http://127.0.0.1/score"}, False),
    "ppo": ("ppo", {"reward": "x"}, {"reward": "vader"}, True),
    "rows of sciq": ("rows", {"task": "sciq"}, {}, False),
    "rows of boolq": ("rows", {"task": "boolq"}, {}, False),
    "supervisor": ("supervisor", {}, {}, False),
    "longest wins": ("verdicts", {"judge": "x"}, {"judge": '{"name": "longest"}'}, False),
    "panel": (
        "verdicts",
        {"judge": "x"},
        {"judge": '{"name": "panel", "judges": [{"name": "endpoint"}, {"name": "reward", "reward": "vader"}]}'},
        False,
    ),
}
EVERY = set(STAGES)
SAMPLED = {"comparisons", "dpo", "kto", "ppo"}
STALE: dict[str, set[str]] = {
    "types": EVERY,
    "studies.stages": EVERY,
    "studies.order": EVERY,
    "engine.generate": EVERY,
    "models.load": EVERY,
    "data.load": EVERY,
    "studies.prompt_stages": {"prompts", "longest wins", "panel"},
    "studies.sample_stages": {"comparisons"},
    "studies.run_stage": {"dpo", "kto", "ppo"},
    "studies.recipes": {"dpo", "kto", "ppo"},
    "studies.records": EVERY - {"prompts", "dpo", "kto", "ppo"},
    "studies.weak_stages": {"rows of sciq", "rows of boolq", "supervisor"},
    "methods": {"dpo", "kto", "ppo", "rows of sciq", "rows of boolq", "supervisor"},
    "methods.dpo": {"dpo"},
    "methods.kto": {"kto"},
    "methods.ppo": {"ppo"},
    "methods.unlikelihood": set(),
    "train.rollout": {"ppo"},
    "rewards.load": EVERY - {"prompts", "longest wins"},
    "rewards.vader": {"comparisons", "dpo", "ppo", "panel"},
    "rewards.http": {"kto"},
    "rewards.learned": {"ppo"},
    "rewards.classifier": set(),
    "judges.load": {"longest wins", "panel"},
    "judges.length": {"longest wins"},
    "judges.endpoint": {"panel"},
    "judges.scored": {"panel"},
    "judges.noisy": set(),
    "tasks.load": {"rows of sciq", "rows of boolq", "supervisor"},
    "tasks.sciq": {"rows of sciq"},
    "tasks.boolq": {"rows of boolq"},
    "tasks.imdb": set(),
    "studies.runner": set(),
    "studies.study": set(),
    "studies.summary": set(),
    "studies.grid": set(),
    "reports.study": set(),
    "web.app": set(),
    "cli": set(),
}


@pytest.fixture(scope="module")
def reaches(tree: Tree) -> dict[str, set[str]]:
    found = {}
    for name, (kind, settings, places, learned) in STAGES.items():
        roots, names = stage_reach(kind, settings, places, learned=learned)
        found[name] = reached(tree, roots, names)
    return found


def stale_after(module: str, tree: Tree, reaches: Mapping[str, set[str]]) -> set[str]:
    """The stages whose digest changes with the code of one module."""
    facts = tree.facts(module)
    assert facts is not None
    other = Tree(tree.read, tree.is_package, _facts={**tree._facts, module: replace(facts, code="other")})
    return {name for name, some in reaches.items() if tree_digest(other, some) != tree_digest(tree, some)}


@pytest.mark.parametrize("module", STALE)
def test_a_changed_module_makes_these_stages_stale(module: str, tree: Tree, reaches: dict[str, set[str]]) -> None:
    assert stale_after(f"penchant.{module}", tree, reaches) == STALE[module]


def test_every_module_in_turn(tree: Tree, reaches: dict[str, set[str]]) -> None:
    """Changing what a stage reaches makes it stale, and changing anything else does not."""
    few = {name: reaches[name] for name in ("ppo", "rows of sciq", "panel")}
    for module in MODULES:
        assert stale_after(module, tree, few) == {name for name, some in few.items() if module in some}
    everywhere = set.union(*reaches.values())
    assert not [module for module in everywhere if module.startswith(("penchant.reports", "penchant.web"))]


def test_metrics_that_a_stage_computes_with_are_reached(tree: Tree, reaches: dict[str, set[str]]) -> None:
    assert {"penchant.metrics.intervals", "penchant.metrics.text"} <= reaches["dpo"]
    roots, names = stage_reach("students", {}, {})
    assert "penchant.studies.records" in reached(tree, roots, names)


def test_the_numbers_of_a_study_depend_on_its_summaries_and_measures(tree: Tree) -> None:
    found = reached(tree, [f"penchant.studies.{name}" for name in SUMMARIES], {})
    assert {"penchant.metrics.frontier", "penchant.metrics.pgr", "penchant.studies.measured"} <= found
    assert len(summary_version()) == 12
    runs = {module for module in MODULES if module.startswith("penchant.studies.")}
    lazily = {
        imported[0]
        for module in runs
        if (facts := tree.facts(module)) is not None
        for imported in facts.imports
        if imported[0].endswith("summary")
    }
    assert lazily <= found  # a study with a summary of its own is in `SUMMARIES`


# -- registries -------------------------------------------------------------------------------------------------------


def test_registries_name_the_modules_that_they_use(tree: Tree) -> None:
    from typing import get_args

    from penchant.judges.load import make_judge

    judges: dict[str, Any] = {one.model_fields["name"].default: one for one in get_args(get_args(JudgeSpec)[0])}
    assert set(judges) == set(ENTRIES["penchant.judges.load"])
    for name in ("longest", "random", "reward", "noisy"):
        assert type(make_judge(judges[name]())).__module__ == ENTRIES["penchant.judges.load"][name]
    assert {name: config.__module__ for name, config in METHODS.items()} == ENTRIES["penchant.methods"]
    entries = {module for table in ENTRIES.values() for module in table.values()}
    assert entries | {f"penchant.tasks.{name}" for name in NAMES} <= set(MODULES)
    for target in MAKERS.values():
        module, _, function = target.partition(":")
        assert f"def {function}(" in MODULES[module].read_text()
    for package, registry in (
        ("judges", "judges.load"),
        ("rewards", "rewards.load"),
    ):  # none of its entries is forgotten
        facts = tree.facts(f"penchant.{registry}")
        assert facts is not None
        used = {module for module, _ in facts.imports if module.startswith(f"penchant.{package}.")}
        shared = {f"penchant.{package}.{name}" for name in ("contract", "prompts", "settings", "names", "user_code")}
        assert used - shared <= set(ENTRIES[f"penchant.{registry}"].values())


# -- what counts in a file --------------------------------------------------------------------------------------------

BEFORE = '''"""A module."""
import os
from typing import TYPE_CHECKING
from penchant.types import Verdict
if TYPE_CHECKING:
    from penchant.web.app import App
LIMIT = 3
"""How many."""

class A:
    """One."""
    size: int = 3
    """Of it."""

def f(x):
    """Return."""
    # a comment
    from penchant.metrics import pgr
    return x + LIMIT
'''


def code(text: str) -> str:
    return parse(text.encode(), "penchant.a.b", is_package=False).code


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ('"""A module."""', '"""Another text."""', True),
        ('"""How many."""\n', "", True),
        ('    """Of it."""\n', "", True),
        ('    """Return."""\n', '    """Return x,\n    and more."""\n', True),
        ("    # a comment\n", "\n\n    # two\n    # comments\n", True),
        ("import os\n", "import os  # why\n\n", True),
        ("x + LIMIT", "(x +  LIMIT)", True),
        ("x + LIMIT", "x - LIMIT", False),
        ("LIMIT = 3", "LIMIT = 3.0", False),
        ("size: int = 3", "size: int = 4", False),
        ("def f(x)", "def f(x, y=1)", False),
        ("    return", "    assert x\n    return", False),
    ],
)
def test_docstrings_and_comments_do_not_count(old: str, new: str, same: bool) -> None:
    assert old in BEFORE
    assert (code(BEFORE) == code(BEFORE.replace(old, new))) is same


def small_tree(files: Mapping[str, str]) -> Tree:
    def read(module: str) -> bytes | None:
        text = files.get(module, files.get(f"{module}/"))
        return None if text is None else text.encode()

    return Tree(read, lambda module: f"{module}/" in files)


FILES = {
    "penchant/": "from penchant.a import f",
    "penchant.a/": '"""Lists."""\nfrom penchant.a.one import f\nfrom penchant.a.two import g as h\n__all__ = ["f"]',
    "penchant.a.one": "from ..b import helper",
    "penchant.a.two": "def g(): ...",
    "penchant.b/": "from penchant.b.deep import helper\ncounted = helper() + 1",
    "penchant.b.deep": "def helper():\n    import penchant.c\n",
    "penchant.c": "if TYPE_CHECKING:\n    from penchant.d import D\nelse:\n    from penchant.e import E",
    "penchant.d": "",
    "penchant.e": "",
    "penchant.user": "from penchant import f",
    "penchant.star": "from penchant.a import *",
    "penchant.lazy/": 'LATER = {"g": "penchant.a.two"}\ndef __getattr__(name):\n    return name',
    "penchant.by_lazy": "from penchant.lazy import g",
}
DEEP = {"penchant.a.one", "penchant.b", "penchant.b.deep", "penchant.c", "penchant.e"}


@pytest.mark.parametrize(
    ("root", "found"),
    [
        ("penchant.user", DEEP),
        ("penchant.a.one", DEEP),
        ("penchant.star", {*DEEP, "penchant.a.two"}),
        ("penchant.by_lazy", {"penchant.a.two"}),
        ("penchant.c", {"penchant.e"}),
        ("penchant.nothing", set()),
    ],
)
def test_imports_are_followed_to_where_a_name_lies(root: str, found: set[str]) -> None:
    assert reached(small_tree(FILES), [root], {}) - {root} == found - {root}


# -- speed and keeping ------------------------------------------------------------------------------------------------


def test_facts_are_kept_for_the_next_process(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fresh() -> str:
        source._our_tree.cache_clear()
        source._digest_source.cache_clear()
        return digest_source(["penchant.studies.prompts"])

    first = fresh()
    assert (own_cache / "source.json").exists()

    def never(*_: Any, **__: Any) -> Any:
        raise AssertionError("a file was parsed again")

    with monkeypatch.context() as patch:
        patch.setattr(source, "parse", never)
        assert fresh() == first
    (own_cache / "source.json").write_text("{damaged")
    assert fresh() == first


def test_the_command_line_reads_no_source_before_a_study_runs() -> None:
    check = "import sys, penchant.cli; from penchant import source as s; assert not s._our_tree.cache_info().misses"
    subprocess.run([sys.executable, "-c", f"{check}; assert 'torch' not in sys.modules"], check=True)
