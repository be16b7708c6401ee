"""Does a stage's work into a folder that is whole or not there."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

from penchant.digests import listed_digest, write_sums
from penchant.engine.memory import peak_memory_bytes
from penchant.files import atomic_folder, remove
from penchant.studies.core.job import STAGE, StageJob
from penchant.studies.core.kinds import RUN, maker_of, resolve, stage_makers
from penchant.studies.core.stage_settings import StageSettings


def work(job: StageJob[StageSettings]) -> str:
    """Do the stage's work; its folder is whole afterwards.

    Returns:
        The status: `done`, or that of a run.

    Raises:
        InputError, RunError: whatever stopped it.
    """
    maker = maker_of(job.kind)
    # a run writes its own directory, piece by piece, so that it can be resumed; other stages are whole or not there
    if maker == RUN:
        status: str = resolve(RUN)(job)
        return status
    make: Callable[[StageJob[StageSettings], Path], dict[str, object]] = resolve(maker)
    started = time.monotonic()
    # under a name of its own: a worker that outlived a killed command may still build the same stage
    with atomic_folder(job.folder, shared=True) as building:
        facts = make(job, building)
        # last: a stage is there when it has its facts, and all digests stand before the folder has its final name
        facts |= {"seconds": time.monotonic() - started, "peak_memory_bytes": peak_memory_bytes()}
        (building / STAGE).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
        write_sums(building, stage_sums(building))
        remove(job.folder)  # half a stage cannot be; another one's leftover could
    return "done"


def stage_sums(folder: Path) -> dict[str, str]:
    """Return the digests of a stage's files without those of activations.

    Activations have a digest per block, which is checked when the block is read.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("activations-"))
    return {path.relative_to(folder).as_posix(): listed_digest(path) for path in files}


def import_all() -> None:
    """Import what does the work of every kind of stage, once for all processes that are forked afterwards."""
    for target in (RUN, *stage_makers().values()):
        resolve(target)
