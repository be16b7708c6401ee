"""Which losses can be given scores that are no likelihoods."""

from __future__ import annotations

from typing import get_args

import pytest

from penchant.losses.differences import likelihood_reason
from penchant.losses.settings import Compared, CustomLoss, Sigmoid, WeightedSum

REFUSED = {"wpo", "ld_dpo", "simpo", "orpo"}


@pytest.mark.parametrize("loss", get_args(Compared), ids=lambda loss: loss.model_fields["name"].default)
def test_the_losses_that_read_more_than_differences(loss) -> None:  # type: ignore[no-untyped-def]
    settings = loss()
    assert bool(likelihood_reason(settings)) == (settings.name in REFUSED)


def test_a_term_that_reads_the_likelihood_is_refused() -> None:
    assert "nll_weight" in likelihood_reason(Sigmoid(nll_weight=0.1))
    assert "no reference" in likelihood_reason(WeightedSum().losses[1])


def test_a_loss_of_the_users_is_tried() -> None:
    # by what it computes, since nothing of its settings says it
    assert not likelihood_reason(CustomLoss(function="tests.losses.test_differences:differences"))
    reason = likelihood_reason(CustomLoss(function="tests.losses.test_differences:likelihoods"))
    assert "shifted alike" in reason


def differences(chosen, rejected, ref_chosen, ref_rejected):  # type: ignore[no-untyped-def]
    """A loss of the log-ratios alone."""
    return ((chosen - ref_chosen) - (rejected - ref_rejected) - 1) ** 2


def likelihoods(chosen, rejected, ref_chosen, ref_rejected):  # type: ignore[no-untyped-def]
    """A loss that reads the chosen score itself."""
    return differences(chosen, rejected, ref_chosen, ref_rejected) - 0.1 * chosen
