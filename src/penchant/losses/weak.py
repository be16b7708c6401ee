"""Losses of a strong student on a weak supervisor's labels. Pure functions, one number per example.

Targets are probabilities over the classes, so hard labels are one-hot rows. The classes may be a row's own options, as
many columns as the longest list of them has: then a row with fewer has logits of -inf and targets of 0 there. What is
made of the student's own prediction is detached: it is a target, and no gradient flows through it. Sources: Burns et
al. 2023 (arXiv:2312.09390), section 4.3.2 and appendices A.4 and G; per-sample weights after Guo et al. 2024
(arXiv:2402.03749).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import log_softmax, one_hot

from penchant.errors import InputError
from penchant.losses.assignment import assign
from penchant.losses.weak_settings import Prior


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Return -sum_c target_c log p_c of each example, in nats.

    Args:
        logits: the student's, shape (examples, classes).
        targets: probabilities of the same shape; hard labels are one-hot rows.

    Returns:
        Shape (examples,).

    Raises:
        InputError: other shapes, or fewer than two classes.
    """
    _same_shape(logits, targets)
    logps = log_softmax(logits, -1)
    # an option that is not there has a target of 0 and a log-probability of -inf: their product would be NaN
    return -torch.where(logits > -torch.inf, targets * logps, 0.0).sum(-1)


def confidence(logits: Tensor, weak: Tensor, *, alpha: float, prior: Prior = "weak") -> Tensor:
    """Return the auxiliary confidence loss: CE(f, (1 - alpha) weak + alpha hardened f).

    The student's own predictions are hardened with a threshold that adapts to the batch (`harden`), so that they
    keep the prior of the classes and cannot all become one.

    Args:
        logits: shape (examples, classes), one batch. weak: the supervisor's probabilities, same shape.
        alpha: weight of the student's own predictions, in [0, 1]; see `confidence_weight` for its warm-up. At 0 this
            is `cross_entropy`, to the bit.
        prior: the share of each class that the hardened predictions keep, see `class_shares`. The paper's "half of the
            batch" is `balanced`, for two classes.

    Returns:
        Shape (examples,).

    Raises:
        InputError: other shapes, alpha outside [0, 1], or shares that are no distribution.
    """
    return cross_entropy(logits, confidence_target(logits, weak, alpha=alpha, prior=prior))


def confidence_target(logits: Tensor, weak: Tensor, *, alpha: float, prior: Prior = "weak") -> Tensor:
    """Return what `confidence` takes for the truth: shape (examples, classes), detached. Arguments as there."""
    _same_shape(logits, weak)
    _is_share(alpha)
    return (1 - alpha) * weak + alpha * harden(logits, class_shares(prior, weak))


def class_shares(prior: Prior, weak: Tensor, weights: Tensor | None = None) -> tuple[float, ...]:
    """Return the share of each class that hardened predictions keep.

    Args:
        prior: `weak`: the mean of the supervisor's probabilities; `balanced`: the same share for all; or the shares.
        weak: the supervisor's probabilities, shape (examples, classes), of all rows that the student learns from. The
            mean over a small batch would be noise.
        weights: how much each example counts in that mean, shape (examples,); all alike if not given.

    Raises:
        InputError: shares that are no distribution over the classes.
    """
    classes = weak.shape[1]
    if prior == "balanced":
        return (1 / classes,) * classes
    if prior == "weak":
        # in float64: balanced labels have to give the balanced shares to the bit
        total = weak.detach().double()
        mean = total.mean(0) if weights is None else (total * weights.double()[:, None]).mean(0)
        return tuple((mean / mean.sum()).tolist())
    _are_shares(prior, classes)
    return tuple(prior)


def confidence_weight(step: int, steps: int, *, alpha_max: float, warmup: float = 0.2) -> float:
    """Return alpha at a step: linear from 0 to alpha_max over the first `warmup` of training, then constant.

    Args:
        step: 0 for the first one. steps: of the whole training. warmup: a share; 0 means alpha_max at once.
    """
    # Burns et al.: an untrained student's own predictions are no better than chance, so they count for nothing at
    # first
    ramp = warmup * steps
    return alpha_max if step >= ramp else alpha_max * step / ramp


