"""The frontier study: every method over its sweep, true reward against KL. Imports no torch."""

from __future__ import annotations

from pathlib import Path

from penchant.studies.core.definition import StudyDefinition, presets_in
from penchant.studies.frontier.settings import FrontierConfig

STUDY = StudyDefinition(
    configs=(FrontierConfig,),
    example="--preset demo ppo=null out=runs/demo",
    grid="penchant.studies.frontier.grid:grid",
    # Asked again with what is measured so far: a search adds runs by it.
    grow="penchant.studies.frontier.grid:grid",
    summarize="penchant.studies.frontier.summarize:summarize",
    page="penchant.studies.frontier.page:PAGE",
    summary="penchant.studies.frontier.summary:FrontierSummary",
    lines="penchant.studies.frontier.words:terminal_lines",
    presets={"frontier": presets_in(Path(__file__).parent, "demo", "small", "medium", "paper")},
    jobs={"demo": 2, "small": 2},  # two cores do more for small models that way
)
