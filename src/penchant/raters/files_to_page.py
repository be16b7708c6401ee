"""What `agree` and `rank` do alike: files in, numbers and a page out, with where they come from beside them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from penchant.raters.settings import Agree, Rank
from penchant.runs.provenance import provenance_of_files
from penchant.runs.run_folder import RunFolder
from penchant.types import RunResult


def files_to_page(
    config: Agree | Rank,
    files: Sequence[str],
    measure: Callable[[], dict[str, Any]],
    page: Callable[[dict[str, Any], Path], None],
) -> RunResult:
    """Measure, then write `METHOD.json`, `provenance.json`, `report.html` and figures to the run directory.

    Args:
        files: what is read; their digests are taken first, so that a file that changes meanwhile is not taken for
            what was measured.
        measure: gives the numbers. page: writes them, with `provenance` among them, to a folder.

    Raises:
        InputError: what `measure` raises, and nothing is left behind; a folder that holds something.
        RunError: the folder cannot be written.
    """
    folder = RunFolder(config.out, config, resumable=False)
    record = provenance_of_files(files, config.seed)
    numbers = measure()
    folder.open()
    try:
        folder.write_json("provenance.json", record)
        folder.write_json(f"{config.method}.json", numbers)
        page({**numbers, "provenance": record}, folder.path)
        return RunResult(config.method, folder.path, numbers)
    finally:
        folder.close()
