"""The study of labels: what to do with few clean, many wrong and no labels. Imports no torch."""

from __future__ import annotations

from pathlib import Path

from penchant.studies.core.definition import StudyDefinition, presets_in
from penchant.studies.labels.settings import LabelsConfig

PRESETS = ("demo", "small", "full", "usb")
STUDY = StudyDefinition(
    configs=(LabelsConfig,),
    example="--preset demo out=runs/labels",
    grid="penchant.studies.labels.grid:labels_grid",
    summarize="penchant.studies.labels.summarize:summarize_labels",
    summary="penchant.studies.labels.summary:LabelsSummary",
    page="penchant.studies.labels.page:PAGE",
    stages={
        "label_rows": "penchant.studies.labels.rows:label_rows_stage",
        "label_features": "penchant.studies.labels.rows:features_stage",
        "weak_labels": "penchant.studies.labels.rows:weak_labels_stage",
        "label_cell": "penchant.studies.labels.cells:cell_stage",
    },
    presets={"labels": presets_in(Path(__file__).parent, *PRESETS)},
    jobs={"small": 2},
)
