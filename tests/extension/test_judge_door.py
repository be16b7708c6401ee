"""A judge of the user's: named as `module:attribute`, held to the contract, and kept under its code's digest."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from penchant.config import load_config
from penchant.errors import InputError
from penchant.judges import Question, VerdictStore, ask, judge_one, make_judge
from penchant.judges.compare.runs import judge
from penchant.judges.compare.settings import JudgeConfig
from penchant.judges.settings import Custom, Noisy, Panel, Random
from penchant.studies.core.checks import check_names
from penchant.studies.win_rates.grid import win_rate_grid
from penchant.studies.win_rates.settings import TldrConfig

JUDGE = """
from penchant.types import Verdict

class Shortest:
    def __init__(self, at_least=0):
        self.at_least = at_least

    def judge_many(self, questions, done):
        for place, asked in enumerate(questions):
            shorter = len(asked.b) - len(asked.a)
            done(place, Verdict("tie" if abs(shorter) <= self.at_least else "a" if shorter > 0 else "b"))

ready = Shortest()

class NoJudge:
    pass

def judging(answer):
    class Judge:
        def judge_many(self, questions, done):
            answer(questions, done)
    return Judge

Silent = judging(lambda questions, done: None)
Twice = judging(lambda questions, done: [done(0, Verdict("a")) for _ in range(2)])
Elsewhere = judging(lambda questions, done: done(7, Verdict("a")))
Words = judging(lambda questions, done: done(0, "a"))
Other = judging(lambda questions, done: done(0, Verdict("c")))

def fail(questions, done):
    raise SystemExit(3)

Ends = judging(fail)

def unfinished():
    raise ValueError("no weights")
"""
PAIR = Question("Say it.", "short", "a longer one")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a file of judges."""
    (tmp_path / "mine.py").write_text(JUDGE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", ["mine.py:Shortest", "./mine.py:Shortest", "mine:Shortest", "mine.py:ready"])
def test_a_judge_in_a_file_judges_as_a_built_in_one_does(name: str, folder: Path) -> None:
    (answer,) = ask(make_judge(Custom(factory=name)), [PAIR])
    assert (answer.outcome, answer.flipped) == ("a", False)


def test_a_judge_of_an_installed_module(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "installed").mkdir()
    (folder / "installed" / "package_of_judges.py").write_text(JUDGE)
    monkeypatch.syspath_prepend(str(folder / "installed"))
    monkeypatch.delitem(sys.modules, "package_of_judges", raising=False)
    made = make_judge(Custom(factory="package_of_judges:Shortest", settings={"at_least": 99}))
    assert judge_one(made, PAIR.prompt, PAIR.a, PAIR.b).winner == "tie"


@pytest.mark.parametrize(
    ("setting", "factory"), [("judge=mine.py:Shortest", "mine.py:Shortest"), ("judge.name=mine:ready", "mine:ready")]
)
def test_a_name_with_a_colon_stands_where_a_built_in_name_can(setting: str, factory: str) -> None:
    assert load_config(JudgeConfig, None, ["responses=[x]", setting]).judge == Custom(factory=factory)


def test_settings_of_it_are_set_like_any_others() -> None:
    config = load_config(JudgeConfig, None, ["responses=[x]", "judge=mine.py:Shortest", "judge.settings.at_least=3"])
    assert config.judge == Custom(factory="mine.py:Shortest", settings={"at_least": 3})


def test_it_may_stand_inside_other_judges(folder: Path) -> None:
    config = JudgeConfig(responses=["x"], judge={"name": "panel", "judges": ["random", "mine.py:Shortest"]})  # type: ignore[list-item, arg-type]
    assert config.judge == Panel(judges=(Random(), Custom(factory="mine.py:Shortest")))
    noisy = make_judge(Noisy(judge=Custom(factory="mine.py:Shortest"), rate=1.0))
    assert judge_one(noisy, PAIR.prompt, PAIR.a, PAIR.b).winner == "b"


@pytest.mark.parametrize(
    ("factory", "settings", "message"),
    [
        ("mine.py:Shortst", {}, "the judge `mine.py:Shortst`: mine.py has no `Shortst`; did you mean `Shortest`"),
        ("mien.py:Shortest", {}, "there is no file mien.py; did you mean `mine.py`"),
        ("mine.py:NoJudge", {}, "expected a judge, which has `judge_many.*but it is a NoJudge"),
        ("mine.py:PAIRS", {}, "mine.py has no `PAIRS`"),
        ("mine.py:ready", {"at_least": 1}, "it is a ready judge"),
        ("mine.py:Shortest", {"at_most": 1}, r"it cannot be made of `judge\.settings`: TypeError.*at_most"),
        ("mine.py:unfinished", {}, r"it cannot be made.*ValueError: no weights \(mine\.py, line 36\)"),
    ],
)
def test_what_makes_no_judge_is_refused(factory: str, settings: dict[str, int], message: str, folder: Path) -> None:
    with pytest.raises(InputError, match=message):
        make_judge(Custom(factory=factory, settings=settings))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Silent", "1 of 1 questions have no verdict"),
        ("Twice", "two verdicts on question 0"),
        ("Elsewhere", "a verdict on question 7; there are 1, from 0"),
        ("Words", "it gave 'a' for question 0, expected a penchant.types.Verdict"),
        ("Other", "whose winner is one of a, b, tie, unparseable"),
        ("Ends", r"failed on 1 questions: it ended the program \(sys.exit\(3\)\)"),
    ],
)
def test_a_verdict_that_breaks_the_contract_is_refused(name: str, message: str, folder: Path) -> None:
    with pytest.raises(InputError, match=message):
        judge_one(make_judge(Custom(factory=f"mine.py:{name}")), PAIR.prompt, PAIR.a, PAIR.b)


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(InputError, match=r"noisy, or module:attribute, got 'randm'; did you mean `random`"):
        load_config(JudgeConfig, None, ["responses=[x]", "judge=randm"])


