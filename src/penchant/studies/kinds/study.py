"""The study of several kinds of output: each learned alone, and all together. Imports no torch."""

from __future__ import annotations

from pathlib import Path

from penchant.studies.core.definition import StudyDefinition, presets_in
from penchant.studies.kinds.settings import KindsConfig

STUDY = StudyDefinition(
    configs=(KindsConfig,),
    example="--preset demo out=runs/kinds",
    grid="penchant.studies.kinds.grid:kinds_grid",
    summarize="penchant.studies.kinds.summarize:summarize_kinds",
    summary="penchant.studies.kinds.summary:KindsSummary",
    page="penchant.studies.kinds.page:PAGE",
    stages={
        "kinds_pairs": "penchant.studies.kinds.stages:pairs_stage",
        "kinds_run": "penchant.studies.kinds.stages:run_stage",
        "kinds_measured": "penchant.studies.kinds.stages:measured_stage",
    },
    presets={"kinds": presets_in(Path(__file__).parent, "demo", "small")},
)
