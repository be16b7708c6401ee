"""`penchant demo` is the study of the preset `demo`, with what comes with the package."""

from __future__ import annotations

import pytest

from penchant.cli import demo
from penchant.cli.main import main
from penchant.config import load_config
from penchant.models.builtin import EMBEDDED
from penchant.studies.core.definition import preset_file
from penchant.studies.frontier.settings import FrontierConfig


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[tuple[FrontierConfig, int]]:
    """The studies that were started, with the number of stages at once; none is run."""
    studies: list[tuple[FrontierConfig, int]] = []
    monkeypatch.setattr(demo, "run_to_page", lambda study, jobs: studies.append((study, jobs)) or 0)
    return studies


def test_the_demo_is_the_preset_of_the_frontier(started: list[tuple[FrontierConfig, int]]) -> None:
    assert main(["demo"]) == 0
    preset = load_config(FrontierConfig, str(preset_file("demo", "frontier")), ["out=runs/demo"])
    assert started == [(preset, 2)]
    assert preset.model.name in EMBEDDED


def test_model_and_folder_can_be_chosen(started: list[tuple[FrontierConfig, int]]) -> None:
    assert main(["demo", "model=penchant-1.5m", "-o", "elsewhere"]) == 0
    assert [(study.model.name, study.out) for study, _ in started] == [("penchant-1.5m", "elsewhere")]


def test_another_setting_is_refused_by_name(
    started: list[tuple[FrontierConfig, int]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["demo", "modle=penchant-1.5m"]) == 2
    assert "`modle` is unknown; did you mean `model`?" in capsys.readouterr().err
    assert started == []
