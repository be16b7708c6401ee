"""The weak-to-strong study: how much of the gap students of weak labels recover. Imports no torch."""

from __future__ import annotations

from pathlib import Path

from penchant.studies.core.definition import StudyDefinition, presets_in
from penchant.studies.weak_to_strong.settings import WeakToStrongConfig

PRESETS = ("laptop", "depth", "subjectivity", "small", "medium", "paper")
STUDY = StudyDefinition(
    configs=(WeakToStrongConfig,),
    example="--preset laptop 'tasks=[sciq]' out=runs/w2s",
    grid="penchant.studies.weak_to_strong.grid:weak_grid",
    summarize="penchant.studies.weak_to_strong.summarize:summarize_weak",
    summary="penchant.studies.weak_to_strong.summary:WeakToStrongSummary",
    page="penchant.studies.weak_to_strong.page:PAGE",
    stages={
        "rows": "penchant.studies.weak_to_strong.stages:rows_stage",
        "generative": "penchant.studies.weak_to_strong.stages:generative_stage",
        "activations": "penchant.studies.weak_to_strong.stages:activations_stage",
        "supervisor": "penchant.studies.weak_to_strong.stages:supervisor_stage",
        "relabel": "penchant.studies.weak_to_strong.stages:relabel_stage",
        "students": "penchant.studies.weak_to_strong.students:students_stage",
        "student": "penchant.studies.weak_to_strong.students:student_stage",
    },
    presets={"weak-to-strong": presets_in(Path(__file__).parent, *PRESETS)},
    jobs={"small": 2},
)
