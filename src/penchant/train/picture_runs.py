"""What training needs of its settings where the model draws pictures: losses of differences alone, and a beta."""

from __future__ import annotations

from penchant.errors import InputError
from penchant.losses.contract import PairLoss, missing_strengths
from penchant.losses.differences import likelihood_reason
from penchant.train.settings import GradientConfig

METHODS = ("dpo", "preferred_ft", "sft")
"""Methods that train a diffusion model."""


def check_picture_run(config: GradientConfig) -> None:
    """Refuse settings that a diffusion model cannot be trained with.

    Raises:
        InputError: a method or loss that needs likelihoods, no beta, or settings of text.
    """
    if config.method not in METHODS:
        raise InputError(
            f"{config.method} needs the likelihood of responses, or text, and {config.model.name!r} is a diffusion "
            f"model: the methods for it are {', '.join(METHODS)}"
        )
    if config.gradient_checkpointing:
        raise InputError("gradient_checkpointing is for language models: leave it out for a diffusion model")
    # settings that someone wrote: what is there by default is of texts
    samples = getattr(config.evaluate, "samples", None)
    if samples is not None and "samples" in config.evaluate.model_fields_set:
        raise InputError(
            "evaluate.samples draws texts, and nothing is sampled from a diffusion model while it trains: leave it "
            "out, and draw pictures of the checkpoint"
        )
    loss = getattr(config, "loss", None)
    if isinstance(loss, PairLoss):
        _check_loss(loss)


def _check_loss(loss: PairLoss) -> None:
    """Refuse a loss that sees more than differences to the reference, or whose strength nobody chose."""
    terms: tuple[PairLoss, ...] = getattr(loss, "losses", (loss,))
    for term in terms:
        if reason := likelihood_reason(term):
            raise InputError(
                f"the loss `{term.name}` cannot train a diffusion model: {reason}. Losses that see only the policy's "
                "score minus the reference's can, such as `sigmoid`"
            )
        if missing := missing_strengths(term):
            raise InputError(
                f"loss.{missing[0]} has no default for a diffusion model: give it. Scores are summed over pixels, so "
                "the published beta of 2000-5000, which is for a mean over the numbers of a picture, is 10-26 for "
                "14 x 14 pixels (divide it by the number of pixels); `sigmoid_norm` takes means"
            )
