"""Choose how many samples an evaluation draws and how long they are, where the settings leave that open.

An evaluation draws responses as long as those that are trained on, for as few prompts as keep the evaluations at the
start and the end below a third of training, counted in tokens. Without that a run on a hundred rows spent most of its
time on samples.
"""

from __future__ import annotations

from penchant.metrics.estimates import FEWEST_CLUSTERS
from penchant.train.settings import Samples

USUAL_TOKENS = 48  # of a sample under `max_new_tokens: null`, which was the default until 0.4
USUAL_PROMPTS = 32
SHARE = 1 / 3
"""Of training's tokens, that the evaluations at the start and the end take together."""
TRAINED_PASSES = 3
"""A trained token counts as three: a forward pass, and a backward pass that takes twice as long."""
SAMPLED_PASSES = 7
"""How often a sampled token passes through a model: the policy draws at the start and the end and the reference once,
and the policy's samples are scored by both models each time."""
SCORED_PASSES = 2  # of held-out rows: at the start and the end


def settle_length(
    settings: Samples, trained_tokens: int, context: int | None = None, longest_prompt: int = 0
) -> Samples:
    """Return settings with a number of tokens.

    Args:
        trained_tokens: of the longest response that is trained on, or of the samples that training draws.
        context: tokens that the model takes at once; None for no limit.
        longest_prompt: tokens of the longest prompt.
    """
    if settings.max_new_tokens == "trained":
        # the longest response may stand behind a short prompt: behind the longest one it would leave no room
        room = max(min(trained_tokens, USUAL_TOKENS), context - longest_prompt) if context else trained_tokens
        return settings.replace(max_new_tokens=min(trained_tokens, room))
    if settings.max_new_tokens is None:
        return settings.replace(max_new_tokens=min(trained_tokens, USUAL_TOKENS))
    return settings


def settle_prompts(settings: Samples, *, trained: float, held_out: float, prompt: float, response: float) -> Samples:
    """Return settings with a number of prompts.

    Args:
        trained: tokens that training goes over, in all epochs.
        held_out: tokens of the held-out rows.
        prompt, response: mean tokens of a prompt, and of a response that is trained on. Samples of a model that ends
            its responses are about as long.

    Returns:
        Those given, with `max_prompts` where it is open: never fewer than an interval needs, so that the evaluations
        of a very small run take more than their share.
    """
    if settings.max_prompts is not None:
        return settings
    # an evaluation in the middle is one that somebody asked for
    room = SHARE * TRAINED_PASSES * trained - SCORED_PASSES * held_out
    per_prompt = SAMPLED_PASSES * settings.n * (prompt + response)
    return settings.replace(max_prompts=max(FEWEST_CLUSTERS, min(USUAL_PROMPTS, int(room / per_prompt))))
