"""The settings of the stages that only the study of annotators has. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from penchant.data.options import BadRows
from penchant.studies.core.stage_settings import PolicySettings, StageSettings
from penchant.typed_json import INLINED, StoredAs


@dataclass(frozen=True)
class AnnotatedSource:
    """Comparisons of several annotators, as `AnnotatedData` has them; `path` is the digest of the file."""

    path: str
    layout: str | None
    split: str
    bad_rows: BadRows
    limit: int | None
    held_out: float
    max_length: int | None


@dataclass(frozen=True, kw_only=True)
class LeftOutSettings(StageSettings):
    """Comparisons of the `others` on prompts to train on, or of the annotator on `held` out ones."""

    policy: Annotated[PolicySettings, INLINED]
    data: AnnotatedSource
    annotator: str
    part: Annotated[Literal["others", "held"], StoredAs("of")]
    seed: int
