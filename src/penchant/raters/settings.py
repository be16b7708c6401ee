"""Settings of `penchant agree` and `penchant rank`. Imports no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from penchant.config import Config
from penchant.config.limits import Seed
from penchant.data.in_memory import DataPath
from penchant.data.options import BadRows

if TYPE_CHECKING:
    from penchant.metrics.resampling import Resampling

Name = Annotated[str, Field(min_length=1)]
SourcePath = Annotated[DataPath, Field(min_length=1)]
Level = Annotated[float, Field(gt=0.5, lt=1)]
Resamples = Annotated[int, Field(ge=100, le=100_000)]


class Agree(Config):
    """How far judges and people agree: raw, Cohen's kappa, Krippendorff's alpha, with intervals."""

    method: ClassVar[str] = "agree"

    files: tuple[SourcePath, ...] = ()
    """Preference files whose comparisons say who judged (`annotator`), or one file per judge, named after the file."""
    people: tuple[SourcePath, ...] = ()
    """Files of people. With these, everybody else is a judge, and the table of the DPO paper's human study is made."""
    annotators: tuple[Name, ...] = ()
    """Only these raters; all if empty."""
    layout: str | None = None
    """The layout of all files, if it is not to be found out."""
    columns: dict[str, str | None] = Field(default_factory=dict)
    """By field of the layout, the column of all files that holds it, such as `{response_a: left, winner: vote}`; null
    leaves the column of that name out."""
    bad_rows: BadRows = "error"
    """What to do with rows that cannot be used: refuse the file, or leave them out and count them."""
    order: Literal["both", "row"] = "both"
    """How to know which response a rater saw first, apart from what `penchant collect` recorded: `both` takes the pairs
    that one rater judged in both orders of the row, `row` says that every row's order is the one shown."""
    topic: Name | None = None
    """The field of the rows that says what a prompt is about, such as `category` or `info.subreddit`. If not given, one
    of the usual names; where there is none, prompts are clustered by their words."""
    shown: Annotated[int, Field(ge=0, le=500)] = 20
    """Disagreements to read in the report."""
    level: Level = 0.95
    """Coverage of the intervals, which resample prompts."""
    resamples: Resamples = 2000
    """How many times."""
    seed: Seed = 0
    """Fixes the resampling, and the clusters of words."""
    out: str | None = None
    """The folder to write to; `runs/agree-DATE-TIME` if not given."""

    @model_validator(mode="after")
    def _some_file(self) -> Self:
        if not self.files and not self.people:
            raise ValueError("name at least one preference file")
        return self


class Rank(Config):
    """Strengths from comparisons or rankings of models, responses or annotators, with intervals and a check that they
    exist."""  # noqa: D205 - the command's help is this sentence as a whole

    method: ClassVar[str] = "rank"

    file: SourcePath
    """Preferences. Who wrote the responses is said by `models` in each row, or by the layout's own fields."""
    by: Literal["models", "responses", "annotators"] = "models"
    """What is ranked; `responses` are those of the one prompt that the file then has; of two `annotators` that one wins
    who is with the majority of the others where the other is not."""
    fit: Literal["bradley-terry", "plackett-luce"] = "bradley-terry"
    """Every comparison by itself, or rankings as they are: each row (of each annotator) one ranking without ties."""
    prior: Annotated[float, Field(ge=0, le=1000)] = 0.0
    """Virtual ties between every two: 0 refuses where somebody never lost (or won), a little keeps that finite."""
    layout: str | None = None
    """The file's layout, if it is not to be found out."""
    columns: dict[str, str | None] = Field(default_factory=dict)
    """By field of the layout, the column that holds it, such as `{response_a: left, response_b: right, winner: vote}`;
    null leaves the column of that name out."""
    bad_rows: BadRows = "error"
    """What to do with rows that cannot be used: refuse the file, or leave them out and count them."""
    level: Level = 0.95
    """Coverage of the intervals, which resample prompts (for `by=responses` annotators, or comparisons)."""
    resamples: Resamples = 1000
    """How many times."""
    seed: Seed = 0
    """Fixes the resampling."""
    out: str | None = None
    """The folder to write to; `runs/rank-DATE-TIME` if not given."""

    @model_validator(mode="after")
    def _rankings_stand_alone(self) -> Self:
        if self.fit == "plackett-luce" and self.by == "annotators":
            raise ValueError("annotators meet two by two: by=annotators needs fit=bradley-terry")
        if self.fit == "plackett-luce" and self.prior:
            raise ValueError("prior is one of virtual ties, which rankings have not: it needs fit=bradley-terry")
        return self


def resampling_of(config: Agree | Rank) -> Resampling:
    """Return how the intervals are made, as the functions of `metrics` take it."""
    return {"level": config.level, "resamples": config.resamples, "seed": config.seed}
