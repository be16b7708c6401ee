"""The study of transfer: what training on one domain is worth on others. Imports no torch."""

from __future__ import annotations

from pathlib import Path

from penchant.studies.core.definition import StudyDefinition, presets_in
from penchant.studies.transfer.settings import TransferConfig

STUDY = StudyDefinition(
    configs=(TransferConfig,),
    example="model=penchant-0.5m prompts=a.txt eval_prompts=b.txt domains.news=news.txt",
    grid="penchant.studies.transfer.grid:transfer_grid",
    summarize="penchant.studies.transfer.summarize:summarize_transfer",
    page="penchant.studies.transfer.page:PAGE",
    summary="penchant.studies.transfer.summary:TransferSummary",
    stages={"transfer": "penchant.studies.transfer.stages:transfer_stage"},
    presets={"transfer": presets_in(Path(__file__).parent, "transfer", "small", "paper")},
    jobs={"transfer": 2, "small": 2},
)
