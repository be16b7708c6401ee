"""A numeric probe of how a model's samples may be computed, before the first of them.

Some prompts of unequal lengths are decoded greedily, a few tokens each, the fast way; the logits that every token was
drawn from are compared with those of the model's own pass over that row alone, without cache and padding.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from penchant.engine.attention import unwrap
from penchant.engine.generate import Decoding, Drawing, Sampling
from penchant.engine.lengths import (
    EQUAL_LENGTHS,
    LengthClasses,
    context_length,
    forget_earlier_lengths,
    length_classes,
    named_lengths,
)
from penchant.engine.probe import check_causal, close, long_row, own_logits, probe_reach, random_ids
from penchant.engine.verdicts import kept_verdict
from penchant.errors import InputError

log = logging.getLogger("penchant.engine")

STEPS = 4  # tokens per row: a mask that grows in decode steps is wrong from the second on
SHORT = 12  # tokens of a prompt, where the configuration names no length


def decoding_support(model: nn.Module) -> Decoding:
    """Return how this model's samples may be computed; said aloud where that is slow.

    Raises:
        InputError: it is no causal language model, cannot be run, or no way of decoding gives its own numbers.
    """
    inner = unwrap(model)
    way, reason = decoding_way(model)
    if way == "none":
        raise InputError(reason)
    return _ways(inner.config)[way]


def decoding_way(model: nn.Module) -> tuple[str, str]:
    """Return the name of the way that was found, a key of `_ways` or "none", and why it is no faster one."""
    inner = unwrap(model)
    forget_earlier_lengths(model)
    verdict = kept_verdict("decoding", inner, lambda: _find_way(model), lambda found: _say(inner, found))
    return verdict["way"], verdict["reason"]


def _ways(config: Any) -> dict[str, Decoding]:
    """Return the ways of decoding, from fast to slow."""
    lengths = length_classes(config.get_text_config())
    return {
        "cache": Decoding(lengths=lengths),
        "cache by length": Decoding(padded=False, lengths=lengths),
        "no cache": Decoding(cached=False, padded=False, lengths=EQUAL_LENGTHS),
    }


def _say(network: Any, verdict: Mapping[str, Any]) -> None:
    name = type(network).__name__
    if verdict["way"] == "cache by length":
        log.warning("%s samples prompts of one length together, without padding: %s", name, verdict["reason"])
    if verdict["way"] == "no cache":
        log.warning("%s samples without a cache, a whole pass per token: %s", name, verdict["reason"])


def _find_way(model: nn.Module) -> dict[str, Any]:
    """Run the probe: the first way whose logits are the model's own."""
    inner = unwrap(model)
    config = inner.config.get_text_config()
    try:
        check_causal(model, random_ids(config, long_row(config, probe_reach(model))))
    except InputError as error:
        return {"way": "none", "reason": str(error)}
    problems: list[str] = []
    truth = _Truth(model, length_classes(config))
    for way, decoding in _ways(inner.config).items():
        problem = _problem(model, decoding, truth)
        if problem is None:
            return {"way": way, "reason": problems[0] if problems else ""}
        problems.append(problem)
    reason = f"no way of decoding gives its own numbers: {problems[0]}; {problems[-1]}"
    return {"way": "none", "reason": f"{type(inner).__name__} cannot be sampled: {reason}"}


def probe_prompts(config: Any, reach: int) -> list[tuple[int, ...]]:
    """Return prompts of unequal lengths, two of one length; one grows beyond each length within reach."""
    named = [length for length in named_lengths(config) if length <= reach]
    room = (context_length(config) or 2**30) - STEPS
    wanted = {SHORT, 3, 7, *(length - 2 for length in named)}
    lengths = sorted((length for length in wanted if 0 < length <= room), reverse=True)
    lengths.append(lengths[-1])
    ids = random_ids(config, sum(lengths))
    return [tuple(ids.pop() for _ in range(length)) for length in lengths]


class _Truth:
    """The model's own logits after some tokens, from passes over single rows; each row is run as seldom as can be."""

    def __init__(self, model: nn.Module, lengths: LengthClasses) -> None:
        self.model, self.lengths = model, lengths
        self.known: dict[tuple[int, ...], Tensor] = {}

    def add(self, longest: tuple[int, ...]) -> None:
        """Run a row, and with it all of its beginnings of the same length class."""
        if longest in self.known:
            return
        logits = own_logits(self.model, longest)
        for stop in range(len(longest), max(0, len(longest) - STEPS), -1):
            if self.lengths.class_of(stop) == self.lengths.class_of(len(longest)):
                self.known.setdefault(longest[:stop], logits[stop - 1])

    def after(self, ids: tuple[int, ...]) -> Tensor:
        """Return the logits (vocabulary,) of the token after these."""
        self.add(ids)
        return self.known[ids]


def _problem(model: nn.Module, decoding: Decoding, truth: _Truth) -> str | None:
    """Return what is wrong with a way of decoding, or None."""
    config = unwrap(model).config.get_text_config()
    name = "decoding with a cache" if decoding.cached else "a whole pass per token"
    seen: list[tuple[tuple[int, ...], Tensor]] = []
    sampling = Sampling(n=2, temperature=0, max_new_tokens=STEPS)
    try:
        Drawing(
            model,
            probe_prompts(config, probe_reach(model)),
            sampling,
            frozenset(),
            decoding,
            observe=lambda *row: seen.append(row),
        ).run()
    except Exception as error:  # whatever a model raises that does not know what we ask for
        text = (str(error).strip().splitlines() or [""])[0][:200]
        return f"{name} fails ({type(error).__name__}: {text})"
    for ids, _ in sorted(seen, key=lambda row: -len(row[0])):
        truth.add(ids)
    for ids, logits in seen:
        if not close(logits[None], truth.after(ids)[None], model):
            worst = float((logits.log_softmax(-1) - truth.after(ids).log_softmax(-1)).abs().max())
            return f"{name} draws from another distribution (off by {worst:.3g} nats)"
    return None
