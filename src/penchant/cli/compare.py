"""`penchant compare`: what differs between runs, in the terminal and on a page. Imports no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field

from penchant.cli.arguments import Arguments, Command
from penchant.cli.outputs import add_overwrite_flag, check_file
from penchant.config import Config
from penchant.config.limits import Text
from penchant.errors import InputError


class Compare(Config):
    """Compare runs: what differs in their settings first, then their numbers, and each against the first run.

    Runs that failed or have not ended have a row too.
    """

    method: ClassVar[str] = "compare"

    runs: Annotated[tuple[str, ...], Field(min_length=1)]
    """Run directories; the first is what the others are compared with."""
    against: Text | None = None
    """The run to compare with, where it is not the first: its folder."""
    out: Text | None = None
    """Write the page of these runs here too, such as compare.html."""


def _compare(arguments: Arguments) -> int:
    config = arguments.load(Compare)
    if config.out is not None and not config.out.endswith((".html", ".htm")):
        raise InputError(f"out={config.out}: the page needs a name that ends in .html")
    from penchant.reports.run.page import check_page_name, runs_page
    from penchant.reports.run.run_comparison import compare_runs
    from penchant.reports.run.versus import unread_table

    if config.out is not None:
        check_page_name(Path(config.out))
        check_file(config.out, arguments.flags, page=True)
    compared = compare_runs(config.runs, config.against)
    print(compared)
    if config.out is not None:
        print(f"\npage: {runs_page(compared.runs, Path(config.out), unread_table(compared.unread))}")
    # as `data check --strict`: a script has to know that a run is missing from the table
    return 1 if compared.unread else 0


COMPARE = Command(
    "compare",
    Compare,
    _compare,
    positionals={"runs": "RUN"},
    add_flags=add_overwrite_flag,
    example="runs/first runs/second out=compare.html",
)