def harden(logits: Tensor, shares: Sequence[float] | None = None) -> Tensor:
    """Return one-hot predictions of a batch whose classes come as often as the shares say.

    Of all assignments with these counts it is the most probable one under the student. For two classes that is a
    threshold on the log-odds; with equal shares exactly the paper's, with half of the batch above it. Counts are the
    shares of the batch, rounded by largest remainder. Where rows have different numbers of options a column is no
    class: then it is each row's most probable option.

    Args:
        logits: shape (examples, classes).
        shares: of each class, see `class_shares`; the same for all if not given.

    Returns:
        Shape (examples, classes), detached, of the logits' dtype.
    """
    examples, classes = logits.shape
    logits = logits.detach()
    counts = _counts(shares, examples, classes)
    if not torch.isfinite(logits).all():
        chosen = logits.argmax(-1)
    elif classes == 2:
        chosen = torch.zeros(examples, dtype=torch.long, device=logits.device)
        # the paper's threshold: the surest of class 1 come first, as many as the share says; stable, so that ties fall
        # alike on every machine
        order = (logits[:, 1] - logits[:, 0]).argsort(descending=True, stable=True)
        chosen[order[: counts[1]]] = 1
    else:
        # the sum of log-probabilities is what the most probable assignment maximizes
        scores = log_softmax(logits.double(), -1).cpu().numpy()
        chosen = torch.as_tensor(assign(scores, counts), device=logits.device)
    return one_hot(chosen, classes).to(logits.dtype)


def product(logits: Tensor, weak: Tensor, *, student_power: float = 1.0, weak_power: float = 1.0) -> Tensor:
    """Return CE with a target in proportion to p^student_power times weak^weak_power, p the student's own belief.

    With student_power 0 and weak_power 1 this is `cross_entropy`.

    Args:
        logits, weak: shape (examples, classes). student_power, weak_power: at least 0.

    Returns:
        Shape (examples,).

    Raises:
        InputError: other shapes, or a negative power.
    """
    target = product_target(logits, weak, student_power=student_power, weak_power=weak_power)
    return cross_entropy(logits, target)


def product_target(logits: Tensor, weak: Tensor, *, student_power: float = 1.0, weak_power: float = 1.0) -> Tensor:
    """Return what `product` takes for the truth: shape (examples, classes), detached. Arguments as there."""
    _same_shape(logits, weak)
    if student_power < 0 or weak_power < 0:
        raise InputError(f"powers must be at least 0, got {student_power} and {weak_power}")
    if student_power == 0 and weak_power == 1:
        return weak
    # a label of exactly 0 stays (nearly) 0, and two hard labels that exclude each other still leave a distribution
    weak_logs = weak.clamp_min(torch.finfo(weak.dtype).tiny).log()
    # and of an option that is not there 0 times -inf would be no number
    own_logs = log_softmax(logits.detach(), -1).clamp_min(-1e9)
    return (student_power * own_logs + weak_power * weak_logs).softmax(-1)


def adaptive_confidence(logits: Tensor, weak: Tensor, *, alpha: float = 1.0, prior: Prior = "weak") -> Tensor:
    """Return the confidence loss with a weight per example: (1 - b) CE(f, weak) + b CE(f, hardened f).

    b = alpha p_self / (p_self + p_weak), with the probabilities that the student gives to its own label (`harden`: most
    probable classes alone ran away to one class for all) and to the supervisor's: where they agree b is alpha / 2 and
    changes little; where the student is sure that the supervisor is wrong, b comes near alpha. The weight is detached.
    The idea is Guo et al.'s (2024); this form of the weight is ours.

    Args:
        logits, weak: shape (examples, classes). alpha: in [0, 1]; 0 is `cross_entropy`, to the bit.
        prior: the share of each class that the hardened predictions keep, see `class_shares`.

    Returns:
        Shape (examples,).

    Raises:
        InputError: other shapes, alpha outside [0, 1], or shares that are no distribution.
    """
    return cross_entropy(logits, adaptive_target(logits, weak, alpha=alpha, prior=prior))


