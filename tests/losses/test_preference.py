"""Every pair loss against arithmetic done by hand, the identities of the papers, and numbers far out."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from penchant.errors import InputError
from penchant.losses.pairwise import (
    apo_down,
    apo_zero,
    bco_pair,
    discopop,
    dpo_mean,
    exo_pair,
    f_dpo,
    nca_pair,
    sppo_hard,
)
from penchant.losses.preference import dpo, hinge, ipo, ipo_mean, nll, orpo, robust, simpo

# name -> (the loss with its settings fixed, how many tensors it takes)
LOSSES: dict[str, tuple[Callable[..., Tensor], int]] = {
    "dpo": (lambda *t: dpo(*t, beta=0.3), 4),
    "cdpo": (lambda *t: dpo(*t, beta=0.3, label_smoothing=0.2), 4),
    "robust": (lambda *t: robust(*t, beta=0.3, label_smoothing=0.2), 4),
    "ipo": (lambda *t: ipo(*t, tau=0.4), 4),
    "ipo_mean": (lambda *t: ipo_mean(*t, tau=0.4), 4),
    "hinge": (lambda *t: hinge(*t, beta=0.3), 4),
    "simpo": (lambda *t: simpo(*t, beta=2.0, gamma=1.0), 2),
    "orpo": (lambda *t: orpo(*t, weight=0.25), 2),
    "nll": (nll, 1),
    "exo_pair": (lambda *t: exo_pair(*t, beta=0.3, label_smoothing=0.1), 4),
    "nca_pair": (lambda *t: nca_pair(*t, beta=0.3), 4),
    "sppo_hard": (lambda *t: sppo_hard(*t, beta=0.3), 4),
    "bco_pair": (lambda *t: bco_pair(*t, beta=0.3), 4),
    "apo_zero": (lambda *t: apo_zero(*t, beta=0.3), 4),
    "apo_down": (lambda *t: apo_down(*t, beta=0.3), 4),
    "discopop": (lambda *t: discopop(*t, beta=0.3, tau=0.05), 4),
    "dpo_mean": (lambda *t: dpo_mean(*t, beta=0.3), 4),
    "forward_kl": (lambda *t: f_dpo(*t, beta=0.3, divergence="forward_kl"), 4),
    "jensen_shannon": (lambda *t: f_dpo(*t, beta=0.3, divergence="jensen_shannon"), 4),
    "alpha_divergence": (lambda *t: f_dpo(*t, beta=0.3, divergence="alpha", alpha=0.3), 4),
}
ALL = pytest.mark.parametrize(("loss", "inputs"), LOSSES.values(), ids=LOSSES)


def numbers(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


# One pair whose difference of log-ratios is easy: chosen -10 - -12 = 2, rejected -13 - -12 = -1, so h = 3.
PAIR = (numbers(-10), numbers(-13), numbers(-12), numbers(-12))


def test_dpo_by_hand() -> None:
    # beta h = 0.5 * 3 = 1.5; -log sigmoid(1.5) = log(1 + e^-1.5) = log(1.22313) = 0.201413
    assert dpo(*PAIR, beta=0.5).item() == pytest.approx(0.201413, abs=1e-6)


def test_conservative_dpo_by_hand() -> None:
    # L(w,l) = 0.201413, L(l,w) = log(1 + e^1.5) = 1.701413; 0.9 * 0.201413 + 0.1 * 1.701413 = 0.351413
    assert dpo(*PAIR, beta=0.5, label_smoothing=0.1).item() == pytest.approx(0.351413, abs=1e-6)


def test_robust_by_hand() -> None:
    # (0.9 * 0.201413 - 0.1 * 1.701413) / 0.8 = (0.181272 - 0.170141) / 0.8 = 0.013913
    assert robust(*PAIR, beta=0.5, label_smoothing=0.1).item() == pytest.approx(0.013913, abs=1e-6)


@pytest.mark.parametrize("loss", [ipo, ipo_mean])
def test_ipo_by_hand(loss: Callable[..., Tensor]) -> None:
    # target 1 / (2 * 0.25) = 2; (3 - 2)^2 = 1
    assert loss(*PAIR, tau=0.25).item() == pytest.approx(1.0)


def test_hinge_by_hand() -> None:
    # 1 - 0.2 * 3 = 0.4; and 1 - 0.5 * 3 = -0.5 is past the margin
    assert hinge(*PAIR, beta=0.2).item() == pytest.approx(0.4)
    assert hinge(*PAIR, beta=0.5).item() == 0.0


def test_simpo_by_hand() -> None:
    # 2 * (-1 - -1.75) - 0.5 = 1.0; log(1 + e^-1) = log(1.367879) = 0.313262
    loss = simpo(numbers(-1), numbers(-1.75), beta=2.0, gamma=0.5)
    assert loss.item() == pytest.approx(0.313262, abs=1e-6)


def test_orpo_by_hand() -> None:
    # p_w = 1/2 has odds 1, p_l = 1/4 has odds 1/3: log ratio log 3, sigmoid = 3/4
    # log 2 + 0.5 * log(4/3) = 0.693147 + 0.5 * 0.287682 = 0.836988
    loss = orpo(numbers(math.log(0.5)), numbers(math.log(0.25)), weight=0.5)
    assert loss.item() == pytest.approx(0.836988, abs=1e-6)


def test_nll_by_hand() -> None:
    assert nll(numbers(-1.25, -0.5)).tolist() == [1.25, 0.5]


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (lambda *t: dpo(*t, beta=0.1), math.log(2)),
        (lambda *t: dpo(*t, beta=0.1, label_smoothing=0.3), math.log(2)),
        (lambda *t: robust(*t, beta=0.1, label_smoothing=0.3), math.log(2)),
        (lambda *t: ipo(*t, tau=0.1), 25.0),  # 1 / (4 * 0.01)
        (lambda *t: ipo_mean(*t, tau=0.1), 25.0),
        (lambda *t: hinge(*t, beta=0.1), 1.0),
        (lambda *t: exo_pair(*t, beta=0.1, label_smoothing=0.1), math.log(0.5) - 0.5 * math.log(0.9 * 0.1)),
        (lambda *t: nca_pair(*t, beta=0.1), 2 * math.log(2)),
        (lambda *t: sppo_hard(*t, beta=0.1), 50.0),
        (lambda *t: bco_pair(*t, beta=0.1), 2 * math.log(2)),
        (lambda *t: apo_zero(*t, beta=0.1), 1.0),
        (lambda *t: apo_down(*t, beta=0.1), 1.0),
        (lambda *t: discopop(*t, beta=0.1, tau=0.05), (1 + math.log(2)) / 2),
        (lambda *t: f_dpo(*t, beta=0.1, divergence="forward_kl"), math.log(2)),
        (lambda *t: f_dpo(*t, beta=0.1, divergence="jensen_shannon"), math.log(2)),
    ],
    ids=[
        "dpo",
        "cdpo",
        "robust",
        "ipo",
        "ipo_mean",
        "hinge",
        "exo_pair",
        "nca_pair",
        "sppo_hard",
        "bco_pair",
        "apo_zero",
        "apo_down",
        "discopop",
        "forward_kl",
        "jensen_shannon",
    ],
)
def test_policy_equal_to_reference(loss: Callable[..., Tensor], expected: float) -> None:
    chosen, rejected = numbers(-480.25, -3, -77), numbers(-500, -3, -1.5)
    torch.testing.assert_close(loss(chosen, rejected, chosen, rejected), torch.full_like(chosen, expected))


@pytest.mark.parametrize("beta", [0.05, 0.5, 5.0])
def test_dpo_gradient_weight(beta: float) -> None:
    """The gradient of the chosen logp is -beta sigmoid(r_l - r_w), the rejected one's its opposite."""
    chosen, rejected = numbers(-3, -9, -4).requires_grad_(), numbers(-5, -2, -4).requires_grad_()
    ref_chosen, ref_rejected = numbers(-4, -4, -4), numbers(-4, -4, -4)
    dpo(chosen, rejected, ref_chosen, ref_rejected, beta=beta).sum().backward()
    reward_gap = beta * ((rejected - ref_rejected) - (chosen - ref_chosen)).detach()
    torch.testing.assert_close(chosen.grad, -beta * torch.sigmoid(reward_gap))
    torch.testing.assert_close(rejected.grad, beta * torch.sigmoid(reward_gap))


