"""Measure files, and write numbers and a page: the work that `agree` and `rank` share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from penchant.raters.settings import Agree, Rank
from penchant.reports.kit.text import number
from penchant.runs.provenance import provenance_of_files
from penchant.runs.run_folder import RunFolder
from penchant.typed_json import to_object
from penchant.types import RunResult

Results = TypeVar("Results")


def files_to_page(
    config: Agree | Rank,
    files: Sequence[str],
    measure: Callable[[], Results],
    write_page: Callable[[Results, Mapping[str, object], Path], None],
) -> RunResult:
    """Measure, then write `METHOD.json`, `provenance.json`, `report.html` and figures to the run directory.

    Args:
        files: what is read.
        measure: returns the results, a dataclass.
        write_page: writes results and provenance to a folder.

    Raises:
        InputError: what `measure` raises, and nothing is left behind; a folder that holds something.
        RunError: the folder cannot be written.
    """
    folder = RunFolder(config.out, config, resumable=False)
    # Digests come first: a collection goes on while it is read, and the file as it was before is what can be named.
    record = to_object(provenance_of_files(files, config.seed))
    results = measure()
    numbers = to_object(results)
    folder.open()  # only now: a measurement that fails leaves no folder behind
    try:
        # the numbers before the page: if drawing fails, what was measured is kept
        folder.write_json("provenance.json", record)
        folder.write_json(f"{config.method}.json", numbers)
        write_page(results, record, folder.path)
        return RunResult(config.method, folder.path, numbers)
    finally:
        folder.close()


def count_facts(*counts: tuple[str, int, str]) -> list[tuple[str, str]]:
    """Return a line for each (label, number, what was counted) of the facts at the page's end, but for zeros."""
    return [(label, f"{number(rows, 0)} {words}") for label, rows, words in counts if rows]
