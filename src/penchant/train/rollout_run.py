"""From a configuration to a finished run directory: what PPO, RLOO and GRPO do around the rollout loop."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from accelerate import Accelerator
from accelerate.utils import set_seed

from penchant.engine.attention import output_head
from penchant.engine.reference import Reference
from penchant.engine.score import DEFAULT_BUDGET, GPU_BUDGET
from penchant.engine.tokens import ValueHead
from penchant.errors import InputError
from penchant.metrics.estimates import Estimate
from penchant.models.finished import check_finished
from penchant.models.load import load_policy
from penchant.models.policy import Policy
from penchant.rewards import Reward, load_reward, score_groups
from penchant.rewards.columns import check_columns, reads_columns
from penchant.runs import input_digests
from penchant.runs.part_seconds import timed_part
from penchant.runs.provenance import provenance
from penchant.runs.run_folder import RunFolder
from penchant.runs.run_lines import Row
from penchant.train import setup
from penchant.train.best import check_best
from penchant.train.callbacks import Callbacks, callback_inputs
from penchant.train.evaluation.samples import SampleEvaluation
from penchant.train.group_settings import GroupConfig
from penchant.train.inputs.reference_table import load_reference, reference_of
from penchant.train.inputs.sources import prompts
from penchant.train.lengthening import check_lengthening, check_restarts
from penchant.train.plan import split_by_prompt
from penchant.train.recipe import Counts
from penchant.train.rollout import RolloutLoop, Score, train_on_rollouts
from penchant.train.rollout_objectives import make_objective
from penchant.train.rollout_settings import AdaptiveKL, RolloutConfig
from penchant.train.run_plan import end_if_planned, rollout_plan
from penchant.types import PromptGroup, RunResult

TARGET_SLACK = 0.25  # of a KL target, by which a run may miss it without a word
MOST_EQUAL = 0.5  # of the prompts, from which on a run says that they taught nothing
LAST_STEPS = 10  # whose mean KL counts where no samples were evaluated: that of one step is noisy


def run_rollouts(config: RolloutConfig, *, resume: bool = False) -> RunResult:
    """Train on rollouts and evaluate as the configuration says; everything lands in the run directory.

    Raises:
        InputError: bad prompts, model, reward, or directory. Nothing is left behind.
        RunError: the run had to stop; its last checkpoint stays.
    """
    started = time.monotonic()
    if (ended_result := setup.ended_run(config, config.out, resume=resume, extendable=True)) is not None:
        return ended_result
    setup.refuse_early(config, resume=resume, rewards=(*reward_names(config), config.true_reward))
    set_seed(config.seed)  # the adapters' start
    warnings: list[str] = []
    check_finished(Path(config.model.name).expanduser(), "trained further")
    with timed_part("loading"):
        policy = load_policy(config.model, rendering=config.data.rendering)
    accelerator = setup.accelerator_for(config, policy.scorer.device)
    # rollouts, rewards and normalisers would have to be gathered: refused until somebody needs it (decision 0009)
    if accelerator.num_processes > 1:
        raise InputError(f"{config.method} runs in one process, got {accelerator.num_processes}: start it without more")
    folder = RunFolder(config.out, config, resume=resume, extendable=True)
    check_restarts(config, config.steps)
    steps_done = 0
    if isinstance(folder.shorter_config, RolloutConfig):
        steps_done = check_lengthening(folder, config, folder.shorter_config.steps, config.steps)
    # rollouts measure samples: what is held out are prompts, of which no loss is taken
    check_best(config, held_out=False, samples=config.evaluate.samples is not None)
    loaded = _load_rewards(config, policy, warnings)
    train_groups, held_groups, counts = _prompts(config, policy, warnings)
    for reward in loaded.values():
        check_columns(reward, [*train_groups, *held_groups])
    rewards = _rewards(config, policy, loaded)
    with timed_part("loading"):
        other = load_reference(config.reference, policy) if config.reference is not None else None
    samples = None
    if config.evaluate.samples is not None:
        samples, sample_warnings = setup.sample_evaluation(
            config.evaluate.samples,
            policy,
            held_groups,
            train_groups,
            trained_tokens=config.max_new_tokens,
            system=config.data.system,
        )
        warnings += sample_warnings
    end_if_planned(lambda: rollout_plan(config, policy, train_groups, counts, warnings))
    with setup.open_run(folder, accelerator):
        start = input_digests.ModelIdentity.from_learner(policy)
        frozen = input_digests.ModelIdentity.from_learner(other) if other is not None else start
        inputs = input_digests.model_inputs(start, frozen) | input_digests.template_inputs(policy.renderer)
        inputs |= input_digests.prompt_inputs(policy, train_groups, held_groups)
        inputs |= (
            input_digests.column_inputs([*train_groups, *held_groups])
            if any(map(reads_columns, loaded.values()))
            else {}
        )
        inputs |= input_digests.reward_inputs(config.reward, config.true_reward, reward_names(config)[1:])
        inputs |= input_digests.sample_inputs(samples, config.evaluate.samples)
        inputs |= callback_inputs(config.callbacks)
        input_digests.check_unchanged_since_start(folder, provenance(config, policy, start, frozen, inputs))
        folder.lengthen(steps_done)  # after all that can be refused
        loop = _loop(config, policy, train_groups, rewards, reference_of(other, policy), samples, folder, accelerator)
        setup.start_trackers(accelerator, config)
        status = train_on_rollouts(loop, resume=resume)
        warnings += _warnings_of_end(loop, status)
        return setup.end_run(loop, counts, warnings, status, started)


def _load_rewards(config: RolloutConfig, policy: Policy, warnings: list[str]) -> dict[str, Reward]:
    """Return every reward of a run by name, the true one too; warn where one cannot read the policy's tokens."""
    loaded = {name: _load(name, policy, warnings) for name in reward_names(config)}
    # its warnings are dropped: the true reward is only logged
    return loaded | ({config.true_reward: _load(config.true_reward, policy, [])} if config.true_reward else {})


