"""The contract of every loss configuration: the dispatcher obeys each field, needs what it says."""

from __future__ import annotations

import math
import subprocess
import sys
from typing import get_args

import pytest
import torch
from pydantic import Field, create_model

from penchant import losses
from penchant.config import Config
from penchant.errors import InputError
from penchant.losses import (
    AOT,
    IPO,
    LDDPO,
    ORPO,
    WPO,
    AlphaDivergence,
    AOTUnpaired,
    APODown,
    APOZero,
    BCOPair,
    DiscoPOP,
    ExoPair,
    ForwardKL,
    Hinge,
    IPOMean,
    JensenShannon,
    NCAPair,
    PlackettLuce,
    PreferenceLoss,
    Robust,
    Sigmoid,
    SigmoidNorm,
    SimPO,
    SPPOHard,
    WeightedSum,
    pairwise,
    preference,
)
from penchant.losses.batchwise import aot, aot_unpaired, discount_tails
from penchant.losses.dispatch import pair_losses
from penchant.losses.pairs import FrontSums, SquareSums
from penchant.losses.settings import ChosenNLL

BRANCHES = [branch for branch in get_args(get_args(PreferenceLoss)[0]) if not branch.extension]
EVERY = pytest.mark.parametrize("branch", BRANCHES, ids=lambda branch: branch.__name__)

# policy chosen / rejected, reference chosen / rejected (summed logps), tokens chosen / rejected
LOGPS = (
    torch.tensor([-8.0, -20.0]),
    torch.tensor([-9.0, -6.0]),
    torch.tensor([-10.0, -18.0]),
    torch.tensor([-7.0, -7.5]),
)
TOKENS = (torch.tensor([4, 10]), torch.tensor([3, 5]))

FURTHER = {
    "fronts": FrontSums(
        torch.tensor([-6.0, -9.0]), torch.tensor([-9.0, -6.0]), torch.tensor([-8.0, -8.5]), torch.tensor([-7.0, -7.5])
    ),
    "squares": SquareSums(torch.tensor([-8.4, -18.0]), torch.tensor([-9.0, -5.0])),
}


