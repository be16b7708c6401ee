"""From a configuration to a finished run directory, for the rollout loop: what `session` is for the gradient loop."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from accelerate import Accelerator
from accelerate.utils import set_seed

from penchant.data import load_prompts
from penchant.engine.attention import output_head
from penchant.engine.reference import Reference
from penchant.engine.score import DEFAULT_BUDGET, GPU_BUDGET
from penchant.engine.tokens import ValueHead
from penchant.errors import InputError
from penchant.models.finished import check_finished
from penchant.models.load import load_policy
from penchant.models.policy import Policy
from penchant.rewards import Reward, load_reward, score_groups
from penchant.runs.input_digests import (
    ModelIdentity,
    check_unchanged_since_start,
    model_inputs,
    prompt_inputs,
    reward_inputs,
    sample_inputs,
)
from penchant.runs.provenance import provenance
from penchant.runs.run_folder import RunFolder
from penchant.train.evaluation.samples import SampleEvaluation
from penchant.train.inputs.reference_table import load_reference
from penchant.train.plan import split_by_prompt
from penchant.train.rollout import RolloutLoop, Score, train_on_rollouts
from penchant.train.rollout_settings import AdaptiveKL, RolloutConfig
from penchant.train.setup import (
    accelerator_for,
    end_run,
    ended_run,
    evaluation,
    log_into,
    sample_evaluation,
    start_trackers,
)
from penchant.types import PromptGroup, RunResult

if TYPE_CHECKING:
    from penchant.typed_json import JsonObject

TARGET_SLACK = 0.25  # of a KL target, by which a run may miss it without a word
LAST_STEPS = 10


def run_rollouts(config: RolloutConfig, *, resume: bool = False) -> RunResult:
    """Train on rollouts and evaluate as the configuration says; everything lands in the run directory.

    Raises:
        InputError: bad prompts, model, reward, or directory. Nothing is left behind.
        RunError: the run had to stop; its last checkpoint stays.
    """
    started = time.monotonic()
    if (ended_result := ended_run(config, config.out, resume=resume)) is not None:
        return ended_result
    set_seed(config.seed)  # the adapters' start
    warnings: list[str] = []
    check_finished(Path(config.model.name).expanduser(), "trained further")
    policy = load_policy(config.model, template=config.data.template)
    accelerator = accelerator_for(config, policy.scorer.device)
    if accelerator.num_processes > 1:
        raise InputError(f"{config.method} runs in one process, got {accelerator.num_processes}: start it without more")
    folder = RunFolder(config.out, config, resume=resume)
    train_groups, held_groups, counts = _prompts(config, policy, warnings)
    rewards = _rewards(config, policy, warnings)
    other = load_reference(config.reference, policy) if config.reference is not None else None
    samples = None
    if (sample_settings := config.evaluate.samples) is not None:
        samples, sample_warnings = sample_evaluation(
            sample_settings, policy, held_groups, train_groups, trained_tokens=config.max_new_tokens
        )
        warnings += sample_warnings
    log_into(accelerator, folder)
    folder.open()
    try:
        start = ModelIdentity.from_learner(policy)
        frozen = ModelIdentity.from_learner(other) if other is not None else start
        reference = Reference(other.scorer, False) if other else Reference.of_policy(policy.scorer)
        inputs = model_inputs(start, frozen) | prompt_inputs(policy, train_groups, held_groups)
        inputs |= reward_inputs(config.reward, config.true_reward)
        inputs |= sample_inputs(samples, sample_settings.reward if sample_settings else None)
        check_unchanged_since_start(folder, provenance(config, policy, start, frozen, inputs))
        loop = _loop(config, policy, train_groups, rewards, reference, samples, folder, accelerator)
        start_trackers(accelerator, config)
        status = train_on_rollouts(loop, resume=resume)
        warnings += _warnings_of_end(loop, status)
        return end_run(loop, counts, warnings, status, started)
    finally:
        folder.close()


def _rewards(config: RolloutConfig, policy: Policy, warnings: list[str]) -> tuple[Score, Score | None]:
    """Return what scores samples, and what scores them by the true reward where there is one."""
    device = str(policy.scorer.device)
    score = _score(load_reward(config.reward, device=device), policy, warnings)
    if not config.true_reward:
        return score, None
    return score, _score(load_reward(config.true_reward, device=device), policy, [])


def _loop(
    config: RolloutConfig,
    policy: Policy,
    trained: Sequence[PromptGroup],
    rewards: tuple[Score, Score | None],
    reference: Reference,
    samples: SampleEvaluation | None,
    folder: RunFolder,
    accelerator: Accelerator,
) -> RolloutLoop:
    budget = config.tokens_per_batch or (DEFAULT_BUDGET if policy.scorer.device.type == "cpu" else GPU_BUDGET)
    if samples is not None:
        samples = replace(samples, reference=reference, budget=budget)
    hidden = output_head(policy.model).weight.shape[1]  # the width of what the vocabulary head reads
    return RolloutLoop(
        config=config,
        policy=policy,
        folder=folder,
        accelerator=accelerator,
        evaluate=evaluation(folder, None, samples, accelerator),
        extra_modules={"value_head": ValueHead(hidden).to(policy.scorer.device)},
        reference=reference,
        prompts=[group.prompt for group in trained],
        reward=rewards[0],
        true_reward=rewards[1],
        budget=budget,
    )


def _warnings_of_end(loop: RolloutLoop, status: str) -> list[str]:
    """Return warnings of a run that ended too early, or elsewhere than it was steered to."""
    config = loop.config
    runaway = (
        f"stopped at step {loop.state.step} of {config.steps}: the KL to the reference went beyond "
        f"{config.stop_kl_nats:g} nats. Lower the learning rate or the KL target, or raise the penalty"
        if status == "runaway"
        else None
    )
    missed = missed_target(config, loop.state.last, loop.folder.rows("metrics.jsonl"))
    return [*filter(None, [runaway]), *missed]


def missed_target(config: RolloutConfig, last: JsonObject | None, lines: Iterable[JsonObject]) -> list[str]:
    """Return a warning where the KL that was steered to a target ended elsewhere, else nothing.

    Args:
        last: the last evaluation; its KL counts where samples were drawn, with its interval.
        lines: of metrics.jsonl; without samples the mean KL of the last steps counts.
    """
    if not isinstance(config.kl, AdaptiveKL):
        return []
    target = config.kl.target_nats
    samples = (last or {}).get("samples")
    if samples and (last or {}).get("step"):
        kl = samples["policy"]["kl_nats"]
        value, low, high = kl["value"], kl["low"], kl["high"]
    else:
        recent = [line["kl_nats"] for line in lines if line.get("kind") == "train"][-LAST_STEPS:]
        value, low, high = (sum(recent) / len(recent) if recent else None), None, None
    if value is None or abs(value / target - 1) <= TARGET_SLACK:
        return []
    if low is not None and high is not None and low <= target <= high:
        return []
    side, advice = (
        ("below", "train longer, or raise the learning rate or kl.gain")
        if value < target
        else ("above", "train longer, or raise kl.gain")
    )
    distance = f"{abs(value / target - 1):.0%} {side} its target" if value > 0 else "where the policy is the reference"
    return [
        f"the KL was steered to {target:g} nats and ended at {value:.2f}, {distance}: {advice}; what was reached is "
        "not the policy of this target"
    ]


def _prompts(
    config: RolloutConfig, policy: Policy, warnings: list[str]
) -> tuple[list[PromptGroup], list[PromptGroup], JsonObject]:
    """Load prompts to train on and to hold out, each once, and count them."""
    data = config.data
    groups = load_prompts(data.path, **data.reading)
    fitting = [group for group in groups if policy.has_room(group.prompt, config.max_new_tokens, source=group.source)]
    if len(fitting) < len(groups):
        warnings.append(
            f"{len(groups) - len(fitting)} of {len(groups)} prompts leave no room for {config.max_new_tokens} tokens "
            f"in the model's context of {policy.context} and were left out"
        )
    train_side, held_side = split_by_prompt(fitting, data.held_out, config.seed) if fitting else ([], [])
    if not train_side or len(train_side) < config.prompts_per_step:
        raise InputError(
            f"{data.path}: {len(train_side)} prompts to train on, but a step takes prompts_per_step="
            f"{config.prompts_per_step}: lower it, or hold out fewer (data.held_out)"
        )
    counts = {"groups": len(groups), "prompts": len(train_side), "held_out_groups": len(held_side)}
    return [fitting[i] for i in train_side], [fitting[i] for i in held_side], counts


def _score(reward: Reward, policy: Policy, warnings: list[str]) -> Score:
    """Return what scores the policy's samples; warn where a learned reward cannot read their tokens."""
    reward_tokenizer = getattr(reward, "tokenizer", None)
    if reward_tokenizer is not None and reward_tokenizer.get_vocab() != policy.tokenizer.get_vocab():
        warnings.append("the reward model has another vocabulary than the policy: it reads the text of the samples")
    return partial(score_groups, reward=reward, tokenizer=policy.tokenizer)
