"""The studies of win rates: `tldr`, `dialogue`, and `transfer` with a judge. Imports no torch."""

from __future__ import annotations

from pathlib import Path

from penchant.studies.core.definition import StudyDefinition, presets_in
from penchant.studies.win_rates.settings import DialogueConfig, JudgedTransferConfig, TldrConfig

FOLDER = Path(__file__).parent
STUDY = StudyDefinition(
    configs=(TldrConfig, DialogueConfig),
    # `study.json` names the study of transfer with a judge so: its numbers are of another kind than those by a reward.
    names=("judged-transfer",),
    takes_over={"transfer": ("judge", JudgedTransferConfig)},
    example="--preset small judge=longest limit=8",
    grid="penchant.studies.win_rates.grid:win_rate_grid",
    prepare="penchant.studies.win_rates.endpoints:check_endpoints",
    summarize="penchant.studies.win_rates.summarize:summarize_win_rates",
    summary="penchant.studies.win_rates.summary:WinRateSummary",
    page="penchant.studies.win_rates.page:PAGE",
    lines="penchant.studies.win_rates.words:terminal_lines",
    stages={
        "preferences": "penchant.studies.win_rates.stages:preferences_stage",
        "opponents": "penchant.studies.win_rates.stages:opponents_stage",
        "few_shot": "penchant.studies.win_rates.few_shot:few_shot_stage",
        "verdicts": "penchant.studies.win_rates.stages:verdicts_stage",
    },
    presets={
        "tldr": presets_in(FOLDER, "small", "paper", prefix="tldr-"),
        "dialogue": presets_in(FOLDER, "small", "paper", prefix="dialogue-"),
    },
    jobs={"small": 2},  # two cores do more for small models that way
)
