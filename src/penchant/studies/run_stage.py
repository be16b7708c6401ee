"""The stages that are runs of a method."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

from penchant.errors import InputError, OtherRun
from penchant.methods import METHODS, train
from penchant.studies.order import STAGE, Order
from penchant.studies.recipes import run_settings

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
        except OtherRun as error:  # nothing of it can be used; any other error leaves it for the next call
            log.warning("%s is thrown away and begun again: %s", order.folder, error)
    shutil.rmtree(order.folder, ignore_errors=True)
    return str(train(config).metrics["status"])
