"""One file per method: its configuration and `run(config) -> RunResult`. Imports no torch."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from penchant.config import Config
from penchant.methods.dpo import DPO
from penchant.methods.grpo import GRPO
from penchant.methods.kto import KTO
from penchant.methods.ppo import PPO
from penchant.methods.ppo_gt import PPOGT
from penchant.methods.preferred_ft import PreferredFT
from penchant.methods.reward_model import RewardModel
from penchant.methods.rloo import RLOO
from penchant.methods.sft import SFT
from penchant.methods.unlikelihood import Unlikelihood
from penchant.train.settings import RunConfig
from penchant.types import RunResult

# in the order of help and tables; the command, its settings and the digests of studies follow from this list
METHODS: dict[str, type[RunConfig]] = {
    config.method: config for config in (SFT, PreferredFT, Unlikelihood, DPO, KTO, RewardModel, PPO, PPOGT, RLOO, GRPO)
}


def train(config: Config, *, resume: bool = False) -> RunResult:
    """Run the method that the configuration belongs to.

    Args:
        config: such as `DPO(model="smollm2-135m", data="prefs.jsonl")`; `run` stands beside it in its module.
        resume: continue the interrupted run in `config.out`, to the same end as without the interruption; with more
            steps than a run has that ended, to the end of a run that was so long from the start.

    Raises:
        InputError: bad data, model, or run directory.
        RunError: the run had to stop; its last checkpoint stays.
    """
    from penchant.runs.recorded_settings import with_former_defaults

    # a method's `run` imports torch inside, so that listing methods and their settings is instant
    run: Callable[..., RunResult] = import_module(type(config).__module__).run
    # before anything compares them: stages of rounds and studies are built anew, with the defaults of this version
    if resume and isinstance(config, RunConfig):
        config = with_former_defaults(config, config.out)
    return run(config, resume=resume)
