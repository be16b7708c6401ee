"""Loop 2: sample -> reward -> advantage -> update. PPO, RLOO and GRPO run through here.

A step draws fresh samples (each prompt computed once for all of its), scores them, reads log-probabilities, values and
the reference's log-probabilities in one pass over trees each, and then updates policy and value head on minibatches of
prompts. Around the steps it is as the gradient loop is: `penchant.train.loop`.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from penchant.engine.memory import keep_freed_memory
from penchant.engine.reference import Reference
from penchant.engine.sampling import Sampling
from penchant.engine.score import batches
from penchant.engine.tokens import Layout, ValueHead, read, token_readings
from penchant.errors import PenchantError, RunError
from penchant.losses import policy_gradient as pg
from penchant.models.policy import Policy
from penchant.rewards.columns import carry_columns
from penchant.train.loop import RunContext, Step, drive, save
from penchant.train.marked_rows import keep_marked_samples
from penchant.train.optimizer import clip, make_optimizer, schedule, set_rate
from penchant.train.rollout_objectives import Rollout, RolloutObjective, make_objective
from penchant.train.rollout_settings import AdaptiveKL, RolloutConfig
from penchant.types import PromptGroup

Score = Callable[[Sequence[PromptGroup]], list[PromptGroup]]  # fills in the scores


@dataclass(kw_only=True)
class RolloutLoop(RunContext):
    """All that the rollout loop works with.

    Attributes:
        rows: prompts to sample for, with their columns where a reward reads some.
        reward: scores samples; it is optimised.
        true_reward: scores the same samples by what the reward stands for; it is only logged. None without one.
        budget: tokens of one forward pass.
    """

    config: RolloutConfig
    policy: Policy
    reference: Reference
    rows: Sequence[PromptGroup]
    reward: Score
    true_reward: Score | None
    budget: int

    @property
    def value_head(self) -> ValueHead | None:
        """The head that trains beside the policy, where the method has one."""
        head = self.extra_modules.get("value_head")
        assert head is None or isinstance(head, ValueHead)
        return head

    @cached_property
    def objective(self) -> RolloutObjective:
        """What is made of samples and their rewards."""
        return make_objective(self.config)


def train_on_rollouts(loop: RolloutLoop, *, resume: bool = False) -> str:
    """Train to the end or to an interruption; `"runaway"` where the KL went beyond its limit.

    Raises:
        RunError: a reward, loss or gradient that is not finite; a reward that cannot be reached; a full disk. The last
            checkpoint stays.
        InputError: the checkpoint to resume from holds another model.
    """
    config = loop.config
    policy_weights = [weight for weight in loop.policy.model.parameters() if weight.requires_grad]
    head = [] if loop.value_head is None else list(loop.value_head.parameters())
    # a rate of its own: the head starts from nothing, and the policy does not (decision 0009)
    optimizer = make_optimizer(config.optimizer, policy_weights, head, loop.objective.head_learning_rate)
    factor = schedule(config.schedule, config.steps)
    if config.gradient_checkpointing:
        loop.policy.model.gradient_checkpointing_enable({"use_reentrant": False})  # type: ignore[operator]
    # a resumed run takes the coefficient of its checkpoint, which is put in place after this
    if not loop.state.kl_coefficient:
        kl = config.kl
        loop.state.kl_coefficient = (kl.start or 0.0) if isinstance(kl, AdaptiveKL) else kl.coefficient
    keep_freed_memory()
    loop.policy.scorer.train()

    def step(number: int) -> Step:
        set_rate(optimizer, config.optimizer.learning_rate * factor(number))
        row = _step(loop, number, optimizer)
        epoch = (number + 1) * config.prompts_per_step / len(loop.rows)
        is_runaway = config.stop_kl_nats is not None and row["kl_nats"] > config.stop_kl_nats
        return Step(row, epoch, "runaway" if is_runaway else "")

    return drive(loop, config.steps, step, optimizer, resume=resume, progress_metric="reward")


def chosen_prompts(count: int, number: int, size: int, seed: int) -> list[int]:
    """Return which of `count` prompts step `number` samples for: `size` different ones.

    They come from one shuffled round after another. A round ends where less than a step is left of it, and leaves out
    other prompts each time.
    """
    # a function of the step's number, so that a resumed run needs no state of a generator
    steps = count // size
    order = np.random.default_rng([seed, number // steps]).permutation(count)
    return order[number % steps * size :][:size].tolist()


def _step(loop: RolloutLoop, number: int, optimizer: torch.optim.Optimizer) -> dict[str, float]:
    """Sample, score and update; return the step's line of metrics."""
    started = time.perf_counter()
    config, state = loop.config, loop.state
    groups, true = _sample(loop, number, optimizer)
    sampled = time.perf_counter()
    if isinstance(config.kl, AdaptiveKL) and not state.kl_coefficient:
        # for normal rewards of variance s^2 the best policy of reward - beta KL lies at s^2 / (2 beta^2) nats, so the
        # first beta is s / sqrt(2 target). A fixed 0.1 left nearly all runs beyond small targets (decision 0009)
        rewards, prompts = _spread(groups)
        # None: what is optimised has a variance of 1
        spread_rewards = None if loop.objective.scales_rewards else rewards
        state.kl_coefficient = pg.first_coefficient(spread_rewards, prompts, config.kl.target_nats)
    coefficient = state.kl_coefficient
    with loop.accelerator.autocast():
        rollout = _read(loop, groups)
    keep_marked_samples(loop.folder, loop.policy.renderer, groups, rollout.rendered)
    updated = _update(loop, rollout, optimizer, number)
    if isinstance(config.kl, AdaptiveKL):
        state.kl_coefficient = pg.adapted(coefficient, rollout.kl_nats, config.kl.target_nats, config.kl.gain)
    finished = torch.tensor([float(r.finished) for group in groups for r in group.responses])
    seconds = time.perf_counter() - started
    state.seconds += seconds
    state.samples_drawn += int(rollout.counts.sum())
    # equal samples of a prompt are scored once and count as often as they were drawn
    share = rollout.counts / rollout.counts.sum()
    row = {
        "reward": float((rollout.scores * share).sum()),
        "kl_nats": rollout.kl_nats,
        "kl_coefficient": coefficient,
        "tokens": float((rollout.layout.lengths * share).sum()),
        "finished": float((finished * share).sum()),
        **updated,
        "learning_rate": optimizer.param_groups[0]["lr"],
        "seconds": seconds,
        "sampling_seconds": sampled - started,
        "tokens_per_s": float(rollout.weights.sum()) / seconds,
        **loop.objective.metrics(rollout),
    }
    if true is not None:
        row["true_reward"] = float((true * share).sum())
    return row


