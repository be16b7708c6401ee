"""The studies of win rates: who is trained and judged on what, by whom, and the numbers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from penchant.cli.main import main
from penchant.config import load_config, to_yaml
from penchant.errors import InputError
from penchant.judges.ask import Answer
from penchant.judges.contract import Question
from penchant.metrics.win_rate import win_rate
from penchant.models.reward import load_reward_model
from penchant.studies.core.definition import preset_file
from penchant.studies.core.executor import Workers
from penchant.studies.core.study import StudyResult, run_study
from penchant.studies.win_rates.grid import WinRateGrid, win_rate_grid
from penchant.studies.win_rates.settings import DialogueConfig, JudgedTransferConfig, TldrConfig, WinRatesConfig
from penchant.studies.win_rates.stages import as_row, from_row
from penchant.typed_json import to_json
from penchant.types import PromptGroup, Verdict

if TYPE_CHECKING:
    from fake_endpoint import FakeEndpoint

NAMES = [f"{name} {does}." for name in ("Ann", "Bob", "Cleo", "Dan", "Eve", "Finn") for does in ("ran", "sat", "fell")]
HOSTILE = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Comparisons in which letters are preferred to digits, and other prompts with an answer."""
    folder = tmp_path_factory.mktemp("rows")
    pairs = [{"prompt": f"{name}\n\nTL;DR:", "chosen": " abc", "rejected": f" {n}12"} for n, name in enumerate(NAMES)]
    (folder / "pairs.jsonl").write_text("".join(json.dumps(pair) + "\n" for pair in pairs))
    met = [{"prompt": f"{name}\n\nTL;DR:", "completion": " 1a2"} for name in NAMES]
    (folder / "met.jsonl").write_text("".join(json.dumps(one) + "\n" for one in met))
    news = [{"prompt": f"{HOSTILE} {n}", "completion": "Up.<|endoftext|>"} for n in range(3)]
    (folder / "news.jsonl").write_text("".join(json.dumps(one) + "\n" for one in news))
    return folder


@pytest.fixture(scope="module")
def base(settings: dict[str, Any], rows: Path, inputs: Path) -> dict[str, Any]:
    news = {"path": str(rows / "news.jsonl"), "prompt_end": "\n\nTL;DR:", "answer_end": "<|endoftext|>"}
    return {
        "model": settings["model"],
        "preferences": {"path": str(rows / "pairs.jsonl"), "limit": 8},
        "measured": {"path": str(rows / "met.jsonl"), "skip": 6, "limit": 8},
        "domains": {"<b>news": news},
        "judge": {"name": "reward", "reward": f"{inputs / 'letters.py'}:letters"},
        "temperatures": [0, 1],
        "samples": 2,
        "max_new_tokens": 6,
        "batch_size": 4,
        "dpo": {"beta": [0.1], "learning_rate": 3e-3},
        "preferred_ft": None,
        "ppo": None,
        "reward_model": {"learning_rate": 3e-3, "batch_size": 4},
        "best_of_n": {"n": [1, 4]},
    }


@pytest.fixture
def make(base: dict[str, Any], tmp_path: Path) -> Callable[..., WinRatesConfig]:
    return lambda **changes: TldrConfig(**{**base, "out": str(tmp_path / "study"), **changes})


@pytest.fixture(scope="module")
def config(base: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> WinRatesConfig:
    return TldrConfig(**base, out=str(tmp_path_factory.mktemp("tldr") / "study"))


@pytest.fixture(scope="module")
def result(config: WinRatesConfig, workers: Workers) -> StudyResult:
    done = run_study(config, workers=workers)
    assert not done.failures
    return done


def method(study: dict[str, Any], name: str, value: float | None = None) -> dict[str, Any]:
    return next(one for one in study["methods"] if one["name"] == name and value in (None, one["value"]))


def cell(found: dict[str, Any], domain: str, temperature: float) -> dict[str, Any]:
    return next(one for one in found["cells"] if (one["domain"], one["temperature"]) == (domain, temperature))


def lines(folder: Path, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / name).read_text().splitlines()]


def stage(result: StudyResult, label: str) -> Path:
    (folder,) = [f for f in (result.path / "stages").iterdir() if f.name.rpartition("-")[0] == label]
    return folder


