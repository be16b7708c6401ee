"""`penchant report`: one page of runs, or of a study. Imports no torch, so that help is instant."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from penchant.cli.arguments import Arguments, Command
from penchant.cli.outputs import add_overwrite_flag, check_file
from penchant.config import Config


class Report(Config):
    """Make one HTML page, with its figures as PNG beside it, of some runs or of a study."""

    method: ClassVar[str] = "report"

    runs: Annotated[tuple[str, ...], Field(min_length=1)]
    """Run directories, or one study's folder."""
    out: str = "report.html"
    """The page to write."""


def _report(arguments: Arguments) -> int:
    config = arguments.load(Report)
    check_file(config.out, arguments.flags, page=True)
    from penchant.studies.report import report

    print(report(config.runs, config.out))
    return 0


REPORT = Command(
    "report",
    Report,
    _report,
    positionals={"runs": "RUN"},
    add_flags=add_overwrite_flag,
    example="runs/first runs/second out=runs.html",
)