def _sample(
    loop: RolloutLoop, number: int, optimizer: torch.optim.Optimizer
) -> tuple[list[PromptGroup], Tensor | None]:
    """Draw fresh samples and score them, by the true reward too where there is one.

    A step's draws depend on the weights, the seed and the step's number alone.

    Raises:
        RunError: a reward failed; a checkpoint of the steps done was written first.
    """
    config = loop.config
    chosen = chosen_prompts(len(loop.rows), number, config.prompts_per_step, config.seed)
    # a hash: with seed + step, seed 0 at step 1 would repeat the draws of seed 1 at step 0
    digest = hashlib.sha256(f"rollout|{config.seed}|{number}".encode()).digest()
    sampling = Sampling(
        config.samples_per_prompt, max_new_tokens=config.max_new_tokens, seed=int.from_bytes(digest[:7], "little")
    )
    # what draws must be what is scored: in another precision it would be another policy, whose ratio is not 1
    with loop.accelerator.autocast():
        rows = [loop.rows[index] for index in chosen]
        groups = carry_columns(loop.policy.sample([row.prompt for row in rows], sampling), rows)
    try:
        scored = loop.reward(groups)
        true = None if loop.true_reward is None else _scores(loop.true_reward(groups))
    except PenchantError as error:
        # a reward's server that is down must not cost hours of steps
        save(loop, optimizer)
        raise RunError(
            f"{error} (at step {number + 1} of {config.steps}; the {number} steps done are kept: remove the cause "
            "without changing the code of the reward, which would make it another run, and continue with --resume)"
        ) from error
    return scored, true


def _scores(groups: Sequence[PromptGroup]) -> Float[Tensor, " responses"]:
    return torch.tensor([score for group in groups for score in group.scores or ()])


def _spread(groups: Sequence[PromptGroup]) -> tuple[Float[Tensor, " samples"], Int[Tensor, " samples"]]:
    """Return the reward of each sample drawn, and the number of its prompt."""
    counts = torch.tensor([response.count for group in groups for response in group.responses])
    prompts = torch.tensor([number for number, group in enumerate(groups) for _ in group.responses])
    return _scores(groups).repeat_interleave(counts), prompts.repeat_interleave(counts)


