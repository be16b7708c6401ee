"""Sampling: each prompt computed once for its n samples, every draw keyed by (seed, prompt, sample index).

A sample's random numbers depend on nothing else, so the same sample comes out whatever batch it was drawn in (up to
the rounding of the logits). Nothing is filtered unless asked: top-k and top-p are off by default.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from torch import nn

from penchant.engine.attention import evaluating
from penchant.engine.decode_probe import decoding_support
from penchant.engine.decoding import Drawing
from penchant.engine.merged import merged_adapters
from penchant.engine.sampling import Sampling, TokenSample, check_room


def draw(
    model: nn.Module,
    prompts: Sequence[tuple[int, ...]],
    sampling: Sampling,
    *,
    end_ids: frozenset[int],
    progress: Callable[[int], None] | None = None,
) -> list[list[TokenSample]]:
    """Draw n samples per prompt, in the order of the prompts, each list in the order of the sample index.

    Args:
        model: a causal language model.
        prompts: token ids, none empty.
        end_ids: tokens that end a sample.
        progress: called with how many samples' worth of tokens was drawn since the last call; in all, the number of
            samples.

    Raises:
        InputError: a prompt that leaves no room in the model's context, or a model that cannot be sampled.
    """
    check_room(model, prompts, sampling)
    # a prompt that stands twice has the same samples both times, since seed, prompt and index decide them
    shares = Counter(prompts)
    unique = list(shares)

    token_count = reported = 0

    def count(number: int, tokens: int) -> None:
        nonlocal token_count, reported
        # by tokens, since a batch of samples of one length ends all at once
        token_count += tokens * shares[unique[number]]
        done = token_count // sampling.max_new_tokens
        if progress and done > reported:
            progress(done - reported)
            reported = done

    with evaluating(model), merged_adapters(model):
        longest = max(map(len, unique), default=0) + sampling.max_new_tokens
        drawing = Drawing(model, unique, sampling, end_ids, decoding_support(model, longest), count)
        samples = dict(zip(unique, drawing.run(), strict=True))
    return [list(samples[prompt]) for prompt in prompts]