def adaptive_target(logits: Tensor, weak: Tensor, *, alpha: float = 1.0, prior: Prior = "weak") -> Tensor:
    """Return what `adaptive_confidence` takes for the truth: (examples, classes), detached. Arguments as there."""
    _same_shape(logits, weak)
    _is_share(alpha)
    hardened = harden(logits, class_shares(prior, weak))
    # what the student itself gives to its own hardened label, and to the supervisor's
    student_belief, weak_belief = (
        logits.detach().gather(1, probabilities.argmax(-1, keepdim=True)) for probabilities in (hardened, weak)
    )
    b = (
        alpha * (student_belief - weak_belief).sigmoid()
    )  # = p_self / (p_self + p_weak), where both are too small for a number too
    return (1 - b) * weak + b * hardened


def most_confident(weak: Tensor, *, share: float) -> Tensor:
    """Return which examples to train on when only the labels that the supervisor is surest of are kept.

    The share is taken within each class that the supervisor predicts, so that filtering does not unbalance them.

    Args:
        weak: the supervisor's probabilities, shape (examples, classes). share: in (0, 1]; 1 keeps all.

    Returns:
        Shape (examples,), bool; of each predicted class at least one example.

    Raises:
        InputError: a share outside (0, 1].
    """
    if not 0 < share <= 1:
        raise InputError(f"share must lie in (0, 1], got {share}")
    # a share over all classes together would drop a class whose labels are never sure
    sureness, label = weak.max(-1)
    is_kept = torch.zeros(len(weak), dtype=torch.bool, device=weak.device)
    for predicted in label.unique():
        of_class = (label == predicted).nonzero().squeeze(1)
        order = sureness[of_class].argsort(descending=True, stable=True)
        is_kept[of_class[order[: max(1, round(share * len(of_class)))]]] = True
    return is_kept


def surest_labels(weak: Tensor, share: float) -> Tensor:
    """Return which labels are kept: the surest of each class, and all that are certain.

    Args and result as of `most_confident`.
    """
    # certain ones are of the truth, or of a supervisor that says nothing of how sure it is: none is surer than another
    return most_confident(weak, share=share) | (weak.amax(-1) >= 1)


def _is_share(alpha: float) -> None:
    if not 0 <= alpha <= 1:
        raise InputError(f"alpha must lie in [0, 1], got {alpha}")


def _same_shape(logits: Tensor, targets: Tensor) -> None:
    if logits.ndim != 2 or logits.shape != targets.shape:
        raise InputError(
            f"logits and targets must have one shape (examples, classes), got {tuple(logits.shape)} and "
            f"{tuple(targets.shape)}; hard labels have to be one-hot rows"
        )
    if logits.shape[1] < 2:
        raise InputError("there must be at least two classes")


def _are_shares(shares: Sequence[float], classes: int) -> None:
    if len(shares) != classes or min(shares) < 0 or abs(sum(shares) - 1) > 1e-6:
        raise InputError(f"prior must give each of the {classes} classes its share, with sum 1, got {list(shares)}")


def _counts(shares: Sequence[float] | None, examples: int, classes: int) -> list[int]:
    """Return how many of the examples each class gets: its share, rounded by largest remainder."""
    shares = [1 / classes] * classes if shares is None else shares
    _are_shares(shares, classes)
    # half of an odd batch must not hang on the last bit of a mean, so a thousandth of an example is no remainder
    exact = np.round(np.asarray(shares, dtype=np.float64) * examples, 3)
    # largest remainder: floors first, then one more for the classes that lost most
    counts = np.floor(exact).astype(int)
    # ties go to the later class: of an odd batch of two classes one more is positive
    short = examples - counts.sum()
    order = sorted(range(classes), key=lambda c: (round(exact[c] - counts[c], 3), c), reverse=True)
    counts[order[:short]] += 1
    return [int(count) for count in counts]
