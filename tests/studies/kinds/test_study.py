"""The study of kinds from its settings to its page: pictures and sounds of the shipped model, alone and together."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import yaml

from penchant.metrics.two_way import two_way_mean
from penchant.reports.kit.render import render_page
from penchant.studies.core.executor import Workers
from penchant.studies.core.study import StudyResult, run_study
from penchant.studies.core.summary import read_summary
from penchant.studies.kinds.page import PAGE
from penchant.studies.kinds.settings import KindsConfig
from penchant.studies.kinds.study import STUDY
from penchant.studies.kinds.summary import KindsSummary
from penchant.studies.kinds.words import findings, headline

pytestmark = pytest.mark.slow  # models are loaded in a dozen stages

PICTURES = {"prompts": "pictures", "reward": "picture_brightness", "guard": "picture_class", "max_new_tokens": 50}
SOUNDS = {"prompts": "sounds", "reward": "sound_seconds", "max_new_tokens": 40, "weight": 2}


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory, workers: Workers) -> StudyResult:
    config = KindsConfig(
        kinds={"pictures": PICTURES, "sounds": SOUNDS},
        pairs=20,
        samples=2,
        steps=2,
        batch_size=4,
        measured_samples=2,
        seeds=[0],
        out=str(tmp_path_factory.mktemp("kinds") / "study"),
    )
    return run_study(config, workers=workers)


@pytest.fixture(scope="module")
def summary(result: StudyResult) -> KindsSummary:
    read = read_summary(STUDY.summary, result.numbers, result.path / "study.json")
    assert isinstance(read, KindsSummary)
    return read


def arrays(result: StudyResult, label: str) -> list[dict[str, Any]]:
    folders = sorted((result.path / "stages").glob(f"{label}-????????????"))
    return [dict(np.load(folder / "measured.npz")) for folder in folders]


def test_each_kind_is_measured_before_alone_by_the_other_and_together(
    result: StudyResult, summary: KindsSummary
) -> None:
    assert result.failures == ()
    assert [kind.name for kind in summary.kinds] == ["pictures", "sounds"]
    pictures, sounds = summary.kinds
    assert [learner.learner for learner in pictures.learner] == ["pictures", "sounds", "together"]
    assert [learner.learner for learner in sounds.learner] == ["sounds", "pictures", "together"]
    assert pictures.before_guard is not None
    assert sounds.before_guard is None


def test_numbers_are_those_of_the_arrays(result: StudyResult, summary: KindsSummary) -> None:
    (before,) = arrays(result, "pictures-by-before")
    single = arrays(result, "pictures-by-run-pictures-alone-seed-0")
    together = arrays(result, "pictures-by-run-together-seed-0")
    assert before["reward"].shape == (10, 2)
    assert not before["kl_nats"].any()
    stacked = np.stack([each["reward"].mean(1) for each in single])
    pictures = summary.kinds[0]
    learner = pictures.by("pictures")
    assert learner is not None
    assert learner.gain == two_way_mean(stacked - before["reward"].mean(1))
    assert pictures.interference == two_way_mean(np.stack([each["reward"].mean(1) for each in together]) - stacked)
    assert learner.kl_nats.value != 0


def test_steps_of_the_run_together_are_of_one_kind_and_drawn_by_weight(result: StudyResult) -> None:
    folders = sorted((result.path / "stages").glob("run-together-seed-0-*/run"))
    config = yaml.safe_load((folders[0] / "config.yaml").read_text())
    assert config["data"]["batches"] == "one_source"
    assert [source["weight"] for source in config["data"]["sources"]] == [1.0, 2.0]
    assert config["max_steps"] == 4
    single = sorted((result.path / "stages").glob("run-pictures-alone-seed-0-*/run"))
    assert yaml.safe_load((single[0] / "config.yaml").read_text())["max_steps"] == 2


def test_comparisons_prefer_the_better_of_each_group(result: StudyResult) -> None:
    (file,) = (result.path / "stages").glob("pairs-sounds-seed-0-*/comparisons.jsonl")
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert 0 < len(rows) <= 20


def test_the_page_shows_pictures_and_plays_sounds(summary: KindsSummary) -> None:
    pictures = PAGE.pictures(summary)
    assert set(pictures) == {"gains"}
    page = render_page(PAGE.template, {**PAGE.context(summary, pictures), "folder": ""})
    assert "data:image/png;base64," in page
    assert "data:audio/wav;base64," in page
    assert "media-src data:" in page
    assert len(headline(summary)) == 3
    assert len(findings(summary)) == 6