def random_pairs(count: int = 64) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    drawn = -30 * torch.rand((4, count), generator=generator, dtype=torch.float64)
    return drawn[0], drawn[1], drawn[2], drawn[3]


def swapped(pairs: tuple[Tensor, Tensor, Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return pairs[1], pairs[0], pairs[3], pairs[2]


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.4])
def test_smoothed_losses_mix_both_directions(smoothing: float) -> None:
    pairs = random_pairs()
    forward, backward = dpo(*pairs, beta=0.2), dpo(*swapped(pairs), beta=0.2)
    torch.testing.assert_close(
        dpo(*pairs, beta=0.2, label_smoothing=smoothing), (1 - smoothing) * forward + smoothing * backward
    )
    torch.testing.assert_close(
        robust(*pairs, beta=0.2, label_smoothing=smoothing),
        ((1 - smoothing) * forward - smoothing * backward) / (1 - 2 * smoothing),
    )


def test_alpha_divergences_end_at_both_kls() -> None:
    pairs = random_pairs()
    near = f_dpo(*pairs, beta=0.2, divergence="alpha", alpha=1 - 1e-5)
    torch.testing.assert_close(near, dpo(*pairs, beta=0.2), rtol=0.02, atol=0.02)
    torch.testing.assert_close(f_dpo(*pairs, beta=0.2, divergence="alpha", alpha=1.0), dpo(*pairs, beta=0.2))
    forward = f_dpo(*pairs, beta=0.2, divergence="forward_kl")
    torch.testing.assert_close(f_dpo(*pairs, beta=0.2, divergence="alpha", alpha=0.0), forward)


