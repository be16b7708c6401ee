"""Policy gradients on token sequences: advantages and the clipped losses of PPO, RLOO and GRPO. Pure functions.

Sources: Schulman et al. 2017 (arXiv:1707.06347); generalized advantage estimation, Schulman et al. 2016
(arXiv:1506.02438); the KL penalty and its controller, Ziegler et al. 2019 (arXiv:1909.08593). Baselines of a group
of samples: RLOO, Ahmadian et al. 2024 (arXiv:2402.14740), and GRPO, Shao et al. 2024 (arXiv:2402.03300).
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

Sequences = Float[Tensor, "responses tokens"]
Tokens = Float[Tensor, " tokens"]


def advantages(
    rewards: Sequences, values: Sequences, mask: Bool[Tensor, "responses tokens"], *, gamma: float, lam: float
) -> Sequences:
    """Estimate generalized advantages: A_t = sum_k (gamma lam)^k (r_{t+k} + gamma V_{t+k+1} - V_{t+k}).

    Args:
        rewards, values: of each token, shape `(responses, tokens)`; nothing is read beyond a response's end.
        mask: which positions hold a token; true ones come first. The value after a response's last token is 0.
        gamma: discount. lam: 1 gives the return less the value, 0 the one-step difference.

    Returns:
        Shape `(responses, tokens)`, 0 outside. The returns are these plus the values.
    """
    keep = mask.to(values.dtype)
    rewards, values = rewards * keep, values * keep
    # the value of the next token; behind the last one the response has ended, and nothing more is to be had
    following = torch.cat([values[:, 1:], values.new_zeros(len(values), 1)], 1)
    surprises = rewards + gamma * following - values
    estimates = torch.zeros_like(values)
    accumulated = values.new_zeros(len(values))
    # from the end: each estimate is its own surprise and a discounted share of the one behind it
    for position in range(values.shape[1] - 1, -1, -1):
        accumulated = surprises[:, position] + gamma * lam * accumulated
        estimates[:, position] = accumulated
        accumulated = accumulated * keep[:, position]  # beyond the end nothing flows back
    return estimates * keep


def whiten(values: Tokens, weights: Tokens, *, shift: bool = True) -> Tokens:
    """Scale values to a weighted variance of 1, and shift them to a mean of 0 unless `shift` is false; any shape."""
    mean = (values * weights).sum() / weights.sum()
    variance = ((values - mean).square() * weights).sum() / weights.sum()
    # equal values have no variance: without the small term this would be 0 / 0
    return (values - mean if shift else values) * torch.rsqrt(variance + 1e-8)


def clipped_surrogate(
    logps: Tokens, old_logps: Tokens, advantage: Tokens, *, clip_ratio: float, clip_high: float | None = None
) -> Tokens:
    """Return the loss of each token: -min(rho A, clip(rho, 1 - eps, 1 + eps_high) A) with rho = pi / pi_old.

    Args:
        logps, old_logps: log-probabilities of the drawn tokens in nats, now and when they were drawn.
        advantage: of each token, without gradient.
        clip_ratio: eps. clip_high: eps_high, eps if not given (Yu et al. 2025, arXiv:2503.14476).
    """
    ratio = (logps - old_logps).exp()
    # as far up as down, unless somebody wants rare tokens to rise
    high = 1 + (clip_ratio if clip_high is None else clip_high)
    # the smaller of the two is a bound from below: a step that clipping would flatter is not taken
    return -torch.minimum(ratio * advantage, ratio.clamp(1 - clip_ratio, high) * advantage)


def clipped_value(values: Tokens, old_values: Tokens, returns: Tokens, *, clip_value: float | None) -> Tokens:
    """Return half the squared error of each value.

    With `clip_value` it is the larger of that and of the error of the value held that close to the old one, so that no
    update moves it far.
    """
    errors = (values - returns).square()
    if clip_value is not None:
        clipped = old_values + (values - old_values).clamp(-clip_value, clip_value)
        errors = torch.maximum(errors, (clipped - returns).square())
    return 0.5 * errors


def kl_loss(logps: Tokens, ref_logps: Tokens) -> Tokens:
    """Return half the squared log-ratio of each drawn token.

    Its gradient, on tokens drawn from the policy, is in expectation that of the reverse KL of each token's distribution
    (not what a token does to those after it); the gradient of the plain log-ratio is zero in expectation, and that of
    the positive estimator rho - 1 - log rho is the forward KL's.
    """
    return 0.5 * (logps - ref_logps).square()


def positive_kl_loss(logps: Tokens, ref_logps: Tokens) -> Tokens:
    """Return rho - 1 - log rho of each drawn token, with rho = reference / policy (k3, as GRPO was published).

    Its mean over tokens of the policy is the KL; its gradient there is not, see `kl_loss`.
    """
    log_ratio = ref_logps - logps
    return log_ratio.exp() - 1 - log_ratio


def group_advantages(
    scores: Float[Tensor, " responses"],
    counts: Float[Tensor, " responses"],
    prompts: Int[Tensor, " responses"],
    *,
    leave_one_out: bool,
    scale: bool = False,
) -> Float[Tensor, " responses"]:
    """Return what each sample is better than the others of its prompt; equal samples count as often as they were drawn.

    With K samples of a prompt: r_i less the mean of the other K - 1 (RLOO), or less
    the mean of all K (GRPO), which is (K - 1) / K of that.

    Args:
        scores: rewards. counts: how often each was drawn. prompts: the number of each one's prompt, from 0.
        leave_one_out: the first of the two. scale: divide by the standard deviation within the prompt.
    """
    sums, draws = (
        scores.new_zeros(int(prompts.max()) + 1).index_add(0, prompts, values) for values in (scores * counts, counts)
    )
    distance = scores - (sums / draws)[prompts]
    if leave_one_out:
        # the mean of the others is further away than the mean of all, by K / (K - 1); one sample has no others
        distance = distance * (draws / (draws - 1).clamp(min=1))[prompts]
    if not scale:
        return distance
    squares = scores.new_zeros(len(sums)).index_add(0, prompts, distance.square() * counts)
    # of one sample less than K, and a small term: equal rewards give advantages of 0, not 0 / 0
    spread = (squares / (draws - 1).clamp(min=1)).sqrt()
    return distance / (spread + 1e-4)[prompts]


def sequence_log_ratio(
    log_ratio: Tokens, responses: Int[Tensor, " tokens"], lengths: Float[Tensor, " responses"]
) -> Tokens:
    """Return for each token the mean log-ratio of its sample's tokens (Zheng et al. 2025, arXiv:2507.18071).

    Args:
        log_ratio: of each token. responses: the sample that it belongs to, from 0. lengths: tokens of each sample.
    """
    # the mean of logarithms: a long sample does not leave the range sooner than a short one
    sums = log_ratio.new_zeros(len(lengths)).index_add(0, responses, log_ratio)
    return (sums / lengths)[responses]


def explained_variance(values: Tokens, returns: Tokens, weights: Tokens) -> float | None:
    """Return 1 - Var(returns - values) / Var(returns).

    It is 1 for perfect values, 0 for constant ones and negative for harmful ones.

    None where the returns do not vary.
    """

    def variance(numbers: Tensor) -> float:
        mean = (numbers * weights).sum() / weights.sum()
        return float(((numbers - mean).square() * weights).sum() / weights.sum())

    spread = variance(returns)
    return 1 - variance(returns - values) / spread if spread > 0 else None


def first_coefficient(
    scores: Float[Tensor, " samples"] | None, prompts: Int[Tensor, " samples"], target_nats: float
) -> float:
    """Return the KL penalty with which the best policy has about the KL that is aimed at.

    Where rewards of the reference's samples are normal with variance s^2, the policy that maximizes reward - beta KL
    has a KL of s^2 / (2 beta^2), so beta = s / sqrt(2 target). It has the reward's own unit, as no fixed number can.

    Args:
        scores: rewards of samples of the reference; None where they are scaled to a variance of 1.
        prompts: the number of each one's prompt; what differs between prompts is nothing that a policy could gain, so
            s is taken within them where they have several samples.

    Returns:
        More than 0; 0.1 where all rewards are equal, and there is nothing to learn.
    """
    if scores is None:
        # scaled rewards have s = 1
        return (2 * target_nats) ** -0.5
    _, inverse, counts = prompts.unique(return_inverse=True, return_counts=True)
    exact = scores.double()
    means = exact.new_zeros(len(counts)).index_add(0, inverse, exact) / counts
    # one mean per prompt is estimated, so that many degrees of freedom are gone
    free = len(scores) - len(counts)
    variance = (exact - means[inverse]).square().sum() / free if free else exact.var(correction=0)
    spread = float(variance.sqrt())
    # rewards that are equal up to rounding: their spread would be noise, and a penalty of about 0
    return spread / (2 * target_nats) ** 0.5 if spread > 1e-6 * float(exact.abs().max()) else 0.1


def adapted(coefficient: float, kl_nats: float, target_nats: float, gain: float) -> float:
    """Return the KL penalty's next coefficient.

    It is raised by up to a fifth of `gain` where the KL is above its target, and lowered where it is below (Ziegler et
    al. 2019, section 2.2).
    """
    # one update with a wild KL must not swing the penalty: the relative error counts up to a fifth
    error = min(max(kl_nats / target_nats - 1, -0.2), 0.2)
    return coefficient * (1 + gain * error)
