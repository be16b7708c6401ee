"""Each loss that TRL has too gives TRL's value, which `benchmarks/trl_losses.py` took from TRL's own code."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from penchant.losses import batchwise, pairwise, preference, unpaired

KEPT: dict[str, Any] = json.loads((Path(__file__).parent / "trl.json").read_text())
LENGTHS = torch.tensor(KEPT["lengths"])
PAIRS = len(LENGTHS) // 2
LOGPS, REF, LOG_SUM_SQ = (torch.tensor(KEPT[name]) for name in ("logps", "ref_logps", "log_sum_sq"))
MASK = torch.arange(LOGPS.shape[1]) < LENGTHS[:, None]

SUMS = (*LOGPS.sum(1).chunk(2), *REF.sum(1).chunk(2))
MEANS = (*(LOGPS.sum(1) / LENGTHS).chunk(2), *(REF.sum(1) / LENGTHS).chunk(2))


def ld(beta: float, ld_alpha: float) -> Tensor:
    others = LENGTHS.roll(PAIRS)  # rows are all chosen, then all rejected
    sums = [batchwise.ld_logps(logps, LENGTHS, others, alpha=ld_alpha).chunk(2) for logps in (LOGPS, REF)]
    return preference.dpo(*sums[0], *sums[1], beta=beta)


def wpo(beta: float) -> Tensor:
    weights = batchwise.wpo_weights(*LOGPS.chunk(2), *LOG_SUM_SQ.chunk(2), *MASK.chunk(2))
    return weights * preference.dpo(*SUMS, beta=beta)


def kto(settings: dict[str, Any], rows: slice = slice(None)) -> Tensor:
    """Of the rows as one batch; even rows are desirable."""
    kl = (torch.tensor(KEPT["kl_logps"])[rows] - torch.tensor(KEPT["kl_ref_logps"])[rows]).sum(1).mean()
    desirable = torch.arange(2 * PAIRS)[rows] % 2 == 0
    weights = {name: settings[name] for name in ("desirable_weight", "undesirable_weight")}
    return unpaired.kto(LOGPS[rows].sum(1), REF[rows].sum(1), desirable, kl, beta=settings["beta"], **weights)


# TRL's name -> ours; its beta is IPO's tau
OURS: dict[str, Callable[[dict[str, Any]], Tensor]] = {
    "sigmoid": lambda s: preference.dpo(*SUMS, beta=s["beta"]),
    "sigmoid with label smoothing (robust)": lambda s: preference.robust(
        *SUMS, beta=s["beta"], label_smoothing=s["label_smoothing"]
    ),
    "hinge": lambda s: preference.hinge(*SUMS, beta=s["beta"]),
    "ipo": lambda s: preference.ipo_mean(*MEANS, tau=s["beta"]),
    "exo_pair": lambda s: pairwise.exo_pair(*SUMS, beta=s["beta"], label_smoothing=s["label_smoothing"]),
    "nca_pair": lambda s: pairwise.nca_pair(*SUMS, beta=s["beta"]),
    "sppo_hard": lambda s: pairwise.sppo_hard(*SUMS, beta=s["beta"]),
    "bco_pair": lambda s: pairwise.bco_pair(*SUMS, beta=s["beta"]),
    "apo_zero": lambda s: pairwise.apo_zero(*SUMS, beta=s["beta"]),
    "apo_down": lambda s: pairwise.apo_down(*SUMS, beta=s["beta"]),
    "discopop": lambda s: pairwise.discopop(*SUMS, beta=s["beta"], tau=s["discopop_tau"]),
    "sigmoid_norm": lambda s: pairwise.dpo_mean(*MEANS, beta=s["beta"]),
    "forward_kl": lambda s: pairwise.f_dpo(*SUMS, beta=s["beta"], divergence="forward_kl"),
    "js_divergence": lambda s: pairwise.f_dpo(*SUMS, beta=s["beta"], divergence="jensen_shannon"),
    "alpha_divergence": lambda s: pairwise.f_dpo(
        *SUMS, beta=s["beta"], divergence="alpha", alpha=s["f_alpha_divergence_coef"]
    ),
    "ld": lambda s: ld(s["beta"], s["ld_alpha"]),
    "wpo": lambda s: wpo(s["beta"]),
    "aot": lambda s: batchwise.aot(*SUMS, beta=s["beta"], label_smoothing=s["label_smoothing"]).mean()[None],
    "aot_unpaired": lambda s: batchwise.aot_unpaired(
        *SUMS, beta=s["beta"], label_smoothing=s["label_smoothing"]
    ).mean()[None],
    "kto": lambda s: torch.cat([kto(s, slice(row, row + 1)) for row in range(2 * PAIRS)]),
    "kto of a batch": lambda s: kto(s).mean()[None],
}


def test_some_of_the_kl_estimates_are_negative_and_some_are_not() -> None:
    estimates = (torch.tensor(KEPT["kl_logps"]) - torch.tensor(KEPT["kl_ref_logps"])).sum(1)
    assert (estimates < 0).any()
    assert (estimates > 0).any()


def test_every_value_is_compared() -> None:
    assert set(OURS) == set(KEPT["losses"])


@pytest.mark.parametrize("name", OURS)
def test_the_value_is_trls(name: str) -> None:
    expected = torch.tensor(KEPT["losses"][name])
    assert expected.unique().numel() == len(expected)  # the inputs tell pairs apart
    torch.testing.assert_close(OURS[name](KEPT["settings"][name]), expected, rtol=1e-5, atol=1e-5)
