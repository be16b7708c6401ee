"""The settings of the losses of `penchant.losses.batchwise`: more than two sums per pair. Imports no torch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from penchant.losses.contract import NllWeight, PairLoss, ReferenceBeta


class WPO(PairLoss):
    """WPO (Zhou et al. 2024): `sigmoid`, each pair weighted by how likely its responses are under the policy now.

    Pairs that the policy would hardly write count little, so data of other models act more like the policy's own.
    """

    function = "penchant.losses.batchwise:wpo"
    needs_squares = True
    name: Literal["wpo"] = "wpo"
    beta: ReferenceBeta = 0.1
    nll_weight: NllWeight = 0.0


class LDDPO(PairLoss):
    """LD-DPO (Liu et al. 2024): `sigmoid`, but tokens beyond the shorter response's length count only alpha."""

    function = "penchant.losses.batchwise:ld_dpo"
    margin = "penchant.losses.batchwise:ld_dpo_margin"
    needs_fronts = True
    name: Literal["ld_dpo"] = "ld_dpo"
    beta: ReferenceBeta = 0.1
    alpha: Annotated[float, Field(ge=0, le=1)] = 0.5
    """The weight of the tokens by which one response is longer than the other; 1 is `sigmoid`."""
    nll_weight: NllWeight = 0.0


class AOT(PairLoss):
    """AOT on pairs (Melnyk et al. 2024): the policy's margins exceed the reference's, quantile by quantile.

    It sorts the margins of a whole optimizer step, so `batch_size` decides what it compares, and a step that does not
    fit one forward pass costs a second one.
    """

    function = "penchant.losses.batchwise:aot"
    needs_whole_step = True
    name: Literal["aot"] = "aot"
    beta: ReferenceBeta = 0.1
    label_smoothing: Annotated[float, Field(ge=0, lt=0.5)] = 0.0
    """The share of comparisons assumed to be the wrong way round."""
    nll_weight: NllWeight = 0.0


class AOTUnpaired(PairLoss):
    """AOT unpaired (Melnyk et al. 2024): log-ratios of chosen responses exceed those of rejected ones, by quantile.

    As `aot` it sorts over a whole optimizer step, here across prompts.
    """

    function = "penchant.losses.batchwise:aot_unpaired"
    needs_whole_step = True
    name: Literal["aot_unpaired"] = "aot_unpaired"
    beta: ReferenceBeta = 0.1
    label_smoothing: Annotated[float, Field(ge=0, lt=0.5)] = 0.0
    """The share of comparisons assumed to be the wrong way round."""
    nll_weight: NllWeight = 0.0


class PlackettLuce(PairLoss):
    """DPO on rankings (Rafailov et al. 2023, appendix A.3): the likelihood of a prompt's whole ranking.

    An optimizer step counts rankings. A prompt whose comparisons are no single ranking (ties, circles, responses that
    nobody compared) is left out and counted. With two responses it is `sigmoid`.
    """

    function = "penchant.losses.batchwise:plackett_luce_pairs"
    ranking_function = "penchant.losses.batchwise:plackett_luce"
    name: Literal["plackett_luce"] = "plackett_luce"
    beta: ReferenceBeta = 0.1
