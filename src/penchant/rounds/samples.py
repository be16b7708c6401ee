"""Samples of the policy that a round begins with."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from penchant.engine.sampling import Sampling
from penchant.errors import InputError
from penchant.models.load import load_policy
from penchant.models.policy import Policy
from penchant.models.settings import ModelConfig
from penchant.rounds.clock import SAMPLING
from penchant.rounds.pipeline import Round
from penchant.runs.part_seconds import timed_part
from penchant.runs.progress import progress_bar
from penchant.types import Prompt, PromptGroup


def sampling_seed(purpose: str, seed: int, number: int) -> int:
    """Return the seed of a round's samples: others in each round, and others than training draws with the same seed."""
    digest = hashlib.sha256(f"{purpose}|{seed}|{number}".encode()).digest()
    return int.from_bytes(digest[:7], "little")


def draw_samples(
    current_round: Round,
    prompts: Sequence[Prompt],
    *,
    n: int,
    temperature: float = 1.0,
    top_p: float = 1.0,
    purpose: str = "labels",
    model: ModelConfig | Policy | None = None,
) -> list[PromptGroup]:
    """Draw samples of the policy that a round begins with, identical ones merged; prompts without room are left out.

    Args:
        n: samples per prompt.
        temperature, top_p: of sampling.
        purpose: what the samples are for; those of another purpose have other random numbers.
        model: the policy, loaded or not; the one that the round begins with unless given.

    Raises:
        InputError: no prompt leaves room for a sample, or the model cannot be sampled.
    """
    config = current_round.config
    with current_round.clock.part(SAMPLING):
        if isinstance(model, Policy):
            policy = model
        else:
            with timed_part("loading"):
                model = model or config.policy_before(current_round.number)
                policy = load_policy(model, rendering=config.data.rendering)
        # a prompt without room would refuse all others with it
        fitting = [prompt for prompt in prompts if policy.has_room(prompt, config.max_new_tokens)]
        # without a sample there would be nothing to say but that all of none are alike
        if prompts and not fitting:
            raise InputError(
                f"none of {len(prompts)} prompts leaves room for max_new_tokens={config.max_new_tokens} in the model's "
                f"context of {policy.context} tokens: lower it, or give shorter prompts"
            )
        sampling = Sampling(
            n,
            temperature=temperature,
            top_p=top_p,
            max_new_tokens=config.max_new_tokens,
            seed=sampling_seed(purpose, config.seed, current_round.number),
        )
        title = f"sampling (round {current_round.number + 1})"
        with progress_bar(title, len(fitting) * sampling.n, "samples") as advance:
            return policy.sample(fitting, sampling, progress=advance)
