"""The study of wrong labels: what flipped comparisons and few comparisons do to learners. Imports no torch."""

from __future__ import annotations

from penchant.studies.core.definition import StudyDefinition
from penchant.studies.noise.settings import NoiseConfig

STUDY = StudyDefinition(
    configs=(NoiseConfig,),
    example="model=penchant-0.5m prompts=train.txt eval_prompts=unseen.txt few=null",
    grid="penchant.studies.noise.grid:noise_grid",
    summarize="penchant.studies.noise.summarize:summarize_noise",
    page="penchant.studies.noise.page:PAGE",
    summary="penchant.studies.noise.summary:NoiseSummary",
)
