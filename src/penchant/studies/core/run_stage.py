"""The stages that are runs of a method."""

from __future__ import annotations

import logging
from collections.abc import Callable

from penchant.digests import DamagedFile
from penchant.errors import RunMismatchError
from penchant.files import read_json, remove
from penchant.methods import METHODS, train
from penchant.studies.core.job import STAGE, StageJob
from penchant.studies.core.run_settings import ComparisonCounts, RunPaths, run_settings
from penchant.studies.core.stage_settings import StageSettings
from penchant.train.settings import RunConfig
from penchant.typed_json import from_json

log = logging.getLogger("penchant.studies")


def run_stage(job: StageJob[StageSettings]) -> str:
    """Train the method that the stage's kind names, from its checkpoint where there is one; return the status."""
    counts = None
    if "comparisons" in job.needs:
        counts = from_json(ComparisonCounts, read_json(job.needs["comparisons"] / STAGE))
    values = run_settings(job.kind, job.settings, RunPaths(job.inputs, job.needs, job.folder), counts)
    method: Callable[..., RunConfig] = METHODS[job.kind]
    config = method(**values)
    # nobody lengthens a stage: what its optimizer holds would take as much room as the weights
    config = config.replace(checkpoint=config.checkpoint.replace(optimizer=False))
    # the folder's name has its settings and the code in it, so what lies there is a part of this very run
    if (job.folder / "config.yaml").exists():
        try:
            return str(train(config, resume=True).metrics["status"])
        except (RunMismatchError, DamagedFile) as error:
            # nothing of it can be used. After any other error it stays, and the next call resumes it
            log.warning("%s is thrown away and begun again: %s", job.folder, error)
    remove(job.folder)
    return str(train(config).metrics["status"])