def _read(loop: RolloutLoop, groups: Sequence[PromptGroup]) -> Rollout:
    """Compute log-probabilities, values, and what follows from them and the rewards."""
    renderer = replace(
        loop.policy.renderer, max_length=None, every_turn=False, thoughts="score"
    )  # what was sampled is read whole
    rendered = [renderer.render(group) for group in groups]
    layout = Layout.of_rows(rendered)
    logps, values = token_readings(loop.policy.scorer, loop.value_head, rendered, layout, budget=loop.budget)
    with loop.reference.active() as frozen:
        ref_logps, _ = token_readings(frozen, None, rendered, layout, budget=loop.budget)
    scores = _scores(groups)
    counts = torch.tensor([float(response.count) for group in groups for response in group.responses])
    weights = counts.repeat_interleave(layout.lengths)
    prompts = torch.tensor([number for number, group in enumerate(groups) for _ in group.responses])
    finished = torch.tensor([bool(response.finished) for group in groups for response in group.responses])
    zeros = torch.zeros_like(logps)
    rollout = Rollout(
        rendered, layout, counts, scores, prompts, finished, logps, ref_logps, values, zeros, zeros, weights
    )
    advantages, returns = loop.objective.credit(rollout, loop.state.kl_coefficient)
    return replace(rollout, advantages=advantages, returns=returns)


def _update(loop: RolloutLoop, rollout: Rollout, optimizer: torch.optim.Optimizer, number: int) -> dict[str, float]:
    """Go over the rollout several times in minibatches of prompts; return the means of their metrics."""
    config = loop.config
    # the 1 keeps these draws apart from those of `chosen_prompts`, which has the seed and a round's number
    generator = np.random.default_rng([config.seed, number, 1])
    metrics: list[dict[str, float]] = []
    for _ in range(config.updates):
        order = generator.permutation(len(rollout.rendered))
        # split by prompts, so that a prompt's tree is forwarded once; few prompts make fewer minibatches, of one each
        for part in np.array_split(order, min(config.minibatches, len(order))):
            metrics.append(_minibatch(loop, rollout, part.tolist(), optimizer))
    return {name: sum(minibatch_metrics[name] for minibatch_metrics in metrics) / len(metrics) for name in metrics[0]}


def _minibatch(
    loop: RolloutLoop, rollout: Rollout, groups: Sequence[int], optimizer: torch.optim.Optimizer
) -> dict[str, float]:
    """Take one optimizer step: the mean over the minibatch's tokens, whatever its forward passes were."""
    config, device = loop.config, loop.policy.scorer.device
    slots = _slots(rollout, groups)
    shares = loop.objective.shares(rollout, slots)
    sums: dict[str, float] = {}
    rows = [(rollout.rendered[group], range(len(rollout.rendered[group].branches))) for group in groups]
    packing = loop.policy.scorer.packing_for(row for row, _ in rows)
    for batch in batches(rows, budget=loop.budget, packing=packing):
        token_numbers, batch = rollout.layout.positions(batch, slots), batch.to(device)
        with loop.accelerator.autocast():
            now = read(loop.policy.scorer, loop.value_head, batch, entropies=loop.objective.needs_entropies)
        # the rollout lies on the CPU; of each batch only its own tokens go to the device
        columns = rollout.columns(token_numbers).to(device)
        terms = loop.objective.terms(now, columns, loop.state.kl_coefficient)
        weights = shares[token_numbers].to(device)
        (terms["loss"] * weights).sum().backward()
        for name, term in terms.items():
            sums[name] = sums.get(name, 0.0) + float((term.detach() * weights).sum())
    # a step of NaN would spoil the weights for good: it is refused before it is taken
    norm = clip(loop.parameters(), config.clip)
    if not (math.isfinite(sums["loss"]) and torch.isfinite(norm)):
        raise RunError(
            f"the loss ({sums['loss']:.4g}) or its gradient ({float(norm):.4g}) of step {loop.state.step + 1} is not "
            f"finite. {loop.advice}"
        )
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    # shares of a sum over a sample's tokens add up to more than 1, and a fraction of tokens is one of them all
    total = float(shares[torch.isin(rollout.owners, slots)].sum())
    sums["clip_fraction"] /= total or 1.0
    return {**sums, "grad_norm": float(norm)}


def _slots(rollout: Rollout, groups: Sequence[int]) -> Tensor:
    """Return which response each slot of a minibatch is."""
    ends = torch.tensor([0, *(len(row.branches) for row in rollout.rendered)]).cumsum(0)
    return torch.cat([torch.arange(int(ends[group]), int(ends[group + 1])) for group in groups])
