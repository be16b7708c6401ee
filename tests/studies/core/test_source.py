"""The digest of the source that a stage reaches: what makes it stale, and what does not."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, get_args

import pytest
import torch

from called_modules import MODULES, called_modules
from penchant.config.fields import tag_of
from penchant.judges.load import make_judge
from penchant.judges.settings import AnyJudge, Longest, Noisy, Random, Reward, implementation_module
from penchant.losses.dispatch import pair_losses, ranking_losses
from penchant.losses.pairs import FrontSums, SquareSums
from penchant.losses.settings import ChosenNLL, PreferenceLoss
from penchant.methods import METHODS, train
from penchant.studies.core import source
from penchant.studies.core.address import losses_in, stage_reach, summary_version
from penchant.studies.core.definition import definitions
from penchant.studies.core.kinds import stage_makers
from penchant.studies.core.source import ENTRIES, Tree, digest_source, parse, reach_modules, tree_digest
from penchant.tasks.load import NAMES, task_row


@pytest.fixture(scope="module")
def tree() -> Tree:
    """Penchant's own files, each parsed once for all tests here."""
    return source._our_tree()


# -- which stages a change of each module makes stale -----------------------------------------------------------------

STAGES: dict[str, tuple[str, dict[str, Any], dict[str, str], bool]] = {
    "prompts": ("prompts", {}, {"reward": "vader"}, False),
    "comparisons": ("comparisons", {"reward": "x"}, {"reward": "vader"}, False),
    "dpo": ("dpo", {"reward": "x", "loss": {"name": "sigmoid", "beta": 0.1}}, {"reward": "vader"}, False),
    "exo": ("dpo", {"loss": {"name": "exo_pair"}}, {}, False),
    "sum": ("dpo", {"loss": {"name": "sum", "losses": [{"name": "sigmoid"}, {"name": "wpo"}]}}, {}, False),
    "any loss": ("dpo", {}, {}, False),
    "reward model": ("reward_model", {}, {}, False),
    "kto": ("kto", {"reward": "x"}, {"reward": "http://127.0.0.1/score"}, False),
    "ppo": ("ppo", {"reward": "x"}, {"reward": "vader"}, True),
    "rows of sciq": ("rows", {"task": "sciq"}, {}, False),
    "rows of boolq": ("rows", {"task": "boolq"}, {}, False),
    "supervisor": ("supervisor", {"classifier": {"name": "tfidf"}}, {}, False),
    "tuned": ("student", {"classifier": {"name": "lm"}}, {}, False),
    "longest wins": ("verdicts", {"judge": "x"}, {"judge": '{"name": "longest"}'}, False),
    "panel": (
        "verdicts",
        {"judge": "x"},
        {"judge": '{"name": "panel", "judges": [{"name": "endpoint"}, {"name": "reward", "reward": "vader"}]}'},
        False,
    ),
}
EVERY = set(STAGES)
PAIRS = {"dpo", "exo", "sum", "any loss"}
RUNS = {*PAIRS, "kto", "ppo", "reward model"}
WEAK = {"rows of sciq", "rows of boolq", "supervisor", "tuned"}
STALE: dict[str, set[str]] = {
    "types": EVERY,
    "studies.core.work": EVERY,
    "studies.core.job": EVERY,
    "engine.generate": EVERY,
    "models.load": EVERY,
    "data.load": EVERY,
    "studies.core.prompt_stage": {"prompts", "longest wins", "panel"},
    "studies.core.sample_stages": {"comparisons"},
    "studies.core.run_stage": RUNS,
    "studies.core.run_settings": RUNS,
    "studies.core.records": EVERY - {"prompts", *RUNS},
    "studies.weak_to_strong.stages": WEAK,
    "methods": {*RUNS, *WEAK},
    "methods.dpo": PAIRS,
    "methods.kto": {"kto"},
    "methods.ppo": {"ppo"},
    "methods.unlikelihood": set(),
    "train.rollout": {"ppo"},
    "losses.dispatch": {*RUNS, *WEAK},
    "losses.pairs": {*RUNS, *WEAK},
    "losses.preference": {*PAIRS, *WEAK},
    "losses.pairwise": {"exo", "any loss", *WEAK},
    "losses.batchwise": {"sum", "any loss", *WEAK},
    "losses.unpaired": {"kto", "any loss", *WEAK},
    "losses.reward": {"reward model", "any loss", *WEAK},
    "losses.policy_gradient": {"ppo"},
    "losses.weak": WEAK,
    "weak.targets": WEAK,
    "weak.classifiers.language_model": WEAK - {"supervisor"},
    "weak.classifiers.fine_tune": WEAK - {"supervisor"},
    "weak.classifiers.chess_engine": {"rows of sciq", "rows of boolq"},
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
    "tasks.load": WEAK,
    "tasks.spec": WEAK,
    "tasks.multiple_choice:sciq": {"rows of sciq"},
    "tasks.classification:boolq": {"rows of boolq"},
    "tasks.classification:imdb": set(),
    "tasks.multiple_choice": set(),
    "tasks.siblings": set(),
    "studies.core.runner": set(),
    "studies.core.study": set(),
    "studies.frontier.summarize": set(),
    "studies.frontier.grid": set(),
    "studies.frontier.page": set(),
    "web.app": set(),
    "cli.main": set(),
}


