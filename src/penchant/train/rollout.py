"""Loop 2: sample -> reward -> advantage -> update. PPO, on a learned or the true reward, runs through here.

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

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from penchant.data.rendering.renderer import Rendered
from penchant.engine.memory import keep_freed_memory
from penchant.engine.reference import Reference
from penchant.engine.sampling import Sampling
from penchant.engine.score import batches
from penchant.engine.tokens import Layout, ValueHead, read, token_readings
from penchant.errors import PenchantError, RunError
from penchant.losses import policy_gradient as pg
from penchant.models.policy import Policy
from penchant.train.loop import RunContext, Step, drive, save
from penchant.train.marked_rows import keep_marked_samples
from penchant.train.optimizer import clip, make_optimizer, schedule, set_rate
from penchant.train.rollout_settings import AdaptiveKL, RolloutConfig
from penchant.types import Prompt, PromptGroup

Score = Callable[[Sequence[PromptGroup]], list[PromptGroup]]  # fills in the scores


@dataclass(kw_only=True)
class RolloutLoop(RunContext):
    """All that the rollout loop works with.

    Attributes:
        prompts: to sample for.
        reward: scores samples; it is optimised.
        true_reward: scores the same samples by what the reward stands for; it is only logged. None without one.
        budget: tokens of one forward pass.
    """

    config: RolloutConfig
    policy: Policy
    reference: Reference
    prompts: Sequence[Prompt]
    reward: Score
    true_reward: Score | None
    budget: int

    @property
    def value_head(self) -> ValueHead:
        """The head that trains beside the policy."""
        head = self.extra_modules["value_head"]
        assert isinstance(head, ValueHead)
        return head


@dataclass(frozen=True)
class Rollout:
    """The samples of a step. Tokens of all responses lie one after another, as `layout` says; all on the CPU.

    Attributes:
        rendered: per prompt, its distinct samples.
        counts, scores: (responses,) how often each was drawn, and its reward.
        logps, ref_logps: (tokens,) log-probabilities when they were drawn, in nats. values: (tokens,) in rewards.
        advantages, returns: (tokens,) what the update learns from.
        weights: (tokens,) how often each token was drawn.
    """

    rendered: Sequence[Rendered]
    layout: Layout
    counts: Float[Tensor, " responses"]
    scores: Float[Tensor, " responses"]
    logps: Float[Tensor, " tokens"]
    ref_logps: Float[Tensor, " tokens"]
    values: Float[Tensor, " tokens"]
    advantages: Float[Tensor, " tokens"]
    returns: Float[Tensor, " tokens"]
    weights: Float[Tensor, " tokens"]

    @property
    def kl_nats(self) -> float:
        """The mean over samples of the summed log-ratio to the reference: an unbiased estimate of the KL."""
        # unbiased since samples are drawn at temperature 1 from the whole vocabulary: settings that cut it are refused
        table, _ = self.layout.padded(self.logps - self.ref_logps)
        return float((table.sum(1) * self.counts).sum() / self.counts.sum())


def train_on_rollouts(loop: RolloutLoop, *, resume: bool = False) -> str:
    """Train to the end or to an interruption; `"runaway"` where the KL went beyond its limit.

    Raises:
        RunError: a reward, loss or gradient that is not finite; a reward that cannot be reached; a full disk. The last
            checkpoint stays.
        InputError: the checkpoint to resume from holds another model.
    """
    config = loop.config
    policy_weights = [weight for weight in loop.policy.model.parameters() if weight.requires_grad]
    head = list(loop.value_head.parameters())
    # a rate of its own: the head starts from nothing, and the policy does not (decision 0009)
    optimizer = make_optimizer(config.optimizer, policy_weights, head, config.value_learning_rate)
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
        epoch = (number + 1) * config.prompts_per_step / len(loop.prompts)
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
        scaled = config.kl_in == "loss" or config.whiten_rewards  # then what is optimised has a variance of 1
        rewards, prompts = _spread(groups)
        state.kl_coefficient = pg.first_coefficient(None if scaled else rewards, prompts, config.kl.target_nats)
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
    # None where the returns do not vary: there is nothing to explain
    explained = pg.explained_variance(rollout.values, rollout.returns, rollout.weights)
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
    }
    if explained is not None:
        row["explained_variance"] = explained
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
    chosen = chosen_prompts(len(loop.prompts), number, config.prompts_per_step, config.seed)
    # a hash: with seed + step, seed 0 at step 1 would repeat the draws of seed 1 at step 0
    digest = hashlib.sha256(f"rollout|{config.seed}|{number}".encode()).digest()
    sampling = Sampling(
        config.samples_per_prompt, max_new_tokens=config.max_new_tokens, seed=int.from_bytes(digest[:7], "little")
    )
    # what draws must be what is scored: in another precision it would be another policy, whose ratio is not 1
    with loop.accelerator.autocast():
        groups = loop.policy.sample([loop.prompts[index] for index in chosen], sampling)
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
    config = loop.config
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
    rewards = torch.zeros_like(logps)
    # the plain log-ratio at each drawn token: with a fixed coefficient the optimum is pi_ref exp(r / beta) / Z
    if config.kl_in == "reward":
        rewards -= loop.state.kl_coefficient * (logps - ref_logps)
    # the whole reward comes with a response's last token, and a cut sample ends there too: its value afterwards is 0
    rewards[layout.starts[1:] - 1] += scores
    if config.whiten_rewards:
        rewards = pg.whiten(rewards, weights, shift=False)
    table, mask = layout.padded(rewards)
    value_table, _ = layout.padded(values)
    advantages = pg.advantages(table, value_table, mask, gamma=config.gamma, lam=config.lam)[mask]
    return Rollout(
        rendered,
        layout,
        counts,
        scores,
        logps,
        ref_logps,
        values,
        pg.whiten(advantages, weights),
        advantages + values,
        weights,
    )


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
    # drawn tokens, not forwarded ones: equal samples are one branch, and count as often as they were drawn
    weight = (rollout.counts * rollout.layout.lengths)[slots].sum()
    sums: dict[str, float] = {}
    rows = [(rollout.rendered[group], range(len(rollout.rendered[group].branches))) for group in groups]
    packing = loop.policy.scorer.packing_for(row for row, _ in rows)
    for batch in batches(rows, budget=loop.budget, packing=packing):
        token_numbers, batch = rollout.layout.positions(batch, slots), batch.to(device)
        with loop.accelerator.autocast():
            now = read(loop.policy.scorer, loop.value_head, batch, entropies=config.entropy_weight > 0)
        # the rollout lies on the CPU; of each batch only its own tokens go to the device
        old, ref, values, advantage, returns, weights = (
            column[token_numbers].to(device)
            for column in (
                rollout.logps,
                rollout.ref_logps,
                rollout.values,
                rollout.advantages,
                rollout.returns,
                rollout.weights / weight,
            )
        )
        surrogate = pg.clipped_surrogate(now.logps, old, advantage, clip_ratio=config.clip_ratio)
        value_errors = pg.clipped_value(now.values, values, returns, clip_value=config.clip_value)
        losses = surrogate + config.value_weight * value_errors
        # half the squared log-ratio, whose gradient on the policy's own samples is that of the reverse KL
        if config.kl_in == "loss":
            losses = losses + loop.state.kl_coefficient * pg.kl_loss(now.logps, ref)
        if now.entropies is not None:
            losses = losses - config.entropy_weight * now.entropies
        loss = (losses * weights).sum()
        loss.backward()
        # the share of tokens whose gradient was cut off: an update that leaves the samples' policy behind shows in it
        is_clipped = (now.logps.detach() - old).exp().sub(1).abs() > config.clip_ratio
        terms = {
            "loss": losses,
            "policy_loss": surrogate,
            "value_loss": value_errors,
            "clip_fraction": is_clipped.float(),
        }
        if now.entropies is not None:
            terms["entropy"] = now.entropies
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
    return {**sums, "grad_norm": float(norm)}


def _slots(rollout: Rollout, groups: Sequence[int]) -> Tensor:
    """Return which response each slot of a minibatch is."""
    ends = torch.tensor([0, *(len(row.branches) for row in rollout.rendered)]).cumsum(0)
    return torch.cat([torch.arange(int(ends[group]), int(ends[group + 1])) for group in groups])
