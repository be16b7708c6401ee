"""Which loss on a pair of responses, and its numbers. Imports no torch, so that `--help` is instant.

A loss is a class in the union `PreferenceLoss`, told apart by `name`; a setting that does not belong to a
loss is refused by name. The equations are in `penchant.losses.preference`, which computes them.
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


PreferenceLoss = Annotated[
    Sigmoid | Robust | IPO | IPOMean | Hinge | SimPO | ORPO,
    Field(discriminator="name"),
]
"""Any loss on a pair of responses; the type of a method's `loss` field."""