def test_robust_is_unbiased_under_flipped_labels() -> None:
    """(1 - eps) robust(w, l) + eps robust(l, w) is the plain loss: what robust DPO is for."""
    pairs = random_pairs()
    right = robust(*pairs, beta=0.2, label_smoothing=0.3)
    flipped = robust(*swapped(pairs), beta=0.2, label_smoothing=0.3)
    torch.testing.assert_close(0.7 * right + 0.3 * flipped, dpo(*pairs, beta=0.2))


def test_without_smoothing_all_are_dpo() -> None:
    pairs = random_pairs()
    plain = dpo(*pairs, beta=0.2)
    torch.testing.assert_close(dpo(*pairs, beta=0.2, label_smoothing=0.0), plain)
    torch.testing.assert_close(robust(*pairs, beta=0.2, label_smoothing=0.0), plain)


def test_simpo_without_margin_is_half_at_equal_means() -> None:
    assert simpo(numbers(-2), numbers(-2), beta=2.0, gamma=0.0).item() == pytest.approx(math.log(2))


def test_orpo_at_equal_means_and_without_weight() -> None:
    mean = numbers(-0.7, -3)
    torch.testing.assert_close(orpo(mean, mean, weight=0.5), -mean + 0.5 * math.log(2))
    torch.testing.assert_close(orpo(mean, numbers(-5, -0.1), weight=0.0), nll(mean))


def test_orpo_is_accurate_near_certainty() -> None:
    # p_w = exp(-1e-5): odds 1 / expm1(1e-5) = 99999.5, log 11.512920; p_l = 1/2: log odds 0
    # 1e-5 + log(1 + e^-11.512920) = 1e-5 + 1.0e-5 = 2.0e-5; in float32, 1 - exp(-1e-5) is off by 0.1%
    loss = orpo(torch.tensor([-1e-5]), torch.tensor([math.log(0.5)]), weight=1.0)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(2.0e-5, rel=1e-4)


@ALL
def test_gradcheck(loss: Callable[..., Tensor], inputs: int) -> None:
    # away from the hinge's corner at beta h = 1, where no derivative exists
    rows = [(-1.5, -2.5, -0.7), (-2.0, -1.0, -3.1), (-1.0, -2.0, -0.9), (-1.1, -2.2, -4.0)]
    tensors = [numbers(*row).requires_grad_() for row in rows]
    assert torch.autograd.gradcheck(loss, tensors[:inputs])


@ALL
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_far_out_stays_finite(loss: Callable[..., Tensor], inputs: int, dtype: torch.dtype) -> None:
    far = [1e4, -1e4, 0.0, -1e-8]
    grid = torch.cartesian_prod(*[torch.tensor(far, dtype=dtype)] * inputs).reshape(-1, inputs)
    tensors = [column.clone().requires_grad_() for column in grid.unbind(1)]
    losses = loss(*tensors)
    assert losses.dtype == dtype
    assert losses.isfinite().all()
    for gradient in torch.autograd.grad(losses.sum(), tensors):
        assert gradient.dtype == dtype
        assert gradient.isfinite().all()


@ALL
def test_half_precision_is_computed_in_float32(loss: Callable[..., Tensor], inputs: int) -> None:
    tensors = [torch.tensor([-1.5, -2.0], dtype=torch.bfloat16, requires_grad=True) for _ in range(inputs)]
    losses = loss(*tensors)
    assert losses.dtype == torch.float32
    losses.sum().backward()
    assert all(tensor.grad is not None and tensor.grad.dtype == torch.bfloat16 for tensor in tensors)


@ALL
def test_one_number_a_pair_and_none_for_none(loss: Callable[..., Tensor], inputs: int) -> None:
    assert loss(*[torch.full((7,), -1.0)] * inputs).shape == (7,)
    assert loss(*[torch.empty(0)] * inputs).shape == (0,)


@ALL
def test_shapes_never_broadcast(loss: Callable[..., Tensor], inputs: int) -> None:
    good = [torch.full((3,), -1.0) for _ in range(inputs)]
    with pytest.raises(InputError, match=r"has shape \(3, 1\), expected \(pairs,\)"):
        loss(good[0][:, None], *good[1:])
    for position in range(1, inputs):
        for bad in (torch.full((3, 1), -1.0), torch.full((1,), -1.0), torch.tensor(-1.0)):
            with pytest.raises(InputError, match=r"has shape .*, expected \(3,\) like "):
                loss(*good[:position], bad, *good[position + 1 :])


@pytest.mark.parametrize("smoothing", [0.0, -0.1, 0.5, float("nan")])
def test_exo_refuses_a_share_without_a_divergence(smoothing: float) -> None:
    with pytest.raises(InputError, match="label_smoothing must be above 0 and below"):
        exo_pair(*PAIR, beta=0.1, label_smoothing=smoothing)


@pytest.mark.parametrize("smoothing", [-0.1, 0.5, 0.7, float("nan")])
def test_robust_refuses_a_share_it_cannot_correct(smoothing: float) -> None:
    with pytest.raises(InputError, match="label_smoothing must be at least 0 and below"):
        robust(*PAIR, beta=0.1, label_smoothing=smoothing)
