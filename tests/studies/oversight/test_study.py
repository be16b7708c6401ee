"""The study of oversight from its settings to its page: protocols side by side, and students of their labels."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from penchant.config import load_config
from penchant.errors import InputError
from penchant.metrics.two_way import two_way_mean
from penchant.reports.kit.render import render_page
from penchant.studies.core.definition import preset_file
from penchant.studies.core.executor import Workers
from penchant.studies.core.report import study_report
from penchant.studies.core.study import StudyResult, run_study
from penchant.studies.core.summary import read_summary
from penchant.studies.core.trial import as_trial
from penchant.studies.oversight.grid import check_models, oversight_grid
from penchant.studies.oversight.page import PAGE
from penchant.studies.oversight.rows import QuestionSet, divide
from penchant.studies.oversight.settings import OversightConfig
from penchant.studies.oversight.study import STUDY
from penchant.studies.oversight.summarize import by_advisor, summarize_oversight
from penchant.studies.oversight.summary import OversightSummary
from penchant.studies.oversight.words import findings, headline

if TYPE_CHECKING:
    from fake_endpoint import FakeEndpoint

OVERLAP = {"name": "overlap", "rows": 40}


@pytest.fixture(scope="module")
def config(tiny_model: str, tmp_path_factory: pytest.TempPathFactory) -> OversightConfig:
    return OversightConfig(
        data="viewers",
        train=70,
        test=30,
        seeds=[0, 1],
        reader=OVERLAP,
        protocols=["consultancy", "debate", "informed"],
        student={"model": tiny_model},
        out=str(tmp_path_factory.mktemp("oversight") / "study"),
    )


@pytest.fixture(scope="module")
def result(config: OversightConfig, workers: Workers) -> StudyResult:
    return run_study(config, workers=workers)


@pytest.fixture(scope="module")
def summary(result: StudyResult) -> OversightSummary:
    read = read_summary(STUDY.summary, result.numbers, result.path / "study.json")
    assert isinstance(read, OversightSummary)
    return read


def array(result: StudyResult, stage: str, file: str) -> Any:
    (folder,) = (result.path / "stages").glob(f"{stage}-????????????")
    return np.load(folder / file)


def right_places(result: StudyResult) -> Any:
    (folder,) = (result.path / "stages").glob("questions-*")
    return np.array([row["right"] for row in json.loads((folder / "rows.json").read_text())["test"]])


def test_every_protocol_stands_beside_the_blind_reader_and_the_advisors(
    result: StudyResult, summary: OversightSummary
) -> None:
    assert result.failures == ()
    assert [item.label for item in summary.protocols] == [
        *("blind reader", "consultancy", "debate", "informed reader"),
    ]
    blind, consultancy, debate, informed = summary.protocols
    # each passage has both opinions, so that a reader has to find who is asked about
    assert blind.accuracy.value < 0.65 < debate.accuracy.value
    assert informed.gain is not None
    assert informed.gain.above(0)
    assert blind.gain is None
    assert summary.own_accuracy is not None
    assert summary.own_accuracy.value > 0.8
    assert debate.recovered is not None
    # a consultancy says what it is with either advisor, and nobody else does
    assert consultancy.right_advisor is not None
    assert debate.right_advisor is None
    assert (summary.train, summary.test, summary.labelled) == (70, 30, 30)


def test_an_accuracy_is_that_of_the_arrays(result: StudyResult, summary: OversightSummary) -> None:
    places = right_places(result)
    debate = array(result, "labels-debate", "test.npy")
    assert debate.shape == (2, 30)
    assert summary.protocols[2].accuracy.value == pytest.approx(((debate > 0.5) == (places == 0)).mean())
    # on the same questions and seeds, so the difference is paired
    assert summary.protocols[2].against is not None
    assert list(summary.protocols[2].against) == ["consultancy", "informed reader"]
    shares = array(result, "labels-informed-reader", "test.npy")
    gap = ((debate > 0.5) == (places == 0)).astype(float) - ((shares > 0.5) == (places == 0))
    assert summary.protocols[2].against["informed reader"] == two_way_mean(gap)
    # the mean over right and wrong advisors, whichever side a coin would have sent
    sides = array(result, "labels-consultancy", "sides.npy")
    assert sides.shape == (2, 30, 2)
    expected = ((sides > 0.5) == (places == 0)[:, None]).mean()
    consultancy = summary.protocols[1]
    assert consultancy.accuracy.value == pytest.approx(expected, abs=0.02)  # a half counts half
    assert consultancy.right_advisor is not None
    assert consultancy.wrong_advisor is not None
    means = consultancy.right_advisor.value, consultancy.wrong_advisor.value
    assert consultancy.accuracy.value == pytest.approx(sum(means) / 2)


def test_students_learn_from_each_protocols_labels(result: StudyResult, summary: OversightSummary) -> None:
    assert summary.ceiling is not None
    for item in summary.protocols:
        assert item.student is not None
        assert item.student_pgr is not None
        assert (item.student_gain is None) == (item.name == "blind")
        # the gap is that between these labels' protocol and the students of the truth
        assert item.student_pgr.weak.value == pytest.approx(item.accuracy.value)
        assert item.student_pgr.ceiling.value == pytest.approx(summary.ceiling.value)
    tested = [array(result, f"students-{name}", "test.npy") for name in ("truth", "debate", "blind-reader")]
    assert not (tested[0] == tested[1]).all()
    assert not (tested[1] == tested[2]).all()


def test_a_label_has_its_cost_in_tokens(summary: OversightSummary) -> None:
    blind, consultancy, debate, informed = (item.cost for item in summary.protocols)
    assert blind.questions == consultancy.questions == 30
    assert (blind.written, blind.statements) == (0, 0)
    assert (consultancy.statements, debate.statements) == (30, 60)
    # a debate is read in both orders, with the statements of both
    assert blind.read < informed.read < debate.read
    assert debate.read > 2 * consultancy.read
    assert debate.verified == debate.quotes == 60
    assert blind.per_question(blind.read) == blind.read / 30


def test_the_same_call_runs_nothing_and_another_protocol_only_its_stages(
    config: OversightConfig, result: StudyResult, workers: Workers
) -> None:
    again = run_study(config, workers=workers)
    assert again.ran == 0
    assert again.numbers == result.numbers
    more = config.replace(protocols=[*config.protocols, {"name": "debate", "rounds": 2}])
    before = {stage.address for stage in oversight_grid(config).stages()}
    added = [stage.label for stage in oversight_grid(more).stages() if stage.address not in before]
    assert added == ["labels-debate-2-rounds", "students-debate-2-rounds"]


def test_a_stage_that_is_begun_again_finds_what_was_said(
    config: OversightConfig, result: StudyResult, workers: Workers, tmp_path: Path
) -> None:
    """As after a kill in the middle of a stage: the store has its statements, and the folder is not there."""
    copy = tmp_path / "copy"
    shutil.copytree(result.path, copy)
    (folder,) = (copy / "stages").glob("labels-debate-*")
    labels = np.load(folder / "labels.npy")
    shutil.rmtree(folder)
    with closing(sqlite3.connect(copy / "judgments.sqlite")) as store:
        (before,) = store.execute("SELECT COUNT(*), MAX(at) FROM verdicts").fetchall()
    resumed = run_study(config.replace(out=str(copy)), workers=workers)
    # the students after it stay, since its address is the same
    assert resumed.ran == 1
    assert (np.load(folder / "labels.npy") == labels).all()
    with closing(sqlite3.connect(copy / "judgments.sqlite")) as store:
        assert store.execute("SELECT COUNT(*), MAX(at) FROM verdicts").fetchall() == [before]


def test_the_page_says_the_order_and_the_cost(result: StudyResult, summary: OversightSummary, tmp_path: Path) -> None:
    page = study_report(result.path, tmp_path / "page.html").read_text()
    assert [path.name for path in (tmp_path / "page-figures").iterdir()] == ["accuracy.png"]
    for words in ("Accuracy by protocol", "with a wrong advisor", "tokens per question", "it is no law"):
        assert words in page
    hostile = replace(summary, reader="<b>reader</b>", source="<script>alert(1)</script>")
    context = PAGE.context(hostile, PAGE.pictures(hostile))
    html = render_page(PAGE.template, {"folder": None, "lead": None, **context})
    assert "<b>reader" not in html
    assert "<script>alert" not in html


def test_sentences_follow_the_intervals(summary: OversightSummary) -> None:
    words = " ".join(headline(summary))
    ranked = sorted(summary.protocols, key=lambda item: -item.accuracy.value)
    assert words.index(ranked[0].label) < words.index(ranked[-1].label)
    assert "Clearly above the blind reader" in words
    blind = summary.protocols[0]
    # with gains that are none, and with gains below zero
    nothing = tuple(replace(item, gain=replace(item.gain, low=-0.1, high=0.1)) if item.gain else item
                    for item in summary.protocols)  # fmt: skip
    assert "No protocol is clearly above the blind reader" in " ".join(headline(replace(summary, protocols=nothing)))
    lower = tuple(replace(item, gain=item.gain.negated()) if item.gain else item for item in summary.protocols)
    assert "; clearly below it: " in " ".join(headline(replace(summary, protocols=lower)))
    # debates by the paired difference alone, whatever their intervals do
    debate = summary.protocols[2]
    gap = two_way_mean([[0.0, 0.1, 0.1], [0.1, 0.1, 0.0]])
    for low, high, said in ((0.01, 0.1, "above"), (-0.1, -0.01, "below"), (-0.1, 0.1, "not clearly apart")):
        held = replace(debate, against={"consultancy": replace(gap, low=low, high=high)})
        sentences = findings(replace(summary, protocols=(held,)))
        assert any(line.startswith("debate against consultancy:") and said in line for line in sentences)
    cost = replace(blind.cost, cut=3, texts_shown=9, quotes=4, verified=1, statements=8, empty=2, unreadable=5,
                   passages_cut=6)  # fmt: skip
    texts = " ".join(findings(replace(summary, protocols=(replace(blind, cost=cost),))))
    for part in ("3 of 9 texts were longer", "3 of 4 quotes do not", "2 of 8 statements say nothing", "5 answers of",
                 "before 6 of 8 statements the advisor had no room"):  # fmt: skip
        assert part in texts


def test_a_study_of_nothing_yet_has_a_page(summary: OversightSummary) -> None:
    empty = replace(summary, protocols=(), own_accuracy=None, ceiling=None)
    assert PAGE.pictures(empty) == {}
    assert PAGE.context(empty, {})["headline"] == ["Nothing was measured yet."]


def test_questions_on_one_passage_count_together(config: OversightConfig, result: StudyResult, tmp_path: Path) -> None:
    shutil.copytree(result.path, tmp_path / "study")
    alone = summarize_oversight(config, oversight_grid(config), result.path, {}).protocols[0].accuracy
    (file,) = (tmp_path / "study" / "stages").glob("questions-*/rows.json")
    content = json.loads(file.read_text())
    for number, row in enumerate(content["test"]):
        row["passage"] = f"passage {number // 3}"
    file.write_text(json.dumps(content))
    together = summarize_oversight(config, oversight_grid(config), tmp_path / "study", {}).protocols[0].accuracy
    assert (alone.clusters, together.clusters) == (30, 10)
    assert together.value == alone.value


def test_sides_are_sorted_by_who_is_right() -> None:
    """Of two questions the first answer is right once, and the second once; a reader follows its advisor."""
    test = QuestionSet([], np.array([0, 1]))
    follows = np.array([[[0.9, 0.1], [0.9, 0.1]]])
    right, wrong = by_advisor(test, follows)
    assert (right.tolist(), wrong.tolist()) == ([[1, 1]], [[0, 0]])
    # nobody is right where the reader says neither
    assert test.correctness(np.array([0.5, 0.2])).tolist() == [0.5, 1]


def test_a_seed_divides_the_questions() -> None:
    reader, labelled = divide(30, 10, 0)
    assert len(reader) == 10
    assert sorted([*reader, *labelled]) == list(range(30))
    assert divide(30, 10, 1)[0] != reader
    with pytest.raises(InputError, match=r"lower `reader\.rows`"):
        divide(10, 10, 0)


def test_settings_that_cannot_work_are_named(config: OversightConfig, tmp_path: Path) -> None:
    for changes, message in (
        ({"protocols": ["debate", "debate"]}, "more than once"),
        ({"reader": {"name": "overlap", "rows": 65}}, "too few to label"),
        ({"student": "tfidf"}, "cannot compare two answers"),
        ({"protocols": [{"name": "ensemble", "members": ["tfidf"]}]}, "cannot compare two answers"),
        ({"protocols": [{"name": "recursive", "chain": []}]}, "chain"),
        ({"advisor": "talkative"}, "advisor"),
        (
            {
                "reader": {"name": "judge", "judge": {"name": "longest"}},
                "protocols": [{"name": "ensemble", "members": [{"name": "probe", "model": "penchant-0.5m"}]}],
            },
            r"`reader\.rows` are 0, from which the `members`",
        ),
    ):
        with pytest.raises(InputError, match=message):
            config.replace(**changes)
    with pytest.raises(InputError, match="no such file"):
        oversight_grid(config.replace(data=str(tmp_path / "none.jsonl")))
    missing = config.replace(student={"model": "./nowhere"})
    with pytest.raises(InputError, match="nowhere"):
        check_models(missing, oversight_grid(config))


def test_sciq_is_looked_for_in_the_folder_of_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENCHANT_DATA", str(tmp_path))
    with pytest.raises(InputError, match="data=viewers"):
        oversight_grid(OversightConfig(reader=OVERLAP, student=None))


def test_presets_are_settings_and_can_be_tried() -> None:
    presets = {
        name: load_config(OversightConfig, preset_file(name, "oversight")) for name in STUDY.presets["oversight"]
    }
    assert set(presets) == {"demo", "small"}
    for preset in presets.values():
        trial = as_trial(preset.replace(limit=2))
        # the fewest with which a reader learns and something is left to label
        assert (trial.train, trial.test, trial.reader.rows, len(trial.seeds)) == (60, 20, 20, 1)


def talk(number: int, request: dict[str, Any]) -> str:
    """A model that argues where it is asked to, and judges for A where it is asked for a verdict."""
    asked = request["messages"][0]["content"]
    if "You argue that the right answer is" in asked:
        return "It is so. <quote>Then they went home</quote>"
    return "Verdict: A"


@pytest.mark.slow
def test_debaters_and_judge_behind_an_endpoint(endpoint: FakeEndpoint, tmp_path: Path, workers: Workers) -> None:
    endpoint.behave = talk
    model = {"name": "endpoint", "model": "m", "base_url": f"{endpoint.url}?key=s3same", "first_wait_s": 0.01}
    config = OversightConfig(
        data="viewers",
        train=24,
        test=20,
        seeds=[0],
        reader={"name": "judge", "judge": model},
        advisor=model,
        protocols=["debate"],
        student=None,
        out=str(tmp_path / "study"),
    )
    result = run_study(config, workers=workers)
    assert result.failures == ()
    blind, debate = result.numbers["protocols"]
    # a judge that says A in both orders knows nothing
    assert (blind["accuracy"]["value"], debate["accuracy"]["value"]) == (0.5, 0.5)
    assert debate["cost"]["billed"] == 15 * (24 * 2 + 24 * 2)
    assert debate["cost"]["verified"] == debate["cost"]["quotes"] == 48
    calls = len(endpoint.calls)
    # statements and verdicts are kept: what is done again asks nothing
    shutil.rmtree(result.path / "stages")
    assert run_study(config, workers=workers).numbers["protocols"] == result.numbers["protocols"]
    assert len(endpoint.calls) == calls
    # what is secret in an address stands in no file
    for file in result.path.rglob("*"):
        assert not file.is_file() or b"s3same" not in file.read_bytes(), file
