"""How varied a sampled text is: one number per response, so that `cluster_mean` can give an interval."""

from __future__ import annotations

from collections.abc import Sequence

from penchant.errors import InputError


def distinct_n(tokens: Sequence[Sequence[int]], n: int) -> list[float]:
    """Return the share of distinct n-grams among the n-grams of each response: 1 = nothing said twice.

    Li et al. 2016, "A Diversity-Promoting Objective Function for Neural Conversation Models", counts over all
    responses at once; here it is per response, so it has an interval and does not fall with their number. It
    falls with the length of a response: compare policies at like lengths.

    Args:
        tokens: the token ids of each response, prompt left out.
        n: length of the n-grams, at least 1.

    Returns:
        One number in (0, 1] per response, order kept; 1 for a response shorter than n (nothing is repeated).

    Raises:
        InputError: n below 1.
    """
    return [1.0 - share for share in repetition(tokens, n)]


def repetition(tokens: Sequence[Sequence[int]], n: int = 4) -> list[float]:
    """Return the share of the n-grams of each response that occurred before in it: 0 = none, near 1 = a loop.

    This is seq-rep-n of Welleck et al. 2020, "Neural Text Generation with Unlikelihood Training":
    1 - unique n-grams / n-grams, with n = 4 there and here.

    Args:
        tokens: the token ids of each response, prompt left out.
        n: length of the n-grams, at least 1.

    Returns:
        One number in [0, 1) per response, order kept; 0 for a response shorter than n.

    Raises:
        InputError: n below 1.
    """
    if n < 1:
        raise InputError(f"an n-gram has at least 1 token, got n = {n}")
    return [_repeated_share(response, n) for response in tokens]


def _repeated_share(response: Sequence[int], n: int) -> float:
    grams = [tuple(response[i : i + n]) for i in range(len(response) - n + 1)]
    return 1.0 - len(set(grams)) / len(grams) if grams else 0.0
