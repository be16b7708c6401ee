"""A numeric probe of how samples of prompts with pictures may be computed, with the pictures of the first prompt in it.

The prompt, and the same with a few tokens of text behind it, are decoded greedily the fast way. The logits that each
token was drawn from are compared with those of the model's own pass over the whole row, without a cache.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import partial
from typing import get_args

import torch
from torch import Tensor, nn

from penchant.engine.attention import unwrap
from penchant.engine.lengths import named_lengths
from penchant.engine.media_decoding import MEDIA_TOKENS, MediaDrawing, MediaStart, MediaWay
from penchant.engine.media_tree import MediaRow, model_arguments
from penchant.engine.probe import close, random_ids, short_text
from penchant.engine.sampling import Sampling
from penchant.engine.verdicts import Verdict, kept_verdict, slowest
from penchant.errors import InputError

log = logging.getLogger("penchant.engine")

STEPS = 4  # tokens per row: a mask that grows in decode steps is wrong from the second on
EXTRA_TOKENS = 3  # tokens by which the second prompt is longer, so that rows of two lengths go on together


def media_decoding_way(model: nn.Module, start: MediaStart, longest: int) -> MediaWay:
    """Return how samples of prompts with such media may be computed, with a warning where that is slow.

    Args:
        longest: how many tokens a prompt with its sample may have. Where that is more than a window or threshold of the
            model, it is probed once more there.

    Raises:
        InputError: the model cannot be run on such a prompt, or no way gives its own numbers.
    """
    inner = unwrap(model)
    announce = partial(_announce, type(inner).__name__)
    kind = f"decoding with {'+'.join(start.kinds) or 'text'}"
    device = next(model.parameters()).device.type
    with torch.no_grad(), torch.autocast(device, enabled=False):
        verdicts = [kept_verdict(kind, inner, partial(_find_way, model, start, 0), announce)]
        for length in named_lengths(inner.config.get_text_config()):
            # a prompt that is longer than the window has it in the first probe
            if len(start.ids) + STEPS < length < longest:
                far = partial(_find_way, model, start, length)
                verdicts.append(kept_verdict(f"{kind} beyond {length}", inner, far, announce))
    verdict = slowest(verdicts, get_args(MediaWay))
    if verdict.way == "none":
        raise InputError(verdict.reason)
    way: MediaWay = next(name for name in get_args(MediaWay) if name == verdict.way)
    return way


def _announce(name: str, verdict: Verdict) -> None:
    """Warn of what makes sampling slower."""
    if verdict.way == "cache by prompt":
        log.warning("%s samples prompts with pictures one after the other: %s", name, verdict.reason)
    if verdict.way == "no cache":
        log.warning(
            "%s samples prompts with pictures without a cache, a whole pass per token: %s", name, verdict.reason
        )


def _find_way(model: nn.Module, start: MediaStart, far: int) -> Verdict:
    """Run the probe and return the first way whose logits are the model's own.

    Args:
        far: the length that a row grows over; 0 for prompts as they are.
    """
    rows = _probe_rows(model, start.load(), far)
    truth = _Truth(model, rows)
    if not torch.isfinite(truth.after(start.ids, ())).any():
        raise InputError("the model's logits are not finite: its weights are damaged")
    problems: list[str] = []
    for way in get_args(MediaWay):
        problem = _problem(model, start, rows, way, truth)
        if problem is None:
            return Verdict(way, problems[0] if problems else "")
        problems.append(f"{way}: {problem}")
    name = type(unwrap(model)).__name__
    return Verdict("none", f"{name} cannot be sampled: no way of decoding gives its own numbers: {'; '.join(problems)}")


def _probe_rows(model: nn.Module, row: MediaRow, far: int) -> list[MediaRow]:
    """Return a prompt with its media as it is, and with some text behind it."""
    config = unwrap(model).config
    marks = {getattr(config, name, None) for name in MEDIA_TOKENS}
    # two tokens short of a length, so that the third of the four drawn ones is the first beyond it
    extra = max(EXTRA_TOKENS, far - 2 - len(row.prompt_ids)) if far else EXTRA_TOKENS
    ids = [token for token in random_ids(config.get_text_config(), 4 * extra) if token not in marks][:extra]
    # text of a prompt is kind 0 everywhere
    kinds = {name: nn.functional.pad(numbers, (0, extra)) for name, numbers in row.token_kinds.items()}
    return [row, replace(row, prompt_ids=(*row.prompt_ids, *ids), token_kinds=kinds)]


class _Truth:
    """The model's own logits behind a prompt and some tokens, from whole passes."""

    def __init__(self, model: nn.Module, rows: list[MediaRow]) -> None:
        self.model, self.rows = unwrap(model), {row.prompt_ids: row for row in rows}
        self.logits: dict[tuple[tuple[int, ...], tuple[int, ...]], Tensor] = {}

    def after(self, prompt: tuple[int, ...], tokens: tuple[int, ...]) -> Tensor:
        """Return the logits, (vocabulary,), of the token that comes after these.

        Raises:
            InputError: the model cannot be run on such a prompt.
        """
        if (prompt, tokens) not in self.logits:
            arguments = model_arguments(self.model, [(self.rows[prompt], (*prompt, *tokens))])
            try:
                self.logits[prompt, tokens] = self.model(**arguments, use_cache=False).logits[0, -1]
            except Exception as error:  # each class has its own ways
                raise InputError(
                    f"{type(self.model).__name__} cannot be run on such a prompt: {short_text(error)}. Does the model "
                    "read pictures, and was its own processor used?"
                ) from error
        return self.logits[prompt, tokens]


def _problem(model: nn.Module, start: MediaStart, rows: list[MediaRow], way: MediaWay, truth: _Truth) -> str | None:
    """Try a way of decoding and return what is wrong with it, or None."""
    seen: list[tuple[tuple[int, ...], tuple[int, ...], Tensor]] = []
    starts = [replace(start, ids=row.prompt_ids, load=partial(_unchanged, row)) for row in rows]
    # two samples per prompt, so that a prompt's cache is taken twice
    sampling = Sampling(n=2, temperature=0, max_new_tokens=STEPS)
    try:
        MediaDrawing(model, sampling, frozenset(), way, observe=lambda *row: seen.append(row)).run(starts)
    except InputError:  # damaged weights, which no other way mends
        raise
    except Exception as error:  # whatever a model raises that does not know what we ask for
        return f"it fails ({short_text(error)})"
    for prompt, tokens, logits in seen:
        expected = truth.after(prompt, tokens)
        if not close(logits[None], expected[None], model):
            worst = float((logits.log_softmax(-1) - expected.log_softmax(-1)).abs().max())
            return f"it draws from another distribution (off by {worst:.3g} nats)"
    return None


def _unchanged(row: MediaRow) -> MediaRow:
    return row