# -- stages -------------------------------------------------------------------------------------------------------


def test_everyone_meets_every_domain(config: WinRatesConfig) -> None:
    built = win_rate_grid(config)
    assert [(one.name, one.value) for one in built.contenders] == [
        ("reference", None),
        ("dpo", 0.1),
        ("best_of_n", 1.0),
        ("best_of_n", 4.0),
    ]
    assert all(list(one.verdicts) == ["own", "<b>news"] for one in built.contenders)
    tasks = built.stages()
    assert len(tasks) == len({task.label for task in tasks}) == len({task.address for task in tasks})
    order = [task.address for task in tasks]
    assert all(order.index(need.address) < order.index(t.address) for t in tasks for need in t.needs.values())


def changed(before: WinRateGrid, after: WinRateGrid) -> set[str]:
    known = {task.address for task in before.stages()}
    return {task.label for task in after.stages() if task.address not in known}


def test_what_is_set_decides_which_stages_are_new(make: Callable[..., WinRatesConfig], base: dict[str, Any]) -> None:
    before = win_rate_grid(make())
    judged = {task.label for one in before.contenders for task in one.verdicts.values()}
    drawn = {task.label for one in before.contenders for task in one.answers.values()}
    assert changed(before, win_rate_grid(make(own="posts"))) == set()
    assert changed(before, win_rate_grid(make(judge={"name": "longest"}))) == judged
    assert changed(before, win_rate_grid(make(orders="one"))) == judged
    assert changed(before, win_rate_grid(make(temperatures=[0]))) == judged | drawn
    fewer = {**base["measured"], "limit": 3}
    own = {label for label in judged | drawn if "-on-0" in label}
    assert changed(before, win_rate_grid(make(measured=fewer))) == own | {"opponents-0"}
    trained = {"name": "trained", "data": {**base["preferences"], "skip": 8, "limit": 4}}
    assert {"judge", "judge-preferences"} < changed(before, win_rate_grid(make(judge=trained)))


@pytest.mark.slow
def test_nobody_is_measured_or_judged_by_what_was_trained_on(
    make: Callable[..., WinRatesConfig], base: dict[str, Any], rows: Path, workers: Workers
) -> None:
    """The parts overlap in the file; what is taken of each does not."""
    overlapping = {"path": str(rows / "pairs.jsonl"), "skip": 4, "limit": 8}
    judge = {"name": "trained", "data": overlapping, "learning_rate": 1e-3, "batch_size": 4}
    config = make(judge=judge, measured={**overlapping, "skip": 8, "limit": 10}, domains={}, dpo=None, best_of_n=None)
    result = run_study(config, workers=workers)
    parts = {
        name: {row["prompt"] for row in lines(stage(result, label), file)}
        for name, label, file in (
            ("trained", "preferences", "train.jsonl"),
            ("judge", "judge-preferences", "train.jsonl"),
            ("measured", "opponents-0", "eval.jsonl"),
        )
    }
    assert [len(part) for part in parts.values()] == [8, 4, 6]
    assert len(set().union(*parts.values())) == 18
    assert result.numbers["domains"][0]["also_trained_on"] == 4
    assert 0 <= result.numbers["judge"]["held_out"]["held_out"]["accuracy"]["value"] <= 1


# -- numbers ------------------------------------------------------------------------------------------------------


def test_the_rate_is_that_of_the_verdicts(result: StudyResult) -> None:
    for label, name in (("dpo-beta-0.1-seed-0", "dpo"), ("reference", "reference")):
        for number, domain in enumerate(("own", "<b>news")):
            rows = lines(stage(result, f"{label}-on-{number}-judged"), "answers.jsonl")
            for temperature in (0.0, 1.0):
                answers = [from_row(row) for row in rows if row["temperature"] == temperature]
                found = cell(method(result.numbers, name), domain, temperature)
                expected = win_rate([one.outcome for one in answers], [one.question.prompt for one in answers])
                assert found["win_rate"] == to_json(expected)
                assert len(answers) == (6 if domain == "own" else 3) * (2 if temperature else 1)
                for one in answers:
                    letters = [
                        sum(c.isascii() and c.isalpha() for c in text) / max(1, len(text))
                        for text in (one.question.a, one.question.b)
                    ]
                    won = "a" if letters[0] > letters[1] else "b" if letters[0] < letters[1] else "tie"
                    assert one.outcome == won