@pytest.fixture(scope="module")
def reaches(tree: Tree) -> dict[str, set[str]]:
    found = {}
    for name, (kind, settings, inputs, has_reward_model) in STAGES.items():
        roots, names = stage_reach(kind, settings, inputs, has_reward_model=has_reward_model)
        found[name] = reach_modules(tree, roots, names)
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


@pytest.mark.parametrize("module", ["train.rollout", "losses.pairwise", "tasks.spec", "studies.frontier.page"])
def test_a_line_in_the_file_itself_makes_these_stages_stale(module: str, tree: Tree) -> None:
    """From the bytes on: the file is parsed anew, and what each stage reaches is found anew."""

    def read(name: str) -> bytes | None:
        content = tree.read(name)
        return content if content is None or name != f"penchant.{module}" else content + b"\nAdded = 1\n"

    edited = Tree(read, tree.is_package, tree.known_facts)
    stale = set()
    for name in ("ppo", "exo", "rows of sciq", "rows of boolq"):
        kind, settings, inputs, has_reward_model = STAGES[name]
        reach = stage_reach(kind, settings, inputs, has_reward_model=has_reward_model)
        if tree_digest(edited, reach_modules(edited, *reach)) != tree_digest(tree, reach_modules(tree, *reach)):
            stale.add(name)
    assert stale == STALE[module] & {"ppo", "exo", "rows of sciq", "rows of boolq"}


OTHER_IMPORTS, YES_NO_ROWS = "TaskRow, labelled, task", {"boolq", "ethics_justice"}


@pytest.mark.parametrize(
    ("old", "new", "stale"),
    [
        ("def wic(", "@task(title='New', classes=YES_NO)\ndef new(row):\n    yield OTHER\n\n\ndef wic(", set()),
        ("import SENTIMENT, YES_NO, ", "import RIGHT_WRONG, SENTIMENT, YES_NO, ", set()),
        ("EMOTIONS = (", 'EMOTIONS = ("calm", ', {"emotion"}),
        ('hub="google/boolq"', 'hub="google/boolq2"', {"boolq"}),
        ("Question: {row['question']}?", "Question: {row['question']}", {"boolq"}),
        ("Read BoolQ", "Read BoolQ again", set()),
        (
            f"import SENTIMENT, YES_NO, {OTHER_IMPORTS}",
            f"import SENTIMENT, {OTHER_IMPORTS}\nYES_NO = ('n', 'y')",
            YES_NO_ROWS,
        ),
        ("import sibling_groups", "import other as sibling_groups", {"ethics_justice"}),
    ],
)
def test_a_change_of_a_table_makes_only_the_rows_stale_that_it_touches(
    old: str, new: str, stale: set[str], tree: Tree
) -> None:
    table = "penchant.tasks.classification"
    content = tree.read(table)
    assert content is not None
    assert old in content.decode()
    changed = content.decode().replace(old, new, 1).encode()
    edited = Tree(lambda name: changed if name == table else tree.read(name), tree.is_package, tree.known_facts)
    rows = [f"{table}:{name}" for name in ("boolq", "emotion", "ethics_justice", "imdb")]
    assert {row.partition(":")[2] for row in rows if tree_digest(edited, [row]) != tree_digest(tree, [row])} == stale


