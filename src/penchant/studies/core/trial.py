"""Shrink a study to a trial of every stage, so that a preset can be tried before days are spent on it.

A trial has the same stages, files and methods, and takes at most `limit` of everything that it would repeat. Its
numbers mean nothing, and its stages have addresses of their own. Imports no torch.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TypeVar

from penchant.config import Config
from penchant.studies.core.settings import LimitedStudy, Study

log = logging.getLogger("penchant.studies")

FEWEST = {"train": 40, "test": 20, "reference_samples": 16, "few_rows": 10, "counts": 20, "model_rows": 20}
"""Settings of which a study takes no fewer, where its class has no `fewest` of its own."""
SWEPT = ("n", "counts", "model_rows")
"""Settings that list numbers of what is taken, such as those of Best-of-N; equal ones are one."""
CAPPED = ("limit", "max_steps", "train", "test")
"""Settings that are capped where they are not given, too: each then means all."""
COUNTS = (
    "steps",
    "batch_size",
    "samples_per_prompt",
    "warmup_steps",
    "samples",
    "groups",
    "times",
    "rows",
    "few_rows",
    "reference_samples",
    "validation",
    "draws",
)
"""Settings that are capped where they are given: counts of rows, steps and samples."""
SPARE = 4
"""How many times the prompts of a PPO step a trial reads: bad, long and repeated rows leave fewer than `limit`, and a
step that wants more than there are is refused."""
StudyT = TypeVar("StudyT", bound=Study)
ConfigT = TypeVar("ConfigT", bound=Config)


def as_trial(config: StudyT) -> StudyT:
    """Return a study with at most `limit` of each count, one pass over the data and its first seed.

    A study without a limit is returned as it is. A trial of a trial is the same trial.
    """
    if not isinstance(config, LimitedStudy) or config.limit is None:
        return config
    log.info(
        "limit=%d: a trial of every stage with the first seed, whose numbers mean nothing; without it the study is run",
        config.limit,
    )
    return _shrunk(config, config.limit, {**FEWEST, **config.fewest}).replace(seeds=config.seeds[:1])


def _shrunk(config: ConfigT, limit: int, fewest: Mapping[str, int]) -> ConfigT:
    changes = {
        name: value
        for name in type(config).model_fields
        if (value := _capped(name, getattr(config, name), limit, fewest)) != getattr(config, name)
    }
    return config.replace(**changes) if changes else config


def _capped(name: str, value: object, limit: int, fewest: Mapping[str, int]) -> object:
    """Return a setting of a trial; what is no count stays."""
    if isinstance(value, Config):
        return _shrunk(value, limit, fewest)
    if isinstance(value, Mapping):
        return {key: _capped("", item, limit, fewest) for key, item in value.items()}
    cap = max(limit, fewest.get(name, 1))
    if name in SWEPT and isinstance(value, tuple):
        return tuple(dict.fromkeys(min(number, cap) for number in value))
    # by no name: an item of a list is no count of anything
    if isinstance(value, tuple):
        return tuple(_capped("", item, limit, fewest) for item in value)
    if name == "epochs" and isinstance(value, int):
        return 1
    if name == "prompts_per_step" and isinstance(value, int):
        return min(value, max(1, limit // SPARE))
    # null means all of it, which is what a trial must not take
    if name in CAPPED and value is None:
        return cap
    if name in (*CAPPED, *COUNTS) and isinstance(value, int):
        return min(value, cap)
    return value