def losses_of(settings: Config, *given: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
    """What a loss gives with all that any loss may need beside the sums."""
    return pair_losses(settings, *given, **FURTHER)


# another allowed value for every field there is; a new field without an entry here fails the test below
CHANGED = {
    "beta": 0.7,
    "tau": 0.7,
    "gamma": 0.3,
    "label_smoothing": 0.25,
    "nll_weight": 0.5,
    "weight": 0.9,
    "alpha": 0.8,
    "losses": ("ipo", "sft"),
    "weights": (0.5, 2.0),
}


@EVERY
def test_every_setting_changes_the_loss(branch: type[Config]) -> None:
    before, _ = losses_of(branch(), *LOGPS, *TOKENS)
    for name in branch.model_fields:
        if name == "name":
            continue
        after, _ = losses_of(branch(**{name: CHANGED[name]}), *LOGPS, *TOKENS)
        assert not torch.allclose(before, after), f"{branch.__name__}.{name} changes nothing"


@EVERY
def test_needs_reference_tells_the_truth(branch: type[Config]) -> None:
    settings = branch()
    losses_, margins = losses_of(settings, *LOGPS, *TOKENS)
    other_reference = (*LOGPS[:2], LOGPS[2] + 1, LOGPS[3] - 1)
    moved = not torch.equal(losses_, losses_of(settings, *other_reference, *TOKENS)[0])
    assert settings.needs.reference == moved
    without = (*LOGPS[:2], None, None, *TOKENS)
    if settings.needs.reference:
        with pytest.raises(InputError, match="compares with a reference"):
            losses_of(settings, *without)
    else:
        assert torch.equal(losses_of(settings, *without)[0], losses_)
        assert torch.equal(losses_of(settings, *without)[1], margins)


@EVERY
def test_can_be_negative_tells_the_truth(branch: type[Config]) -> None:
    # intervals of held-out losses stop at 0 where the class says that no pair has less
    generator = torch.Generator().manual_seed(0)
    sums = [-20 * torch.rand(500, generator=generator) - 0.1 for _ in range(4)]
    tokens = [torch.randint(1, 12, (500,), generator=generator) for _ in range(2)]
    fronts = FrontSums(*sums)  # both responses have as many tokens
    further = {"fronts": fronts, "squares": SquareSums(sums[0], sums[1])}
    least = float(pair_losses(branch(), *sums, *tokens, **further)[0].min())
    assert least >= 0 or branch.can_be_negative
    if branch is Robust:
        assert least < 0


@EVERY
def test_losses_carry_gradient_and_margins_do_not(branch: type[Config]) -> None:
    chosen, rejected = (tensor.clone().requires_grad_() for tensor in LOGPS[:2])
    losses_, margins = losses_of(branch(), chosen, rejected, *LOGPS[2:], *TOKENS)
    assert losses_.shape == margins.shape == (2,)
    assert losses_.requires_grad
    assert not margins.requires_grad
    losses_.sum().backward()
    assert chosen.grad.dtype == rejected.grad.dtype == torch.float32
    assert chosen.grad.isfinite().all()
    if branch not in (NCAPair, APODown, AOT, AOTUnpaired):  # those two also hold the chosen response back, these sort
        assert (chosen.grad <= 0).all()  # a larger chosen logp never costs (h is short of IPO's target of 5)


@pytest.mark.parametrize(
    "branch", [branch for branch in BRANCHES if "nll_weight" in branch.model_fields], ids=lambda branch: branch.__name__
)
def test_the_anchor_is_the_mean_nll(branch: type[Config]) -> None:
    plain, margins = losses_of(branch(), *LOGPS, *TOKENS)
    anchored, same_margins = losses_of(branch(nll_weight=0.5), *LOGPS, *TOKENS)
    torch.testing.assert_close(anchored - plain, torch.tensor([0.5 * 8 / 4, 0.5 * 20 / 10]), rtol=1e-4, atol=0)
    assert torch.equal(margins, same_margins)


def test_the_dispatcher_calls_the_functions() -> None:
    means = (LOGPS[0] / TOKENS[0], LOGPS[1] / TOKENS[1], LOGPS[2] / TOKENS[0], LOGPS[3] / TOKENS[1])
    expected = {
        Sigmoid(beta=0.2, label_smoothing=0.1): preference.dpo(*LOGPS, beta=0.2, label_smoothing=0.1),
        Robust(beta=0.2, label_smoothing=0.1): preference.robust(*LOGPS, beta=0.2, label_smoothing=0.1),
        IPO(tau=0.2): preference.ipo(*LOGPS, tau=0.2),
        IPOMean(tau=0.2): preference.ipo_mean(*means, tau=0.2),
        Hinge(beta=0.2): preference.hinge(*LOGPS, beta=0.2),
        SimPO(beta=2.5, gamma=0.3): preference.simpo(*means[:2], beta=2.5, gamma=0.3),
        ORPO(weight=0.2): preference.orpo(*means[:2], weight=0.2),
        SigmoidNorm(beta=2.0): pairwise.dpo_mean(*means, beta=2.0),
        ExoPair(beta=0.2, label_smoothing=0.1): pairwise.exo_pair(*LOGPS, beta=0.2, label_smoothing=0.1),
        NCAPair(beta=0.2): pairwise.nca_pair(*LOGPS, beta=0.2),
        SPPOHard(beta=0.2): pairwise.sppo_hard(*LOGPS, beta=0.2),
        BCOPair(beta=0.2): pairwise.bco_pair(*LOGPS, beta=0.2),
        APOZero(beta=0.2): pairwise.apo_zero(*LOGPS, beta=0.2),
        APODown(beta=0.2): pairwise.apo_down(*LOGPS, beta=0.2),
        DiscoPOP(beta=0.2, tau=0.3): pairwise.discopop(*LOGPS, beta=0.2, tau=0.3),
        ForwardKL(beta=0.2): pairwise.f_dpo(*LOGPS, beta=0.2, divergence="forward_kl"),
        JensenShannon(beta=0.2): pairwise.f_dpo(*LOGPS, beta=0.2, divergence="jensen_shannon"),
        AlphaDivergence(beta=0.2, alpha=0.3): pairwise.f_dpo(*LOGPS, beta=0.2, divergence="alpha", alpha=0.3),
        # exponents: (-8 + 8.4) / 4 + (-9 + 9) / 3 and (-20 + 18) / 10 + (-6 + 5) / 5
        WPO(beta=0.2): torch.tensor([0.1, -0.4]).exp() * preference.dpo(*LOGPS, beta=0.2),
        LDDPO(beta=0.2, alpha=0.3): preference.dpo(
            *[discount_tails(whole, front, alpha=0.3) for whole, front in zip(LOGPS, FURTHER["fronts"], strict=True)],
            beta=0.2,
        ),
        AOT(beta=0.2, label_smoothing=0.1): aot(*LOGPS, beta=0.2, label_smoothing=0.1),
        AOTUnpaired(beta=0.2, label_smoothing=0.1): aot_unpaired(*LOGPS, beta=0.2, label_smoothing=0.1),
        PlackettLuce(beta=0.2): preference.dpo(*LOGPS, beta=0.2),
        WeightedSum(losses=(IPO(tau=0.2), ChosenNLL()), weights=(2.0, 0.5)): 2 * preference.ipo(*LOGPS, tau=0.2)
        + 0.5 * -means[0],
    }
    assert {type(settings) for settings in expected} == set(BRANCHES)
    for settings, wanted in expected.items():
        torch.testing.assert_close(losses_of(settings, *LOGPS, *TOKENS)[0], wanted)


def test_margins_by_hand() -> None:
    # h: (-8 - -10) - (-9 - -7) = 4 and (-20 - -18) - (-6 - -7.5) = -3.5
    # means: -8/4 = -2, -9/3 = -3; -20/10 = -2, -6/5 = -1.2; reference -10/4 = -2.5, -7/3; -1.8, -1.5
    log_odds = [p - torch.log1p(-torch.tensor(p).exp()).item() for p in (-2.0, -3.0, -2.0, -1.2)]
    expected = {
        Sigmoid(beta=0.5): [2.0, -1.75],
        Robust(beta=0.5): [2.0, -1.75],
        Hinge(beta=0.5): [2.0, -1.75],
        **{kind(beta=0.5): [2.0, -1.75] for kind in (WPO, AOT, AOTUnpaired, PlackettLuce)},
        # fronts -6, -9, -8, -7 and -9, -6, -8.5, -7.5: log-ratios 2 and -2, -0.5 and 1.5; half of each tail added
        LDDPO(beta=0.5, alpha=0.5): [0.5 * (2 - -2), 0.5 * ((-0.5 - 2) / 2 - 1.5)],
        WeightedSum(losses=(ChosenNLL(), IPO())): [4.0, -3.5],
        IPO(): [4.0, -3.5],
        IPOMean(): [(-2 + 2.5) - (-3 + 7 / 3), (-2 + 1.8) - (-1.2 + 1.5)],
        SimPO(beta=2.0, gamma=1.0): [2.0, -1.6],
        ORPO(): [log_odds[0] - log_odds[1], log_odds[2] - log_odds[3]],
        SigmoidNorm(beta=2.0): [2 * ((-2 + 2.5) - (-3 + 7 / 3)), 2 * ((-2 + 1.8) - (-1.2 + 1.5))],
        **{kind(beta=0.5): [2.0, -1.75] for kind in (ExoPair, NCAPair, BCOPair, APOZero, APODown, DiscoPOP)},
        SPPOHard(beta=0.5): [4.0, -3.5],
        # log-ratios 2 and -2; -2 and 1.5
        ForwardKL(beta=0.5): [0.5 * (math.exp(2) - math.exp(-2)), 0.5 * (math.exp(-1.5) - math.exp(2))],
        JensenShannon(beta=0.5): [1.0, 0.5 * (math.log1p(math.exp(-1.5)) - math.log1p(math.exp(2)))],
        AlphaDivergence(beta=0.5, alpha=0.5): [math.exp(1) - math.exp(-1), math.exp(-0.75) - math.exp(1)],
    }
    assert {type(settings) for settings in expected} == set(BRANCHES)
    for settings, wanted in expected.items():
        margins = losses_of(settings, *LOGPS, *TOKENS)[1].tolist()
        assert margins == pytest.approx(wanted, rel=1e-5), settings.name


@EVERY
def test_shapes_never_broadcast(branch: type[Config]) -> None:
    good = [*LOGPS, *TOKENS]
    for position in range(len(good)):
        if position in (2, 3) and not branch().needs.reference:
            continue
        bad = [*good[:position], good[position][:, None], *good[position + 1 :]]
        with pytest.raises(InputError, match="has shape"):
            losses_of(branch(), *bad)


def test_a_setting_of_another_loss_is_refused_by_name() -> None:
    method = create_model(
        "Method", __base__=Config, loss=(PreferenceLoss, Field(default=Sigmoid(), description="The loss."))
    )
    with pytest.raises(
        InputError, match="`beta` does not belong to loss `ipo`; it belongs to sigmoid, sigmoid_norm, robust"
    ):
        method(loss={"name": "ipo", "beta": 0.1})


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Sigmoid(beta=0),
        lambda: Sigmoid(label_smoothing=0.5),
        lambda: Sigmoid(label_smoothing=-0.1),
        lambda: Robust(label_smoothing=0),
        lambda: IPO(tau=-1),
        lambda: SimPO(gamma=-1),
        lambda: ORPO(weight=-1),
        lambda: Hinge(nll_weight=-1),
        lambda: ORPO(nll_weight=1),
    ],
)
def test_limits(wrong) -> None:
    with pytest.raises(InputError):
        wrong()


def test_settings_import_no_torch_but_the_functions_are_there() -> None:
    code = (
        "import sys, types, penchant.losses as l; assert 'torch' not in sys.modules\n"
        "sys.modules['penchant.losses.preference'] = types.SimpleNamespace(dpo=1)\n"  # its torch takes seconds
        "assert l.preference.dpo == 1"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert losses.preference.dpo
    assert "preference" in dir(losses)
    with pytest.raises(AttributeError, match="no attribute 'preferences'"):
        losses.preferences  # noqa: B018


@EVERY
def test_no_margin_however_large_gives_a_loss_or_slope_that_is_no_number(branch: type[Config]) -> None:
    """Log-probabilities of -inf on one side put the margin at +inf or -inf; a loss may be infinite, never NaN."""
    if branch in (AOT, AOTUnpaired, LDDPO, WPO, ORPO, AlphaDivergence, WeightedSum):
        return  # they sort, subtract or multiply infinities: not defined there
    for sign in (1, -1):
        far = torch.tensor([-5.0, -5.0])
        sides = [far, far - torch.tensor([torch.inf, 1e30])][::sign]
        losses_, _ = losses_of(branch(), *sides, far, far, *TOKENS)
        assert not losses_.isnan().any(), (branch.__name__, sign)
