"""Compare runs: the tables of `penchant compare` and `pt.compare`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from penchant.reports.kit.tables import Table
from penchant.reports.run.summary import summarize
from penchant.reports.run.tables import comparison, differences
from penchant.reports.run.versus import UnreadRun, read_each, unread_table, versus_table
from penchant.rich_text import html_table
from penchant.runs.read import Run
from penchant.text_table import text_table


@dataclass(frozen=True)
class RunComparison:
    """Runs beside the first of them: `print` shows what `penchant compare` does, a notebook the same as tables.

    Attributes:
        runs: those that could be read, the one that the others are compared with first.
        unread: folders that could not.
        tables: settings that differ (none where all are the same), numbers, and differences from the first run.
    """

    runs: tuple[Run, ...]
    unread: tuple[UnreadRun, ...]
    tables: tuple[Table, ...]

    def __repr__(self) -> str:
        names = ", ".join(run.name for run in self.runs)
        return f"RunComparison({names}{f', {len(self.unread)} unread' if self.unread else ''})"

    def __str__(self) -> str:
        """Return the tables as the command prints them, for `print`."""
        # said aloud: a reader looks for the table of settings
        sentences = ["The settings of these runs are the same."] if self.have_same_settings else []
        tables = ("\n".join([table.caption, *text_table(table.columns, table.rows)]) for table in self.tables)
        return "\n\n".join([*sentences, *tables])

    @property
    def have_same_settings(self) -> bool:
        """Whether there are several runs, and no setting tells them apart."""
        return len(self.runs) > 1 and differences(self.runs) is None

    def _repr_html_(self) -> str:
        return "".join(html_table(table.caption, table.rows, table.columns) for table in self.tables)


def compare_runs(paths: Sequence[str], against: str | None = None) -> RunComparison:
    """Compare run directories with the first, or with the one that is named.

    Raises:
        InputError: none can be read.
    """
    folders = list(dict.fromkeys(str(Path(path)) for path in (*filter(None, [against]), *paths)))
    runs, unread = read_each(folders)
    summaries = [summarize(run) for run in runs]
    tables = [differences(runs) if len(runs) > 1 else None, comparison(summaries)]
    tables += [versus_table(summaries), unread_table(unread)]
    return RunComparison(runs, tuple(unread), tuple(table for table in tables if table is not None))
