"""One file per method: its configuration and `run(config) -> RunResult`. Imports no torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from typing import TYPE_CHECKING

from penchant.config import Config
from penchant.train.settings import RunConfig
from penchant.types import RunResult

# checkers see the classes as they are imported; a program has them from `__getattr__`
if TYPE_CHECKING:
    from penchant.methods.dpo import DPO as DPO
    from penchant.methods.grpo import GRPO as GRPO
    from penchant.methods.kto import KTO as KTO
    from penchant.methods.ppo import PPO as PPO
    from penchant.methods.ppo_gt import PPOGT as PPOGT
    from penchant.methods.preferred_ft import PreferredFT as PreferredFT
    from penchant.methods.reward_model import RewardModel as RewardModel
    from penchant.methods.rloo import RLOO as RLOO
    from penchant.methods.sft import SFT as SFT
    from penchant.methods.unlikelihood import Unlikelihood as Unlikelihood

# in the order of help and tables; the command, its settings and the digests of studies follow from this table
CLASSES = {
    "SFT": "penchant.methods.sft",
    "PreferredFT": "penchant.methods.preferred_ft",
    "Unlikelihood": "penchant.methods.unlikelihood",
    "DPO": "penchant.methods.dpo",
    "KTO": "penchant.methods.kto",
    "RewardModel": "penchant.methods.reward_model",
    "PPO": "penchant.methods.ppo",
    "PPOGT": "penchant.methods.ppo_gt",
    "RLOO": "penchant.methods.rloo",
    "GRPO": "penchant.methods.grpo",
}
"""The settings of each method by their class, and its module, which is called as the method is.

Imported when they are needed: those of all methods take an eighth of the answer to a mistyped setting of one.
"""


class _Methods(Mapping[str, type[RunConfig]]):
    """The settings of the methods by name, each imported at its first use."""

    def __init__(self, classes: Mapping[str, str]) -> None:
        self.classes = {module.rpartition(".")[2]: name for name, module in classes.items()}

    def __getitem__(self, method: str) -> type[RunConfig]:
        # a name that is none raises the KeyError of a dictionary
        settings: type[RunConfig] = __getattr__(self.classes[method])
        return settings

    def __iter__(self) -> Iterator[str]:
        return iter(self.classes)

    def __len__(self) -> int:
        return len(self.classes)


METHODS: Mapping[str, type[RunConfig]] = _Methods(CLASSES)


def __getattr__(name: str) -> type[RunConfig]:
    if name not in CLASSES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    settings: type[RunConfig] = getattr(import_module(CLASSES[name]), name)
    return settings


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
