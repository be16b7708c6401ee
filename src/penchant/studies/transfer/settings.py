"""What the study of transfer may be told. Imports no torch."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field, model_validator

from penchant.studies.core.settings import (
    BestOfNSweep,
    DPOSweep,
    Evaluation,
    MethodsConfig,
    PPOSweep,
    Prompts,
    Temperatures,
    UnlikelihoodSweep,
    refuse_own_among_others,
)


class TransferConfig(MethodsConfig):
    """Every method trained on one domain's prompts and measured on others', over a sweep of temperatures."""

    method: ClassVar[str] = "transfer"

    own: Annotated[str, Field(min_length=1)] = "own"
    """What the domain of `prompts` and `eval_prompts` is called."""
    domains: Annotated[dict[str, Prompts], Field(min_length=1)]
    """Other domains by name: prompts to measure on. Texts that are trained on are left out."""
    temperatures: Temperatures = (0.0, 0.25, 0.5, 0.75, 1.0)
    """Of the samples that are measured. At 0 there is one per prompt; only at 1 there is a KL."""
    evaluation: Evaluation = Evaluation(times=1, reference_samples=32)
    """How methods are measured: samples per prompt, domain and temperature, of the methods and of the reference.
    `times` is of the runs as they learn; the domains are sampled once, after their end."""
    # one setting per method: each is sampled on every domain at every temperature, so a sweep would multiply the work
    dpo: DPOSweep | None = DPOSweep(beta=(0.1,))
    """DPO; each beta is a method of its own. null leaves the method out, here and below."""
    unlikelihood: UnlikelihoodSweep | None = UnlikelihoodSweep(alpha=(0.1,))
    """Unlikelihood."""
    ppo: PPOSweep | None = PPOSweep(target_nats=(3.0,))
    """PPO, on the learned reward."""
    ppo_gt: PPOSweep | None = PPOSweep(target_nats=(3.0,))
    """PPO-GT, on the true reward."""
    best_of_n: BestOfNSweep | None = BestOfNSweep(n=(16,))
    """Best-of-N of the reference at the same temperature, by the true reward."""

    _own_is_none_of_the_others = model_validator(mode="after")(refuse_own_among_others)
