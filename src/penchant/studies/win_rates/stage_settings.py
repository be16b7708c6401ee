"""Settings of each kind of stage of a study of win rates. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from penchant.data.options import BadRows, Template
from penchant.studies.core.stage_settings import SampledSettings, StageSettings
from penchant.typed_json import OMITTED


@dataclass(frozen=True)
class RowSettings:
    """A part of a data file, as `Rows` names it; `path` is the digest of its content."""

    path: str
    layout: str | None
    split: str
    bad_rows: BadRows
    skip: int
    limit: int | None
    prompt_end: str
    answer_end: str
    human_turns: Annotated[int | None, OMITTED] = None


@dataclass(frozen=True)
class CutSettings(StageSettings):
    """Settings of the stages that read rows, `preferences` and `opponents`.

    Attributes:
        model: the digest of the model whose tokenizer cuts.
        prompt_tokens, response_tokens: the longest that are kept whole; None for any length.
    """

    rows: RowSettings
    model: str
    template: Template
    prompt_tokens: int | None
    response_tokens: int | None
    template_args: Annotated[Mapping[str, object] | None, OMITTED] = None


@dataclass(frozen=True)
class VerdictSettings(StageSettings):
    """Settings of a stage of verdicts.

    Attributes:
        judge: what its verdicts depend on, content in place of names.
        missing: what becomes of calls that failed.
    """

    judge: Mapping[str, object]
    orders: Literal["both", "one"]
    missing: Literal["again", "count"]


@dataclass(frozen=True, kw_only=True)
class FewShotSettings(SampledSettings):
    """Settings of a stage that samples the untrained model with examples before each prompt.

    Attributes:
        examples: how many.
    """

    temperatures: tuple[float, ...]
    examples: int
