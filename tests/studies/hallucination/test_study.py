"""The study from its settings to its page, with the captioner that comes with the package."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from penchant.studies.core.executor import Workers
from penchant.studies.core.report import study_report
from penchant.studies.core.study import run_study
from penchant.studies.core.summary import read_summary
from penchant.studies.hallucination.settings import HallucinationConfig
from penchant.studies.hallucination.stage_settings import CAPTIONS
from penchant.studies.hallucination.study import STUDY
from penchant.studies.hallucination.summary import HallucinationSummary

pytestmark = pytest.mark.slow


def test_a_learner_that_does_not_move_writes_what_it_wrote_before(tmp_path: Path, workers: Workers) -> None:
    """At the limit of a rate of nearly 0 nothing changes; what is drawn has no divergence."""
    config = HallucinationConfig(
        worlds=["scenes"],
        learners=["sft_corrected"],
        train=4,
        samples=2,
        test=4,
        questions=1,
        max_new_tokens=24,
        learning={"steps": 1, "batch_size": 2, "learning_rate": 1e-12},
        seeds=[0],
        out=str(tmp_path / "study"),
    )
    result = run_study(config, workers=workers)
    assert result.failures == ()
    summary = read_summary(STUDY.summary, result.numbers, result.path / "study.json")
    assert isinstance(summary, HallucinationSummary)
    (world,) = summary.worlds
    start, learner = world.captioners
    assert {name: change.value for name, change in learner.greedy.items()} == {
        name: change.value for name, change in start.greedy.items()
    }
    assert learner.rows == 4
    written = [
        json.loads((result.path / "stages" / folder.name / CAPTIONS).read_text())
        for label in ("start", "sft-corrected")
        for folder in (result.path / "stages").glob(f"scenes-{label}-seed-0-*")
    ]
    assert all(written[0][name] == written[1][name] for name in ("greedy", "drawn", "together", "answers"))
    assert written[1]["kl"] == pytest.approx([0.0] * 4, abs=1e-3)
    # it sees: most of what it names is there
    assert start.greedy["recall"].value.value > 0.5
    page = study_report(result.path, tmp_path / "page.html")
    assert page.read_text().count("data:image/png;base64,") == 4
    # no weights are left behind
    assert not list((result.path / "stages").rglob("*.safetensors"))