NO_STAGE = {
    "commands, pages and the website": ("cli.*", "calls", "upkeep", "upkeep.*", "drafts", "drafts.*", "module_path",
        "face", "config.listing", "config.descriptions", "rounds.online_rlhf", "rounds.registry",
        "rounds.self_rewarding*",
        "rewards.rubric", "rewards.score_words",
        "reports.*", "web*", "judges.compare.*", "runs.read", "runs.load_run", "runs.movement", "runs.recorded_method",
        "runs.evaluation_share",
        "text_table",
        "models.bounded", "weak.page", "weak.figures", "metrics.catalogue",
        "studies.report", "studies.core.report", "studies.core.domains",
        "studies.*.page", "studies.*.words", "studies.*.figures", "studies.*.tables", "studies.*.flow",
        "studies.*.lines", "studies.*.generalization", "studies.*.salience", "metrics.slope"),
    "commands that look at data": ("codecs.shown", "raters.*", "data.check_report", "data.check", "data.media_counts",
        "data.sources.file_sets",
        "judges.summary", "weak.comparisons",
        "weak.picture_sets", "weak.command_settings",
        "weak.label", "weak.train", "weak.unlabeled",
        "weak.command_rows", "weak.diagnostics",
        "weak.results", "weak.label_models*", "metrics.label_noise",
        "evaluation", "evaluation.*", "runs.evaluations", "conversion.*", "export.*", "engine.token_scores",
        "models.conversation", "models.catalogue", "models.loading_settings", "runs.partial_file",
        "train.evaluation.file_scores",
        "train.inputs.kinds", "train.inputs.run_models",
        "methods.best_of_n"),
    "what is computed of finished stages, see `summary_version`": ("studies.*.summary", "studies.*.summarize",
        "studies.frontier.costs", "studies.frontier.texts",
        "studies.core.results", "studies.frontier.matched", "studies.win_rates.published",
        "studies.weak_to_strong.predictions", "studies.weak_to_strong.task_grid", "studies.weak_to_strong.curves",
        "studies.labels.names",
        "studies.weak_to_strong.student_results",
        "metrics.agreement",
        "metrics.chance_corrected", "metrics.choices",
        "metrics.consensus", "metrics.novelty", "metrics.efficiency", "metrics.frontier", "metrics.imitation",
        "metrics.length_controlled", "metrics.limit", "metrics.pgr", "metrics.strengths", "metrics.two_way",
        "metrics.word_clusters"),
    "benchmarks and scripts, on pictures that were drawn": ("models.recogniser",),
    "which stages there are, and in which order": ("weak.labels",
        "studies.*.grid", "studies.*.settings", "studies.*.study",
        "studies.weak_to_strong.student_grid", "studies.weak_to_strong.task_stages",
        "studies.oversight.contents", "studies.core.judge_content",
        "studies.core.address", "studies.core.checks", "studies.core.definition", "studies.core.methods",
        "studies.core.prompts", "studies.core.runner", "studies.core.trial",
        "studies.frontier.search", "studies.core.stage", "studies.core.fork_server", "studies.core.executor",
        "studies.win_rates.endpoints", "studies.instructions.names",
        "studies.kinds.prompts"),
}  # fmt: skip
"""Modules that no stage computes with, and why not. Whoever adds a module that stages do not reach lists it here."""


def test_every_module_is_reached_by_a_stage_or_listed_as_one_that_none_needs(tree: Tree) -> None:
    everything = {registry: list(table) for registry, table in ENTRIES.items() if table}
    everything["penchant.judges.load"] = [judge.implementation.partition(":")[0] for judge in get_args(AnyJudge)]
    everything["penchant.tasks.load"] = list(map(task_row, NAMES))
    roots = {root for kind in (*stage_makers(), *ENTRIES["penchant.methods"]) for root in stage_reach(kind, {}, {})[0]}
    found = {module.partition(":")[0] for module in reach_modules(tree, roots, everything)}
    patterns = [f"penchant.{pattern}" for some in NO_STAGE.values() for pattern in some]

    def listed(module: str) -> bool:
        return any(fnmatchcase(module, pattern) for pattern in patterns)

    left = [module for module in MODULES if not listed(module) and module not in found]
    assert [module for module in left if (facts := tree.facts(module)) is None or not facts.lists] == []
    assert [module for module in found if listed(module)] == []
    assert [pattern for pattern in patterns if not any(fnmatchcase(module, pattern) for module in MODULES)] == []


def test_metrics_that_a_stage_computes_with_are_reached(tree: Tree, reaches: dict[str, set[str]]) -> None:
    assert {"penchant.metrics.intervals", "penchant.metrics.text"} <= reaches["dpo"]
    roots, names = stage_reach("students", {}, {})
    assert "penchant.studies.core.records" in reach_modules(tree, roots, names)


def test_the_numbers_of_a_study_depend_on_its_own_summary_and_measures(tree: Tree) -> None:
    reach = {}
    for definition in definitions():
        module = definition.summarize.partition(":")[0]
        reach[module] = reach_modules(tree, [module], {})
        assert len(summary_version(definition.summarize)) == 12
        assert "penchant.studies.core.results" in reach[module]
    assert "penchant.metrics.frontier" in reach["penchant.studies.frontier.summarize"]
    assert "penchant.metrics.pgr" in reach["penchant.studies.weak_to_strong.summarize"]
    for module, modules in reach.items():
        others = set(reach) - {module}
        assert not others & modules  # another study's summary does not count


# -- registries -------------------------------------------------------------------------------------------------------


