"""The settings of every loss on a pair of responses. Imports no torch, so that `--help` is instant.

A loss is a class in the union `Compared`, told apart by `name`; a setting that does not belong to a loss is refused by
name. Each class names its function, which holds the equation; `penchant.losses.contract` says what else it may tell. To
add a loss, write its function and add a class here. A user's own loss needs neither: see `CustomLoss`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, get_args

from pydantic import Field, model_validator

from penchant.config.limits import Arguments
from penchant.extension.door import Door
from penchant.losses.batchwise_settings import AOT, LDDPO, WPO, AOTUnpaired, PlackettLuce
from penchant.losses.contract import Beta, Needs, NllWeight, PairLoss, ReferenceBeta
from penchant.session.objects import CodeName


class Sigmoid(PairLoss):
    """DPO (Rafailov et al. 2023): -log sigmoid of beta times the difference of the log-ratios.

    With `label_smoothing` it is conservative DPO (Mitchell 2023): some of the labels are taken to be wrong.
    """

    function = "penchant.losses.preference:dpo"
    name: Literal["sigmoid"] = "sigmoid"
    beta: ReferenceBeta = 0.1
    label_smoothing: Annotated[float, Field(ge=0, lt=0.5)] = 0.0
    """The share of comparisons assumed to be the wrong way round (conservative DPO); 0 is plain DPO."""
    nll_weight: NllWeight = 0.0


class Robust(PairLoss):
    """Robust DPO (Chowdhury et al. 2024): unbiased when a known share of the labels is flipped."""

    function = "penchant.losses.preference:robust"
    can_be_negative = True
    name: Literal["robust"] = "robust"
    beta: ReferenceBeta = 0.1
    label_smoothing: Annotated[float, Field(gt=0, lt=0.5)] = 0.1
    """The share of comparisons that are the wrong way round. (Without any it would be `sigmoid`.)"""
    nll_weight: NllWeight = 0.0


class IPO(PairLoss):
    """IPO (Azar et al. 2023): draws the difference of the log-ratios (sums over tokens) to 1 / (2 tau)."""

    function = "penchant.losses.preference:ipo"
    margin = "penchant.losses.pairs:log_ratio_margin"
    name: Literal["ipo"] = "ipo"
    tau: Annotated[float, Field(gt=0)] = 0.1
    """How strongly the policy is held to the reference: the target of the difference is 1 / (2 tau) nats."""
    nll_weight: NllWeight = 0.0


class IPOMean(PairLoss):
    """IPO on log-ratios averaged over tokens: the variant of most released code, not the paper's.

    The averaged difference is smaller by about the response's length, so a tau of `ipo` does not carry over.
    """

    function = "penchant.losses.preference:ipo_mean"
    margin = "penchant.losses.pairs:log_ratio_margin"
    logps = "mean"
    name: Literal["ipo_mean"] = "ipo_mean"
    tau: Annotated[float, Field(gt=0)] = 0.1
    """How strongly the policy is held to the reference: the target is 1 / (2 tau) nats per token."""
    nll_weight: NllWeight = 0.0


class Hinge(PairLoss):
    """The hinge of SLiC-HF, with reference as in RSO (Liu et al. 2023): no force beyond the margin."""

    function = "penchant.losses.preference:hinge"
    name: Literal["hinge"] = "hinge"
    beta: Beta = 0.1
    """How strongly the policy is held to the reference: the margin is reached at 1 / beta nats."""
    nll_weight: NllWeight = 0.0


class SigmoidNorm(PairLoss):
    """Length-normalised DPO (Lambert et al. 2024, Tulu 3): `sigmoid` on log-ratios averaged over tokens."""

    function = "penchant.losses.pairwise:dpo_mean"
    logps = "mean"
    name: Literal["sigmoid_norm"] = "sigmoid_norm"
    beta: Beta = 5.0
    """How strongly the policy is held to the reference; the paper's. Larger than `sigmoid`'s, since means are small."""
    nll_weight: NllWeight = 0.0


class ExoPair(PairLoss):
    """EXO on pairs (Ji et al. 2024): the reverse KL from the policy's preference to the smoothed label."""

    function = "penchant.losses.pairwise:exo_pair"
    name: Literal["exo_pair"] = "exo_pair"
    beta: ReferenceBeta = 0.1
    label_smoothing: Annotated[float, Field(gt=0, lt=0.5)] = 1e-3
    """How far a label is from certain; at 0 the divergence would be infinite."""
    nll_weight: NllWeight = 0.0


class NCAPair(PairLoss):
    """NCA on pairs (Chen et al. 2024): holds each response's own log-ratio, so that the chosen one does not sink."""

    function = "penchant.losses.pairwise:nca_pair"
    name: Literal["nca_pair"] = "nca_pair"
    beta: ReferenceBeta = 0.1
    nll_weight: NllWeight = 0.0


