"""A numeric probe of how a model's samples may be computed, before the first of them.

Some prompts of unequal lengths are decoded greedily, a few tokens each, the fast way; the logits that every token was
drawn from are compared with those of the model's own pass over that row alone, without cache and padding.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

from penchant.engine import probe
from penchant.engine.attention import unwrap
from penchant.engine.decoding import Decoding, Drawing
from penchant.engine.foreign_types import PreTrainedConfig
from penchant.engine.lengths import (
    EQUAL_LENGTHS,
    LengthClasses,
    context_length,
    forget_earlier_lengths,
    length_classes,
    named_lengths,
)
from penchant.engine.sampling import Sampling
from penchant.engine.verdicts import Verdict, kept_verdict, slowest
from penchant.errors import InputError

log = logging.getLogger("penchant.engine")

STEPS = 4  # tokens per row: a mask that grows in decode steps is wrong from the second on
SHORT = 12  # tokens of a prompt, where the configuration names no length


def decoding_support(model: nn.Module, longest: int = 0) -> Decoding:
    """Return how this model's samples may be computed, with a warning where that is slow.

    Args:
        longest: how many tokens a prompt with its sample may have. Beyond a window or threshold that the first probe
            does not reach, the model is probed once more there.

    Raises:
        InputError: it is no causal language model, cannot be run, or no way of decoding gives its own numbers.
    """
    verdict = decoding_way(model, longest)
    if verdict.way == "none":
        raise InputError(verdict.reason)
    return _ways(unwrap(model).config.get_text_config())[verdict.way]


def decoding_way(model: nn.Module, longest: int = 0) -> Verdict:
    """Find the way of decoding, a key of `_ways` or "none"; `longest` as in `decoding_support`."""
    inner = unwrap(model)
    forget_earlier_lengths(model)
    announce = partial(_announce, type(inner).__name__)
    device = next(model.parameters()).device.type
    # the verdict is kept by the weights' dtype, so it must not depend on the caller's autocast
    with torch.no_grad(), torch.autocast(device, enabled=False):
        verdict = kept_verdict("decoding", inner, partial(_find_way, model, 0), announce)
        for length in probe.far_lengths(model):
            if length < longest and verdict.way != "none":
                far = kept_verdict(f"decoding beyond {length}", inner, partial(_find_way, model, length), announce)
                verdict = slowest((verdict, far), _ways(inner.config.get_text_config()))
    return verdict


def _ways(config: PreTrainedConfig) -> dict[str, Decoding]:
    """Return the ways of decoding, from fast to slow."""
    lengths = length_classes(config)
    return {
        "cache": Decoding(lengths=lengths),
        "cache by length": Decoding(padded=False, lengths=lengths),
        "no cache": Decoding(cached=False, padded=False, lengths=EQUAL_LENGTHS),
    }


def _announce(name: str, verdict: Verdict) -> None:
    """Warn of what makes sampling slower."""
    if verdict.way == "cache by length":
        log.warning("%s samples prompts of one length together, without padding: %s", name, verdict.reason)
    if verdict.way == "no cache":
        log.warning("%s samples without a cache, a whole pass per token: %s", name, verdict.reason)


def _find_way(model: nn.Module, far: int) -> Verdict:
    """Run the probe and return the first way whose logits are the model's own.

    Args:
        far: the length that the longest rows grow over; 0 for every length within the first probe's reach.
    """
    inner = unwrap(model)
    config = inner.config.get_text_config()
    # before any cache is tried: what sees the future has no logits of a beginning to compare with
    try:
        if not far:
            probe.check_causal(model, probe.random_ids(config, probe.long_row(config, probe.probe_reach(model))))
    except InputError as error:
        return Verdict("none", str(error))
    prompts = far_prompts(config, far) if far else probe_prompts(config, probe.probe_reach(model))
    problems: list[str] = []
    truth = _Truth(model, length_classes(config))
    for way, decoding in _ways(config).items():
        problem = _problem(model, prompts, decoding, truth)
        if problem is None:
            return Verdict(way, problems[0] if problems else "")
        problems.append(problem)
    range_words = f" of rows longer than {far} tokens" if far else ""
    reason = f"no way of decoding gives its own numbers{range_words}: {problems[0]}; {problems[-1]}"
    return Verdict("none", f"{type(inner).__name__} cannot be sampled: {reason}")


def probe_prompts(config: PreTrainedConfig, reach: int) -> list[tuple[int, ...]]:
    """Return prompts of unequal lengths, two of one length; one grows beyond each length within reach."""
    thresholds = [length for length in named_lengths(config) if length <= reach]
    room = (context_length(config) or 2**30) - STEPS
    # two tokens short of a length, so that the third of the four drawn ones is the first beyond it
    length_set = {SHORT, 3, 7, *(length - 2 for length in thresholds)}
    lengths = sorted((length for length in length_set if 0 < length <= room), reverse=True)
    # two of one length share a pass where nothing is padded
    return _prompts(config, [*lengths, lengths[-1]])


def far_prompts(config: PreTrainedConfig, far: int) -> list[tuple[int, ...]]:
    """Return a prompt that grows over a length, and two short ones that are sampled beside it."""
    room = (context_length(config) or 2**30) - STEPS
    return _prompts(config, [min(far - 2, room), SHORT, 3])


def _prompts(config: PreTrainedConfig, lengths: Sequence[int]) -> list[tuple[int, ...]]:
    ids = probe.random_ids(config, sum(lengths))
    return [tuple(ids.pop() for _ in range(length)) for length in lengths]


class _Truth:
    """The model's own logits after some tokens, from passes over single rows. No row is run twice."""

    def __init__(self, model: nn.Module, lengths: LengthClasses) -> None:
        self.model, self.lengths = model, lengths
        self.logits_by_ids: dict[tuple[int, ...], Tensor] = {}

    def add(self, longest: tuple[int, ...]) -> None:
        """Run a row and keep the logits after it and after its beginnings of the same length class."""
        if longest in self.logits_by_ids:
            return
        logits = probe.own_logits(self.model, longest, STEPS).flip(0)
        # from the last token backwards; a causal model gives a row's beginnings their logits in the same pass
        for back, row in enumerate(logits):
            stop = len(longest) - back
            if self.lengths.class_of(stop) == self.lengths.class_of(len(longest)):
                self.logits_by_ids.setdefault(longest[:stop], row)

    def after(self, ids: tuple[int, ...]) -> Tensor:
        """Return the logits, (vocabulary,), of the token that comes after these tokens."""
        self.add(ids)
        return self.logits_by_ids[ids]


def _problem(model: nn.Module, prompts: Sequence[tuple[int, ...]], decoding: Decoding, truth: _Truth) -> str | None:
    """Try a way of decoding and return what is wrong with it, or None."""
    name = "decoding with a cache" if decoding.cached else "a whole pass per token"
    seen: list[tuple[tuple[int, ...], Tensor]] = []
    # two samples per prompt, so that a prompt's cache is taken twice
    sampling = Sampling(n=2, temperature=0, max_new_tokens=STEPS)
    try:
        Drawing(model, prompts, sampling, frozenset(), decoding, observe=lambda *row: seen.append(row)).run()
    except Exception as error:  # whatever a model raises that does not know what we ask for
        return f"{name} fails ({probe.short_text(error)})"
    # the longest rows first, since a pass over one gives the logits of all its beginnings too
    for ids, _ in sorted(seen, key=lambda row: -len(row[0])):
        truth.add(ids)
    for ids, logits in seen:
        if not probe.close(logits[None], truth.after(ids)[None], model):
            worst = float((logits.log_softmax(-1) - truth.after(ids).log_softmax(-1)).abs().max())
            return f"{name} draws from another distribution (off by {worst:.3g} nats)"
    return None
