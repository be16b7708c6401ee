"""From what captioners wrote to the numbers, sentences and page: by captions that are written by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from penchant.metrics.two_way import two_way_mean
from penchant.reports.kit.render import render_page
from penchant.studies.core.job import StageJob
from penchant.studies.core.summary import read_summary
from penchant.studies.hallucination.grid import HallucinationGrid, hallucination_grid
from penchant.studies.hallucination.names import START
from penchant.studies.hallucination.page import PAGE
from penchant.studies.hallucination.pictures import WITH_COMPANIONS, WITHOUT_COMPANIONS, pictures_stage, read_scenes
from penchant.studies.hallucination.settings import HallucinationConfig
from penchant.studies.hallucination.stage_settings import CAPTIONS, QUESTIONS
from penchant.studies.hallucination.study import STUDY
from penchant.studies.hallucination.summarize import summarize_hallucination
from penchant.studies.hallucination.summary import HallucinationSummary
from penchant.studies.hallucination.words import findings, headline
from penchant.tasks.scenes import NO, YES, Scene, caption
from penchant.typed_json import to_object

CONFIG = HallucinationConfig(
    model="nobody/model", worlds=["scenes"], learners=["dpo", "sft_best"], train=10, test=30, questions=20, seeds=[0, 1]
)


def wrong_caption(scene: Scene) -> str:
    """A caption that names the absent companion behind all that is there."""
    return f"{caption(scene.rows)} a {scene.missing_companions[0]}."


def write_stages(study: Path, grid: HallucinationGrid) -> tuple[list[Scene], list[Scene]]:
    """Write what stages would leave: before, every second caption is false; after DPO every sixth, after SFT all."""
    (world,) = grid
    folder = study / world.pictures.path
    folder.mkdir(parents=True)
    settings: Any = world.pictures.settings
    facts = pictures_stage(StageJob("hallucination_pictures", settings, {}, {}, folder), folder)
    (folder / "stage.json").write_text(json.dumps(facts))
    apart, together = read_scenes(folder, WITHOUT_COMPANIONS), read_scenes(folder, WITH_COMPANIONS)
    asked = json.loads((folder / QUESTIONS).read_text())
    every = {START: 2, "dpo": 6, "sft_best": 1}
    for (name, seed), stage in world.captioners.items():
        greedy = [
            wrong_caption(scene) if index % every[name] == seed % every[name] else caption(scene.rows)
            for index, scene in enumerate(apart)
        ]
        written: dict[str, Any] = {
            "greedy": greedy,
            "drawn": greedy[::-1] if name == START else greedy,
            "together": [caption(scene.rows) for scene in together],
            "no_picture": "a red circle.",
            # the learner says no to everything
            "answers": [
                {kind: YES if kind == "present" and name == START else NO for kind in kinds} for kinds in asked
            ],
        }
        if name != START:
            written["kl"] = [0.5 + 0.1 * (index % 3) for index in range(len(apart))]
        target = study / stage.path
        target.mkdir(parents=True)
        (target / CAPTIONS).write_text(json.dumps(written))
        (target / "stage.json").write_text(json.dumps({} if name == START else {"rows": 7 + seed}))
    return apart, together


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> tuple[HallucinationSummary, list[Scene]]:
    study = tmp_path_factory.mktemp("hallucination")
    grid = hallucination_grid(CONFIG)
    apart, _ = write_stages(study, grid)
    made = summarize_hallucination(CONFIG, grid, study, {})
    # as `study.json` holds it
    content = json.loads(json.dumps(to_object(made)))
    read = read_summary(STUDY.summary, content, study / "study.json")
    assert isinstance(read, HallucinationSummary)
    return read, apart


def test_shares_are_those_of_the_captions(case: tuple[HallucinationSummary, list[Scene]]) -> None:
    summary, apart = case
    (world,) = summary.worlds
    start, dpo, sft = world.captioners
    assert start.greedy["false_caption"].value.value == 0.5
    assert dpo.greedy["false_caption"].value.value == pytest.approx(1 / 6)
    assert sft.greedy["false_caption"].value.value == 1
    assert start.greedy["false_caption"].change is None
    assert all(result.greedy["recall"].value.value == 1 for result in world.captioners)
    # one sentence more, which is the false one
    sentences = [sum(bool(row) for row in scene.rows) for scene in apart]
    assert sft.greedy["false_sentences"].value.value == pytest.approx(np.mean([1 / (n + 1) for n in sentences]))
    assert (start.rows, dpo.rows) == (None, 7.5)


def test_changes_are_paired_by_pictures_and_seeds(case: tuple[HallucinationSummary, list[Scene]]) -> None:
    summary, apart = case
    before = np.array([[index % 2 == seed for index in range(len(apart))] for seed in (0, 1)], dtype=float)
    after = np.array([[index % 6 == seed for index in range(len(apart))] for seed in (0, 1)], dtype=float)
    change = summary.worlds[0].captioners[1].greedy["false_caption"].change
    assert change is not None
    expected = two_way_mean(after - before)
    assert (change.value, change.low, change.high) == pytest.approx((expected.value, expected.low, expected.high))
    assert change.below(0)


def test_questions_count_both_halves(case: tuple[HallucinationSummary, list[Scene]]) -> None:
    start, dpo, _ = case[0].worlds[0].captioners
    assert [question.kind for question in start.questions] == ["random", "popular", "adversarial"]
    assert all(question.accuracy.value.value == 1 and question.yes.value == 0.5 for question in start.questions)
    # no to everything: right about what is absent, wrong about what is there
    assert all(question.accuracy.value.value == 0.5 and question.yes.value == 0 for question in dpo.questions)
    assert all(question.unreadable == 0 for question in (*start.questions, *dpo.questions))


def test_controls(case: tuple[HallucinationSummary, list[Scene]]) -> None:
    summary, apart = case
    start = summary.worlds[0].captioners[0]
    assert start.companions_kept.value.value == 1
    shown = [("red circle" in scene.objects) / len(scene.objects) for scene in apart]
    assert start.no_picture["recall"].value == pytest.approx(np.mean(shown))
    assert start.other_picture["recall"].value < 0.5
    assert summary.worlds[0].captioners[1].kl_nats is not None


def test_sentences_follow_from_the_numbers(case: tuple[HallucinationSummary, list[Scene]]) -> None:
    text = " ".join((*headline(case[0]), *findings(case[0])))
    assert "Captions of rendered scenes that name something false: 50%" in text
    assert "DPO, best against worst: captions with a false object fall by −33%" in text
    assert "67% fewer" in text
    assert "SFT on the best of its captions: captions with a false object rise by +50%" in text
    assert "Recall does not clearly change" in text or "Recall is kept" in text


def test_the_page_shows_pictures_and_marks_false_claims(case: tuple[HallucinationSummary, list[Scene]]) -> None:
    summary, apart = case
    pictures = PAGE.pictures(summary)
    html = render_page(PAGE.template, {"folder": "figures", **PAGE.context(summary, pictures)})
    assert html.count("data:image/png;base64,") == len(summary.worlds[0].examples) == 8
    assert f'<mark title="not in the picture">{apart[0].missing_companions[0]}</mark>' in html
    # five whose caption was false before, and three whose was not
    false = [any(wrong for _, wrong in shown.captions[START]) for shown in summary.worlds[0].examples]
    assert sum(false) == 5
    assert "http" not in html.split("<main>")[1].split("</main>")[0]


def test_a_captioner_that_lacks_a_seed_is_left_out(tmp_path: Path) -> None:
    grid = hallucination_grid(CONFIG)
    write_stages(tmp_path, grid)
    (tmp_path / grid[0].captioners["dpo", 1].path / CAPTIONS).unlink()
    summary = summarize_hallucination(CONFIG, grid, tmp_path, {})
    assert [result.name for result in summary.worlds[0].captioners] == [START, "sft_best"]
    # nothing at all: a page that says so
    empty = summarize_hallucination(CONFIG, grid, tmp_path / "nowhere", {})
    assert headline(empty) == ["Nothing was measured yet."]
    assert render_page(PAGE.template, {"folder": "figures", **PAGE.context(empty, PAGE.pictures(empty))})


def test_only_what_a_learner_uses_decides_its_address() -> None:
    (world,) = hallucination_grid(CONFIG)
    (other,) = hallucination_grid(CONFIG.replace(learning={"beta": 0.1}))
    assert world.captioners["dpo", 0].address != other.captioners["dpo", 0].address
    assert world.captioners["sft_best", 0].address == other.captioners["sft_best", 0].address
    assert world.captioners[START, 0].address == other.captioners[START, 0].address
    (more,) = hallucination_grid(CONFIG.replace(learners=["dpo", "unlikelihood"]))
    assert more.captioners["dpo", 1].address == world.captioners["dpo", 1].address
    (chosen,) = hallucination_grid(CONFIG.replace(part="choose"))
    assert chosen.pictures.address != world.pictures.address
