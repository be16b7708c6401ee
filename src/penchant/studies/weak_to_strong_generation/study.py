"""The study of weak-to-strong generalization where a weak model writes answers. Imports no torch."""

from __future__ import annotations

from pathlib import Path

from penchant.studies.core.definition import StudyDefinition, presets_in
from penchant.studies.weak_to_strong_generation.settings import GenerationConfig

FOLDER = "penchant.studies.weak_to_strong_generation"
PRESETS = ("demo", "small")
STUDY = StudyDefinition(
    configs=(GenerationConfig,),
    example="--preset demo out=runs/generation",
    grid=f"{FOLDER}.grid:generation_grid",
    summarize=f"{FOLDER}.summarize:summarize_generation",
    summary=f"{FOLDER}.summary:GenerationSummary",
    page=f"{FOLDER}.page:PAGE",
    stages={
        "generation_models": f"{FOLDER}.pretraining:models_stage",
        "generation_rows": f"{FOLDER}.rows:rows_stage",
        "generation_student": f"{FOLDER}.students:student_stage",
    },
    presets={"weak-to-strong-generation": presets_in(Path(__file__).parent, *PRESETS)},
    jobs={"small": 2},
)
