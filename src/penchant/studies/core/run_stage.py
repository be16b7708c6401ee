"""The stages that are runs of a method."""

from __future__ import annotations

import json
import logging
from pathlib import Path

from penchant.digests import DamagedFile
from penchant.errors import RunMismatchError
from penchant.files import remove
from penchant.methods import METHODS, train
from penchant.studies.core.job import STAGE, StageJob
from penchant.studies.core.run_settings import run_settings

log = logging.getLogger("penchant.studies")


def run_stage(job: StageJob) -> str:
    """Train the method that the stage's kind names, from its checkpoint where there is one; return the status."""
    file = job.needs.get("comparisons", Path()) / STAGE
    facts = json.loads(file.read_text(encoding="utf-8")) if "comparisons" in job.needs else {}
    values = run_settings(job.kind, job.settings, job.inputs, job.needs, facts, job.folder)
    config = METHODS[job.kind](**values)
    if (job.folder / "config.yaml").exists():
        try:
            return str(train(config, resume=True).metrics["status"])
        except (RunMismatchError, DamagedFile) as error:  # nothing can be used; other errors leave it for the next call
            log.warning("%s is thrown away and begun again: %s", job.folder, error)
    remove(job.folder)
    return str(train(config).metrics["status"])