def _rewards(config: RolloutConfig, policy: Policy, loaded: Mapping[str, Reward]) -> tuple[Score, Score | None]:
    """Return what scores samples, and what scores them by the true reward where there is one."""
    rates = {name: partial(score_groups, reward=reward, tokenizer=policy.tokenizer) for name, reward in loaded.items()}
    scores = [rates[name] for name in reward_names(config)]
    weights = list(config.further_rewards.values()) if isinstance(config, GroupConfig) else []
    score = weighted_sum(scores, [1.0, *weights]) if weights else scores[0]
    return score, rates[config.true_reward] if config.true_reward else None


def reward_names(config: RolloutConfig) -> list[str]:
    """Return the rewards that are optimised, the first with the weight 1."""
    return [config.reward, *(config.further_rewards if isinstance(config, GroupConfig) else ())]


def weighted_sum(scores: Sequence[Score], weights: Sequence[float]) -> Score:
    """Return what scores samples by a weighted sum of rewards."""

    def score(groups: Sequence[PromptGroup]) -> list[PromptGroup]:
        # all rewards see the same samples, in one call each
        totals: list[tuple[float, ...]] = [(0.0,) * len(group.responses) for group in groups]
        for rate, weight in zip(scores, weights, strict=True):
            rated = [group.scores or () for group in rate(groups)]
            totals = [
                tuple(total + weight * value for total, value in zip(*pair, strict=True))
                for pair in zip(totals, rated, strict=True)
            ]
        return [replace(group, scores=total) for group, total in zip(groups, totals, strict=True)]

    return score


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
    # not by the longest row, as for fixed data: how long the samples will be is not known yet
    budget = config.tokens_per_batch or (DEFAULT_BUDGET if policy.scorer.device.type == "cpu" else GPU_BUDGET)
    if samples is not None:
        samples = replace(samples, reference=reference, budget=budget)
    hidden = output_head(policy.model).weight.shape[1]  # the width of what the vocabulary head reads
    has_head = make_objective(config).has_value_head
    return RolloutLoop(
        config=config,
        policy=policy,
        folder=folder,
        accelerator=accelerator,
        evaluate=setup.evaluation(folder, None, samples, accelerator),
        extra_modules={"value_head": ValueHead(hidden).to(policy.scorer.device)} if has_head else {},
        reference=reference,
        rows=trained,
        reward=rewards[0],
        true_reward=rewards[1],
        budget=budget,
        callbacks=Callbacks(config.callbacks),
    )


def _warnings_of_end(loop: RolloutLoop, status: str) -> list[str]:
    """Return warnings of a run that ended too early, or elsewhere than it was steered to."""
    config, last = loop.config, loop.state.last
    warnings = []
    if status == "runaway":
        warnings.append(
            f"stopped at step {loop.state.step} of {config.steps}: the KL to the reference went beyond "
            f"{config.stop_kl_nats:g} nats. Lower the learning rate or the KL target, or raise the penalty"
        )
    rows = [row for row in loop.folder.rows("metrics.jsonl") if row.get("kind") == "train"]
    step_kls = [kl for row in rows if isinstance(kl := row.get("kl_nats"), float)]
    warnings += equal_reward_warnings([share for row in rows if isinstance(share := row.get("equal_rewards"), float)])
    return warnings + missed_target(config, _sampled_kl(last), step_kls)


