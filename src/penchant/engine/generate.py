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
from penchant.engine.media_decode_probe import media_decoding_way
from penchant.engine.media_decoding import MediaDrawing, MediaStart
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
    count = _token_counter(sampling, progress)
    with evaluating(model), merged_adapters(model):
        longest = max(map(len, unique), default=0) + sampling.max_new_tokens
        support = decoding_support(model, longest)
        on_drawn = lambda number, tokens: count(tokens * shares[unique[number]])  # noqa: E731
        samples = dict(zip(unique, Drawing(model, unique, sampling, end_ids, support, on_drawn).run(), strict=True))
    return [list(samples[prompt]) for prompt in prompts]


def draw_media(
    model: nn.Module,
    starts: Sequence[MediaStart],
    sampling: Sampling,
    *,
    end_ids: frozenset[int],
    progress: Callable[[int], None] | None = None,
) -> list[list[TokenSample]]:
    """Draw n samples per prompt that shows pictures, as `draw` does for texts.

    A mark that stands for a picture is never drawn: nothing would stand behind it.

    Args:
        model: a model of texts and pictures.
        starts: the prompts.
        sampling, end_ids, progress: as in `draw`.

    Raises:
        InputError: a prompt that leaves no room in the model's context, or a model that cannot be sampled.
    """
    check_room(model, [start.ids for start in starts], sampling)
    shares = Counter(start.key for start in starts)
    unique = list({start.key: start for start in starts}.values())
    count = _token_counter(sampling, progress)
    samples: dict[object, list[TokenSample]] = {}
    with evaluating(model), merged_adapters(model):
        # the way of decoding depends on which towers are at work
        by_kinds: dict[tuple[str, ...], list[MediaStart]] = {}
        for start in unique:
            by_kinds.setdefault(start.kinds, []).append(start)
        for of_kinds in by_kinds.values():
            longest = max(len(start.ids) for start in of_kinds) + sampling.max_new_tokens
            way = media_decoding_way(model, of_kinds[0], longest)
            on_drawn = lambda start, tokens: count(tokens * shares[start.key])  # noqa: E731
            drawing = MediaDrawing(model, sampling, end_ids, way, on_drawn)
            samples |= dict(zip((start.key for start in of_kinds), drawing.run(of_kinds), strict=True))
    return [list(samples[start.key]) for start in starts]


def _token_counter(sampling: Sampling, progress: Callable[[int], None] | None) -> Callable[[int], None]:
    """Return what counts tokens and reports them as samples' worth.

    By tokens, since a batch of samples of one length ends all at once.
    """
    token_count = reported = 0

    def count(tokens: int) -> None:
        nonlocal token_count, reported
        token_count += tokens
        done = token_count // sampling.max_new_tokens
        if progress and done > reported:
            progress(done - reported)
            reported = done

    return count