def test_training_towards_letters_wins_more_and_no_training_wins_as_much(
    result: StudyResult, make: Callable[..., WinRatesConfig], workers: Workers
) -> None:
    rates = {
        name: cell(method(result.numbers, name), "own", 1.0)["win_rate"]["rate"]["value"]
        for name in ("reference", "dpo")
    }
    assert rates["dpo"] > rates["reference"]
    still = make(dpo={"beta": [0.1], "learning_rate": 1e-30}, domains={}, best_of_n=None)
    numbers = run_study(still, workers=workers).numbers
    for temperature in (0.0, 1.0):
        same = [cell(method(numbers, name), "own", temperature)["win_rate"] for name in ("reference", "dpo")]
        assert same[0] == same[1]
    (test,) = numbers["tests"]
    assert (test["difference"]["value"], test["p"], test["p_holm"]) == (0.0, 1.0, 1.0)


def test_the_best_of_one_is_the_reference_and_of_four_the_learned_reward_s_choice(result: StudyResult) -> None:
    reference = lines(stage(result, "reference-on-0"), "samples.jsonl")
    assert lines(stage(result, "best-of-n-1-0-on-0"), "samples.jsonl") == reference
    best = lines(stage(result, "best-of-n-4-0-on-0"), "samples.jsonl")
    ranker = load_reward_model(stage(result, "reward-model-seed-0"))
    scores = []
    for rows in (reference, best):
        warm = [row for row in rows if row["temperature"] == 1]
        groups = [PromptGroup(row["prompt"], row["texts"]) for row in warm]
        scores.append(np.mean([float(one.mean()) for one in ranker.score(groups)]))
    assert scores[1] > scores[0]
    assert all(len(row["texts"]) == (2 if row["temperature"] else 1) for row in best)


def test_answers_survive_being_written() -> None:
    asked = Question("p", "a\u2028", "b\x00")
    full = Answer(asked, Verdict("a", 0.9, "said", 1.5, 7), Verdict("tie", final=False), "both")
    half = Answer(asked, Verdict("unparseable"), None, "one")
    for answer in (full, half):
        assert from_row(json.loads(json.dumps(as_row(answer)))) == answer


# -- judges that fail ---------------------------------------------------------------------------------------------