def test_a_file_of_the_current_folder_stands_for_no_module(folder: Path) -> None:
    (folder / "select.py").write_text("raise SystemExit('hostile')")
    (folder / "mine.py").write_text(f"import select\nimport selectors\n{JUDGE}")
    make_judge(Custom(factory="mine.py:Shortest"))
    assert str(folder) not in sys.path


def test_verdicts_are_kept_under_the_code_and_the_settings(folder: Path) -> None:
    made = [make_judge(Custom(factory="mine.py:Shortest", settings={"at_least": size})) for size in (0, 0, 2)]
    (folder / "mine.py").write_text(JUDGE.replace("<=", "<"))
    made.append(make_judge(Custom(factory="mine.py:Shortest")))
    identities = [one.identity for one in made]
    assert identities[0] == identities[1]
    assert len(set(identities)) == 3


def test_penchant_judge_asks_it(folder: Path) -> None:
    for name, more in (("ours", ""), ("theirs", " indeed")):
        rows = [{"prompt": f"{n}?", "responses": [text + more]} for n, text in enumerate(("no", "yes"))]
        (folder / f"{name}.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    given = ["responses=[ours.jsonl]", "against=theirs.jsonl", "judge=mine.py:Shortest"]
    config = load_config(JudgeConfig, None, given)
    judge(config)
    written = json.loads((folder / "judged" / "judge.json").read_text())
    assert written["config"]["judge"] == {"name": "custom", "factory": "mine.py:Shortest", "settings": {}}
    assert written["methods"]["ours.jsonl"]["win_rate"]["rate"]["value"] == 1
    with VerdictStore(folder / "judged" / "judgments.sqlite") as store:
        assert len(store) == 4


def test_a_study_of_win_rates_looks_at_the_code_before_its_first_stage(folder: Path) -> None:
    row = {"prompt": "p", "chosen": "c", "rejected": "r"}
    (folder / "data.jsonl").write_text(json.dumps(row) + "\n")

    def verdicts(judge: str) -> list[str]:
        config = TldrConfig(model="penchant-0.5m", preferences="data.jsonl", measured="data.jsonl", judge=judge)  # type: ignore[arg-type]
        stages = win_rate_grid(config).stages()
        check_names(stages)
        return [stage.address for stage in stages if stage.kind == "verdicts"]

    first = verdicts("mine.py:Shortest")
    assert verdicts("./mine.py:Shortest") == first
    (folder / "mine.py").write_text(JUDGE.replace("<=", "<"))
    assert set(verdicts("mine.py:Shortest")).isdisjoint(first)
    with pytest.raises(InputError, match="did you mean `Shortest`"):
        verdicts("mine.py:Shortst")
