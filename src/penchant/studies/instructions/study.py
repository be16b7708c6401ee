"""The study of instruction tuning: clusters of tasks that are held out. Imports no torch."""

from __future__ import annotations

from pathlib import Path

from penchant.studies.core.definition import StudyDefinition, presets_in
from penchant.studies.instructions.settings import InstructionsConfig

STUDY = StudyDefinition(
    configs=(InstructionsConfig,),
    example="--preset demo out=runs/instructions",
    grid="penchant.studies.instructions.grid:instructions_grid",
    summarize="penchant.studies.instructions.summarize:summarize_instructions",
    summary="penchant.studies.instructions.summary:InstructionsSummary",
    page="penchant.studies.instructions.page:PAGE",
    stages={
        "task_rows": "penchant.studies.instructions.rows:task_rows_stage",
        "task_mixture": "penchant.studies.instructions.mixture:mixture_stage",
        "task_answers": "penchant.studies.instructions.answers:answers_stage",
    },
    presets={"instructions": presets_in(Path(__file__).parent, "demo", "small")},
)