def test_without_a_key_nothing_is_trained(make: Callable[..., WinRatesConfig], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    endpoint = {"name": "endpoint", "model": "m"}
    for judge in (endpoint, {"name": "noisy", "judge": endpoint}, {"name": "panel", "judges": [endpoint, endpoint]}):
        config = make(judge=judge)
        with pytest.raises(InputError, match="OPENAI_API_KEY"):
            run_study(config)
        assert not Path(str(config.out)).exists()


@pytest.mark.slow
def test_calls_that_failed_are_made_again_and_no_other(
    make: Callable[..., WinRatesConfig], endpoint: FakeEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    spec = {"name": "endpoint", "model": "m", "base_url": endpoint.url, "attempts": 1, "concurrency": 1}
    config = make(judge=spec, domains={}, dpo=None, best_of_n=None, temperatures=[1])
    honest = endpoint.behave
    endpoint.behave = lambda number, request: 500 if number > 7 else honest(number, request)
    with Workers() as workers:  # of its own: the key is read where the judge works
        broken = run_study(config, workers=workers)
        ((_, reason),) = broken.failures
        assert "have no verdict" in reason
        assert broken.numbers == {}
        endpoint.behave = honest
        before = len(endpoint.calls)
        mended = run_study(config, workers=workers)
    assert not mended.failures
    asked = {
        (row["prompt"], row["a"], row["b"]) for row in lines(stage(mended, "reference-on-0-judged"), "answers.jsonl")
    }
    assert len(endpoint.calls) - before == 2 * len(asked) - 7
    assert mended.numbers["cost"]["judge_tokens"] > 0


@pytest.mark.slow
def test_the_paper_s_preset_starts_and_goes_on_with_stand_ins_for_what_the_hub_has(
    base: dict[str, Any], rows: Path, tmp_path: Path, endpoint: FakeEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    small = [
        f"model={base['model']['name']}", f"preferences.path={rows / 'pairs.jsonl'}", "preferences.limit=8",
        f"measured.path={rows / 'met.jsonl'}", "measured.skip=8", "measured.limit=4", f"judge.base_url={endpoint.url}",
        "judge.attempts=1", "temperatures=[1]", "max_new_tokens=6", "prompt_tokens=64", "batch_size=4",
        "warmup_steps=1", "reward_model.batch_size=4", "ppo.steps=1", "ppo.prompts_per_step=4",
        "ppo.samples_per_prompt=2", "best_of_n.n=[2]", f"out={tmp_path / 'study'}",
    ]  # fmt: skip
    config = load_config(TldrConfig, preset_file("paper", "tldr"), small)
    honest, endpoint.behave = endpoint.behave, lambda *_: 500
    with Workers() as workers:
        stopped = run_study(config, workers=workers)
        assert {stage for stage, _ in stopped.failures} == {f"{name}-on-0-judged" for name in (
            "reference", "dpo-beta-0.5-seed-0", "preferred-ft-seed-0", "ppo-target-nats-6-seed-0", "best-of-n-2-0",
        )}  # fmt: skip
        endpoint.behave = honest
        done = run_study(config, workers=workers)
    assert not done.failures
    assert done.ran == 5  # the verdicts alone
    assert [one["name"] for one in done.numbers["methods"]] == ["reference", "dpo", "preferred_ft", "ppo", "best_of_n"]


# -- the command and the page -------------------------------------------------------------------------------------


def test_the_command_runs_and_reports(
    result: StudyResult, config: WinRatesConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "study.yaml").write_text(to_yaml(config.replace(out=None)))
    page = tmp_path / "page.html"
    assert main(["study", "tldr", str(tmp_path / "study.yaml"), "-o", str(config.out), "--report", str(page)]) == 0
    told = capsys.readouterr().out
    assert "0 stages run" in told
    assert "Rafailov et al. 2023, arXiv:2305.18290: DPO 61% at temperature 0" in told
    html = page.read_text()
    assert "Summaries: win rates" in html
    assert "61%" in html  # the paper's
    assert "Rafailov et al. 2023" in html
    assert "<b>news" not in html
    assert HOSTILE not in html


def test_transfer_takes_a_judge_where_one_is_named(
    base: dict[str, Any], tmp_path: Path, workers: Workers, capsys: pytest.CaptureFixture[str]
) -> None:
    changes = {"dpo": None, "best_of_n": None, "temperatures": [0], "judge": {"name": "longest"}}
    config = JudgedTransferConfig(**{**base, **changes})
    (tmp_path / "study.yaml").write_text(to_yaml(config))
    folder = tmp_path / "out"
    run_study(config.replace(out=str(folder)), workers=workers)
    assert main(["study", "transfer", str(tmp_path / "study.yaml"), "-o", str(folder)]) == 0
    assert "0 stages run" in capsys.readouterr().out
    assert "Transfer: win rates on other domains" in (folder / "report.html").read_text()
    with pytest.raises(InputError, match="domains"):
        JudgedTransferConfig(**{**base, "domains": {}})


@pytest.mark.parametrize(
    ("study", "config"), [("tldr", TldrConfig), ("dialogue", DialogueConfig), ("transfer", JudgedTransferConfig)]
)
def test_the_presets_can_be_read(
    study: str, config: type[WinRatesConfig], shared_data: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PENCHANT_DATA", str(shared_data("tldr").parent))
    small = win_rate_grid(load_config(config, preset_file("small", study), ["seeds=[0]"]))
    assert [one.name for one in small.contenders] == ["reference", "dpo", "preferred_ft", "ppo", "best_of_n"]
    assert small.judge is not None
    paper = load_config(config, preset_file("paper", study))
    assert win_rate_grid(paper).judge is None
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(InputError, match="OPENAI_API_KEY"):
        run_study(paper)