def equal_reward_warnings(shares: Sequence[float]) -> list[str]:
    """Return a warning where most prompts taught nothing, else nothing.

    Args:
        shares: per step, the share of its prompts whose samples all have one reward; their advantages are zero.
    """
    mean = sum(shares) / len(shares) if shares else 0.0
    if mean < MOST_EQUAL:
        return []
    # steps in which nothing at all was learned, which a mean hides
    idle = sum(share == 1 for share in shares)
    return [
        f"all samples of a prompt had one reward for {mean:.0%} of the prompts, whose advantages are zero; in "
        f"{idle} of {len(shares)} steps for every prompt. Choose prompts that the policy solves sometimes, or raise "
        "samples_per_prompt"
    ]


def _sampled_kl(last: Row | None) -> Estimate | None:
    """Return the KL of the samples of the last evaluation; None without samples, and before the first step."""
    # read here, not by `runs.read`: a change of what reports read must not make stages of PPO stale
    value: object = last if last is not None and last.get("step") else None
    for key in ("samples", "policy", "kl_nats"):
        value = value.get(key) if isinstance(value, dict) else None
    return Estimate.from_dict(value) if isinstance(value, dict) and value["value"] is not None else None


def missed_target(config: RolloutConfig, measured: Estimate | None, step_kls: Sequence[float]) -> list[str]:
    """Return a warning where the KL that was steered to a target ended elsewhere, else nothing.

    Args:
        measured: the KL of samples at the end, in nats, where some were drawn.
        step_kls: the KL of each step, in nats; without samples the mean of the last ones counts.
    """
    if not isinstance(config.kl, AdaptiveKL):
        return []
    target = config.kl.target_nats
    recent = step_kls[-LAST_STEPS:]
    if measured is None and not recent:
        return []
    value = measured.value if measured is not None else sum(recent) / len(recent)
    if abs(value / target - 1) <= TARGET_SLACK:
        return []
    # a target inside of the interval may well have been reached
    if measured is not None and measured.has_interval and not (measured.above(target) or measured.below(target)):
        return []
    side, advice = (
        ("below", "train longer, or raise the learning rate or kl.gain")
        if value < target
        else ("above", "train longer, or raise kl.gain")
    )
    distance = f"{abs(value / target - 1):.0%} {side} its target" if value > 0 else "where the policy is the reference"
    # an estimate a little below zero would be printed as -0.00
    end = round(value, 2) + 0.0
    return [
        f"the KL was steered to {target:g} nats and ended at {end:.2f}, {distance}: {advice}; what was reached is "
        "not the policy of this target"
    ]


def _prompts(
    config: RolloutConfig, policy: Policy, warnings: list[str]
) -> tuple[list[PromptGroup], list[PromptGroup], Counts]:
    """Load prompts to train on and to hold out, each once, and count them."""
    data = config.data
    groups = prompts(data)
    fitting = [group for group in groups if policy.has_room(group.prompt, config.max_new_tokens, source=group.source)]
    if len(fitting) < len(groups):
        warnings.append(
            f"{len(groups) - len(fitting)} of {len(groups)} prompts leave no room for {config.max_new_tokens} tokens "
            f"in the model's context of {policy.context} and were left out"
        )
    train_side, held_side = split_by_prompt(fitting, data.held_out, config.seed) if fitting else ([], [])
    if not train_side or len(train_side) < config.prompts_per_step:
        raise InputError(
            f"{data.title}: {len(train_side)} prompts to train on, but a step takes prompts_per_step="
            f"{config.prompts_per_step}: lower it, or hold out fewer (data.held_out)"
        )
    counts: Counts = {"groups": len(groups), "prompts": len(train_side), "held_out_groups": len(held_side)}
    return [fitting[i] for i in train_side], [fitting[i] for i in held_side], counts


def _load(name: str, policy: Policy, warnings: list[str]) -> Reward:
    """Return a reward of the policy's samples; warn where a learned one cannot read their tokens."""
    reward = load_reward(name, device=str(policy.scorer.device))
    # with one vocabulary a learned reward reads the drawn ids: their text may tokenize in another way
    reward_tokenizer = getattr(reward, "tokenizer", None)
    if reward_tokenizer is not None and reward_tokenizer.get_vocab() != policy.tokenizer.get_vocab():
        warnings.append("the reward model has another vocabulary than the policy: it reads the text of the samples")
    return reward
