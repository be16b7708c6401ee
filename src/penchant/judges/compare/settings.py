"""The settings of `penchant judge`. Imports no torch."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from penchant.config import Config
from penchant.config.limits import Draws, Seed, Tokens
from penchant.data.in_memory import DataPath
from penchant.judges.settings import JudgeSpec

SourcePath = Annotated[DataPath, Field(min_length=1)]


class JudgeConfig(Config):
    """Have a judge say whose responses win: those of a run or a file, against others to the same prompts."""

    method: ClassVar[str] = "judge"

    responses: Annotated[tuple[SourcePath, ...], Field(min_length=1)]
    """Run directories (their last samples), or files with prompts and responses as `penchant sample` writes them.
    Several are tested against each other."""
    against: SourcePath = "reference"
    """The opponent: `reference` (the samples that a run has of its reference), `chosen` (the preferred responses of
    `data`), or a run directory or a file."""
    data: SourcePath | None = None
    """With `against: chosen`: the preferences whose chosen responses are the opponent."""
    temperatures: tuple[Annotated[float, Field(ge=0)], ...] = ()
    """Draw the responses of runs anew from their checkpoints at each of these temperatures, such as [0, 0.25, 0.5,
    0.75, 1], to the prompts of their samples. The opponent's responses are the same at each. Not given: the samples
    that the runs have."""
    prompts: SourcePath | None = None
    """With temperatures: a file of other prompts to draw for."""
    max_new_tokens: Tokens | None = None
    """With temperatures: length at which a response is cut; that of the run's own samples if not given."""
    seed: Seed = 0
    """With temperatures: fixes the draws."""
    device: str = "auto"
    """With temperatures: where models draw."""
    trust_remote_code: bool = False
    """With temperatures: run Python code that comes with the runs' models. A run's own settings do not decide it: the
    run may be somebody else's."""
    judge: JudgeSpec
    """Who judges, with its settings."""
    thoughts: bool = False
    """Show the judges the thoughts before an answer (`<think>`, `reasoning_content`) too; else they see the answer."""
    baselines: bool = True
    """Ask the judges `longest` and `random` about the same pairs too, for comparison."""
    n: Draws = 1
    """Responses per prompt that are compared, at most: the first with the first, and so on."""
    limit: Annotated[int | None, Field(ge=1, le=1_000_000_000)] = None
    """Use only the first so many prompts."""
    orders: Literal["both", "one"] = "both"
    """Each pair is judged in both orders, and a verdict that flips is a tie; `one` halves the calls and cannot
    see that."""
    max_calls: Annotated[int | None, Field(ge=0, le=1_000_000_000)] = None
    """How many calls of the judge to make at most; another run goes on with the rest."""
    ask_again: Literal["unreadable"] | None = None
    """`unreadable`: make another call for each stored answer that names no winner. The earlier answers stay in the
    database."""
    out: str = "judged"
    """The folder for `judgments.sqlite`, `judge.json`, `report.html` and what was drawn; verdicts that are there are
    not asked for again."""

    @model_validator(mode="after")
    def _check_temperatures(self) -> Self:
        # results are named by run and temperature, and one name twice would be one result
        if len(set(self.temperatures)) < len(self.temperatures):
            raise ValueError("`temperatures` names one temperature twice: leave it out once")
        drawing_only = [name for name in ("prompts", "max_new_tokens") if getattr(self, name) is not None]
        if drawing_only and not self.temperatures:
            raise ValueError(f"`{drawing_only[0]}` is for responses that are drawn anew: say at which `temperatures`")
        return self
