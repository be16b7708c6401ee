"""The study of hallucinations: what mends a captioner that names what is not there. Imports no torch."""

from __future__ import annotations

from pathlib import Path

from penchant.studies.core.definition import StudyDefinition, presets_in
from penchant.studies.hallucination.settings import HallucinationConfig

FOLDER = "penchant.studies.hallucination"
PRESETS = ("demo", "small")
STUDY = StudyDefinition(
    configs=(HallucinationConfig,),
    example="--preset demo out=runs/hallucination",
    grid=f"{FOLDER}.grid:hallucination_grid",
    summarize=f"{FOLDER}.summarize:summarize_hallucination",
    summary=f"{FOLDER}.summary:HallucinationSummary",
    page=f"{FOLDER}.page:PAGE",
    stages={
        "hallucination_pictures": f"{FOLDER}.pictures:pictures_stage",
        "hallucination_samples": f"{FOLDER}.captioners:samples_stage",
        "hallucination_captioner": f"{FOLDER}.captioners:captioner_stage",
    },
    presets={"hallucination": presets_in(Path(__file__).parent, *PRESETS)},
    jobs={"small": 2},
    prepare=f"{FOLDER}.grid:check_captioner",
)
