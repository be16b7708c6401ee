"""A study's folder whose stages were made by other code, data or settings: what becomes of them. Imports no torch."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from penchant.studies.tasks import Task

log = logging.getLogger("penchant.studies")


def warn_of_earlier_stages(folder: Path, tasks: Sequence[Task]) -> None:
    """Say so where a study's folder holds stages, and none of them is one of these: all are computed anew.

    Stages are recognised by all that decides their numbers, so those of an earlier version of Penchant are none of
    today's. They stay where they are, and `penchant report` still makes their page until this study has numbers.
    """
    present = {entry.name for part in ("stages", "runs") for entry in (folder / part).glob("[!.]*")}
    if present and present.isdisjoint(Path(task.place).name for task in tasks):
        log.warning(
            "%s holds %d stages of other settings, data or code (such as an earlier version's), of which none can be "
            "used: all %d are computed, and those stay beside them. To keep the old page, choose another folder: -o",
            *(folder, len(present), len(tasks)),
        )
