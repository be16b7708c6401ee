"""Which function does a stage's work, by the stage's kind."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from penchant.digests import listed_digest, write_sums
from penchant.engine.memory import peak_memory_bytes
from penchant.files import remove
from penchant.studies.order import STAGE, Order

MAKERS = {
    "prompts": "penchant.studies.prompt_stages:prompts_stage",
    "comparisons": "penchant.studies.sample_stages:comparisons_stage",
    "mislabelled": "penchant.studies.sample_stages:mislabelled_stage",
    "reference": "penchant.studies.sample_stages:reference_stage",
    "judged": "penchant.studies.sample_stages:judged_stage",
    "transfer": "penchant.studies.transfer_stage:transfer_stage",
    "left_out": "penchant.studies.left_out_stage:left_out_stage",
    "rows": "penchant.studies.weak_stages:rows_stage",
    "generative": "penchant.studies.weak_stages:generative_stage",
    "activations": "penchant.studies.weak_stages:activations_stage",
    "supervisor": "penchant.studies.weak_stages:supervisor_stage",
    "relabel": "penchant.studies.weak_stages:relabel_stage",
    "students": "penchant.studies.weak_students:students_stage",
    "student": "penchant.studies.weak_students:student_stage",
    "preferences": "penchant.studies.win_rate_stages:preferences_stage",
    "opponents": "penchant.studies.win_rate_stages:opponents_stage",
    "verdicts": "penchant.studies.win_rate_stages:verdicts_stage",
}
"""The module and function of each kind that is no run; each fills a folder and returns what `stage.json` holds."""
RUNS = "penchant.studies.run_stage"


def work(order: Order) -> str:
    """Do the stage's work; its folder is whole afterwards.

    Returns:
        The status: `done`, or that of a run.

    Raises:
        InputError, RunError: whatever stopped it.
    """
    if order.kind not in MAKERS:
        status: str = import_module(RUNS).run_stage(order)
        return status
    module, _, name = MAKERS[order.kind].partition(":")
    make: Callable[[Order, Path], dict[str, Any]] = getattr(import_module(module), name)
    started = time.monotonic()
    building = order.folder.with_name(f".{order.folder.name}.{os.getpid()}.new")
    remove(building)
    building.mkdir(parents=True)
    try:
        facts = make(order, building)
        facts |= {"seconds": time.monotonic() - started, "peak_memory_bytes": peak_memory_bytes()}
        (building / STAGE).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
        write_sums(building, stage_sums(building))
        remove(order.folder)  # half a stage cannot be; another one's leftover could
        os.replace(building, order.folder)
    finally:
        remove(building)
    return "done"


def stage_sums(folder: Path) -> dict[str, str]:
    """Return the digests of a stage's files, but of activations: these have one per block, checked as they are read."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("activations-"))
    return {path.relative_to(folder).as_posix(): listed_digest(path) for path in files}


def import_all() -> None:
    """Import what does the work of every kind, so that a process that forks has it once."""
    for target in {RUNS, *(maker.partition(":")[0] for maker in MAKERS.values())}:
        import_module(target)