class SPPOHard(PairLoss):
    """SPPO with hard labels (Wu et al. 2024): draws the two log-ratios to 1 / (2 beta) and -1 / (2 beta)."""

    function = "penchant.losses.pairwise:sppo_hard"
    margin = "penchant.losses.pairs:log_ratio_margin"
    name: Literal["sppo_hard"] = "sppo_hard"
    beta: Beta = 0.1
    """How strongly the policy is held to the reference: the targets are at 1 / (2 beta) nats."""
    nll_weight: NllWeight = 0.0


class BCOPair(PairLoss):
    """BCO on pairs (Jung et al. 2024), without its moving shift: the chosen good, the rejected bad, each on its own."""

    function = "penchant.losses.pairwise:bco_pair"
    name: Literal["bco_pair"] = "bco_pair"
    beta: ReferenceBeta = 0.1
    nll_weight: NllWeight = 0.0


class APOZero(PairLoss):
    """APO-zero (D'Oosterlinck et al. 2024): chosen up, rejected down; for chosen responses better than the policy's."""

    function = "penchant.losses.pairwise:apo_zero"
    name: Literal["apo_zero"] = "apo_zero"
    beta: ReferenceBeta = 0.1
    nll_weight: NllWeight = 0.0


class APODown(PairLoss):
    """APO-down (D'Oosterlinck et al. 2024): both down, the rejected more; for chosen ones worse than the policy's."""

    function = "penchant.losses.pairwise:apo_down"
    name: Literal["apo_down"] = "apo_down"
    beta: ReferenceBeta = 0.1
    nll_weight: NllWeight = 0.0


class DiscoPOP(PairLoss):
    """DiscoPOP (Lu et al. 2024): logistic where the policy is wrong, exponential where it is right."""

    function = "penchant.losses.pairwise:discopop"
    name: Literal["discopop"] = "discopop"
    beta: Beta = 0.05
    """How strongly the policy is held to the reference; the paper's."""
    tau: Annotated[float, Field(gt=0)] = 0.05
    """How fast the logistic loss gives way to the exponential one; the paper's."""
    nll_weight: NllWeight = 0.0


class ForwardKL(PairLoss):
    """DPO under the forward KL (Wang et al. 2023), in place of the reverse one: covers what the reference covers."""

    function = "penchant.losses.pairwise:f_dpo"
    margin = "penchant.losses.pairwise:f_dpo_margin"
    fixed_arguments: ClassVar[Mapping[str, str]] = {"divergence": "forward_kl"}
    name: Literal["forward_kl"] = "forward_kl"
    beta: ReferenceBeta = 0.1
    nll_weight: NllWeight = 0.0


class JensenShannon(PairLoss):
    """DPO under the Jensen-Shannon divergence (Wang et al. 2023), in place of the reverse KL."""

    function = "penchant.losses.pairwise:f_dpo"
    margin = "penchant.losses.pairwise:f_dpo_margin"
    fixed_arguments: ClassVar[Mapping[str, str]] = {"divergence": "jensen_shannon"}
    name: Literal["jensen_shannon"] = "jensen_shannon"
    beta: ReferenceBeta = 0.1
    nll_weight: NllWeight = 0.0


class AlphaDivergence(PairLoss):
    """DPO under an alpha-divergence (Wang et al. 2023): the reverse KL (`sigmoid`) at 1, the forward one at 0."""

    function = "penchant.losses.pairwise:f_dpo"
    margin = "penchant.losses.pairwise:f_dpo_margin"
    fixed_arguments: ClassVar[Mapping[str, str]] = {"divergence": "alpha"}
    name: Literal["alpha_divergence"] = "alpha_divergence"
    beta: ReferenceBeta = 0.1
    alpha: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Which divergence."""
    nll_weight: NllWeight = 0.0


class SimPO(PairLoss):
    """SimPO (Meng et al. 2024): mean log-probabilities and a target margin, without a reference.

    The defaults are those of the authors' released configuration for Llama-3-Base-8B (beta 2.0, gamma / beta
    0.5).
    """

    function = "penchant.losses.preference:simpo"
    margin = "penchant.losses.pairs:logp_margin"
    logps = "mean"
    needs_reference = False
    name: Literal["simpo"] = "simpo"
    beta: Beta = 2.0
    """Scales the difference of the mean log-probabilities."""
    gamma: Annotated[float, Field(ge=0)] = 1.0
    """The target margin: by how much the chosen response should win, after scaling by beta."""
    nll_weight: NllWeight = 0.0


class ORPO(PairLoss):
    """ORPO (Hong et al. 2024): SFT on the chosen response plus a log-odds-ratio term, without a reference."""

    function = "penchant.losses.preference:orpo"
    margin = "penchant.losses.preference:log_odds_margin"
    logps = "mean"
    needs_reference = False
    name: Literal["orpo"] = "orpo"
    weight: Annotated[float, Field(ge=0)] = 0.1
    """The paper's lambda: how much the log-odds ratio counts beside the negative log-likelihood (0: SFT)."""


class ChosenNLL(PairLoss):
    """The chosen response's mean negative log-likelihood per token: SFT as a term of a sum."""

    function = "penchant.losses.preference:chosen_nll"
    margin = "penchant.losses.pairs:logp_margin"
    logps = "mean"
    needs_reference = False
    name: Literal["sft"] = "sft"


