"""Which loss on a pair of responses, and its numbers. Imports no torch, so that `--help` is instant.

A loss is a class in the union `PreferenceLoss`, told apart by `name`; a setting that does not belong to a
loss is refused by name. The equations are in `penchant.losses.preference` and `penchant.losses.pairwise`.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from penchant.config import Config

Beta = Annotated[float, Field(gt=0)]
NllWeight = Annotated[
    float,
    Field(
        ge=0,
        description="Adds this times the chosen response's mean negative log-likelihood, an anchor that keeps"
        " its probability up.",
    ),
]


class Sigmoid(Config):
    """DPO (Rafailov et al. 2023): -log sigmoid of beta times the difference of the log-ratios.

    With `label_smoothing` it is conservative DPO (Mitchell 2023): some of the labels are taken to be wrong.
    """

    needs_reference: ClassVar[bool] = True

    name: Literal["sigmoid"] = "sigmoid"
    beta: Beta = 0.1
    """How strongly the policy is held to the reference: a larger beta stays closer."""
    label_smoothing: Annotated[float, Field(ge=0, lt=0.5)] = 0.0
    """The share of comparisons assumed to be the wrong way round (conservative DPO); 0 is plain DPO."""
    nll_weight: NllWeight = 0.0


class Robust(Config):
    """Robust DPO (Chowdhury et al. 2024): unbiased when a known share of the labels is flipped."""

    needs_reference: ClassVar[bool] = True

    name: Literal["robust"] = "robust"
    beta: Beta = 0.1
    """How strongly the policy is held to the reference: a larger beta stays closer."""
    label_smoothing: Annotated[float, Field(gt=0, lt=0.5)] = 0.1
    """The share of comparisons that are the wrong way round. (Without any it would be `sigmoid`.)"""
    nll_weight: NllWeight = 0.0


class IPO(Config):
    """IPO (Azar et al. 2023): draws the difference of the log-ratios (sums over tokens) to 1 / (2 tau)."""

    needs_reference: ClassVar[bool] = True

    name: Literal["ipo"] = "ipo"
    tau: Annotated[float, Field(gt=0)] = 0.1
    """How strongly the policy is held to the reference: the target of the difference is 1 / (2 tau) nats."""
    nll_weight: NllWeight = 0.0


class IPOMean(Config):
    """IPO on log-ratios averaged over tokens: the variant of most released code, not the paper's.

    The averaged difference is smaller by about the response's length, so a tau of `ipo` does not carry over.
    """

    needs_reference: ClassVar[bool] = True

    name: Literal["ipo_mean"] = "ipo_mean"
    tau: Annotated[float, Field(gt=0)] = 0.1
    """How strongly the policy is held to the reference: the target is 1 / (2 tau) nats a token."""
    nll_weight: NllWeight = 0.0


class Hinge(Config):
    """The hinge of SLiC-HF, with reference as in RSO (Liu et al. 2023): no force beyond the margin."""

    needs_reference: ClassVar[bool] = True

    name: Literal["hinge"] = "hinge"
    beta: Beta = 0.1
    """How strongly the policy is held to the reference: the margin is reached at 1 / beta nats."""
    nll_weight: NllWeight = 0.0


class SigmoidNorm(Config):
    """Length-normalised DPO (Lambert et al. 2024, Tulu 3): `sigmoid` on log-ratios averaged over tokens."""

    needs_reference: ClassVar[bool] = True

    name: Literal["sigmoid_norm"] = "sigmoid_norm"
    beta: Beta = 5.0
    """How strongly the policy is held to the reference; the paper's. Larger than `sigmoid`'s, since means are small."""
    nll_weight: NllWeight = 0.0


class ExoPair(Config):
    """EXO on pairs (Ji et al. 2024): the reverse KL from the policy's preference to the smoothed label."""

    needs_reference: ClassVar[bool] = True

    name: Literal["exo_pair"] = "exo_pair"
    beta: Beta = 0.1
    """How strongly the policy is held to the reference: a larger beta stays closer."""
    label_smoothing: Annotated[float, Field(gt=0, lt=0.5)] = 1e-3
    """How far a label is from certain; at 0 the divergence would be infinite."""
    nll_weight: NllWeight = 0.0


class NCAPair(Config):
    """NCA on pairs (Chen et al. 2024): holds each response's own log-ratio, so that the chosen one does not sink."""

    needs_reference: ClassVar[bool] = True

    name: Literal["nca_pair"] = "nca_pair"
    beta: Beta = 0.1
    """How strongly the policy is held to the reference: a larger beta stays closer."""
    nll_weight: NllWeight = 0.0


