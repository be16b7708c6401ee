"""The study of oversight: protocols side by side, and a student of each one's labels. Imports no torch."""

from __future__ import annotations

from pathlib import Path

from penchant.studies.core.definition import StudyDefinition, presets_in
from penchant.studies.oversight.settings import OversightConfig

PRESETS = ("demo", "small")
STUDY = StudyDefinition(
    configs=(OversightConfig,),
    example="--preset demo out=runs/oversight",
    grid="penchant.studies.oversight.grid:oversight_grid",
    summarize="penchant.studies.oversight.summarize:summarize_oversight",
    summary="penchant.studies.oversight.summary:OversightSummary",
    page="penchant.studies.oversight.page:PAGE",
    stages={
        "oversight_rows": "penchant.studies.oversight.rows:oversight_rows_stage",
        "oversight_labels": "penchant.studies.oversight.labelling:labels_stage",
        "oversight_own": "penchant.studies.oversight.labelling:own_answers_stage",
        "oversight_features": "penchant.studies.oversight.students:features_stage",
        "oversight_students": "penchant.studies.oversight.students:students_stage",
    },
    presets={"oversight": presets_in(Path(__file__).parent, *PRESETS)},
    # inputs are named by contents, so the check of names that all studies have would not know which are models
    prepare="penchant.studies.oversight.grid:check_models",
)
