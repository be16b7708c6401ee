"""The study of wrong labels: what flipped comparisons and few comparisons do to learners. Imports no torch."""

from __future__ import annotations

from penchant.studies.core.definition import StudyDefinition
from penchant.studies.noise.grid import noise_grid
from penchant.studies.noise.settings import NoiseConfig

STUDY = StudyDefinition(
    configs=(NoiseConfig,),
    example="shares=[0,0.2] few=null",
    grid=lambda config, results: noise_grid(config),
    summarize="penchant.studies.noise.summarize:summarize_noise",
    page="penchant.studies.noise.page:PAGE",
    summary="penchant.studies.noise.summary:NoiseSummary",
)
