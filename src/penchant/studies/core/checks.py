"""What is looked at before a study's first stage: names that stand for nothing, and what its folder holds already.

Imports no torch.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from penchant.data.sources.files import check_source
from penchant.judges.prompts import load_template
from penchant.judges.settings import OWN_JUDGES
from penchant.models.locate import check_model
from penchant.rewards.names import check_reward
from penchant.studies.core.address import judges_in
from penchant.studies.core.stage import Stage

DATA = ("train", "eval", "sft", "rows", "data")
"""Places of a stage that are data files or hub ids."""
log = logging.getLogger("penchant.studies")


def check_names(stages: Sequence[Stage]) -> None:
    """Refuse a study with a name that stands for nothing, before its first stage runs.

    Raises:
        InputError: no such model, reward, data file or judge's part.
    """
    checks = {"model": check_model, "reward": check_reward, "judge": _check_judge}
    # the input `data` of rows is the folder of data, in which a task looks for its files itself
    stages = [stage for stage in stages if stage.kind != "rows"]
    # each name once: all runs of a study share them
    named_inputs = {(role, name) for stage in stages for role, name in stage.inputs.items() if name}
    for role, name in sorted(named_inputs):
        if role in checks:
            checks[role](name)
        elif role in DATA:
            check_source(name)


def _check_judge(text: str) -> None:
    for judge in judges_in(text):
        match judge:
            case {"name": "reward", "reward": reward}:
                check_reward(str(reward))
            case {"name": "policy", "model": model}:
                check_model(str(model))
            case {"name": "custom", "factory": factory}:
                OWN_JUDGES.check(str(factory))
            case {"name": "people", "paths": [*paths]}:
                for path in paths:
                    check_source(str(path))
        # both have a template; the policy's model was checked above
        match judge:
            case {"name": "policy" | "endpoint", "template": template}:
                load_template(str(template))


def warn_of_earlier_stages(folder: Path, stages: Sequence[Stage]) -> None:
    """Warn where a study's folder holds stages of which none can be used, so that all are computed anew.

    Stages are recognised by all that decides their numbers, so those of an earlier version of Penchant are none of
    today's. They stay where they are, and `penchant report` still makes their page until this study has numbers.
    """
    present = {entry.name for part in ("stages", "runs") for entry in (folder / part).glob("[!.]*")}
    if present and present.isdisjoint(Path(stage.path).name for stage in stages):
        log.warning(
            "%s holds %d stages of other settings, data or code (such as an earlier version's), of which none can be "
            "used: all %d are computed, and those stay beside them. To keep the old page, choose another folder: -o",
            *(folder, len(present), len(stages)),
        )
