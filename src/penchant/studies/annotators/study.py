"""The study of annotators: agreement with one that nobody learned from. Imports no torch."""

from __future__ import annotations

from penchant.studies.annotators.settings import AnnotatorsConfig
from penchant.studies.core.definition import StudyDefinition

STUDY = StudyDefinition(
    configs=(AnnotatorsConfig,),
    example="model=penchant-0.5m data=comparisons.jsonl beta=null out=annotators",
    grid="penchant.studies.annotators.grid:annotators_grid",
    summarize="penchant.studies.annotators.summarize:summarize_annotators",
    page="penchant.studies.annotators.page:PAGE",
    summary="penchant.studies.annotators.summary:AnnotatorsSummary",
    stages={"left_out": "penchant.studies.annotators.stages:left_out_stage"},
)