def test_registries_name_the_modules_that_they_use(tree: Tree) -> None:
    for judge in get_args(AnyJudge):
        module, _, name = judge.implementation.partition(":")
        assert implementation_module(tag_of(judge)) == module
        assert f"class {name}:" in MODULES[module].read_text()
    for judge in (Longest, Random, Reward, Noisy):
        assert type(make_judge(judge())).__module__ == judge.implementation.partition(":")[0]
    assert {name: config.__module__ for name, config in METHODS.items()} == ENTRIES["penchant.methods"]
    entries = {module for table in ENTRIES.values() for module in table.values()}
    assert entries | {task_row(name).partition(":")[0] for name in NAMES} <= set(MODULES)
    for target in stage_makers().values():
        module, _, function = target.partition(":")
        assert f"def {function}(" in MODULES[module].read_text()
    for package, registry in (
        ("judges", "judges.load"),
        ("rewards", "rewards.load"),
    ):  # none of its entries is forgotten
        facts = tree.facts(f"penchant.{registry}")
        assert facts is not None
        used = {module for module, _ in facts.imports if module.startswith(f"penchant.{package}.")}
        shared = {f"penchant.{package}.{name}" for name in ("contract", "prompts", "settings", "names", "columns")}
        assert used - shared <= set(ENTRIES[f"penchant.{registry}"].values())


# -- what is called is reached -----------------------------------------------------------------------------------------


LOSS_SETTINGS: dict[str, Any] = {
    loss.model_fields["name"].default: loss
    for loss in (*get_args(get_args(PreferenceLoss)[0]), ChosenNLL)
    if not loss.extension
}


@pytest.mark.parametrize("name", LOSS_SETTINGS)
def test_a_loss_calls_only_what_its_stage_reaches(name: str, tree: Tree) -> None:
    settings = LOSS_SETTINGS[name]()
    logps, tokens = torch.tensor([[-3.0, -4.0], [-5.0, -2.0], [-3.0, -3.0], [-4.0, -4.0]]), torch.tensor([3, 4])
    with called_modules() as called:
        pair_losses(settings, *logps, tokens, tokens, fronts=FrontSums(*logps), squares=SquareSums(*-logps[:2].abs()))
        if name == "plackett_luce":
            ranking_losses(settings, logps[0], logps[1], [[0, 1]])
    roots, names = stage_reach("dpo", {"loss": settings.model_dump(mode="json")}, {})
    assert {module for module in called if module.startswith("penchant.losses")} <= reach_modules(tree, roots, names)
    assert name == "sum" or {name} == losses_in(name)  # else it would count with all losses


def test_losses_that_are_not_known_by_name_count_whole(tree: Tree) -> None:
    roots, _ = stage_reach("dpo", {}, {})
    every = {f"penchant.losses.{name}" for name in ("preference", "pairwise", "batchwise", "unpaired", "reward")}
    for loss in (None, {}, {"name": "of tomorrow"}, {"name": "sum"}, {"name": "sum", "losses": ["of tomorrow"]}, 3):
        assert every <= reach_modules(tree, roots, stage_reach("dpo", {"loss": loss}, {})[1])


@pytest.mark.slow
@pytest.mark.parametrize("method", ["sft", "preferred_ft", "unlikelihood", "dpo", "kto", "reward_model"])
def test_a_run_calls_only_what_its_stage_reaches(method: str, tree: Tree, tmp_path: Path) -> None:
    """All of it: reading, training, evaluation, checkpoint."""
    data = tmp_path / "data.jsonl"
    rows: list[dict[str, Any]] = [
        {"prompt": f"{name} went out.", "chosen": f" {name} sang.", "rejected": f" {name} fell."}
        for name in ("Ann", "Bob", "Cleo", "Dan")
    ]
    if method == "sft":
        rows = [{"prompt": row["prompt"], "response": row["chosen"]} for row in rows]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = METHODS[method](
        model={"name": "penchant-0.5m", "device": "cpu"},
        data={"path": str(data), "held_out": 1},
        batch_size=2,
        max_steps=1,
        out=str(tmp_path / "run"),
    )
    with called_modules() as called:
        train(config)
    roots, names = stage_reach(method, {"loss": {"name": "sigmoid"}} if method == "dpo" else {}, {})
    assert "penchant.train.gradient" in called
    assert called <= reach_modules(tree, roots, names)


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
    assert reach_modules(small_tree(FILES), [root], {}) - {root} == found - {root}


# -- speed and keeping ------------------------------------------------------------------------------------------------


def test_facts_are_kept_for_the_next_process(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fresh() -> str:
        source._our_tree.cache_clear()
        source._digest_source.cache_clear()
        return digest_source(["penchant.studies.core.prompts"])

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
    check = "import sys, penchant.cli.main; from penchant.studies.core import source as s"
    check += "; assert not s._our_tree.cache_info().misses"
    subprocess.run([sys.executable, "-c", f"{check}; assert 'torch' not in sys.modules"], check=True)