class SPPOHard(Config):
    """SPPO with hard labels (Wu et al. 2024): draws the two log-ratios to 1 / (2 beta) and -1 / (2 beta)."""

    needs_reference: ClassVar[bool] = True

    name: Literal["sppo_hard"] = "sppo_hard"
    beta: Beta = 0.1
    """How strongly the policy is held to the reference: the targets are at 1 / (2 beta) nats."""
    nll_weight: NllWeight = 0.0


class BCOPair(Config):
    """BCO on pairs (Jung et al. 2024), without its moving shift: the chosen good, the rejected bad, each on its own."""

    needs_reference: ClassVar[bool] = True

    name: Literal["bco_pair"] = "bco_pair"
    beta: Beta = 0.1
    """How strongly the policy is held to the reference: a larger beta stays closer."""
    nll_weight: NllWeight = 0.0


class APOZero(Config):
    """APO-zero (D'Oosterlinck et al. 2024): chosen up, rejected down; for chosen responses better than the policy's."""

    needs_reference: ClassVar[bool] = True

    name: Literal["apo_zero"] = "apo_zero"
    beta: Beta = 0.1
    """How strongly the policy is held to the reference: a larger beta stays closer."""
    nll_weight: NllWeight = 0.0


class APODown(Config):
    """APO-down (D'Oosterlinck et al. 2024): both down, the rejected more; for chosen ones worse than the policy's."""

    needs_reference: ClassVar[bool] = True

    name: Literal["apo_down"] = "apo_down"
    beta: Beta = 0.1
    """How strongly the policy is held to the reference: a larger beta stays closer."""
    nll_weight: NllWeight = 0.0


class DiscoPOP(Config):
    """DiscoPOP (Lu et al. 2024): logistic where the policy is wrong, exponential where it is right."""

    needs_reference: ClassVar[bool] = True

    name: Literal["discopop"] = "discopop"
    beta: Beta = 0.05
    """How strongly the policy is held to the reference; the paper's."""
    tau: Annotated[float, Field(gt=0)] = 0.05
    """How fast the logistic loss gives way to the exponential one; the paper's."""
    nll_weight: NllWeight = 0.0


class ForwardKL(Config):
    """DPO under the forward KL (Wang et al. 2023), in place of the reverse one: covers what the reference covers."""

    needs_reference: ClassVar[bool] = True

    name: Literal["forward_kl"] = "forward_kl"
    beta: Beta = 0.1
    """How strongly the policy is held to the reference: a larger beta stays closer."""
    nll_weight: NllWeight = 0.0


class JensenShannon(Config):
    """DPO under the Jensen-Shannon divergence (Wang et al. 2023), in place of the reverse KL."""

    needs_reference: ClassVar[bool] = True

    name: Literal["jensen_shannon"] = "jensen_shannon"
    beta: Beta = 0.1
    """How strongly the policy is held to the reference: a larger beta stays closer."""
    nll_weight: NllWeight = 0.0


class AlphaDivergence(Config):
    """DPO under an alpha-divergence (Wang et al. 2023): the reverse KL (`sigmoid`) at 1, the forward one at 0."""

    needs_reference: ClassVar[bool] = True

    name: Literal["alpha_divergence"] = "alpha_divergence"
    beta: Beta = 0.1
    """How strongly the policy is held to the reference: a larger beta stays closer."""
    alpha: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Which divergence."""
    nll_weight: NllWeight = 0.0


class SimPO(Config):
    """SimPO (Meng et al. 2024): mean log-probabilities and a target margin, without a reference.

    The defaults are those of the authors' released configuration for Llama-3-Base-8B (beta 2.0, gamma / beta
    0.5).
    """

    needs_reference: ClassVar[bool] = False

    name: Literal["simpo"] = "simpo"
    beta: Beta = 2.0
    """Scales the difference of the mean log-probabilities."""
    gamma: Annotated[float, Field(ge=0)] = 1.0
    """The target margin: by how much the chosen response should win, after scaling by beta."""
    nll_weight: NllWeight = 0.0


class ORPO(Config):
    """ORPO (Hong et al. 2024): SFT on the chosen response plus a log-odds-ratio term, without a reference."""

    needs_reference: ClassVar[bool] = False

    name: Literal["orpo"] = "orpo"
    weight: Annotated[float, Field(ge=0)] = 0.1
    """The paper's lambda: how much the log-odds ratio counts beside the negative log-likelihood (0: SFT)."""


WithReference = (
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
)

PreferenceLoss = Annotated[WithReference | SimPO | ORPO, Field(discriminator="name")]
"""Any loss on a pair of responses; the type of a method's `loss` field."""