Compared = (
    Sigmoid
    | SigmoidNorm
    | Robust
    | IPO
    | IPOMean
    | Hinge
    | ExoPair
    | NCAPair
    | SPPOHard
    | BCOPair
    | APOZero
    | APODown
    | DiscoPOP
    | ForwardKL
    | JensenShannon
    | AlphaDivergence
    | WPO
    | LDDPO
    | AOT
    | AOTUnpaired
    | PlackettLuce
    | SimPO
    | ORPO
)
"""All losses that compare two responses; the order is that of help and messages."""

OWN_LOSSES = Door("loss", tuple(loss.model_fields["name"].default for loss in get_args(Compared)), kind="function")
"""Losses of the user's, by `module:function`."""


class CustomLoss(PairLoss):
    """A loss of your own: a function of the four sums of log-probabilities that returns one loss per pair."""

    extension: ClassVar[str] = "function"
    margin = "penchant.losses.pairs:log_ratio_margin"
    can_be_negative = True
    name: Literal["custom"] = "custom"
    function: CodeName = Field(min_length=1)  # type: ignore[misc]  # here each object names its own
    """`module:function`, or `path/to/file.py:function`; called with the policy's sums of the chosen and the rejected
    response, then the reference's, each of shape (pairs,), in nats."""
    settings: Arguments = Field(default_factory=dict)
    """What it is called with besides, by name."""
    nll_weight: NllWeight = 0.0

    def arguments(self) -> dict[str, object]:
        """Return the settings as keyword arguments of the function."""
        return dict(self.settings)


Term = Annotated[Compared | CustomLoss | ChosenNLL, Field(discriminator="name")]


class WeightedSum(PairLoss):
    """A weighted sum of losses on pairs, such as DPO and SFT: `loss='{name: sum, losses: [sigmoid, sft]}'`.

    MPO (Wang et al. 2024) is `losses: [sigmoid, bco_pair, sft], weights: [0.8, 0.2, 1]`.
    """

    can_be_negative = True
    name: Literal["sum"] = "sum"
    losses: Annotated[tuple[Term, ...], Field(min_length=1)] = (Sigmoid(), ChosenNLL())
    """The terms: any losses on pairs, and `sft`, the chosen response's mean negative log-likelihood per token. Metrics
    show the margin of the first one that is not `sft`."""
    weights: tuple[Annotated[float, Field(gt=0)], ...] = ()
    """What each term is multiplied by, in the order of `losses`; all 1 if not given."""

    @model_validator(mode="after")
    def _weights_fit(self) -> WeightedSum:
        if self.weights and len(self.weights) != len(self.losses):
            raise ValueError(f"{len(self.weights)} weights for {len(self.losses)} losses: give one per loss")
        # the terms are computed on the same pairs, and a ranking is no pair
        if any(term.needs.rankings for term in self.losses):
            raise ValueError("plackett_luce ranks whole prompts and cannot be added to losses on pairs")
        if all(isinstance(term, ChosenNLL) for term in self.losses):
            raise ValueError("sft alone compares nothing: add a loss on pairs, or use the method preferred_ft")
        return self

    @property
    def terms(self) -> tuple[tuple[float, Term], ...]:
        """(weight, loss) of each term."""
        return tuple(zip(self.weights or (1.0,) * len(self.losses), self.losses, strict=True))

    @property
    def needs(self) -> Needs:
        """All that some term needs."""
        return Needs.union(term.needs for term in self.losses)


PreferenceLoss = Annotated[Compared | CustomLoss | WeightedSum, Field(discriminator="name")]
"""Any loss on a pair of responses, or on a ranking; the type of a method's `loss` field."""

PAIR_LOSSES: dict[str, type[PairLoss]] = {
    settings.model_fields["name"].default: settings for settings in (*get_args(Compared), ChosenNLL)
}
"""The settings of each loss that has a function of its own, by its name."""


def custom_losses(settings: PairLoss) -> list[CustomLoss]:
    """Return the losses of the user's own in a loss: itself, or terms of a sum."""
    # sums do not nest, so one level is all there is
    terms = settings.losses if isinstance(settings, WeightedSum) else (settings,)
    return [term for term in terms if isinstance(term, CustomLoss)]


# spelled out, since a checker reads no expression here; a test compares it with `PAIR_LOSSES`
__all__ = [
    "AOT",
    "IPO",
    "LDDPO",
    "ORPO",
    "WPO",
    "AOTUnpaired",
    "APODown",
    "APOZero",
    "AlphaDivergence",
    "BCOPair",
    "ChosenNLL",
    "CustomLoss",
    "DiscoPOP",
    "ExoPair",
    "ForwardKL",
    "Hinge",
    "IPOMean",
    "JensenShannon",
    "NCAPair",
    "PlackettLuce",
    "PreferenceLoss",
    "Robust",
    "SPPOHard",
    "Sigmoid",
    "SigmoidNorm",
    "SimPO",
    "WeightedSum",
]
