"""A comparison by a judge, as a configuration says it. Imports no torch."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from penchant.config import Config
from penchant.judges.settings import JudgeSpec

Place = Annotated[str, Field(min_length=1)]


class JudgeConfig(Config):
    """Have a judge say whose responses win: those of a run or a file, against others to the same prompts."""

    method: ClassVar[str] = "judge"

    responses: Annotated[tuple[Place, ...], Field(min_length=1)]
    """Run directories (their last samples), or files with prompts and responses as `penchant sample` writes them.
    Several are tested against each other."""
    against: Place = "reference"
    """Whose responses they meet: `reference` (the samples that a run has of it), `chosen` (the preferred ones of
    `data`), or a run directory or a file."""
    data: Place | None = None
    """Preferences whose chosen responses are met, with `against: chosen`."""
    judge: JudgeSpec
    """Who judges, with its settings."""
    baselines: bool = True
    """Ask the judges `longest` and `random` the same, to stand beside."""
    n: Annotated[int, Field(ge=1)] = 1
    """Responses of each prompt that are compared, at most: the first with the first, and so on."""
    limit: Annotated[int | None, Field(ge=1)] = None
    """Prompts, at most."""
    orders: Literal["both", "one"] = "both"
    """Each pair is judged in both orders, and a verdict that flips is a tie; `one` halves the calls and is blind to
    that."""
    max_calls: Annotated[int | None, Field(ge=0)] = None
    """Calls of the judge, at most; another run goes on with the rest."""
    out: str = "judged"
    """The folder for `judgments.sqlite`, `judge.json` and `report.html`; verdicts that are there are not asked for
    again."""
