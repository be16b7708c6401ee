"""The stages that are runs of a method."""

from __future__ import annotations

import json
import logging
from pathlib import Path

from penchant.digests import DamagedFile
from penchant.errors import InputError, OtherRun
from penchant.files import remove
from penchant.methods import METHODS, train
from penchant.studies.core.job import STAGE, Order
from penchant.studies.core.run_settings import run_settings

log = logging.getLogger("penchant.studies")


def run_stage(order: Order) -> str:
    if order.kind not in METHODS:
        raise InputError(f"this version of Penchant has no method {order.kind}")
    file = order.needs.get("comparisons", Path()) / STAGE
    facts = json.loads(file.read_text(encoding="utf-8")) if "comparisons" in order.needs else {}
    values = run_settings(order.kind, order.settings, order.places, order.needs, facts, order.folder)
    config = METHODS[order.kind](**values)
    if (order.folder / "config.yaml").exists():
        try:
            return str(train(config, resume=True).metrics["status"])
        except (OtherRun, DamagedFile) as error:  # nothing can be used; other errors leave it for the next call
            log.warning("%s is thrown away and begun again: %s", order.folder, error)
    remove(order.folder)
    return str(train(config).metrics["status"])
